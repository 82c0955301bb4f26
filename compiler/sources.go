package compiler

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/url"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/lazy"
)

// namePatterns are those of the kinds of source.
var namePatterns = func() map[string]*lazy.Regexp {
	patterns := map[string]*lazy.Regexp{}
	for _, k := range plan.Kinds {
		patterns[k.Name] = lazy.MustCompile(k.NamePattern)
	}
	return patterns
}()

// fieldForms are what fields can be of which a client makes a part of the host,
// or of the path, that it asks: nothing that leads elsewhere.
var fieldForms = map[string]struct {
	valid *lazy.Regexp
	rule  string
}{
	// https://docs.aws.amazon.com/general/latest/gr/rande.html#region-names-codes
	"region": {lazy.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`), `write a region such as "us-east-1"`},
	// https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#vault-name-and-object-name
	"vault": {lazy.MustCompile(`^[A-Za-z][A-Za-z0-9-]{1,22}[A-Za-z0-9]$`), "write 3 to 24 letters, digits and hyphens, or https://HOST"},
	// https://cloud.google.com/resource-manager/docs/creating-managing-projects#before_you_begin
	"project": {lazy.MustCompile(`^([a-z0-9.-]+:)?[a-z0-9-]+$`), `write the ID or the number of the project, such as "victor-ai-prod"`},
}

// systemMounts are the paths that no KV engine can be mounted at
// (https://developer.hashicorp.com/vault/docs/secrets#mount-paths).
var systemMounts = []string{"auth", "sys", "identity", "cubbyhole", "audit"}

// filesDir is the directory of a source of kind files, at the root of the module,
// where the contract names none.
const filesDir = ".secrets.%s.d"

// exampleFields are what the fields may look like without which a kind means nothing.
var exampleFields = map[string]string{"file": `file: "secrets.enc.yaml"`, "command": `command: ["victorgen-source-pass"]`}

// said is what a contract says of a source, by the names of the fields: those that it
// leaves out are empty.
func said(s sourceSpec) map[string]string {
	set := map[string]string{"names": s.Names, "object": s.Object}
	v := reflect.ValueOf(s.Source)
	for f := range v.Type().Fields() {
		field := f.Tag.Get("json")
		switch got := v.FieldByIndex(f.Index).Interface().(type) {
		case string:
			set[field] = got
		case []string:
			set[field] = strings.Join(got, " ")
		case *bool:
			if got != nil {
				set[field] = strconv.FormatBool(*got)
			}
		}
	}
	delete(set, "-") // which no contract can say
	delete(set, "kind")
	return set
}

// source checks one source and returns it as the plan has it.
func (c *compilation) source(name string, s sourceSpec) plan.Source {
	src := s.Source
	src.Name, src.File, src.Dir, src.CABundle, src.Pos = name, "", "", "", c.ix.declared("sources", name)
	c.checkHandle("source", name, "sources", name)
	kind, ok := plan.KindOf(s.Kind)
	if !ok {
		return src // CUE has complained of it
	}
	set := said(s)
	for _, field := range sortedKeys(set) {
		if field != "caBundle" { // which has lines
			c.checkPrintable(field+" of source "+name, set[field], "sources", name, field)
		}
		if set[field] != "" && !slices.Contains(kind.Fields, field) {
			verb := "has a "
			if strings.ContainsRune("aeiou", rune(field[0])) {
				verb = "says "
			}
			c.ds.Errorf(plan.CodeMisplaced, last(c.ix.set("sources", name, field)),
				"it has "+plan.And(kind.Fields), "source %s %s, which has no meaning for kind %s", name, verb+field, s.Kind)
		}
	}
	for _, field := range kind.Needs {
		if set[field] == "" {
			c.ds.Errorf(plan.CodeIncomplete, src.Pos, "write "+exampleFields[field]+", say", "source %s of kind %s has no %s", name, s.Kind, field)
		}
	}
	for field, value := range set {
		if form, ok := fieldForms[field]; ok && value != "" && slices.Contains(kind.Fields, field) && !(field == "vault" && strings.Contains(value, "/")) && !form.valid.MatchString(value) {
			c.ds.Errorf(plan.CodeConstraint, last(c.ix.set("sources", name, field)), form.rule, "%s of source %s is not one", field, name)
		}
	}
	if mount := strings.Trim(s.Mount, "/"); mount != "" && slices.ContainsFunc(strings.Split(mount, "/"), func(p string) bool { return p == "" || p == "." || p == ".." }) ||
		slices.Contains(systemMounts, strings.Split(mount, "/")[0]) {
		c.ds.Errorf(plan.CodeConstraint, last(c.ix.set("sources", name, "mount")), `write the path of the engine, as in mount: "secret"`,
			"mount of source %s is not a KV engine: that path is Vault's own, and includes tokens", name)
	}
	for field, link := range map[string]string{"vault": s.Vault, "address": s.Address} {
		if u, err := url.Parse(link); (field == "address" && link != "" || strings.Contains(link, "/")) &&
			(err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil) {
			c.ds.Errorf(plan.CodeConstraint, last(c.ix.set("sources", name, field)), "write https://HOST, without a user",
				"%s of source %s is not a valid URL", field, name)
		}
	}
	switch s.Kind {
	case plan.Env:
		src.File = filepath.Join(c.root, secretsFile+"."+c.environment)
		if s.File == "" {
			c.shared(&src)
		}
	case plan.Vault:
		src.Mount, src.Version = cmp.Or(strings.Trim(s.Mount, "/"), "secret"), cmp.Or(s.Version, "v2")
		if s.CABundle != "" {
			src.CABundle = c.caBundle(name, s)
		}
	case plan.Exec:
		c.checkCommand(name, s.Command)
	case plan.SOPS:
		if s.File != "" && !slices.Contains([]string{".env", ".yaml", ".yml", ".json"}, filepath.Ext(s.File)) {
			c.ds.Errorf(plan.CodeSourceCannot, last(c.ix.set("sources", name, "file")), "its name must end in .env, .yaml, .yml or .json",
				"file of source %s has a name from which sops can't tell the format", name)
		}
	}
	if s.Kind == plan.Files {
		src.Dir = filepath.Join(c.root, fmt.Sprintf(filesDir, c.environment))
		if s.Dir != "" {
			src.Dir = c.pathIn(s.Dir, "sources", name, "dir")
		}
	}
	src.Store = c.store(src, s.Store, kind)
	if s.File != "" {
		src.File = c.pathIn(s.File, "sources", name, "file")
	}
	return src
}

// checkCommand refuses a program that anyone who proposes a contract could bring along.
func (c *compilation) checkCommand(name string, command []string) {
	at := last(c.ix.set("sources", name, "command"))
	switch {
	case len(command) == 0: // the schema tells
	case command[0] == "" || strings.HasPrefix(command[0], "-"):
		c.ds.Errorf(plan.CodeConstraint, at, `write the name of a program, as in command: ["victorgen-source-pass"]`, "command of source %s does not begin with a program", name)
	case strings.ContainsAny(command[0], `/\`) && !filepath.IsAbs(command[0]):
		c.ds.Errorf(plan.CodeConstraint, at, "install it in a directory of PATH, and write its name alone; or write its absolute path",
			"command of source %s is a relative path, and anyone who proposes a contract could put a program there", name)
	}
}

// caBundle returns the certificates of the authorities that vouch for a server,
// without what stands between them.
func (c *compilation) caBundle(name string, s sourceSpec) string {
	at := last(c.ix.set("sources", name, "caBundle"))
	wrong := func(hint, format string, args ...any) string {
		c.ds.Errorf(plan.CodeConstraint, at, hint, "caBundle of source "+name+" "+format, args...)
		return ""
	}
	if strings.HasPrefix(s.Address, "http://") {
		c.ds.Errorf(plan.CodeMisplaced, at, "use https, or remove it", "source %s has a caBundle, which has no meaning over plain http", name)
	}
	const hint = "write what `openssl x509 -in ca.pem` prints for each, between lines of three quotation marks"
	bundle, rest := []byte(nil), []byte(s.CABundle)
	for n := 1; ; n++ {
		var block *pem.Block
		// It passes over what it can't read, and that would be an authority fewer.
		begins := bytes.Count(rest, []byte("-----BEGIN"))
		if block, rest = pem.Decode(rest); block == nil || bytes.Count(rest, []byte("-----BEGIN")) != begins-1 {
			if begins > 0 {
				return wrong(hint, "is not valid PEM from its block %d on", n)
			}
			break
		}
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return wrong("remove it, and replace it: anyone who reads the contract has it", "holds a private key, as its block %d", n)
		}
		if block.Type != "CERTIFICATE" {
			return wrong(hint, "holds something other than certificates: block %d is %q", n, block.Type)
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return wrong(hint, "holds no certificate in its block %d", n)
		}
		bundle = append(bundle, pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes})...)
	}
	if bundle == nil {
		return wrong(hint, "holds no certificate in PEM")
	}
	return string(bundle)
}

// shared lets the .secrets that all environments once shared count for src, as
// long as it has none of its own.
func (c *compilation) shared(src *plan.Source) {
	src.Shared = filepath.Join(c.root, secretsFile)
	if c.options.Module != nil {
		return // an environment that is not there yet gets a file of its own
	}
	// A directory of that name is something else.
	if src.FromShared = c.look(seenLink, src.File) == lookAbsent && c.look(seenPath, src.Shared) == lookFile; src.FromShared {
		c.ds.Warnf(plan.CodeSharedFile, src.Pos,
			fmt.Sprintf("cp %[1]s %[1]s.%[2]s, remove what is for others, and `victorgen rotate` what they know; remove %[1]s when each has its own", secretsFile, c.environment),
			"environment %s has no %s.%s, so %s is read, and written, which all environments without a file of their own share", c.environment, secretsFile, c.environment, secretsFile)
	}
}

// vaultProperty is the property of an input at Vault that names none.
const vaultProperty = "value"

// remote says where in is at src, and checks that it can be there.
func (c *compilation) remote(in plan.Input, spec inputSpec, src plan.Source, from sourceSpec) plan.Remote {
	kind, ok := plan.KindOf(src.Kind)
	at := last(c.ix.set("inputs", in.Name, "remote"))
	if spec.Remote == "" {
		at = last(in.Pos)
	}
	cannot := func(hint, format string, args ...any) {
		c.ds.Errorf(plan.CodeSourceCannot, at, hint, "input "+in.Name+" "+format, args...)
	}
	if in.Default != nil || !ok {
		return plan.Remote{} // no source is asked
	}
	if in.Encoding == plan.Binary && !kind.Binary {
		cannot(`store its base64 there and write encoding: "base64"`, "is binary, but source %s holds text alone", src)
	}
	if kind.NamePattern == "" || src.Kind == plan.SOPS && filepath.Ext(src.File) == ".env" {
		return plan.Remote{}
	}
	c.checkPrintable("the remote of input "+in.Name, spec.Remote, "inputs", in.Name, "remote")
	text := spec.Remote
	if text == "" {
		text = defaultRemote(in.Name, src.Kind, from)
	}
	r, ok := parseRemote(text)
	if !ok {
		cannot(`write "NAME", "NAME?version=VERSION", "NAME#PROPERTY" or "NAME?version=VERSION#PROPERTY"`,
			"has the remote %q, which can't be read", spec.Remote)
		return r
	}
	r = placed(r, kind, from)
	if src.Kind == plan.Vault {
		for _, first := range []string{"data", src.Mount} {
			if strings.HasPrefix(r.Name, first+"/") && (first != "data" || src.Version == "v2") {
				c.ds.Warnf(plan.CodeVaultPath, at, "leave "+first+"/ out of the prefix or the remote, unless a secret really is there: the client puts mount and data/ before the name itself",
					"input %s is taken from %s at the mount %s, where its name begins with %s/ once more", in.Name, r.Name, src.Mount, first)
				break
			}
		}
	}
	if strings.HasPrefix(r.Name, "arn:") && kind.ARN != "" {
		// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
		arn := append(strings.SplitN(r.Name, ":", 6), make([]string, 6)...)
		switch {
		case arn[2] != kind.ARN:
			cannot("put the input at a source of that service", "has an ARN of service %q, but source %s uses %s", arn[2], src, kind.ARN)
		case src.Region != "" && arn[3] != src.Region:
			cannot("give it a source of that region", "has an ARN of region %q, but source %s uses region %s", arn[3], src, src.Region)
		case in.Class == plan.Generated:
			cannot("give it a name, or make it a schema.#Required", "can't be generated under an ARN: AWS gives one to what it creates")
		}
	}
	if plan.Reserved(r.Name) || plan.Reserved(r.Property) || r == src.Pending || r == src.PendingValues {
		cannot("give it another one", "has the remote %q, which is reserved: names with this prefix hold previous values", r)
	}
	parts := strings.Split(r.Name, "/")
	if len(r.Name) > kind.MaxName || !namePatterns[kind.Name].MatchString(r.Name) || slices.Contains(parts, ".") || slices.Contains(parts, "..") {
		cannot("a name there has "+kind.NameRule, "would be %q at source %s, which can't be", r.Name, src)
	}
	if r.Version != "" && (!kind.Versions || src.Version == "v1") {
		cannot("leave ?version= out", "selects a version, but source %s keeps none", src)
	}
	if in.Class == plan.Generated {
		switch {
		case src.Version == "v1" && in.Name == plan.LockKey: // a build may do without
		case src.Version == "v1":
			cannot("use a KV engine of version v2, which can check and set; or let another source hold the input; or make it a schema.#Required",
				"can't be generated at source %s: two builds might overwrite each other's", src)
		case r.Version != "":
			cannot("leave ?version= out, or make it a schema.#Required", "can't be generated as a version that exists already")
		case !src.Writes(r):
			cannot("give it a remote of its own, or make it a schema.#Required",
				"can't be generated at source %s as one property of an object: writing it might undo what others write", src)
		}
	}
	return r
}

// placed puts the prefix of a source before a name there, and writes both as the
// service does.
func placed(r plan.Remote, kind plan.SourceKind, from sourceSpec) plan.Remote {
	r.Name = joinName(from.Prefix, r.Name, kind.Separator)
	if kind.Name == plan.AWSSSM && strings.Contains(r.Name, "/") && !strings.HasPrefix(r.Name, "arn:") {
		r.Name = "/" + strings.TrimPrefix(r.Name, "/")
	}
	if kind.Name == plan.Vault && r.Property == "" {
		r.Property = vaultProperty
	}
	return r
}

// reserved is where victorgen keeps something of its own at src: under the name that
// an input so called would have. It is no part of an object that can't be written in
// parts.
func reserved(name string, src plan.Source, from sourceSpec) plan.Remote {
	kind, ok := plan.KindOf(src.Kind)
	if !ok || kind.NamePattern == "" || src.Kind == plan.SOPS && filepath.Ext(src.File) == ".env" {
		return plan.Remote{}
	}
	if !kind.Properties {
		from.Object = ""
	}
	r, _ := parseRemote(defaultRemote(name, src.Kind, from))
	return placed(r, kind, from)
}

// defaultRemote is the remote of an input that says none.
func defaultRemote(input, kind string, from sourceSpec) string {
	name := strings.ReplaceAll(strings.ToLower(input), "_", "-")
	switch {
	case from.Object != "":
		return from.Object + "#" + input
	case from.Names == "snake":
		name = strings.ToLower(input)
	case from.Names == "same" || kind == plan.Files:
		name = input
	}
	return name
}

// parseRemote reads NAME, NAME?version=VERSION, NAME#PROPERTY and
// NAME?version=VERSION#PROPERTY.
func parseRemote(text string) (r plan.Remote, ok bool) {
	before, property, hasProperty := strings.Cut(text, "#")
	name, query, hasQuery := strings.Cut(before, "?")
	version, versioned := strings.CutPrefix(query, "version=")
	r = plan.Remote{Name: name, Version: version, Property: property}
	return r, name != "" && (!hasQuery || versioned && version != "") && (!hasProperty || property != "") &&
		!strings.HasSuffix(property, "#") && !strings.Contains(property, "?version=")
}

// joinName puts the prefix before a name, unless the name stands for itself.
func joinName(prefix, name, separator string) string {
	if absolute, ok := strings.CutPrefix(name, "/"); ok {
		return absolute
	}
	if prefix == "" || strings.HasPrefix(name, "arn:") {
		return name
	}
	if separator == "/" {
		prefix = strings.Trim(prefix, "/")
	}
	if strings.HasSuffix(prefix, separator) || strings.HasSuffix(prefix, "_") {
		return prefix + name
	}
	return prefix + separator + name
}

// checkRemotes finds inputs that have the same place, or of which one is a part
// of the other, where one of them is generated: the other would get its value.
func (c *compilation) checkRemotes(p *plan.Plan) {
	type place struct{ source, name, version string }
	placeOf := func(in *plan.Input) place {
		name := in.Remote.Name
		if c.sources[in.Source].Kind == plan.AzureKeyVault {
			name = strings.ToLower(name) // names are the same in any case there
		}
		return place{in.Source, name, in.Remote.Version}
	}
	within := func(inner, outer string) bool {
		return outer == "" || inner == outer || strings.HasPrefix(inner, outer+".")
	}
	before := map[place][]*plan.Input{}
	for i := range p.Inputs {
		in := &p.Inputs[i]
		if in.Remote.Name == "" {
			continue
		}
		at := placeOf(in)
		for _, other := range before[at] {
			a, b := in.Remote, other.Remote
			if in.Class != plan.Generated && other.Class != plan.Generated || !within(a.Property, b.Property) && !within(b.Property, a.Property) {
				continue
			}
			what := fmt.Sprintf("both %q", a)
			if a.Property != b.Property {
				what = fmt.Sprintf("%q and %q, which overlap,", b, a)
			}
			c.ds.Errorf(plan.CodeSourceCannot, append(slices.Clone(last(in.Pos)), last(other.Pos)...), "give each a remote of its own",
				"inputs %s and %s are %s at source %s, where one of them is generated", other.Name, in.Name, what, in.Source)
			break
		}
		before[at] = append(before[at], in)
	}
}

// useKind sends the inputs of the default source to one of the given kind: the
// one that the contract declares, or else one without any settings.
func (c *compilation) useKind(s *spec, kind string) {
	if kind == "" || s.Sources["default"].Kind == kind {
		return
	}
	var declared []string
	for _, name := range sortedKeys(s.Sources) {
		if s.Sources[name].Kind == kind {
			declared = append(declared, name)
		}
	}
	switch len(declared) {
	case 0:
		if s.Sources == nil { // a mistake elsewhere has kept CUE from filling in the default
			s.Sources = map[string]sourceSpec{}
		}
		s.Sources["default"] = sourceSpec{Source: plan.Source{Kind: kind}}
	case 1:
		c.defaultSource = declared[0]
	default:
		c.ds.Errorf(plan.CodeSourceCannot, c.ix.declared("sources"), "name the source of each input in the contract",
			"--source %s may mean each of the sources %s", kind, plan.And(declared))
	}
}
