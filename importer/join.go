package importer

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"encoding/base64"
	"encoding/json"

	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/emit"
	"github.com/victor-ai/victorgen/importer/observe"
)

// An environment joins a contract that is there: what the contract has, it keeps as it
// is, and what differs or is new stands in the environment. What it lacks that the
// contract demands has to leave the contract, for an environment adds and narrows:
// see move.go.

// adopt has s be the secret that the contract has of its name.
func (d *Draft) adopt(s *Secret) {
	if d.base == nil {
		return
	}
	for i := range d.base.Secrets {
		if b := &d.base.Secrets[i]; b.Name == s.Name && (b.Namespace == s.Namespace || s.Namespace == "") {
			s.base = b
			if s.ID != s.Name { // the contract has the field's name, and the plan has it not
				s.ID = s.Name
			}
		}
	}
}

// bound has a key that the contract has be what it is there, and its input take the
// value.
func (d *Draft) bound(s *Secret, k *Key) {
	if s.base == nil {
		return
	}
	for _, b := range s.base.Keys {
		if b.Name != k.Name {
			continue
		}
		k.fixed = true
		if b.Input == "" || k.observed.Template != "" {
			continue
		}
		k.in = d.baseInput(b.Input)
		if r := k.observed.Remote; r == nil {
			d.takes(k.in, k.observed.State, k.observed.Value, s, k)
		} else if k.in.Remote != nil && *k.in.Remote != *r {
			d.splitKey(s, k)
			d.Diagnostics.Errorf(plan.CodeImportDiffers, k.in.base.Pos, "give one of the keys an input of its own, in the contract",
				"key %s of secret %s is input %s in the contract, and so is another key, which comes from another place here", k.Name, s.Secret, k.in.Name)
		} else {
			k.in.Remote = r
		}
	}
}

// baseInput is an input of the contract.
func (d *Draft) baseInput(name string) *Input {
	if in := d.input(name); in != nil {
		return in
	}
	b, _ := d.base.Input(name)
	in := &Input{Name: name, Class: b.Class, Encoding: b.Encoding, base: &b, secret: b.Secret(), Default: b.Default}
	d.Inputs = append(d.Inputs, in)
	return in
}

// takes gives an input of the contract a value.
func (d *Draft) takes(in *Input, state observe.State, v value.Value, s *Secret, k *Key) {
	if state != observe.Given && !(state == observe.Empty && in.Class == plan.Setting) {
		return
	}
	if in.Known && !in.Value.Equal(v) {
		d.splitKey(s, k)
		d.Diagnostics.Errorf(plan.CodeImportDiffers, in.base.Pos, "give one of the keys an input of its own, in the contract",
			"key %s of secret %s is input %s in the contract, and so is another key, which has another value here", k.Name, s.Secret, in.Name)
		return
	}
	in.Known, in.Value = true, v
	if in.Class == plan.Setting {
		text := string(v.Reveal())
		switch {
		case in.Default != nil && *in.Default == text:
		case open(v):
			in.Default = &text
		case in.Default != nil:
			d.split = append(d.split, d.moveInput(in.Name))
			d.Diagnostics.Errorf(plan.CodeImportDiffers, in.base.Pos, "make it a schema.#Required in the contract, if it is a secret",
				"%s is a setting in the contract, but its value here looks like a secret, which must not be in Git", in.Name)
		}
	}
}

// splitKey has a key be moved out of the contract.
func (d *Draft) splitKey(s *Secret, k *Key) {
	for _, b := range s.base.Keys {
		if b.Name == k.Name {
			d.split = append(d.split, d.moveKey(*s.base, b))
		}
	}
}

// solve finds the values that stand in templates of the contract alone.
func (d *Draft) solve() {
	for _, s := range d.Secrets {
		if s.base == nil {
			continue
		}
		for _, k := range s.Keys {
			b := slices.IndexFunc(s.base.Keys, func(b plan.Key) bool { return b.Name == k.Name })
			if b < 0 || s.base.Keys[b].Template == nil || k.observed.State != observe.Given {
				continue
			}
			var unknown []*Input
			for _, name := range s.base.Keys[b].Inputs() {
				if in := d.baseInput(name); !in.Known && in.Default == nil {
					unknown = append(unknown, in)
				}
			}
			if len(unknown) == 1 {
				if v, ok := d.within(s, s.base.Keys[b], unknown[0], string(k.observed.Value.Reveal())); ok {
					d.takes(unknown[0], observe.Given, v, s, k)
				}
			}
		}
	}
}

// within finds the value of an input by what a template prints of a mark in its place.
func (d *Draft) within(s *Secret, k plan.Key, in *Input, text string) (value.Value, bool) {
	const mark = "victorgenMarksThePlace"
	print := func(v string) (string, bool) {
		set := d.inMemory(d.base)
		set[in.Name] = value.Resolved{State: value.Present, Value: value.New([]byte(v))}
		one := *d.base
		secret := *s.base
		secret.Type, secret.Keys = "Opaque", []plan.Key{k}
		one.Secrets = []plan.Secret{secret}
		rendered, ds := emit.Render(&one, set)
		if ds.HasErrors() || len(rendered) != 1 {
			return "", false
		}
		out, ok := rendered[0].Data[k.Name]
		return string(out.Reveal()), ok
	}
	marked, ok := print(mark)
	if !ok {
		return value.Value{}, false
	}
	for _, form := range []struct {
		mark   string
		decode func(string) (string, error)
	}{
		{mark, url.PathUnescape},
		{mark, func(s string) (string, error) { return s, nil }},
		{base64.StdEncoding.EncodeToString([]byte(mark)), func(s string) (string, error) {
			b, err := base64.StdEncoding.DecodeString(s)
			return string(b), err
		}},
		{`"` + mark + `"`, func(s string) (string, error) {
			var out string
			err := json.Unmarshal([]byte(s), &out)
			return out, err
		}},
	} {
		before, after, found := strings.Cut(marked, form.mark)
		rest, ok := strings.CutPrefix(text, before)
		if !found || !ok {
			continue
		}
		next, _, _ := strings.Cut(after, form.mark) // it may stand there more than once
		end := len(rest)
		if next != "" {
			if end = strings.Index(rest, next); end < 0 {
				continue
			}
		}
		if v, err := form.decode(rest[:end]); err == nil && v != "" {
			if got, ok := print(v); ok && got == text {
				return value.New([]byte(v)), true
			}
		}
	}
	return value.Value{}, false
}

// fits judges a value by what the contract demands of its input, which no environment
// may loosen.
func (d *Draft) fits(in *Input) {
	if !in.Known || in.Default != nil {
		return
	}
	if in.base.Encoding == "" {
		in.Encoding = d.encoding(in)
	}
	of := *in.base
	of.Encoding = in.Encoding
	v := value.Encode(of, in.Value)
	c := of.Constraints
	in.Weak = c.MinStrength > 0 && c.Format != "email" && len(c.OneOf) == 0 && !placeholder(v) && !strong(v, c.MinStrength)
	for _, bad := range value.Judge(of, v) {
		d.Diagnostics.Warnf(plan.CodeImportUnfit, bad.Pos, bad.Hint, "a build will refuse the value that is kept: %s", bad.Message)
	}
}

// unused tells what the contract demands that nothing that was read has.
func (d *Draft) unused() {
	if d.base == nil {
		return
	}
	for _, b := range d.base.Secrets {
		if !slices.ContainsFunc(d.Secrets, func(s *Secret) bool { return s.base != nil && s.base.Name == b.Name && s.base.Namespace == b.Namespace }) {
			d.Diagnostics.Warnf(plan.CodeImportLeft, b.Pos, "read it as well; or move it out of the contract, into the environments that have it",
				"the contract has secret %s/%s, which was not read: a build makes it", b.Namespace, b.Name)
		}
	}
}

// added is what an environment says next to what the contract has, as CUE.
func (d *Draft) added(n Names) string {
	if d.base == nil {
		return ""
	}
	var inputs, secrets strings.Builder
	for _, in := range d.Inputs {
		switch {
		case in.base == nil:
			if in.Why != "" {
				fmt.Fprintf(&inputs, "// %s\n", in.Why)
			}
			fmt.Fprintf(&inputs, "%s: %s\n", compiler.Label(in.Name), in.cue())
		case in.Default != nil && (in.base.Default == nil || *in.base.Default != *in.Default):
			fmt.Fprintf(&inputs, "%s: default: %s\n", compiler.Label(in.Name), compiler.Quote(*in.Default, 1))
		default:
			if fields := in.addedText(); fields != "" {
				fmt.Fprintf(&inputs, "%s: {%s}\n", compiler.Label(in.Name), fields)
			}
		}
	}
	for _, s := range d.Secrets {
		secrets.WriteString(d.secretText(s, n))
	}
	out := ""
	if inputs.Len() > 0 {
		out += "\ninputs: {\n" + inputs.String() + "}\n"
	}
	if secrets.Len() > 0 {
		out += "\nsecrets: {\n" + secrets.String() + "}\n"
	}
	return out
}

// addedText is what an environment says of an input of the contract on which that is
// silent.
func (in *Input) addedText() string {
	var fields []string
	if in.Encoding != in.base.Encoding {
		fields = append(fields, "encoding: "+compiler.Quote(in.Encoding, 0))
	}
	if in.Remote != nil && in.movedRemote() {
		fields = append(fields, "remote: "+compiler.Quote(remoteText(in.Remote), 0))
	}
	return strings.Join(fields, ", ")
}

// addedText is what an environment adds to a secret of the contract.
func (s *Secret) addedText(delivery string) string {
	var fields, keys []string
	for name, m := range map[string][2]map[string]string{"labels": {s.labels, s.base.Labels}, "annotations": {s.annotations, s.base.Annotations}} {
		more := map[string]string{}
		for k, v := range m[0] {
			if _, ok := m[1][k]; !ok {
				more[k] = v
			}
		}
		if len(more) > 0 {
			fields = append(fields, name+": "+texts(more))
		}
	}
	if s.Type != "" && s.Type != "Opaque" && s.base.Type != s.Type {
		fields = append(fields, "type: "+compiler.Quote(s.Type, 0))
	}
	if s.Immutable && !s.base.Immutable {
		fields = append(fields, "immutable: true")
	}
	if delivery != "" {
		fields = append(fields, "delivery: "+delivery)
	}
	slices.Sort(fields)
	for _, k := range s.Keys {
		if !k.fixed {
			keys = append(keys, k.cue())
		}
	}
	if len(keys) > 0 {
		fields = append(fields, "keys: {\n"+strings.Join(keys, "\n")+"\n}")
	}
	if len(fields) == 0 {
		return ""
	}
	return compiler.Label(s.ID) + ": {\n" + strings.Join(fields, "\n") + "\n}\n"
}

// maxContract is how large a file of a contract may be.
const maxContract = 16 << 20

// contracts are the CUE files that a contract in module is made of, by their paths;
// below are those of its environments, and environments their names.
func contracts(module string) (files, below []File, environments []string, err error) {
	root, err := os.OpenRoot(module) // what leads out of it is not opened
	if err != nil {
		return nil, nil, nil, err
	}
	defer root.Close()
	err = filepath.WalkDir(module, func(file string, e fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(module, file)
		rel = filepath.ToSlash(rel)
		switch {
		case err != nil:
			return err
		case e.IsDir() && (rel == "cue.mod/pkg" || rel != "." && strings.HasPrefix(e.Name(), ".") || rel == "deploy"):
			return fs.SkipDir
		case e.IsDir() && strings.HasPrefix(rel, "envs/") && !strings.Contains(rel[len("envs/"):], "/"):
			if _, err := os.Stat(filepath.Join(file, "env.cue")); err == nil {
				environments = append(environments, e.Name())
			}
			return nil
		case e.IsDir() || filepath.Ext(rel) != ".cue":
			return nil
		}
		info, err := root.Stat(rel)
		switch {
		case err != nil:
			return err
		case !info.Mode().IsRegular() || info.Size() > maxContract:
			return fmt.Errorf("%s is not a regular file, or has more than %d MiB", rel, maxContract>>20)
		case len(files) > 2000:
			return errors.New("it has more than 2000 CUE files")
		}
		text, err := root.ReadFile(rel)
		if strings.HasPrefix(rel, "envs/") && strings.Count(rel, "/") > 1 {
			below = append(below, File{Path: rel, text: text})
		} else {
			files = append(files, File{Path: rel, text: text})
		}
		return err
	})
	return files, below, environments, err
}
