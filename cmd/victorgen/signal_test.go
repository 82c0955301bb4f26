package main

import (
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/victor-ai/victorgen/internal/dirlock"
	"github.com/victor-ai/victorgen/internal/kubetest"
)

// silent is an address of a server that takes a connection and never answers.
func silent(t *testing.T, asked chan<- struct{}) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for first := true; ; first = false {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			if first {
				close(asked)
			}
		}
	}()
	return "http://" + l.Addr().String()
}

// TestSignals: whatever a verb waits for, the first signal ends it with the exit
// code of that signal, and the files are as they were.
func TestSignals(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const contract = `package app

import "github.com/victor-ai/victorgen/schema"

schema.#Environment
environment: "dev"
namespace:   "apps"
delivery: {kind: "sealed", certificate: "sealing-cert.pem"}
inputs: TOKEN: schema.#Required
secrets: app: keys: token: input: "TOKEN"
`
	// A scene is a command that waits: its arguments, what to add to the
	// environment, and what tells that it does, by a channel or by what it prints.
	type scene struct {
		args, env []string
		stdin     io.Reader
		waits     <-chan struct{}
		says      string
	}
	// Each prepares the module in dir.
	scenes := map[string]func(t *testing.T, dir string) scene{
		"compiling": func(t *testing.T, dir string) scene {
			writeFile(t, filepath.Join(dir, "envs/dev/endless.cue"), "package app\n\n_n: [for i in _a for j in _a {i + j}]\n_a: [for i in _b for j in _b {i*60 + j}]\n_b: ["+
				strings.Repeat("1, ", 59)+"1]\ninputs: TOKEN: description: \"\\(len(_n))\"\n")
			// Nothing shows when it is in the middle of that; it has started by then.
			started := make(chan struct{})
			time.AfterFunc(2*time.Second, func() { close(started) })
			return scene{args: []string{"vet", "envs/dev"}, waits: started}
		},
		"another build": func(t *testing.T, dir string) scene {
			unlock, err := dirlock.Lock(t.Context(), filepath.Join(dir, "envs/dev"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(unlock)
			return scene{args: []string{"build", "envs/dev"}, says: "waiting for another build"}
		},
		"a source": func(t *testing.T, dir string) scene {
			asked := make(chan struct{})
			writeFile(t, filepath.Join(dir, "envs/dev/source.cue"), "package app\n\nsources: default: {kind: \"vault\", mount: \"kv\"}\n")
			return scene{args: []string{"build", "envs/dev"}, env: []string{"VAULT_ADDR=" + silent(t, asked), "VAULT_TOKEN=none"}, waits: asked}
		},
		"an API server": func(t *testing.T, dir string) scene {
			asked := make(chan struct{})
			config := filepath.Join(t.TempDir(), "kubeconfig")
			writeFile(t, config, `{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c}}], clusters: [{name: c, cluster: {server: "`+silent(t, asked)+`"}}]}`)
			return scene{args: []string{"verify", "envs/dev", "--kubeconfig", config}, waits: asked}
		},
		"a question": func(t *testing.T, dir string) scene {
			s := kubetest.New(t)
			s.Put(t, "secrets", "controller", &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "app", Namespace: "apps"}, Data: map[string][]byte{"token": []byte("Quartz7-lantern-Brine")}})
			user, program, err := pty.Open()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { user.Close(); program.Close() })
			return scene{args: []string{"recover", "envs/dev", "--kubeconfig", s.Kubeconfig(t)}, stdin: program, says: "[y/N]"}
		},
		"a value": func(t *testing.T, dir string) scene {
			user, program, err := pty.Open()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { user.Close(); program.Close() })
			return scene{args: []string{"set", "envs/dev", "TOKEN"}, stdin: program, says: "TOKEN: "}
		},
		"a program": func(t *testing.T, dir string) scene {
			writeFile(t, filepath.Join(dir, "envs/dev/source.cue"), "package app\n\nsources: default: {kind: \"sops\", file: \"secrets.enc.yaml\"}\n")
			writeFile(t, filepath.Join(dir, "envs/dev/secrets.enc.yaml"), "TOKEN: ENC[AES256_GCM,data:AA==,iv:AA==,tag:AA==,type:str]\nsops:\n    age:\n        - recipient: age1\n          enc: none\n    version: 3.10.2\n")
			bin, runs := t.TempDir(), filepath.Join(t.TempDir(), "runs")
			writeFile(t, filepath.Join(bin, "sops"), "#!/bin/sh\ncase \"$*\" in *--version*) echo sops 3.10.2; exit;; esac\n: > "+runs+"\nexec sleep 600\n")
			if err := os.Chmod(filepath.Join(bin, "sops"), 0o755); err != nil {
				t.Fatal(err)
			}
			started := make(chan struct{})
			go func() {
				for t.Context().Err() == nil {
					if _, err := os.Stat(runs); err == nil {
						close(started)
						return
					}
					time.Sleep(10 * time.Millisecond)
				}
			}()
			return scene{args: []string{"build", "envs/dev"}, env: []string{"PATH=" + bin + ":" + os.Getenv("PATH")}, waits: started}
		},
	}
	for name, prepare := range scenes {
		for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
			t.Run(name+"/"+sig.String(), func(t *testing.T) {
				t.Parallel()
				dir, err := filepath.EvalSymlinks(t.TempDir())
				if err != nil {
					t.Fatal(err)
				}
				certificate, err := os.ReadFile("../../fixtures/certificates/good.pem")
				if err != nil {
					t.Fatal(err)
				}
				for file, text := range map[string]string{
					"envs/dev/sealing-cert.pem": string(certificate), "cue.mod/module.cue": "module: \"app.example\"\nlanguage: version: \"v0.12.0\"\n",
					"envs/dev/env.cue": contract, ".gitignore": ".secrets*\n",
				} {
					writeFile(t, filepath.Join(dir, file), text)
				}
				scene := prepare(t, dir)
				before := regularFiles(t, dir)
				var stdout bytes.Buffer
				stderr := &watched{text: scene.says, seen: make(chan struct{})}
				cmd := exec.Cmd{Path: program, Args: append([]string{"victorgen"}, scene.args...), Dir: dir, Stdin: scene.stdin, Stdout: &stdout, Stderr: stderr,
					Env: append(append(os.Environ(), "KUBECONFIG="+os.DevNull), scene.env...)}
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				ended := make(chan error, 1)
				go func() { ended <- cmd.Wait() }()
				waits := scene.waits
				if scene.says != "" {
					waits = stderr.seen
				}
				select {
				case <-waits:
				case <-ended:
					t.Fatalf("did not wait: exit %d\n%s%s", cmd.ProcessState.ExitCode(), &stdout, stderr.String())
				}
				if err := cmd.Process.Signal(sig); err != nil {
					t.Fatal(err)
				}
				cmd.Process.Signal(sig) // as timeout(1) does; perhaps it has ended
				// The limits of what it waits for are minutes. A busy machine is not quick.
				select {
				case <-ended:
				case <-time.After(30 * time.Second):
					cmd.Process.Kill()
					<-ended
					t.Fatalf("goes on after %v\n%s%s", sig, &stdout, stderr.String())
				}
				if got, want := cmd.ProcessState.ExitCode(), 128+int(sig); got != want {
					t.Errorf("exit %d, want %d", got, want)
				}
				if !strings.Contains(stderr.String(), "ended by a signal: "+sig.String()) && !strings.Contains(stderr.String(), "interrupted") {
					t.Errorf("does not tell why it ended:\n%s%s", &stdout, stderr.String())
				}
				if diff := cmp.Diff(before, regularFiles(t, dir)); diff != "" {
					t.Errorf("the files are not what they were (-before +after)\n%s", diff)
				}
			})
		}
	}
}

// watched keeps what is written, and tells once a text stands in it.
type watched struct {
	buf  bytes.Buffer
	text string
	seen chan struct{}
}

func (w *watched) Write(b []byte) (int, error) {
	n, err := w.buf.Write(b)
	if w.text != "" && strings.Contains(w.String(), w.text) {
		w.text = ""
		close(w.seen)
	}
	return n, err
}

// String is for after the end of who writes.
func (w *watched) String() string { return w.buf.String() }
