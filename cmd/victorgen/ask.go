package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/internal/crash"
)

// asker asks for values on the terminal, which does not show them.
type asker struct {
	ctx context.Context
	w   io.Writer
	p   *printer
	fd  int
}

func newAsker(ctx context.Context, cmd *cobra.Command) *asker {
	w := cmd.ErrOrStderr()
	return &asker{ctx, w, newPrinter(w), int(os.Stdin.Fd())}
}

// errSkipped is an empty answer.
var errSkipped = errors.New("nothing was given")

// there returns an error if there is no terminal to ask on.
func (a *asker) there() error {
	if !term.IsTerminal(a.fd) {
		return errors.New("there is no terminal to ask on: write --stdin or --from-file")
	}
	return nil
}

// terminalLine is how many characters of a line a terminal passes on while it waits
// for the line's end; what follows is lost. It is 4095 in Linux (termios(3),
// canonical mode) and MAX_CANON elsewhere, of which macOS has 1024.
func terminalLine() int {
	if runtime.GOOS == "linux" {
		return 4095
	}
	return 1023
}

// introduce says what the asker is about to ask for.
func (a *asker) introduce(in plan.Input, i, n int) {
	fmt.Fprintf(a.w, "\n%s (%d of %d)\n", in.Name, i, n)
	if in.Description != "" {
		fmt.Fprintf(a.w, "  %s\n", inLine(strings.Join(strings.Fields(in.Description), " ")))
	}
	if in.Docs != "" {
		fmt.Fprintf(a.w, "  see %s\n", inLine(in.Docs))
	}
}

// tell prints what is wrong with a value.
func (a *asker) tell(ds plan.Diagnostics) { a.p.print(findings([]result{{Diagnostics: ds}}), 1) }

// ask asks for the value of in, twice, until both are the same. An empty answer is
// errSkipped.
func (a *asker) ask(in plan.Input) (value.Value, error) {
	if err := a.there(); err != nil {
		return value.Value{}, err
	}
	what := in.Name
	if in.Encoding != "" {
		what += " in base64"
	}
	for {
		first, err := a.line(what + ": ")
		if err != nil {
			return value.Value{}, err
		}
		if len(first) == 0 {
			return value.Value{}, errSkipped
		}
		again, err := a.line(what + ", again: ")
		switch {
		case err != nil:
			return value.Value{}, err
		case len(first) >= terminalLine():
			return value.Value{}, fmt.Errorf("a terminal passes on at most %d characters of a line: use --from-file or --stdin", terminalLine())
		case !bytes.Equal(first, again):
			fmt.Fprintln(a.w, "The two do not match.")
			continue
		}
		if in.Encoding == "" {
			return value.New(first), nil
		}
		if b, err := base64.StdEncoding.Strict().DecodeString(string(first)); err == nil {
			return value.New(b), nil
		}
		fmt.Fprintln(a.w, "That is not valid base64.")
	}
}

// line reads a line that is not shown. The terminal is as before when it returns,
// also if ctx ends before the line does.
func (a *asker) line(prompt string) ([]byte, error) {
	fmt.Fprint(a.w, prompt)
	defer fmt.Fprintln(a.w)
	before, err := term.GetState(a.fd)
	if err != nil {
		return nil, err
	}
	type answer struct {
		line []byte
		err  error
	}
	answered := make(chan answer, 1)
	var reader crash.Group // which no one waits for: it may read forever
	reader.Go(func() {
		line, err := term.ReadPassword(a.fd)
		answered <- answer{line, err}
	})
	select {
	case got := <-answered:
		return got.line, got.err
	case <-a.ctx.Done():
		term.Restore(a.fd, before)
		return nil, context.Cause(a.ctx)
	}
}
