package files

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/source/sourcetest"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/internal/fifo"
)

const canary = "canary-7f3d"

func TestSource(t *testing.T) {
	t.Parallel()
	sourcetest.Run(t, func(t *testing.T) *sourcetest.Store {
		dir := filepath.Join(t.TempDir(), ".secrets.d")
		return &sourcetest.Store{
			Open: func() source.Source { return New(plan.Source{Dir: dir}) },
			Put: func(input string, v []byte) {
				if err := os.MkdirAll(dir, 0o700); err != nil {
					t.Fatal(err)
				}
				if len(v) > 0 && input != sourcetest.Binary {
					v = append(v[:len(v):len(v)], '\n') // as an editor ends it
				}
				if err := os.WriteFile(filepath.Join(dir, strings.ToLower(input)), v, 0o600); err != nil {
					t.Fatal(err)
				}
			},
			Remote:     func(input string) plan.Remote { return plan.Remote{Name: strings.ToLower(input)} },
			Exhaustive: true, // of those that keep previous values
			Ages:       true,
			Bytes:      true,
			Empty:      true,
			MaxValue:   maxValue,
		}
	})
}

func put(t *testing.T, dir, name, text string, mode os.FileMode) {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "PLAIN", "v", 0o600)
	put(t, dir, "LINE", "v\n", 0o400)
	put(t, dir, "LINES", "v\n\n", 0o600)
	put(t, dir, "CRLF", "v\r\n", 0o600)
	put(t, dir, "ONLY_LINE", "\n", 0o600)
	put(t, dir, "EMPTY", "", 0o600)
	put(t, dir, "JSON", `{"a": {"b": "c"}}`, 0o600)
	put(t, dir, "OPEN", canary, 0o644)
	put(t, dir, "NO_TEXT", canary+"\xff", 0o600)
	outside := filepath.Join(t.TempDir(), "outside")
	put(t, filepath.Dir(outside), "outside", canary, 0o600)
	for name, to := range map[string]string{
		"LINK": "PLAIN", "OUT": outside, "UP": "../" + filepath.Base(filepath.Dir(outside)) + "/outside", "DANGLING": "nowhere", "LOOP": "LOOP", "TO_OPEN": "OPEN",
	} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "DIR"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := fifo.Make(filepath.Join(dir, "PIPE")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"PLAIN": "v", "LINE": "v", "LINES": "v\n", "CRLF": "v", "LINK": "v",
		"ONLY_LINE": "absent", "EMPTY": "absent", "NOWHERE": "absent",
		"OPEN": "has mode 0644", "TO_OPEN": "has mode 0644", "NO_TEXT": "not text in UTF-8", "DIR": "not a regular file", "PIPE": "not a regular file",
		"OUT": "leads out of the directory", "UP": "leads out of the directory", "LOOP": "a circular link", "DANGLING": "it is a dangling link: " + dir + "/nowhere, to which it leads, does not exist",
	} {
		ref := source.Ref{Input: name, Remote: plan.Remote{Name: name}}
		a := New(plan.Source{Dir: dir}).Read(t.Context(), []source.Ref{ref})[0]
		got := string(a.Value.Reveal())
		if a.Err != nil {
			got = a.Err.Error()
		}
		if got != want && (a.Err == nil || !strings.Contains(got, want)) || strings.Contains(got, canary) || a.Origin == "" {
			t.Errorf("%s: got %q from %s, want %q", name, got, a.Origin, want)
		}
		proved := New(plan.Source{Dir: dir}).Prove(t.Context(), []source.Ref{ref})[0]
		if (proved.Err == nil) != (a.Err == nil) && name != "NO_TEXT" && name != "ONLY_LINE" {
			t.Errorf("%s: proved %v, read %v", name, proved.Err, a.Err)
		}
		if a.Err != nil && want != "absent" {
			if _, err := New(plan.Source{Dir: dir}).Replace(t.Context(), ref, value.New([]byte("new"))); err == nil {
				t.Errorf("%s was replaced", name)
			}
		}
	}
	if text, _ := os.ReadFile(outside); string(text) != canary {
		t.Error("a file outside was written")
	}
	a := source.Read(t.Context(), New(plan.Source{Dir: dir}), []source.Ref{
		{Input: "A", Remote: plan.Remote{Name: "JSON", Property: "a.b"}}, {Input: "LINE", Remote: plan.Remote{Name: "LINE"}, Binary: true}, {Input: "L", Remote: plan.Remote{Name: "LINE"}},
	})
	for i, want := range []string{"c", "v\n", "v"} {
		if a[i].Err != nil || string(a[i].Value.Reveal()) != want {
			t.Errorf("got %q, %v, want %q", a[i].Value.Reveal(), a[i].Err, want)
		}
	}
	names, err := New(plan.Source{Dir: dir}).List(t.Context())
	if err != nil || len(names) != 16 {
		t.Errorf("listed %v, %v", names, err)
	}
}

func TestDirectory(t *testing.T) {
	t.Parallel()
	ref := source.Ref{Input: "A", Remote: plan.Remote{Name: "A"}}
	open := t.TempDir()
	put(t, open, "A", canary, 0o600)
	if err := os.Chmod(open, 0o770); err != nil {
		t.Fatal(err)
	}
	var f *source.Failure
	if a := New(plan.Source{Dir: open}).Read(t.Context(), []source.Ref{ref})[0]; !errors.As(a.Err, &f) || f.Code != plan.CodeFileMode || f.Remedy != "chmod go-w "+open {
		t.Errorf("got %v", a.Err)
	}
	file := filepath.Join(open, "A")
	if a := New(plan.Source{Dir: file}).Read(t.Context(), []source.Ref{ref})[0]; a.Err == nil || !errors.Is(a.Err, source.ErrUnreadable) {
		t.Errorf("got %v", a.Err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink("nowhere", link); err != nil {
		t.Fatal(err)
	}
	if a := New(plan.Source{Dir: link}).Read(t.Context(), []source.Ref{ref})[0]; a.Err == nil || !strings.Contains(a.Err.Error(), "dangling link") {
		t.Errorf("got %v", a.Err)
	}
	none := filepath.Join(t.TempDir(), "none")
	if a := New(plan.Source{Dir: none}).Read(t.Context(), []source.Ref{ref})[0]; a.Err != source.ErrAbsent {
		t.Errorf("got %v", a.Err)
	}
	if _, err := New(plan.Source{Dir: none}).Create(t.Context(), ref, value.New([]byte("v"))); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{none: os.ModeDir | 0o700, filepath.Join(none, "A"): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s has mode %v, %v", path, info.Mode(), err)
		}
	}
	put(t, none, ".A1234", canary, 0o600) // what a killed process leaves
	New(plan.Source{Dir: none}).Read(t.Context(), []source.Ref{ref})
	if _, err := os.Stat(filepath.Join(none, ".A1234")); err == nil {
		t.Error("what was left is still there")
	}
}

// What a killed process has left is removed by the next that reads: also where a
// link in the directory leads to.
func TestStale(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put := func(name string) string {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("c4nary-Quartz7-lantern"), 0o600); err != nil {
			t.Fatal(err)
		}
		return filepath.Join(dir, name)
	}
	put("TOKEN")
	put("db-1")
	if err := os.Symlink("db-1", filepath.Join(dir, "DB")); err != nil {
		t.Fatal(err)
	}
	gone := []string{put(".TOKEN1234"), put(".db-1567")}
	stays := []string{put(".OTHER1234"), put(".TOKEN1234.bak")}
	New(plan.Source{Dir: dir}).Read(t.Context(), []source.Ref{{Input: "TOKEN"}, {Input: "DB"}})
	for _, file := range gone {
		if _, err := os.Stat(file); err == nil {
			t.Errorf("%s is still there", filepath.Base(file))
		}
	}
	for _, file := range stays {
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
	}
}

// TestKeptFirst: anyone who looks while values are replaced, one after the other, never
// finds that one is gone: it is the current one, or kept already.
func TestKeptFirst(t *testing.T) {
	t.Parallel()
	s := New(plan.Source{Dir: filepath.Join(t.TempDir(), "d")})
	ref := source.Ref{Input: "KEY"}
	number := func(ref source.Ref) (n int) {
		text := string(s.Read(t.Context(), []source.Ref{ref})[0].Value.Reveal())
		fmt.Sscanf(text[strings.LastIndex(text, " ")+1:], canary+"-%d", &n)
		return n
	}
	if _, err := s.Create(t.Context(), ref, value.New([]byte(canary+"-1"))); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 2; n < 150; n++ {
			if _, err := s.Supersede(t.Context(), ref, value.New([]byte(fmt.Sprint(canary, "-", n))), time.Now()); err != nil {
				t.Error(err)
			}
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		current := number(ref)
		if kept := number(beside(ref)); kept < current-1 {
			t.Fatalf("%d is current, and %d is what is kept", current, kept)
		}
	}
}
