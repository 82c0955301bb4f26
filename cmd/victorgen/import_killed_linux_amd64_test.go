package main

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// temporaryName is how a file is called before it has its name: what a kill leaves of
// it goes with the next run.
var temporaryName = regexp.MustCompile(`^\..*[0-9]{6,}$`)

// TestImportKilled ends an import right before each call by which it changes a file, be
// it between two files or within one. No file is half written then, no environment is
// there before its contract and its values, those that were there make what they made,
// nothing lies in the temporary directory, and the same command takes it up.
func TestImportKilled(t *testing.T) {
	t.Parallel()
	dev := "DB_PASSWORD=p4ss-83jd92kf02ls\nAPI_KEY=k3y-92jf83kd02lsqm\nDB_HOST=db.internal\nONLY_DEV_TOKEN=d3v-92kf83jd01lsqm\n"
	prod := strings.ReplaceAll(dev, "ONLY_DEV_TOKEN", "OTHER_TOKEN")
	for name, tt := range map[string]struct {
		first, text string
		every       int // of its calls, how many are ignored
	}{
		"a new module":         {"", dev, 7},
		"a second environment": {dev, prod, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := t.TempDir()
			input := filepath.Join(t.TempDir(), ".env")
			if tt.first != "" {
				importInto(t, before, "dev", input, tt.first)
			}
			was := filesOf(t, before)
			start := func() string {
				dir := filepath.Join(t.TempDir(), "shop")
				if err := os.CopyFS(dir, os.DirFS(before)); err != nil {
					t.Fatal(err)
				}
				return dir
			}
			whole := start()
			importInto(t, whole, "prod", input, tt.text)
			want := filesOf(t, whole)
			if want["envs/prod/env.cue"] == "" || want[".secrets.prod"] == "" || tt.first != "" && want["envs/dev/env.cue"] == was["envs/dev/env.cue"] {
				t.Fatalf("the import has made %v", want)
			}
			kills, midway := 0, 0
			for n := 1; ; n += tt.every {
				sig := syscall.SIGKILL
				if kills%3 == 2 {
					sig = syscall.SIGINT
				}
				dir, tmp := start(), t.TempDir()
				if !endedAt(t, n, sig, dir, tmp, "import", "env", input, "--into", "envs/prod") {
					break
				}
				kills++
				got := filesOf(t, dir)
				for file, text := range got {
					if text != want[file] && text != was[file] && !temporaryName.MatchString(filepath.Base(file)) && file != ".secrets.prod" {
						t.Errorf("%v at %d: %s is neither old nor new:\n%s", sig, n, file, text)
					}
				}
				for _, line := range strings.SplitAfter(got[".secrets.prod"], "\n") {
					if !strings.Contains(want[".secrets.prod"], line) {
						t.Errorf("%v at %d: a line of values is not whole", sig, n)
					}
				}
				if got["envs/prod/env.cue"] != "" && (got["contract.cue"] != want["contract.cue"] || got[".secrets.prod"] != want[".secrets.prod"]) {
					t.Errorf("%v at %d: the environment is there before its contract and its values", sig, n)
				}
				if left, _ := os.ReadDir(tmp); len(left) > 0 {
					t.Errorf("%v at %d: %s is left in the temporary directory", sig, n, left[0].Name())
				}
				if tt.first != "" {
					if code, _, stderr := victorgen(t, "vet", filepath.Join(dir, "envs/dev")); strings.Contains(stderr, "error VG1") && !strings.Contains(stderr, "VG1107") {
						t.Errorf("%v at %d: vet of the other: exit %d\n%s", sig, n, code, stderr)
					}
				}
				if !maps.Equal(got, was) && !maps.Equal(got, want) {
					midway++
				}
				importInto(t, dir, "prod", input, tt.text)
				if again := filesOf(t, dir); !maps.Equal(again, want) {
					t.Errorf("%v at %d: once more, and it is not what one run makes: %s", sig, n, cmp.Diff(want, again))
				}
			}
			t.Logf("ended at %d calls, at %d of them with something written", kills, midway)
			if midway < 10 {
				t.Errorf("it was ended %d times with something written", midway)
			}
		})
	}
}

func importInto(t *testing.T, dir, env, input, text string) {
	t.Helper()
	if err := os.WriteFile(input, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("victorgen", "import", "env", input, "--into", "envs/"+env)
	cmd.Dir = dir
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("import: %v\n%s", err, out)
	}
}

// endedAt runs victorgen in dir, and sends it a signal when it is about to make its
// n-th call that changes a file. It reports whether it came to that.
func endedAt(t *testing.T, n int, sig syscall.Signal, dir, tmp string, args ...string) (reached bool) {
	t.Helper()
	runtime.LockOSThread() // by which alone the kernel lets a process be traced
	defer runtime.UnlockOSThread()
	cmd := exec.Command("victorgen", args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "TMPDIR="+tmp)
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true, Setpgid: true} // to wait for its threads, and no one else's
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	defer cmd.Process.Release()
	const (
		killedWithUs = 0x100000 // PTRACE_O_EXITKILL (ptrace(2))
		called       = syscall.SIGTRAP | 0x80
	)
	var status syscall.WaitStatus
	_, err := syscall.Wait4(pid, &status, 0, nil)
	if err == nil {
		err = syscall.PtraceSetOptions(pid, syscall.PTRACE_O_TRACESYSGOOD|syscall.PTRACE_O_TRACECLONE|killedWithUs)
	}
	if err == nil {
		err = syscall.PtraceSyscall(pid, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	within := map[int]bool{} // the threads that are in a call
	for calls := 0; ; {
		tid, err := syscall.Wait4(-pid, &status, syscall.WALL, nil)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.ECHILD, tid == pid && (status.Exited() || status.Signaled()):
			return reached
		case err != nil:
			t.Fatal(err)
		case !status.Stopped():
			continue
		}
		deliver := 0
		switch got := status.StopSignal(); got {
		case called:
			if within[tid] = !within[tid]; within[tid] && changesFile(pid, tid, dir) {
				if calls++; calls == n {
					reached = true
					syscall.Kill(pid, sig)
				}
			}
		case syscall.SIGTRAP, syscall.SIGSTOP: // a new thread
		default:
			deliver = int(got)
		}
		syscall.PtraceSyscall(tid, deliver) // fails if it has been killed
	}
}

// changesFile reports whether the call that a thread is about to make changes a file or
// a directory.
func changesFile(pid, tid int, dir string) bool {
	var regs syscall.PtraceRegs
	if syscall.PtraceGetRegs(tid, &regs) != nil {
		return false
	}
	switch regs.Orig_rax {
	case syscall.SYS_OPENAT:
		return regs.Rdx&syscall.O_CREAT != 0
	case syscall.SYS_WRITE, syscall.SYS_FSYNC, syscall.SYS_FCHMOD:
		file, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, regs.Rdi))
		return strings.HasPrefix(file, dir+"/")
	case syscall.SYS_RENAME, syscall.SYS_RENAMEAT, 316 /* renameat2 */, syscall.SYS_MKDIRAT, syscall.SYS_UNLINKAT:
		return true
	}
	return false
}
