// Package e2e holds the tests against real programs that others wrote. It is a
// module of its own, so that what they need is no dependency of victorgen.
// `make e2e` runs them. The programs are built or installed on first use and
// kept in .cache by their versions.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// cache returns the absolute path of a file in the cache, and makes its
// directory.
func cache(t testing.TB, elements ...string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(append([]string{".cache"}, elements...)...))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

var making sync.Map // by path: a mutex, so that tests at once make a thing once

// made returns path after make has made it, unless it is there already. What
// was made half is made again: make writes to a path of its own, which is
// renamed.
func made(t testing.TB, path string, make func(into string) error) string {
	t.Helper()
	lock, _ := making.LoadOrStore(path, new(sync.Mutex))
	lock.(*sync.Mutex).Lock()
	defer lock.(*sync.Mutex).Unlock()
	if _, err := os.Stat(path); err == nil {
		return path
	}
	t.Logf("making %s, which takes a while", filepath.Base(path))
	half := path + ".half"
	os.RemoveAll(half)
	if err := make(half); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(half, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// command runs a program to its end, and fails with what it said.
func command(dir string, env []string, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// quick is for what is built to be tried, and not to be fast: without inlining, a compiler
// has a fifth less to do (kubeseal: 110 s of CPU, 87 s).
const quick = "-gcflags=all=-l"

// goProgram returns the path of the command of a Go module, such as
// filippo.io/age/cmd/age-keygen at v1.2.1.
func goProgram(t testing.TB, pkg, version string) string {
	t.Helper()
	name := filepath.Base(pkg)
	if major.MatchString(name) {
		name = filepath.Base(filepath.Dir(pkg)) // as the go command calls it
	}
	dir := made(t, cache(t, name+"-"+version), func(into string) error {
		// From a directory outside of any module, with the Go of this one.
		return command(os.TempDir(), []string{"GOBIN=" + into, "GOFLAGS="}, "go", "install", quick, pkg+"@"+version)
	})
	program := filepath.Join(dir, name)
	tried(t, program)
	return program
}

var major = regexp.MustCompile(`^v[0-9]+$`)

// ownProgram returns the path of the program that the module in dir builds.
func ownProgram(t testing.TB, dir, version string) string {
	t.Helper()
	program := made(t, cache(t, filepath.Base(dir)+"-"+version), func(into string) error {
		return command(dir, nil, "go", "build", quick, "-trimpath", "-o", into, ".")
	})
	tried(t, program)
	return program
}

// toolProgram returns the path of a program that is a tool of the module in dir,
// which replaces modules as that of the program does: goProgram cannot.
func toolProgram(t testing.TB, dir, version, name string) string {
	t.Helper()
	programs := made(t, cache(t, dir+"-"+version), func(into string) error {
		return command(dir, nil, "go", "build", quick, "-trimpath", "-o", into+string(filepath.Separator), "tool")
	})
	program := filepath.Join(programs, name)
	tried(t, program)
	return program
}

// moduleDir returns the directory of a module that is not in the build, for the
// files of its repository.
func moduleDir(t testing.TB, module, version string) string {
	t.Helper()
	cmd := exec.Command("go", "mod", "download", "-json", module+"@"+version)
	cmd.Dir, cmd.Stderr = os.TempDir(), os.Stderr
	out, err := cmd.Output()
	var info struct{ Dir string }
	if err := errors.Join(err, json.Unmarshal(out, &info)); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return info.Dir
}

// pythonPrograms returns the directory of the programs of a PyPI package, such
// as moto[server] at 5.1.0. With it come others, such as "bcrypt==5.0.0".
func pythonPrograms(t testing.TB, pkg, version string, more ...string) string {
	t.Helper()
	name, _, _ := strings.Cut(pkg, "[")
	done := made(t, cache(t, name+"-"+version+".done"), func(into string) error {
		// A virtual environment cannot be renamed: it knows its own path.
		venv := cache(t, name+"-"+version)
		if err := command("", nil, "python3", "-m", "venv", "--clear", venv); err != nil {
			return err
		}
		install := append([]string{"install", "--quiet", "--disable-pip-version-check", pkg + "==" + version}, more...)
		if err := command("", nil, filepath.Join(venv, "bin", "pip"), install...); err != nil {
			return err
		}
		return os.WriteFile(into, nil, 0o644)
	})
	venv := strings.TrimSuffix(done, ".done")
	triedPackage(t, venv, name)
	return filepath.Join(venv, "bin")
}

// freePort returns a port on which no one listens.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// server is a program that runs.
type server struct {
	process *os.Process
	stop    func()
}

// start runs a server until the end of the test, or until it is stopped, and
// waits until ready returns nil. If the test fails, the end of what the server
// printed is in the log.
func start(t testing.TB, env []string, ready func() error, name string, args ...string) server {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), filepath.Base(name)+".log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(name, args...)
	cmd.Dir = filepath.Dir(log.Name()) // where it may leave what it likes
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = log, log
	// It goes when this process goes, even if that is killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	stop := func() {
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			cmd.Process.Kill()
			<-ended
		}
	}
	t.Cleanup(func() {
		if b, _ := os.ReadFile(log.Name()); t.Failed() { // before it says much about its end
			t.Logf("%s said:\n%s", filepath.Base(name), b[max(0, len(b)-8<<10):])
		}
		stop()
		log.Close()
	})
	await(t, filepath.Base(name), func() error {
		select {
		case <-ended:
			t.Fatalf("%s has ended", name)
		default:
		}
		return ready()
	})
	return server{cmd.Process, stop}
}

// await waits until ready returns nil.
func await(t testing.TB, what string, ready func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for {
		err := ready()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s does not get ready: %v", what, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// listening is a check of start: someone listens on the port.
func listening(port string) func() error {
	return func() error {
		c, err := net.DialTimeout("tcp", "127.0.0.1:"+port, time.Second)
		if err == nil {
			c.Close()
		}
		return err
	}
}

// victorgen runs the program and returns what it printed and its exit code.
func victorgen(t testing.TB, dir string, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.Command(built(t), args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

var build sync.Once

// built returns the path of victorgen, which it builds once a run. With
// GOCOVERDIR in the environment, it counts there what it runs of itself.
func built(t testing.TB) string {
	t.Helper()
	path, err := filepath.Abs("../bin/victorgen-e2e")
	if err != nil {
		t.Fatal(err)
	}
	build.Do(func() {
		args := []string{"build", "-o", path}
		if os.Getenv("GOCOVERDIR") != "" {
			args = append(args, "-cover", "-coverpkg=./...")
		}
		if err := command("..", nil, "go", append(args, "./cmd/victorgen")...); err != nil {
			t.Fatal(err)
		}
	})
	return path
}
