//go:build unix

package exec

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/source/sourcetest"
	"github.com/victor-ai/victorgen/compiler/value"
)

const canary = "c4nary-83hd02kd7f"

// TestMain is a program of the protocol when it is run as one: MODE DIRECTORY.
func TestMain(m *testing.M) {
	if os.Getenv("VICTORGEN_EXEC_TEST") != "" && len(os.Args) == 3 {
		speak(os.Args[1], os.Args[2])
		return
	}
	os.Setenv("VICTORGEN_EXEC_TEST", "yes")
	os.Setenv("GORACE", "atexit_sleep_ms=0") // by default the race detector lets each program end a second later
	os.Exit(m.Run())
}

// speak keeps each value in a file of a directory. Its mode is what is wrong with it.
func speak(mode, dir string) {
	say := func(v any) {
		b, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		os.Stdout.Write(append(b, '\n'))
	}
	switch mode {
	case "silent":
		return
	case "chatty":
		fmt.Println("welcome to the vault")
	case "newer":
		say(Greeting{Protocol: 2, Can: Methods})
		return
	case "dead":
		fmt.Fprintln(os.Stderr, "error: the login has ended\x1b[31m; log in again with "+canary)
		os.Exit(3)
	case "reader":
		say(Greeting{Protocol, []string{MethodRead}})
	default:
		say(Greeting{Protocol, Methods})
	}
	in := bufio.NewReader(os.Stdin)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return
	}
	var q Request
	if json.Unmarshal(line, &q) != nil {
		os.Exit(1)
	}
	switch mode {
	case "hangs":
		time.Sleep(time.Hour)
	case "half":
		fmt.Print(`{"id":1,"answers":[{"state":"pres`)
		os.Exit(7)
	case "garbage":
		fmt.Println("{" + canary)
	case "floods":
		for {
			if _, err := os.Stdout.Write(make([]byte, 1<<20)); err != nil {
				return
			}
		}
	case "other":
		say(Response{ID: 7, Answers: []Answer{{State: Absent}}})
		return
	case "few":
		say(Response{ID: 1})
		return
	case "odd":
		say(Response{ID: 1, Answers: []Answer{{State: "maybe"}}})
		return
	case "unencoded":
		text := canary
		say(Response{ID: 1, Answers: []Answer{{State: Present, Value: &text}}})
		return
	case "valueless":
		say(Response{ID: 1, Answers: []Answer{{State: Present}}})
		return
	case "twice":
		say(Response{ID: 1, Answers: []Answer{{State: Absent}}})
		say(Response{ID: 1, Answers: []Answer{{State: Absent}}})
		return
	case "extra":
		fmt.Println(`{"id":1,"answers":[{"state":"absent","oops":1}]}`)
		return
	case "denied":
		text := base64.StdEncoding.EncodeToString([]byte(canary))
		say(Response{ID: 1, Answers: []Answer{{State: Unreadable, Value: &text, Reason: "you may not read " + canary + " or " + text, Remedy: "ask for the role reader"}}})
		return
	}
	respond(mode, q, dir, say)
	if mode == "lingers" {
		time.Sleep(time.Hour)
	}
}

func respond(mode string, q Request, dir string, say func(any)) {
	lock, err := os.Open(dir)
	if err == nil {
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		os.Exit(1)
	}
	defer lock.Close()
	out := Response{ID: q.ID}
	if q.Method == MethodList {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			out.Names = append(out.Names, Listed{Name: e.Name()})
		}
	}
	for _, ref := range q.Refs {
		file := filepath.Join(dir, ref.Name)
		old, err := os.ReadFile(file)
		there := err == nil && len(old) > 0
		a := Answer{State: Present, Origin: "a file of the test"}
		switch q.Method {
		case MethodCreate, MethodReplace:
			if q.Method == MethodReplace && mode != "never replaces" || !there || mode == "creates over" {
				old, _ = base64.StdEncoding.DecodeString(*q.Value)
				switch mode {
				case "trims":
					old = []byte(strings.TrimSpace(string(old)))
				case "text alone":
					old = []byte(strings.ToValidUTF8(string(old), "?"))
				case "short":
					old = old[:min(len(old), 100)]
				}
				os.WriteFile(file, old, 0o600)
			}
			if mode == "echoes" {
				fmt.Fprintln(os.Stderr, "stored", string(old))
			}
		default:
			if !there && mode == "empty for none" {
				there = true
			}
			if !there {
				out.Answers = append(out.Answers, Answer{State: Absent, Origin: "a file of the test"})
				continue
			}
		}
		if info, err := os.Stat(file); err == nil {
			a.Changed = info.ModTime()
		}
		if q.Method != MethodProve || mode == "proves by reading" {
			text := base64.StdEncoding.EncodeToString(old)
			a.Value = &text
		}
		out.Answers = append(out.Answers, a)
	}
	if mode == "reverses" {
		slices.Reverse(out.Answers)
	}
	if mode == "lists none" {
		out.Names = nil
	}
	say(out)
}

// TestConform: the suite for authors passes a good program, and finds what is wrong with
// each other one.
func TestConform(t *testing.T) {
	t.Parallel()
	for mode, want := range map[string]string{
		"good": "", "reader": "", "silent": "greets", "chatty": "greets", "newer": "greets", "dead": "greets", "lingers": "exits when its input ends",
		"empty for none": "a value that does not exist is absent", "reverses": "answers in the order of the request", "creates over": "creates nothing over what is there",
		"never replaces": "replaces", "trims": "keeps lines, quotes and letters of all scripts", "text alone": "keeps bytes that are not text, or refuses them",
		"short": "keeps a value of 64 KiB, or refuses it", "proves by reading": "proves without a value", "lists none": "lists what it has",
		"echoes": "shows no value on its standard error", "few": "a value that does not exist is absent", "odd": "a value that does not exist is absent",
		"twice": "a value that does not exist is absent", "half": "a value that does not exist is absent", "garbage": "a value that does not exist is absent",
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			var failed, skipped []string
			checks, left := Conform(t.Context(), []string{os.Args[0], mode, t.TempDir()}, CheckOptions{Prefix: "sandbox-", Timeout: 20 * time.Second})
			for _, c := range checks {
				switch c.Verdict {
				case Wrong:
					failed = append(failed, c.Name)
					if c.Why == "" || strings.Contains(c.Why+c.Remedy, "value-") {
						t.Errorf("%s: %+v", mode, c)
					}
				case Skipped:
					skipped = append(skipped, c.Name)
				}
			}
			if want == "" && len(failed) > 0 || want != "" && !slices.Contains(failed, want) {
				t.Errorf("failed: %q, want %q among them", failed, want)
			}
			if mode == "good" && (len(skipped) > 0 || len(left) < 5 || !strings.HasPrefix(left[0], "sandbox-")) {
				t.Errorf("skipped %q, left %q", skipped, left)
			}
			if mode == "reader" && len(skipped) < 8 {
				t.Errorf("skipped %q", skipped)
			}
		})
	}
}

func TestSource(t *testing.T) {
	t.Parallel()
	sourcetest.Run(t, func(t *testing.T) *sourcetest.Store {
		dir := t.TempDir()
		return &sourcetest.Store{
			Open: func() source.Source { return New([]string{os.Args[0], "good", dir}, "") },
			Put: func(input string, v []byte) {
				if err := os.WriteFile(filepath.Join(dir, strings.ToLower(input)), v, 0o600); err != nil {
					t.Fatal(err)
				}
			},
			Remote: func(input string) plan.Remote { return plan.Remote{Name: strings.ToLower(input)} },
			Ages:   true, Bytes: true, Empty: true, Unlimited: true, MaxValue: 1 << 20, Forgetful: true,
			Quick: func() source.Source { // no program is started, and else it is the same
				s := New([]string{"good", dir}, "")
				s.answers = func(_ context.Context, q Request) (run Run) {
					respond("good", q, dir, func(said any) { run.Response = said.(Response) })
					return run
				}
				return s
			},
		}
	})
}

// TestWrong: whatever is wrong with a program, the answer says so, and nothing of it is
// taken for a value, or for its absence.
func TestWrong(t *testing.T) {
	t.Parallel()
	for mode, want := range map[string]string{
		"silent":    `it does not begin with a greeting: {"protocol":1,"can":["read"]}`,
		"chatty":    "it does not begin with a greeting",
		"newer":     "speaks version 2 of the protocol, and this victorgen version 1",
		"dead":      "ended (exit status 3) before it answered: error: the login has ended",
		"half":      "ended (exit status 7) before it answered",
		"garbage":   "its answer is not one line of JSON with the fields that an answer has",
		"floods":    "it prints more than 64 MiB",
		"other":     "it answers request 7, and request 1 was made",
		"few":       "it gives 0 answers for 1 values",
		"odd":       "an answer has a state other than present, absent, unreadable and failed",
		"unencoded": "a value that it gives is not valid base64",
		"valueless": "it says that a value is present, but gives none",
		"twice":     "it prints more than its answer",
		"extra":     "its answer is not one line of JSON",
		"denied":    "you may not read [...] or [...]",
		"hangs":     "no answer in time",
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			limit := 20 * time.Second
			if mode == "hangs" {
				limit = 300 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			s := New([]string{os.Args[0], mode, t.TempDir()}, "")
			ref := source.Ref{Input: "A", Remote: plan.Remote{Name: "a"}}
			a := s.Read(ctx, []source.Ref{ref})[0]
			var f *source.Failure
			if !errors.As(a.Err, &f) || errors.Is(a.Err, source.ErrAbsent) || a.Value.Len() > 0 && mode != "unencoded" {
				t.Fatalf("%+v", a)
			}
			if !strings.Contains(f.Reason, want) || f.Remedy == "" || !f.Unreadable {
				t.Errorf("%+v, want %q", f, want)
			}
			if text := f.Reason + f.Remedy; strings.Contains(text, canary) || strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(canary))) || strings.Contains(text, "\x1b") {
				t.Errorf("it shows a value or commands a terminal: %q", text)
			}
			if mode == "hangs" || mode == "denied" {
				return
			}
			if _, err := s.Create(ctx, ref, value.New([]byte(canary))); err == nil || strings.Contains(err.Error(), canary) {
				t.Errorf("create: %v", err)
			}
		})
	}
}

// TestLimits: what a program can't do is said, and one that does not end is killed after
// its answer, which counts.
func TestLimits(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ref := source.Ref{Input: "A", Remote: plan.Remote{Name: "a"}}
	reader := New([]string{os.Args[0], "reader", dir}, "")
	if a := reader.Prove(t.Context(), []source.Ref{ref})[0]; a.Err == nil || !strings.Contains(a.Err.Error(), "can't prove what it has without reading it") {
		t.Errorf("prove: %v", a.Err)
	}
	for name, write := range map[string]func(context.Context, source.Ref, value.Value) (source.Answer, error){"create": reader.Create, "replace": reader.Replace} {
		if _, err := write(t.Context(), ref, value.New([]byte("v"))); err == nil || !strings.Contains(err.Error(), "can't "+name+" a value") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if names, err := reader.List(t.Context()); err != nil || names != nil {
		t.Errorf("list: %v, %v", names, err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) > 0 {
		t.Error("something was written")
	}
	lingers := New([]string{os.Args[0], "lingers", dir}, "")
	if a, err := lingers.Create(t.Context(), ref, value.New([]byte("v"))); err != nil || string(a.Value.Reveal()) != "v" {
		t.Errorf("a program that does not end: %v", err)
	}
	if names, err := New([]string{os.Args[0], "good", dir}, "").List(t.Context()); err != nil || len(names) != 1 || names[0].Name != "a" {
		t.Errorf("list: %v, %v", names, err)
	}
}

// TestStart: what can't be started is unreadable, and says why.
func TestStart(t *testing.T) {
	t.Parallel()
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, []byte("text\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for program, want := range map[string]string{"no-such-program-here": "there is no program no-such-program-here in PATH", plain: "can't be started: permission denied"} {
		a := New([]string{program}, "").Read(t.Context(), []source.Ref{{Input: "A"}})[0]
		var f *source.Failure
		if !errors.As(a.Err, &f) || !strings.Contains(f.Reason, want) || !f.Unreadable {
			t.Errorf("%s: %v", program, a.Err)
		}
	}
}

// TestTree: what PATH finds in the working tree of a contract is not run, and neither is
// what it starts by name from there; what is run is found once.
func TestTree(t *testing.T) {
	tree, bin, data := t.TempDir(), t.TempDir(), t.TempDir()
	text := "#!/bin/sh\nhelper\necho '{\"protocol\":1,\"can\":[\"read\"]}'\nread -r line\necho '{\"id\":1,\"answers\":[{\"state\":\"absent\"}]}'\n"
	ran := filepath.Join(data, "ran")
	for file, text := range map[string]string{filepath.Join(tree, "mine"): text, filepath.Join(bin, "yours"): text, filepath.Join(tree, "helper"): "#!/bin/sh\n> " + ran + "\n"} {
		if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", tree+":"+bin+":"+os.Getenv("PATH"))
	ref := []source.Ref{{Input: "A"}}
	for _, command := range []string{"mine", filepath.Join(tree, "mine")} {
		a := New([]string{command}, tree).Read(t.Context(), ref)[0]
		if f, ok := errors.AsType[*source.Failure](a.Err); !ok || !strings.Contains(f.Reason, filepath.Join(tree, "mine")+" is not run: it is in the working tree") || !f.Unreadable {
			t.Errorf("%s: %v", command, a.Err)
		}
	}
	s := New([]string{"yours"}, tree)
	for range 2 {
		if a := s.Read(t.Context(), ref)[0]; !errors.Is(a.Err, source.ErrAbsent) {
			t.Errorf("%v", a.Err)
		}
		t.Setenv("PATH", "/usr/bin:/bin")
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("a program of the tree was run")
	}
}
