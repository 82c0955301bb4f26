package importer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/importer/observe"
	"github.com/victor-ai/victorgen/internal/lazy"
	"github.com/victor-ai/victorgen/internal/safefile"
)

// Options say where an import goes.
type Options struct {
	Module string // absolute directory of the CUE module, which need not have a contract
	Names
	Source  Source // where the values go
	Force   bool   // write over what is there
	DryRun  bool   // write nothing
	Timeout time.Duration
	// Permit says what a plan may not do: a contract that is there may be anyone's, and
	// names where values would be sent. nil permits everything.
	Permit func(*plan.Plan) plan.Diagnostics
	// Open opens the sources of a plan.
	Open func(*plan.Plan) map[string]source.Source
}

// Source is where values go.
type Source struct {
	Kind   string            // empty is a dotenv file
	Name   string            // of a source of the contract, in the place of a kind
	Fields map[string]string // of schema.#Source
}

// cue writes the default source of the environment; nothing if it is what it is
// without a word.
func (s Source) cue() string {
	if s.Name != "" {
		return "sources: default: sources" + compiler.Selector(s.Name) + "\n\n"
	}
	if s.Kind == "" && len(s.Fields) == 0 {
		return ""
	}
	var fields []string
	if s.Kind != "" {
		fields = append(fields, "kind: "+compiler.Quote(s.Kind, 0))
	}
	for _, name := range sorted(s.Fields) {
		fields = append(fields, compiler.Label(name)+": "+compiler.Quote(s.Fields[name], 0))
	}
	return "sources: default: {" + strings.Join(fields, ", ") + "}\n\n"
}

// Result is what became of an import.
type Result struct {
	Files  []File   `json:"files"`
	Inputs []Place  `json:"inputs"`
	Proof  []Proved `json:"proof"`
	// Missing are the inputs that someone has to provide yet.
	Missing []string `json:"missing,omitempty"`
}

// File is a file of the module.
type File struct {
	Path  string `json:"path"`  // from the module, with slashes
	State string `json:"state"` // created, changed, replaced, unchanged, not written; or would be
	text  []byte
	old   []byte // what it was, if this import changes it
}

// Place is an input and where its value is.
type Place struct {
	Name  string     `json:"name"`
	Class plan.Class `json:"class"`
	Place string     `json:"place,omitempty"` // where the value is stored; "Git" of a setting; empty is nowhere
	State string     `json:"state,omitempty"` // stored, replaced, unchanged; or would be
}

const contractFile = "contract.cue"

// Run writes what was observed as a contract with one environment, stores its
// values, and proves that the two make what was read: first before anything is
// written, and then from what is stored. The environment's own file comes last, so
// that no one builds an environment whose values are not there yet. Where it was
// interrupted, the same command goes on.
func Run(ctx context.Context, observed *observe.Observed, o Options) (*Result, plan.Diagnostics) {
	r, ds := run(ctx, observed, o)
	ds.Sort() // the proof says twice what has not changed
	var files []File
	for i, f := range r.Files { // one that is written twice, so that others compile in between, is one
		if !slices.ContainsFunc(r.Files[i+1:], func(later File) bool { return later.Path == f.Path }) {
			files = append(files, f)
		}
	}
	r.Files = files
	return r, ds
}

func run(ctx context.Context, observed *observe.Observed, o Options) (*Result, plan.Diagnostics) {
	d, r, p, ds := prepare(ctx, observed, o)
	if ds.HasErrors() {
		return r, ds
	}
	if o.Permit != nil && len(d.Values()) > 0 { // or else no source is asked
		if ds = append(ds, o.Permit(p)...); ds.HasErrors() {
			return r, ds
		}
	}
	sources := o.Open(p)
	var values map[string]value.Value
	values, more := d.conflicts(ctx, p, sources, o, r)
	ds = append(ds, more...)
	if ds.HasErrors() || o.DryRun {
		return r, ds
	}
	written := map[*File]bool{}
	defer func() {
		for i := range r.Files {
			if f := &r.Files[i]; f.State != "unchanged" && !written[f] {
				f.State = "not written"
			}
		}
	}()
	write := func(f *File) bool {
		if f.State == "unchanged" {
			return true
		}
		written[f] = true
		file := filepath.Join(o.Module, filepath.FromSlash(f.Path))
		err := os.MkdirAll(filepath.Dir(file), 0o755)
		if err == nil {
			err = safefile.Replace(file, f.text, 0o644)
		}
		if err != nil {
			written[f] = false
			ds.Errorf(plan.CodeImportRead, nil, "the same command continues from here", "%s can't be written: %v", file, safefile.Reason(err))
		}
		return err == nil
	}
	for i := range len(r.Files) - 1 { // in an order in which others compile after each
		if !write(&r.Files[i]) {
			return r, ds
		}
	}
	if len(values) > 0 {
		// A source may have its file, or its directory, next to the environment.
		dir := filepath.Join(o.Module, "envs", o.Environment)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			ds.Errorf(plan.CodeImportRead, nil, "the same command continues from here", "%s can't be made: %v", dir, safefile.Reason(err))
			return r, ds
		}
		put, bad := source.Put(ctx, p, sources, values, o.Force, source.Options{Timeout: o.Timeout})
		ds = append(ds, bad...)
		for i := range r.Inputs {
			if v, ok := put[r.Inputs[i].Name]; ok {
				r.Inputs[i].Place = v.Origin
			} else if _, wanted := values[r.Inputs[i].Name]; wanted {
				r.Inputs[i].State = "not stored"
			}
		}
	}
	if ds.HasErrors() || ctx.Err() != nil || !write(&r.Files[len(r.Files)-1]) {
		return r, ds
	}

	// What counts is what is there now, and not what was meant to be.
	final, bad := compile(filepath.Join(o.Module, "envs", o.Environment), d, nil)
	if bad.HasErrors() {
		return r, append(ds, bad...)
	}
	set, bad := source.Peek(ctx, final, o.Open(final), d.known(final), source.Options{Timeout: o.Timeout})
	ds = append(ds, onlyErrors(bad)...)
	if ds.HasErrors() {
		return r, ds
	}
	for name, v := range d.inMemory(final) {
		if in := d.input(name); in != nil && in.Remote != nil {
			set[name] = v
		}
	}
	r.Proof, bad = d.Prove(final, set)
	ds = append(ds, bad...)
	return r, append(ds, source.Unignored(ctx, final)...)
}

// known are the inputs of p of which the draft has the value, and those whose value
// stands in the contract.
func (d *Draft) known(p *plan.Plan) (inputs []plan.Input) {
	values := d.Values()
	for _, in := range p.Inputs {
		if _, ok := values[in.Name]; ok || in.Default != nil {
			inputs = append(inputs, in)
		}
	}
	return inputs
}

func (d *Draft) input(name string) *Input {
	for _, in := range d.Inputs {
		if in.Name == name {
			return in
		}
	}
	return nil
}

// compile compiles an environment as it would be applied, so that all values count
// and no certificate is needed. Where secrets are external, it must compile as it is,
// too. m is the module, if that is in memory.
func compile(dir string, d *Draft, m *compiler.Module) (*plan.Plan, plan.Diagnostics) {
	if len(d.Sources) == 0 {
		return compiler.Compile(dir, compiler.Options{Direct: true, Module: m})
	}
	as, ds := compiler.Compile(dir, compiler.Options{Module: m})
	if ds.HasErrors() {
		return nil, ds
	}
	p, ds := compiler.Compile(dir, compiler.Options{Direct: true, Module: m})
	if p != nil {
		for i := range p.Secrets {
			s := &p.Secrets[i]
			for _, own := range as.Secrets {
				if own.Name == s.Name && own.Namespace == s.Namespace {
					s.Delivery = own.Delivery
				}
			}
		}
	}
	return p, ds
}

// prepare makes a draft that is proved, and the files for it; nothing is written. Where
// a contract is there that is not what this import writes, the environment joins it.
func prepare(ctx context.Context, observed *observe.Observed, o Options) (d *Draft, r *Result, p *plan.Plan, ds plan.Diagnostics) {
	d, r, p, ds = drafted(ctx, observed, o, nil, nil)
	there, below, environments, err := contracts(o.Module)
	if err != nil {
		ds.Errorf(plan.CodeImportRead, nil, "", "the module %s can't be read: %v", o.Module, safefile.Reason(err))
		return d, r, p, ds
	}
	roots := slices.DeleteFunc(slices.Clone(there), func(f File) bool { return !root(f) })
	own := slices.Contains(environments, o.Environment)
	if len(roots) == 0 || len(environments) == 1 && own || ds.HasErrors() && len(r.Files) == 0 {
		return d, r, p, ds // there is no other environment that has it
	}
	if len(roots) == 1 && len(r.Files) == 2 && roots[0].Path == contractFile && bytes.Equal(roots[0].text, r.Files[0].text) && len(environments) == 0 {
		return d, r, p, ds // an import that was interrupted
	}
	names := o.Names
	if names.Namespace == "" {
		names.Namespace = d.Namespace(observe.ObjectName(o.Package))
	}
	names.Package = packageOf(roots, o.Package)
	bare := &Draft{Secrets: d.Secrets, Sources: d.Sources}
	stub, err := bare.Environment(names, bare.sourcesText())
	if err != nil {
		ds.Errorf(plan.CodeCrash, nil, "report it", "the environment to be written is not valid CUE")
		return d, r, nil, ds
	}
	o.Names = names
	if own {
		if d, r, p, ok := asItIs(ctx, observed, o); ok {
			return d, r, p, append(d.Problems(), d.Diagnostics...)
		}
	}
	path := "envs/" + o.Environment
	m := modules{contract: there}
	m.below = slices.DeleteFunc(below, func(f File) bool { return strings.HasPrefix(f.Path, path+"/") })
	m.environments = slices.DeleteFunc(environments, func(name string) bool { return name == o.Environment })
	return joined(ctx, observed, o, m, bare, File{Path: path + "/env.cue", text: stub})
}

// packageOf is the package of a contract.
func packageOf(root []File, otherwise string) string {
	for _, f := range root {
		for line := range strings.Lines(string(f.text)) {
			if name, ok := strings.CutPrefix(line, "package "); ok {
				return strings.TrimSpace(name)
			}
		}
	}
	return otherwise
}

// drafted makes a draft, which joins base if that is not nil; there are the files of
// its contract.
func drafted(ctx context.Context, observed *observe.Observed, o Options, base *plan.Plan, there []File) (d *Draft, r *Result, p *plan.Plan, ds plan.Diagnostics) {
	r = &Result{}
	var plain map[string]bool
	alone := false // what belongs together does so by what is in it, and not by the contract
	for range 5 {
		d = Infer(observed, observe.ObjectName(o.Package), o.Source.Kind, plain, base)
		family := !alone && d.families()
		ds = append(d.Problems(), d.Diagnostics...)
		if len(d.Inputs) == 0 && len(d.Secrets) == 0 && !ds.HasErrors() {
			ds.Errorf(plan.CodeImportRead, nil, "name files with variables or Secrets in them", "there is nothing to import")
		}
		if ds.HasErrors() {
			return d, r, nil, ds
		}
		names := o.Names
		if names.Namespace == "" {
			names.Namespace = d.Namespace(observe.ObjectName(o.Package))
		}
		environment, err := d.Environment(names, o.Source.cue()+d.sourcesText())
		r.Files = []File{{Path: "envs/" + o.Environment + "/env.cue", text: environment}}
		if err == nil && base == nil {
			var contract []byte
			contract, err = d.Contract(names)
			r.Files = slices.Insert(r.Files, 0, File{Path: contractFile, text: contract})
		}
		if err != nil { // nothing that a file has is in it, but it is no help
			ds.Errorf(plan.CodeCrash, nil, "report it", "the contract to be written is not valid CUE")
			return d, r, nil, ds
		}
		var bad plan.Diagnostics
		p, bad = inModule(append(slices.Clone(there), r.Files...), o, d)
		if bad.HasErrors() && family {
			alone = true
			continue
		}
		if bad.HasErrors() {
			for i, b := range bad {
				if o.Source.Name != "" && strings.HasSuffix(b.Message, "undefined field: "+o.Source.Name) {
					bad[i].Pos, bad[i].Message = nil, fmt.Sprintf("the contract has no source %q", o.Source.Name)
					bad[i].Hint = "declare it there, under sources; or name a kind, as in --source files"
				}
			}
			return d, r, nil, append(ds, bad...)
		}
		var unequal plan.Diagnostics
		r.Proof, unequal = d.Prove(p, d.inMemory(p))
		again := d.composed(r.Proof)
		if again == nil || ctx.Err() != nil {
			ds = append(ds, unequal...)
			break
		}
		plain = again // what does not give the same is an input of its own
	}
	r.Missing = d.Missing()
	return d, r, p, ds
}

// inModule compiles files as if they were all that lies in the module, of which nothing
// need be there.
func inModule(files []File, o Options, d *Draft) (*plan.Plan, plan.Diagnostics) {
	m := &compiler.Module{Dir: o.Module, Files: map[string][]byte{
		"cue.mod/module.cue": []byte("module: \"import.example/secrets@v0\"\nlanguage: version: \"v0.15.0\"\n"),
	}}
	for _, f := range files {
		m.Files[f.Path] = f.text
	}
	return compile(filepath.Join(o.Module, "envs", o.Environment), d, m)
}

func onlyErrors(ds plan.Diagnostics) plan.Diagnostics {
	return slices.DeleteFunc(ds, func(d plan.Diagnostic) bool { return d.Severity != plan.Error })
}

// conflicts looks at what is there already. It returns the values that are to be
// stored.
func (d *Draft) conflicts(ctx context.Context, p *plan.Plan, sources map[string]source.Source, o Options, r *Result) (map[string]value.Value, plan.Diagnostics) {
	var ds plan.Diagnostics
	would := ""
	if o.DryRun {
		would = "would be "
	}
	for i := range r.Files {
		f := &r.Files[i]
		old, err := os.ReadFile(filepath.Join(o.Module, filepath.FromSlash(f.Path)))
		if j := slices.IndexFunc(r.Files[:i], func(first File) bool { return first.Path == f.Path }); j >= 0 && r.Files[j].State != "unchanged" {
			old = r.Files[j].text // by then
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			f.State = would + "created"
		case err == nil && bytes.Equal(old, f.text):
			f.State = "unchanged"
		case f.old != nil && err == nil && bytes.Equal(old, f.old):
			f.State = would + "changed"
		case f.old != nil:
			ds.Errorf(plan.CodeImportExists, nil, "import again", "%s has changed in the meantime", filepath.Join(o.Module, f.Path))
		case o.Force:
			f.State = would + "replaced"
		default:
			ds.Errorf(plan.CodeImportExists, nil, "see what it would write with --dry-run -o json; --force overwrites it; import into a separate directory, and copy what you need",
				"%s exists, and is not what this import would write; an import does not change an existing contract", filepath.Join(o.Module, f.Path))
		}
	}
	if others := otherContracts(o.Module); len(others) > 0 && d.base == nil {
		ds.Errorf(plan.CodeImportExists, nil, "import into a separate directory, and copy what you need",
			"%s has other CUE files than %s: %s", o.Module, contractFile, strings.Join(others, ", "))
	}
	if ds.HasErrors() {
		return nil, ds
	}
	values := d.Values()
	there, bad := source.Peek(ctx, p, sources, d.known(p), source.Options{Timeout: o.Timeout})
	ds = append(ds, onlyErrors(bad)...)
	for _, in := range d.Inputs {
		place := Place{Name: in.Name, Class: in.Class}
		if in.Remote != nil {
			place.Place = in.source + ": " + remoteText(in.Remote)
		}
		v, ok := values[in.Name]
		old := there[in.Name]
		switch {
		case in.Default != nil:
			place.Place = "Git"
		case !ok:
		case old.State == value.Present && old.Value.Equal(v):
			place.Place, place.State = old.Origin, "unchanged"
			delete(values, in.Name)
		case old.State == value.Present && !o.Force:
			hint := "see which one is right; --force overwrites it"
			if old.Origin == "the process environment" {
				hint = "unset " + in.Name + " for this command"
			}
			ds.Errorf(plan.CodeImportExists, nil, hint, "%s has another value already, in %s", in.Name, old.Origin)
		case old.State == value.Present:
			place.Place, place.State = old.Origin, would+"replaced"
		default:
			place.Place, place.State = old.Origin, would+"stored"
			if src, ok := p.Source("default"); ok && place.Place == "" {
				place.Place = src.String()
			}
		}
		r.Inputs = append(r.Inputs, place)
	}
	return values, append(ds, readOnly(p, sources, values)...)
}

// readOnly are the sources that are to have values and can't be written.
func readOnly(p *plan.Plan, sources map[string]source.Source, values map[string]value.Value) (ds plan.Diagnostics) {
	told := map[string]bool{}
	for _, in := range p.Inputs {
		_, needs := values[in.Name]
		if _, writes := sources[in.Source].(source.Writer); needs && !writes && !told[in.Source] {
			told[in.Source] = true
			src, _ := p.Source(in.Source)
			ds.Errorf(plan.CodeImportExists, nil, "name another one with --source; or write the values there by other means, and import again", "source %s can only be read, and %s would be stored there", src, in.Name)
		}
	}
	return ds
}

var cueName = lazy.MustCompile(`^[^._].*\.cue$`)

// otherContracts are the CUE files that would be a part of the contract.
func otherContracts(module string) (names []string) {
	entries, _ := os.ReadDir(module)
	for _, e := range entries {
		if cueName.MatchString(e.Name()) && e.Name() != contractFile {
			names = append(names, e.Name())
		}
	}
	return names
}

// Settings are the names of the inputs whose values stand in Git.
func (r *Result) Settings() (names []string) {
	for _, in := range r.Inputs {
		if in.Place == "Git" {
			names = append(names, in.Name)
		}
	}
	return names
}

// Count says how many keys have a verdict.
func (r *Result) Count(verdict string) (n int) {
	for _, one := range r.Proof {
		if one.Verdict == verdict && one.Key != "" {
			n++
		}
	}
	return n
}

// Text is what a file would hold, for a dry run.
func (f File) Text() string { return string(f.text) }
