package sops

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/internal/program"
)

// The first release that has all that is used here: `sops set --value-stdin`.
// See https://github.com/getsops/sops/blob/v3.13.3/CHANGELOG.md#3110.
const minMajor, minMinor = 3, 11

// install is a remedy.
var install = fmt.Sprintf("install sops %d.%d or later: https://getsops.io", minMajor, minMinor)

// run runs sops on f and returns what it printed.
func (s *Source) run(ctx context.Context, f encrypted, stdin []byte, args ...string) ([]byte, error) {
	out, err := s.program(ctx, stdin, args...)
	if err != nil {
		return nil, s.explain(ctx, f, err)
	}
	return out, nil
}

// program runs sops and returns what it printed, which may be plaintext. It
// kills sops, and all that sops has started, when ctx ends.
func (s *Source) program(ctx context.Context, stdin []byte, args ...string) ([]byte, error) {
	if s.sops != nil {
		return s.sops(ctx, stdin, args...)
	}
	path, err := program.Find("sops", s.tree)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Args[0] = "sops"
	// Releases before 3.9 take "decrypt" for the name of a file to edit.
	cmd.Env = append(os.Environ(), "EDITOR=false", "SOPS_DISABLE_VERSION_CHECK=true")
	cmd.Stdin = bytes.NewReader(stdin)
	out := &capped{}
	cmd.Stdout = out
	cmd.WaitDelay = time.Second
	err = program.Run(cmd)
	if out.full { // of which sops may have died
		err = errFull
	}
	return out.b.Bytes(), err
}

// capped is a buffer for maxFile bytes.
type capped struct {
	b    bytes.Buffer
	full bool
}

var errFull = fmt.Errorf("it prints more than %d MiB", maxFile>>20)

func (c *capped) Write(p []byte) (int, error) {
	if c.full = c.b.Len()+len(p) > maxFile; c.full {
		return 0, errFull
	}
	return c.b.Write(p)
}

// The exit codes of sops that say what is wrong. See
// https://github.com/getsops/sops/blob/v3.13.3/cmd/sops/codes/codes.go.
const (
	errorDecryptingTree = 25
	macMismatch         = 51
	couldNotRetrieveKey = 128
)

// explain says why sops has failed on f.
func (s *Source) explain(ctx context.Context, f encrypted, err error) error {
	if ctx.Err() != nil {
		return source.Network(ctx.Err())
	}
	if errors.Is(err, exec.ErrNotFound) {
		return &source.Failure{Reason: "there is no program sops in PATH", Remedy: install, Unreadable: true}
	}
	if refused, ok := errors.AsType[*program.Refused](err); ok {
		return &source.Failure{Reason: refused.Error(), Remedy: program.Remedy, Unreadable: true}
	}
	code := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		code = exit.ExitCode()
	}
	switch code {
	case couldNotRetrieveKey:
		if len(f.groups) > 0 {
			return &source.Failure{
				Reason: fmt.Sprintf("sops has no keys that open %s: it takes those of %s of its %d key groups together", s.file, f.threshold, len(f.groups)), Unreadable: true,
				Remedy: "provide one key of " + f.threshold + " of these: " + strings.Join(f.groups, "; and ") + "; to see what is wrong with each: " + s.byHand(),
			}
		}
		if locked := lockedKey(); locked != "" {
			return &source.Failure{
				Reason: "sops can't ask here for the passphrase of " + locked, Unreadable: true,
				Remedy: "decrypt it for the one run: SOPS_AGE_KEY=\"$(age -d " + locked + ")\" victorgen ...",
			}
		}
		return &source.Failure{
			Reason: "sops has no key that opens " + s.file, Unreadable: true,
			Remedy: "provide " + strings.Join(f.recipients, " or ") + ", as with SOPS_AGE_KEY_FILE or a login; " +
				"to see what is wrong with each: " + s.byHand(),
		}
	case errorDecryptingTree, macMismatch:
		return &source.Failure{
			Reason: s.file + " was changed by something else than sops: the content of it does not belong together",
			Remedy: "put it back as sops has written it, as with git restore; or, if it is right: sops edit --ignore-mac " + s.file,
		}
	}
	if version := s.outdated(ctx); version != "" {
		return &source.Failure{Reason: "sops is too old: " + version, Remedy: install, Unreadable: true}
	}
	return &source.Failure{Reason: "sops has failed: " + err.Error(), Remedy: "to see why: " + s.byHand(), Unreadable: true}
}

// lockedKey returns the file where sops looks for age keys, if age has encrypted
// it: with a passphrase, which sops asks a terminal for. See
// https://getsops.io/docs/#encrypting-using-age and https://age-encryption.org/v1.
func lockedKey() string {
	file := os.Getenv("SOPS_AGE_KEY_FILE")
	if file == "" {
		dir, err := os.UserConfigDir()
		if err != nil {
			return ""
		}
		file = filepath.Join(dir, "sops", "age", "keys.txt")
	}
	r, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return ""
	}
	defer r.Close()
	begin := make([]byte, 40)
	n, _ := io.ReadFull(r, begin)
	for _, header := range []string{"age-encryption.org/v1", "-----BEGIN AGE ENCRYPTED FILE-----"} {
		if strings.HasPrefix(string(begin[:n]), header) {
			return file
		}
	}
	return ""
}

// byHand is a command that shows what sops says, and no value.
func (s *Source) byHand() string { return "sops decrypt --output /dev/null " + s.file }

// outdated returns the version of sops if it is one that is too old.
func (s *Source) outdated(ctx context.Context) string {
	out, _ := s.program(ctx, nil, "--version")
	var major, minor int
	if n, _ := fmt.Sscanf(string(out), "sops %d.%d", &major, &minor); n < 2 || major > minMajor || major == minMajor && minor >= minMinor {
		return ""
	}
	return fmt.Sprintf("%d.%d", major, minor)
}
