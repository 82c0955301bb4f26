package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/emit"
	"github.com/victor-ai/victorgen/internal/safefile"
)

type setOptions struct {
	sourceOptions
	format    string
	fromFiles []string
	stdin     bool
	missing   bool
	replace   bool
	dryRun    bool
}

func setCommand() *cobra.Command {
	o := &setOptions{}
	cmd := &cobra.Command{
		Use:   "set ENV INPUT... | ENV --missing",
		Short: "Store values at their sources",
		Long: `Set stores the value of an input where the contract says that it lives. On a
terminal it asks for the value, twice, and does not show it; otherwise it reads a
file or standard input. A value is never an argument.

Before a value is stored, it is checked as a build would check it: on its own, and
with everything else in the same Secret. Values that belong together, such as a
certificate and its key, are set together. A rule across inputs that the value
breaks is a warning. The value is what the application gets: if the contract says
that the source holds it in base64, set encodes it. On a terminal, which cannot
take bytes, such an input is entered in base64.

The line break that ends a text of a single line is no part of it. A value that is
there already is kept, unless --replace is given.

With --missing it asks for each required input that is absent, and stores each as
soon as it is given. An empty answer skips to the next one, and Ctrl-C ends it: what
is stored is kept, and the next run asks for the rest.`,
		Example: `  victorgen set envs/production ANTHROPIC_API_KEY
  victorgen set envs/production --missing
  pass show sentry/dsn | victorgen set envs/production SENTRY_DSN --stdin
  victorgen set envs/production TLS_CERT TLS_KEY --from-file TLS_CERT=tls.crt --from-file TLS_KEY=tls.key
  victorgen set envs/production SENTRY_DSN --replace`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) == 0 || (len(args) == 1) != o.missing:
				return usageError{errors.New("name an environment, and then either inputs or --missing")}
			case o.missing && (o.stdin || o.replace || len(o.fromFiles) > 0):
				return usageError{errors.New("--missing asks on a terminal, and replaces nothing")}
			case o.stdin && len(args) > 2:
				return usageError{errors.New("--stdin is the value of one input")}
			case o.stdin && len(o.fromFiles) > 0:
				return usageError{errors.New("write --stdin or --from-file, not both")}
			}
			_, err := o.files(args[1:])
			return err
		},
		ValidArgsFunction: completeInputs(isWritable),
		RunE: func(cmd *cobra.Command, args []string) error {
			files, err := o.files(args[1:])
			if err != nil {
				return err
			}
			if dirs, err := compiler.Find(args[0]); err == nil && len(dirs) > 1 {
				return usageError{errors.New("set takes one environment")}
			}
			return forEach(cmd, args[:1], compiler.Options{Source: o.kind}, o.format, "", func(ctx context.Context, r *result) {
				o.set(ctx, cmd, r, args[1:], files)
			}, o.text)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.fromFiles, "from-file", nil, "FILE, or INPUT=FILE if there are several inputs, that is the value; may be repeated")
	f.BoolVar(&o.stdin, "stdin", false, "standard input is the value")
	f.BoolVar(&o.missing, "missing", false, "ask for each required input that is absent")
	f.BoolVar(&o.replace, "replace", false, "overwrite a value that is there")
	f.BoolVar(&o.dryRun, "dry-run", false, "store nothing; check only")
	o.sourceOptions.flags(cmd)
	outputFlag(cmd, &o.format)
	return cmd
}

// files are the files of --from-file by the inputs, of those that are named, whose
// values they are.
func (o *setOptions) files(names []string) (map[string]string, error) {
	files := map[string]string{}
	for _, text := range o.fromFiles {
		name, file, ok := strings.Cut(text, "=")
		switch {
		case ok && slices.Contains(names, name):
		case len(names) == 1:
			name, file = names[0], text
		case ok:
			return nil, usageError{fmt.Errorf("--from-file names %s, which is none of the inputs to be set", name)}
		default:
			return nil, usageError{errors.New("write --from-file INPUT=FILE, because there are several inputs")}
		}
		if files[name] != "" {
			return nil, usageError{fmt.Errorf("--from-file names %s twice", name)}
		}
		files[name] = file
	}
	return files, nil
}

// setInput is what became of one input.
type setInput struct {
	Input  string `json:"input"`
	State  string `json:"state"` // set, replaced, unchanged, would set, would replace, skipped
	Origin string `json:"origin,omitempty"`
}

func (o *setOptions) set(ctx context.Context, cmd *cobra.Command, r *result, names []string, files map[string]string) {
	p, sources, options := r.plan, r.env.Sources(o.dryRun), source.Options{Timeout: o.timeout}
	inputs := settable(r, names, o.replace)
	if r.Diagnostics.HasErrors() {
		return
	}
	have, ds := source.Peek(ctx, p, sources, inputs, options)
	r.Diagnostics = append(r.Diagnostics, ds...)
	if ds.HasErrors() {
		return
	}
	s := &setting{setOptions: o, result: r, sources: sources, have: have, tty: newAsker(ctx, cmd)}
	if o.missing {
		s.walk(ctx, inputs)
		return
	}
	values := map[string]value.Value{}
	for _, in := range inputs {
		if file := files[in.Name]; file != "" || o.stdin {
			if v, err := readValue(in, cmd.InOrStdin(), file); err != nil {
				r.Diagnostics.Errorf(plan.CodeValueRead, nil, "", "cannot read the value of %s: %v", in.Name, err)
			} else {
				values[in.Name] = v
			}
			continue
		}
		if s.stays(in) {
			continue
		}
		v, err := s.tty.ask(in)
		if err != nil {
			r.Diagnostics.Errorf(plan.CodeValueRead, nil, "", "cannot read the value of %s: %v", in.Name, err)
			return
		}
		values[in.Name] = v
	}
	s.store(ctx, inputs, values)
}

// settable returns the inputs that are named, or all required ones that a source
// is asked for.
func settable(r *result, names []string, replace bool) (inputs []plan.Input) {
	var all []string
	for _, in := range r.plan.Inputs {
		if why, _ := unstorable(in); why == "" {
			all = append(all, in.Name)
			if len(names) == 0 && in.Class == plan.Required {
				inputs = append(inputs, in)
			}
		}
	}
	for i, name := range names {
		in, ok := declaredInput(r.plan, name)
		why, hint := unwritable(r.plan, in)
		switch {
		case slices.Contains(names[:i], name):
			continue
		case !ok:
			r.Diagnostics.Errorf(plan.CodeUnknownInput, nil, plan.DidYouMean(name, all, "`victorgen explain ENV` lists them"), "there is no input %q", name)
		case why != "":
			r.Diagnostics.Errorf(plan.CodeNotSet, in.Pos, hint, "%s", why)
		case in.NeverRotate && replace:
			r.Diagnostics.Errorf(plan.CodeNeverRotate, in.Pos, "add an input for the new key, let the application re-encrypt everything with it, and then remove "+name+" out of the contract",
				"input %s has rotate: \"never\": what was encrypted with it could no longer be read", name)
		default:
			inputs = append(inputs, in)
		}
	}
	return inputs
}

// setting is one run of set.
type setting struct {
	*setOptions
	*result
	sources map[string]source.Source
	have    value.Set // what the sources hold
	tty     *asker
}

// stays reports an input that has a value, which is not to be replaced.
func (s *setting) stays(in plan.Input) bool {
	if s.have[in.Name].State != value.Present || s.replace {
		return false
	}
	s.Diagnostics.Errorf(plan.CodeHasAnother, in.Pos, "`victorgen set ENV "+in.Name+" --replace` overwrites it", "%s already has a value (%s), which is kept", in.Name, s.have[in.Name].Origin)
	return true
}

// store judges values and stores those that are not there. It reports whether
// all are.
func (s *setting) store(ctx context.Context, inputs []plan.Input, values map[string]value.Value) bool {
	for _, in := range inputs {
		v, given := values[in.Name]
		switch had := s.have[in.Name]; {
		case given && had.State == value.Present && had.Value.Equal(v):
			s.Set = append(s.Set, setInput{in.Name, unchanged, had.Origin})
			delete(values, in.Name)
		case given:
			s.stays(in)
		}
	}
	if s.Diagnostics.HasErrors() || len(values) == 0 {
		return !s.Diagnostics.HasErrors()
	}
	ds := s.judge(ctx, values)
	s.Diagnostics = append(s.Diagnostics, ds...)
	if ds.HasErrors() {
		return false
	}
	// What Create finds has come meanwhile, and stays.
	written, ds := source.Put(ctx, s.plan, s.sources, values, s.replace, source.Options{Timeout: s.timeout})
	s.Diagnostics = append(s.Diagnostics, ds...)
	for _, in := range inputs {
		v, ok := written[in.Name]
		if !ok {
			continue
		}
		story := setInput{in.Name, "set", v.Origin}
		if s.have[in.Name].State == value.Present {
			story.State = "replaced"
		}
		if s.dryRun {
			src, _ := s.plan.Source(in.Source)
			story.State, story.Origin = strings.TrimSuffix("would "+story.State, "d"), "source "+src.String()
		}
		s.Set = append(s.Set, story)
		s.have[in.Name] = v
	}
	return !ds.HasErrors()
}

// judge tells what a build would say of values.
func (s *setting) judge(ctx context.Context, values map[string]value.Value) plan.Diagnostics {
	return source.Try(ctx, s.plan, s.sources, values, func(set value.Set) plan.Diagnostics {
		_, ds := emit.Render(s.plan, set)
		return ds
	}, source.Options{Timeout: s.timeout})
}

// walk asks for each of inputs that is absent.
func (s *setting) walk(ctx context.Context, inputs []plan.Input) {
	inputs = slices.DeleteFunc(inputs, func(in plan.Input) bool { return s.have[in.Name].State != value.Absent })
	if err := s.tty.there(); err != nil && len(inputs) > 0 {
		names := make([]string, len(inputs))
		for i, in := range inputs {
			names[i] = in.Name
		}
		s.Diagnostics.Errorf(plan.CodeValueRead, nil, "", "cannot read the value of %s: %v", strings.Join(names, ", "), err)
		return
	}
	for i, in := range inputs {
		s.tty.introduce(in, i+1, len(inputs))
		for {
			v, err := s.tty.ask(in)
			if errors.Is(err, errSkipped) {
				s.Set = append(s.Set, setInput{in.Name, "skipped", ""})
				break
			}
			if err != nil {
				s.Diagnostics.Errorf(plan.CodeValueRead, nil, "", "cannot read the value of %s: %v", in.Name, err)
				return
			}
			before := s.Diagnostics
			s.Diagnostics = nil
			stored := s.store(ctx, []plan.Input{in}, map[string]value.Value{in.Name: v})
			told := s.Diagnostics
			if stored || slices.ContainsFunc(told, func(d plan.Diagnostic) bool { return d.Code == plan.CodeSourceWrite || d.Code == plan.CodeInGit }) {
				if s.Diagnostics = append(before, told...); !stored {
					return // it is not the value
				}
				break
			}
			s.Diagnostics = before
			s.tty.tell(told) // and asks again
		}
	}
}

func (o *setOptions) text(w io.Writer, _ *printer, r *result) {
	for _, s := range r.Set {
		where := ""
		if s.Origin != "" {
			where = " in " + s.Origin
		}
		fmt.Fprintf(w, "%s: %s %s%s\n", r.name(), s.State, s.Input, where)
	}
	if len(r.Set) == 0 && r.OK {
		fmt.Fprintf(w, "%s: nothing is missing\n", r.name())
	}
}

// maxGiven is how much of a file or of standard input is read for a value: what
// is longer than a Secret may be is none.
const maxGiven = 1 << 20

// readValue reads the value of in from file, or from stdin if that is empty.
func readValue(in plan.Input, stdin io.Reader, file string) (value.Value, error) {
	r := stdin
	if file != "" {
		f, err := os.Open(file)
		if err != nil {
			return value.Value{}, unreadableFile(file, err)
		}
		defer f.Close()
		r = f
	}
	b, err := io.ReadAll(io.LimitReader(r, maxGiven+1))
	switch {
	case err != nil:
		return value.Value{}, unreadableFile(file, err)
	case len(b) > maxGiven:
		return value.Value{}, errors.New("it is larger than 1 MiB, and a Secret can't hold more")
	case len(b) == 0:
		return value.Value{}, errors.New("it is empty")
	}
	return value.New(withoutLineBreak(in, b)), nil
}

// unreadableFile says what there is in the place of a file.
func unreadableFile(file string, err error) error {
	if file == "" {
		return err
	}
	reason, _ := safefile.Explain(file, err)
	return fmt.Errorf("%s: %s", file, reason)
}

// withoutLineBreak takes the line break away that ends a text of one line, as
// programs and editors write it.
func withoutLineBreak(in plan.Input, b []byte) []byte {
	line, ended := bytes.CutSuffix(b, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if in.Encoding != "" || !ended || !utf8.Valid(b) || bytes.ContainsAny(line, "\r\n") {
		return b
	}
	return line
}
