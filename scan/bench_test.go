package scan

import (
	"encoding/base64"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/victor-ai/victorgen/compiler/value"
)

// BenchmarkWorkTree measures a search of a Git work tree of 64 MiB, half of it text
// and half of it base64, for thirty values and two private keys in all of their forms,
// against reading the same files, and against git grep for thirty words in plain text.
func BenchmarkWorkTree(b *testing.B) {
	if _, err := exec.LookPath("git"); err != nil {
		b.Skip("no git")
	}
	root := b.TempDir()
	random := mathrand.NewChaCha8([32]byte{1})
	var names []string
	for i := range 256 {
		var text strings.Builder
		for text.Len() < 256<<10 {
			raw := make([]byte, 48)
			random.Read(raw)
			if i%2 == 0 {
				fmt.Fprintln(&text, base64.StdEncoding.EncodeToString(raw))
			} else {
				fmt.Fprintf(&text, "    if value%d := compute(%q, index); value%[1]d != nil { return values[%[1]d] }\n", raw[0], raw[:3])
			}
		}
		name := filepath.Join(root, fmt.Sprintf("f%d.txt", i))
		names = append(names, name)
		if err := os.WriteFile(name, []byte(text.String()), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	for _, args := range [][]string{{"init", "-q"}, {"add", "."}} {
		if out, err := exec.Command("git", append([]string{"-C", root}, args...)...).CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
	}
	var values []value.Value
	var words strings.Builder
	for range 30 {
		raw := make([]byte, 30)
		random.Read(raw)
		word := base64.StdEncoding.EncodeToString(raw)
		values = append(values, value.New([]byte(word)))
		fmt.Fprintln(&words, word)
	}
	all := keys(b)
	values = append(values, value.New(all["RSA PKCS8"][0]), value.New(all["ECDSA OpenSSH"][0]))
	patterns := filepath.Join(b.TempDir(), "words")
	if err := os.WriteFile(patterns, []byte(words.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	took := map[string]time.Duration{}
	time1 := func(what string, f func() error) {
		began := time.Now()
		if err := f(); err != nil {
			b.Fatal(err)
		}
		took[what] += time.Since(began)
	}
	for b.Loop() {
		time1("build", func() error { _, err := New(values); return err })
		time1("scan", func() error {
			s, err := New(values)
			if err != nil {
				return err
			}
			r, err := s.WorkTree(b.Context(), root, nil)
			if err == nil && (r.Files != len(names) || len(r.Found) > 0) {
				b.Fatalf("%d files, found %v", r.Files, r.Found)
			}
			return err
		})
		time1("read", func() error {
			var wg sync.WaitGroup
			limit := make(chan bool, runtime.GOMAXPROCS(0))
			for _, name := range names {
				wg.Add(1)
				limit <- true
				go func() {
					defer func() { <-limit; wg.Done() }()
					if f, err := os.Open(name); err == nil {
						io.Copy(io.Discard, struct{ io.Reader }{f})
						f.Close()
					}
				}()
			}
			wg.Wait()
			return nil
		})
		time1("grep", func() error {
			cmd := exec.Command("git", "-C", root, "grep", "-F", "-c", "-f", patterns)
			if cmd.Run(); cmd.ProcessState.ExitCode() != 1 {
				return fmt.Errorf("git grep: %v", cmd.ProcessState)
			}
			return nil
		})
	}
	b.ReportMetric(float64(took["scan"])/float64(took["read"]), "times-reading")
	b.ReportMetric(float64(took["scan"])/float64(took["grep"]), "times-git-grep")
	b.ReportMetric(took["build"].Seconds()*1000/float64(b.N), "ms-building")
	b.ReportMetric(64*float64(b.N)/took["scan"].Seconds(), "MiB/s")
}
