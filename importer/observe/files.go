package observe

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/safefile"
)

// maxFile is how large a file may be.
const maxFile = 16 << 20

// readFile reads a regular file. A named pipe is none: it would wait for a writer.
func readFile(file string) ([]byte, plan.Diagnostics) {
	var ds plan.Diagnostics
	bad := func(hint, format string, args ...any) ([]byte, plan.Diagnostics) {
		ds.Errorf(plan.CodeImportRead, nil, hint, format, args...)
		return nil, ds
	}
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		reason, hint := safefile.Explain(file, err)
		return bad(hint, "%s can't be read: %s", file, reason)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return bad("", "%s can't be read: %v", file, safefile.Reason(err))
	case info.IsDir():
		return bad("name the files in it", "%s is a directory", file)
	case !info.Mode().IsRegular():
		return bad("", "%s is not a regular file", file)
	case info.Size() > maxFile:
		return bad("", "%s has more than %d MiB", file, maxFile>>20)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return bad("", "%s can't be read: %v", file, safefile.Reason(err))
	}
	return text, nil
}

// readAll reads standard input.
func readAll(stdin io.Reader) ([]byte, plan.Diagnostics) {
	var ds plan.Diagnostics
	text, err := io.ReadAll(io.LimitReader(stdin, maxFile+1))
	switch {
	case err != nil:
		ds.Errorf(plan.CodeImportRead, nil, "", "standard input can't be read: %v", safefile.Reason(err))
	case len(text) > maxFile:
		ds.Errorf(plan.CodeImportRead, nil, "split it", "standard input has more than %d MiB", maxFile>>20)
	}
	return text, ds
}

// EnvFiles reads dotenv files, examples of such, schemas of @env-spec and Compose
// files. Of a name in several files the last value counts, and what all of them say
// about it. [Stdin] is a dotenv file on stdin.
func EnvFiles(paths []string, stdin io.Reader) (*Observed, plan.Diagnostics) {
	var ds plan.Diagnostics
	type compose struct {
		name string
		text []byte
	}
	var composes []compose
	o := &Observed{}
	for _, path := range paths {
		name, err := filepath.Abs(path)
		if err != nil {
			name = path
		}
		var text []byte
		var bad plan.Diagnostics
		if path == Stdin {
			name, path = "standard input", "standard input"
			text, bad = readAll(stdin)
		} else {
			text, bad = readFile(name)
		}
		ds = append(ds, bad...)
		if bad.HasErrors() {
			continue
		}
		if IsCompose(name, text) {
			composes = append(composes, compose{name, text})
			continue
		}
		variables, more := Dotenv(name, text)
		ds = append(ds, more...)
		if len(variables) == 0 && !more.HasErrors() {
			ds.Errorf(plan.CodeImportRead, nil, "name a file of NAME=value lines, or a Compose file; manifests are for `victorgen import manifests`", "%s has no variables", path)
		}
		for _, v := range variables {
			o.add(v, &ds)
		}
	}
	for _, c := range composes {
		secrets, more := Compose(c.name, c.text, o.Variables)
		ds = append(ds, more...)
		for _, s := range secrets {
			if slices.ContainsFunc(o.Secrets, func(t Secret) bool { return t.Name == s.Name }) {
				ds.Errorf(plan.CodeImportRead, []plan.Pos{s.Pos}, "`docker compose config` merges files into one: import that", "service %s is in several files", s.Name)
			}
			o.Secrets = append(o.Secrets, s)
		}
	}
	if len(composes) > 0 {
		for _, v := range o.Variables {
			if v.State == Given && !o.uses(v.Name) {
				ds.Warnf(plan.CodeImportLeft, []plan.Pos{v.Pos}, "give it to a service, or ignore this", "no service takes %s, and it is not imported", v.Name)
			}
		}
	}
	for i := range ds {
		ds[i].Mask = true // what is there may be a value
	}
	ds.Sort()
	return o, ds
}

// add adds a variable to those that are there.
func (o *Observed) add(v Variable, ds *plan.Diagnostics) {
	i := slices.IndexFunc(o.Variables, func(w Variable) bool { return w.Name == v.Name })
	if i < 0 {
		o.Variables = append(o.Variables, v)
		return
	}
	old := &o.Variables[i]
	if v.State != Unknown {
		if old.State == Given && !old.Value.Equal(v.Value) {
			ds.Warnf(plan.CodeImportLeft, []plan.Pos{v.Pos}, "leave out the file that is not used",
				"%s has one value in %s and another in %s, which counts", v.Name, place(old.Pos), place(v.Pos))
		}
		old.State, old.Value, old.Pos = v.State, v.Value, v.Pos
		old.Optional = old.Optional && v.State != Given
	}
	old.Notes = old.Notes.or(v.Notes)
}

func place(p plan.Pos) string { return fmt.Sprintf("%s:%d", filepath.Base(p.File), p.Line) }

// or is n with what it does not say taken from m.
func (n Notes) or(m Notes) Notes {
	if n.Group == "" {
		n.Group = m.Group
	}
	if n.Description == "" {
		n.Description = m.Description
	}
	if n.Docs == "" {
		n.Docs = m.Docs
	}
	if n.Sample == "" {
		n.Sample = m.Sample
	}
	if n.Required == nil {
		n.Required = m.Required
	}
	if n.Sensitive == nil {
		n.Sensitive = m.Sensitive
	}
	if n.Format == "" && n.Pattern == "" && len(n.OneOf) == 0 {
		n.Format, n.Pattern, n.OneOf = m.Format, m.Pattern, m.OneOf
	}
	return n
}

// uses reports whether a key takes its value from a variable, as a whole. One that
// is a part of a value counts as well, because it is in the value.
func (o *Observed) uses(name string) bool {
	for _, s := range o.Secrets {
		for _, k := range s.Keys {
			if k.Variable == name || slices.Contains(k.Refers, name) {
				return true
			}
		}
	}
	return false
}
