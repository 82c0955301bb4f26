package main

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// temporaryName is how a file is called before it has its name: what a kill leaves of
// it goes with the next run.
var temporaryName = regexp.MustCompile(`^\..*[0-9]{6,}$`)

// TestImportKilled: an import that is killed or interrupted at any moment leaves no file
// half written and no environment before its contract and its values are there, and the
// same command takes it up.
func TestImportKilled(t *testing.T) {
	t.Parallel()
	const kills = 8
	s := liveShop(t)
	kubeconfig := s.Kubeconfig(t)
	for name, tt := range map[string]struct {
		file, text string
		args       []string
	}{
		"env":       {".env", "DB_PASSWORD=p4ss-83jd92kf02ls\nAPI_KEY=k3y-92jf83kd02lsqm\nDB_HOST=db.internal\n", []string{"import", "env", ".env", "--into", "envs/dev"}},
		"manifests": {"secret.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: shop}\nstringData: {DB_PASSWORD: p4ss-83jd92kf02ls, API_KEY: k3y-92jf83kd02lsqm}\n", []string{"import", "manifests", "secret.yaml", "--into", "envs/dev"}},
		"cluster":   {"none", "", []string{"import", "cluster", "-n", "shop", "--into", "envs/dev", "--kubeconfig", kubeconfig}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := func() (dir string, cmd *exec.Cmd) {
				dir = t.TempDir()
				if tt.text != "" {
					if err := os.WriteFile(filepath.Join(dir, tt.file), []byte(tt.text), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				cmd = exec.Command("victorgen", tt.args...)
				cmd.Dir = dir
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				return dir, cmd
			}
			begun := time.Now()
			dir, cmd := start()
			if err := cmd.Wait(); err != nil {
				t.Fatal(err)
			}
			took, want := time.Since(begun), filesOf(t, dir)
			if !strings.Contains(want["envs/dev/env.cue"], "environment") || want[".secrets.dev"] == "" {
				t.Fatalf("the import has made %v", maps.Keys(want))
			}
			midway := 0
			for i := range kills {
				dir, cmd := start()
				time.Sleep(took * time.Duration(i+1) / (kills + 1))
				cmd.Process.Signal([]os.Signal{syscall.SIGKILL, syscall.SIGINT}[i%2])
				if cmd.Wait() == nil {
					continue // it was done
				}
				got := filesOf(t, dir)
				for file, text := range got {
					if temporary := temporaryName.MatchString(filepath.Base(file)); text != want[file] && !temporary && file != ".secrets.dev" {
						t.Errorf("after a signal, %s is neither old nor new:\n%s", file, text)
					}
				}
				for _, line := range strings.SplitAfter(got[".secrets.dev"], "\n") {
					if !strings.Contains(want[".secrets.dev"], line) {
						t.Error("after a signal, a line of values is not whole")
					}
				}
				if got["envs/dev/env.cue"] != "" && (got["contract.cue"] == "" || got[".secrets.dev"] != want[".secrets.dev"]) {
					t.Error("the environment is there before its contract and its values")
				}
				if len(got) > 1 {
					midway++
				}
				again := exec.Command("victorgen", tt.args...)
				again.Dir = dir
				if out, err := again.CombinedOutput(); err != nil && got["envs/dev/env.cue"] == "" {
					t.Errorf("the same command does not take it up: %v\n%s", err, out)
				}
				if got := filesOf(t, dir); !maps.Equal(got, want) {
					t.Errorf("once more, and %d files differ from %d", len(got), len(want))
				}
			}
			t.Logf("%d of %d were killed with something written, of %v", midway, kills, took)
		})
	}
}
