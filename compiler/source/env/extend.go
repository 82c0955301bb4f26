package env

import (
	"context"
	"os"
	"strings"
	"syscall"

	"github.com/victor-ai/victorgen/internal/dirlock"
	"github.com/victor-ai/victorgen/internal/safefile"
)

// Extend adds to the end of the file what addition returns for its content; has
// reports whether it assigns to a name. What stands in the file stays as it is,
// byte for byte. A file that is not there is made, with mode 0600; one that could
// not be read as a source's is an error, and stays. The file is locked meanwhile.
func (s *Source) Extend(ctx context.Context, addition func(content string, has func(name string) bool) string) error {
	if _, err := s.read(); err != nil { // before there is anything to lock
		return err
	}
	file, err := safefile.Follow(s.file)
	if err != nil {
		return s.trouble("open", err)
	}
	f, err := os.OpenFile(file, os.O_RDONLY|os.O_CREATE|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return s.trouble("write", err)
	}
	f.Close()
	unlock, err := dirlock.Lock(ctx, file)
	if err != nil {
		return err
	}
	defer unlock()
	d, err := s.read()
	if err != nil {
		return err
	}
	content := d.text
	more := addition(content, func(name string) bool { _, ok := d.values[name]; return ok })
	if more == "" {
		return nil
	}
	if content != "" && !strings.HasSuffix(content, "\n") {
		content += "\n"
	}
	if err := safefile.Replace(file, []byte(content+more), 0o600); err != nil {
		return s.trouble("write", err)
	}
	return nil
}
