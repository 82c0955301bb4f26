package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// TestSetAsks (issue 15, 1): on a terminal set asks for a value twice and does not
// show it, judges it at once, and goes on another time where it was left.
func TestSetAsks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for file, text := range map[string]string{
		"cue.mod/module.cue": "module: \"test.example/secrets@v0\"\nlanguage: version: \"v0.15.0\"\n",
		"contract.cue": `package app

import "github.com/victor-ai/victorgen/schema"

schema.#Environment

inputs: {
	FIRST:  schema.#Required & {description: "the first one", docs: "https://docs.example/first"}
	SECOND: schema.#Required & {encoding: "base64"}
	THIRD:  schema.#Required
	FOURTH: schema.#Optional
}
secrets: app: keys: {
	first:  input: "FIRST"
	second: input: "SECOND"
	third:  input: "THIRD"
	fourth: input: "FOURTH"
}
`,
		"envs/test/env.cue": "package app\n\nenvironment: \"test\"\nnamespace: \"apps\"\ndelivery: certificate: \"../../good.pem\"\n",
	} {
		writeFile(t, filepath.Join(dir, file), text)
	}
	const (
		first  = "tok-3f9c1e7a-Quartz7-lantern-Brine"
		second = "AP8BAvj3YWJjOn+Zk3RQv2wXsLhG"
		third  = "tok-7b2d90c4-Walnut3-cobalt-Sieve"
	)
	env := filepath.Join(dir, "envs", "test")
	screens := ""
	ask := func(want int, args []string, answers ...string) string {
		t.Helper()
		code, screen := answered(t, args, answers)
		if code != want {
			t.Errorf("%v: exit %d, want %d\n%s", args, code, want, screen)
		}
		screens += screen
		return screen
	}
	expect := func(screen string, texts ...string) {
		t.Helper()
		for _, text := range texts {
			if !strings.Contains(screen, text) {
				t.Errorf("no %q in\n%s", text, screen)
			}
		}
	}
	// A placeholder is asked for again, so are two that are not the same; SECOND is ignored.
	expect(ask(130, []string{"set", env, "--missing"}, "changeme", "changeme", first, "else", first, first, "", interrupt),
		"FIRST (1 of 3)", "the first one", "see https://docs.example/first", "VG2004", "The two do not match.", "SECOND (2 of 3)", "THIRD (3 of 3)", "ended by a signal",
		"test: set FIRST in .secrets.test:1", "test: skipped SECOND")
	// The next time it asks for the rest alone.
	expect(ask(0, []string{"set", env, "--missing"}, "no base64", "no base64", second, second, third, third),
		"SECOND (1 of 2)", "SECOND in base64: ", "That is not valid base64.", "test: set THIRD in .secrets.test")
	expect(ask(0, []string{"set", env, "--missing"}), "test: nothing is missing")
	want := map[string]string{"FIRST": first, "SECOND": second, "THIRD": third}
	if got := assignments(string(read(t, filepath.Join(dir, ".secrets.test")))); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Error("the values are not what was given") // which a test does not print either
	}
	// What is there is not even asked for.
	if screen := ask(1, []string{"set", env, "FIRST"}); strings.Contains(screen, "\nFIRST: ") || strings.HasPrefix(screen, "FIRST: ") {
		t.Errorf("asks for what it can't store:\n%s", screen)
	}
	expect(ask(1, []string{"set", env, "FOURTH"}, ""), "cannot read the value of FOURTH: nothing was given")
	long := strings.Repeat("x7-Kq", 2000)
	expect(ask(1, []string{"set", env, "FOURTH"}, long, long), "cannot read the value of FOURTH: a terminal passes on")
	for name, v := range map[string]string{"FIRST": first, "SECOND": second, "THIRD": third, "FOURTH": long[:100]} {
		for form, text := range forms(v) {
			if strings.Contains(screens, text) {
				t.Errorf("%s was shown, %s", name, form)
			}
		}
	}
}

// interrupt is what a terminal makes SIGINT of.
const interrupt = "\x03"

// endsAsking matches what ends with a question, and no part of a message that came in parts.
var endsAsking = regexp.MustCompile(`(?:^|\n)[A-Z]+(?:, again| in base64)*: $`)

// answered runs victorgen on a terminal of its own and gives an answer to each
// question. It returns the exit code and all that the terminal showed.
func answered(t *testing.T, args, answers []string) (int, string) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, args...)
	cmd.Args[0] = "victorgen"
	user, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer user.Close()
	ended := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	defer ended.Stop()
	var screen, question bytes.Buffer
	buf := make([]byte, 4096)
	for {
		n, err := user.Read(buf)
		screen.Write(buf[:n])
		question.Write(buf[:n])
		if endsAsking.Match(question.Bytes()) && len(answers) > 0 {
			hidden(t, user)
			question.Reset()
			answer := answers[0]
			answers = answers[1:]
			if answer != interrupt {
				answer += "\n"
			}
			if _, err := io.WriteString(user, answer); err != nil {
				t.Fatal(err)
			}
		}
		if err != nil { // EIO, once no one has the terminal open
			break
		}
	}
	cmd.Wait()
	return cmd.ProcessState.ExitCode(), screen.String()
}

// hidden waits until the terminal does not show what is typed.
func hidden(t *testing.T, terminal *os.File) {
	t.Helper()
	for range 3000 {
		state, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		if state.Lflag&unix.ECHO == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the terminal shows what is typed")
}

// TestTerminal: on a terminal messages have colors and end where it ends, and so do
// tables; nothing of a word is lost by it.
func TestTerminal(t *testing.T) {
	t.Parallel()
	dir := copyExample(t)
	run := func(width int, env []string, args ...string) string {
		t.Helper()
		cmd := exec.Command("victorgen", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), append(env, "TERM=xterm")...)
		terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 40, Cols: uint16(width)})
		if err != nil {
			t.Fatal(err)
		}
		var screen bytes.Buffer
		io.Copy(&screen, terminal) // which ends with an error, as terminals do
		cmd.Wait()
		return strings.ReplaceAll(screen.String(), "\r\n", "\n")
	}
	words := func(screen string) string { return strings.Join(strings.Fields(screen), " ") }
	wide := run(400, []string{"NO_COLOR=1"}, "vet", "envs/dev")
	narrow := run(60, []string{"NO_COLOR=1"}, "vet", "envs/dev")
	if words(wide) != words(narrow) || !strings.Contains(narrow, "VG1413") || strings.Contains(narrow, "\x1b[1;33m") {
		t.Errorf("wide:\n%s\nnarrow:\n%s", wide, narrow)
	}
	for _, args := range [][]string{{"vet", "envs/dev"}, {"explain", "envs/production", "DB_PASSWORD"}} {
		for line := range strings.Lines(run(60, []string{"NO_COLOR=1"}, args...)) {
			if i := strings.LastIndexByte(line, '\r'); i >= 0 { // what showed how far it was
				line = line[i:]
			}
			if n := len(strings.TrimSpace(line)); n > 60 && strings.Contains(strings.TrimSpace(line), " ") && !strings.HasPrefix(line, "    \t") {
				t.Errorf("%v: %d characters in %q", args, n, line)
			}
		}
	}
	if colored := run(400, []string{"NO_COLOR="}, "vet", "envs/dev"); !strings.Contains(colored, "\x1b[1;33m") {
		t.Errorf("no color:\n%s", colored)
	}
	if plain := run(400, []string{"NO_COLOR="}, "vet", "envs/dev", "--color", "never"); strings.Contains(plain, "\x1b[1;33m") {
		t.Errorf("color:\n%s", plain)
	}
}
