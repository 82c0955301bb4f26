package tree

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/lazy"
	"github.com/victor-ai/victorgen/internal/safefile"
)

const (
	// LockVersion is what is written. Version 1 had no stamps, and knew of no
	// inputs but those of external secrets that may be absent; see lock.renewed.
	LockVersion = 2
	// maxLockFile is some thirty thousand keys.
	maxLockFile = 16 << 20
)

// Lock is victorgen.lock: what was sealed, when, and for which certificate.
// All of it is public: digests are of public data alone, and what depends on
// a value is authenticated with a key that Git does not have.
type Lock struct {
	Version     int            `yaml:"version"`
	Environment string         `yaml:"environment"`
	Files       []string       `yaml:"files"`   // of the tree, sorted; the lock itself is not among them
	Secrets     []LockedSecret `yaml:"secrets"` // the sealed ones
	// Accepted are certificates, by SHA-256, that the cluster has handed out since
	// the tree was built, and that the next build may seal for.
	Accepted []string `yaml:"accepted"`
	// Certificates say whose the certificates are that something is sealed for, by
	// SHA-256. Those that an earlier version has pinned are not among them.
	Certificates map[string]LockedCertificate `yaml:"certificates"`
	// Inputs are those of which a later build may have to know whether they have
	// been there, by name: generated ones, for none that was there is generated
	// again, and those that may be absent, for none that was there is left out.
	Inputs map[string]LockedInput `yaml:"inputs"`
}

// LockedInput is what a source has last said of an input.
type LockedInput struct {
	Place   string `yaml:"place"` // see PlaceOf; empty if it is not known
	Present bool   `yaml:"present"`
	Family  string `yaml:"family"` // see FamilyTag; none if it is made from no others, or quickly checked
	// Replaced is when the value was replaced, of a previous one.
	Replaced time.Time `yaml:"replaced"`
}

// LockedCertificate is what a pinned certificate says of itself.
type LockedCertificate struct {
	Subject   string    `yaml:"subject"`
	NotBefore time.Time `yaml:"notBefore"`
	NotAfter  time.Time `yaml:"notAfter"`
}

// String says whose the certificate is, and when it is valid.
func (c LockedCertificate) String() string {
	return fmt.Sprintf("%s, valid from %s to %s", cmp.Or(Printable(c.Subject), "no subject"), c.NotBefore.UTC().Format(time.DateOnly), c.NotAfter.UTC().Format(time.DateOnly))
}

// parts are what a stamp covers of it: nothing of one that is not noted.
func (c LockedCertificate) parts() []string {
	if c == (LockedCertificate{}) {
		return nil
	}
	return []string{"certificate", c.Subject, c.NotBefore.UTC().Format(time.RFC3339), c.NotAfter.UTC().Format(time.RFC3339)}
}

// LockedSecret is one secret of a lock. The first four fields are what its
// ciphertexts are bound to.
type LockedSecret struct {
	Namespace   string               `yaml:"namespace"`
	Name        string               `yaml:"name"`
	Scope       string               `yaml:"scope"`
	Certificate string               `yaml:"certificate"` // Certificate.SHA256
	File        string               `yaml:"file"`        // none if all keys are left out
	Keys        map[string]LockedKey `yaml:"keys"`

	About LockedCertificate `yaml:"-"` // what the lock notes of Certificate
}

// LockedKey is one key of a lockedSecret. Digests are SHA-256 in hex.
type LockedKey struct {
	Definition string    `yaml:"definition"` // see Definition
	Omitted    bool      `yaml:"omitted"`    // the key is left out; what follows is empty then
	Ciphertext string    `yaml:"ciphertext"` // digest of the ciphertext as it stands in the file
	Tag        string    `yaml:"tag"`        // see TagOf; none without a lock key
	Stamp      string    `yaml:"stamp"`      // see StampOf; none without a tag, or in version 1
	Sealed     time.Time `yaml:"sealed"`     // when this ciphertext was made
	Changed    time.Time `yaml:"changed"`    // when the value last changed
}

// Locked is a secret of a tree that is sealed, as the lock has it.
type Locked struct {
	Namespace   string
	Name        string
	Certificate string // the SHA256 of the one that it is sealed for
	Subject     string // of that; empty if the lock does not note it
	NotBefore   time.Time
	NotAfter    time.Time
	Keys        []string // those that are sealed, sorted
}

// String names the Secret: NAMESPACE/NAME.
func (l Locked) String() string { return SecretID{l.Namespace, l.Name}.String() }

// LockOf reads the lock of the tree in dir; nil if there is none. It writes nothing. The
// diagnostics have the code [plan.CodeLockRead].
func LockOf(dir string) (*Lock, plan.Diagnostics) {
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		var ds plan.Diagnostics
		reason, hint := safefile.Explain(dir, err)
		ds.Errorf(plan.CodeLockRead, nil, cmp.Or(hint, "make it readable"), "cannot read the lock in %s: %s", dir, reason)
		return nil, ds
	}
	defer root.Close()
	return ReadLock(root)
}

// ReadLocked returns the sealed secrets of the tree in dir, by its lock, as [LockOf]
// reads it; none if there is no tree.
func ReadLocked(dir string) ([]Locked, plan.Diagnostics) {
	l, ds := LockOf(dir)
	if l == nil {
		return nil, ds
	}
	var all []Locked
	for _, s := range l.Secrets {
		keys := slices.DeleteFunc(slices.Sorted(maps.Keys(s.Keys)), func(name string) bool { return s.Keys[name].Omitted })
		if len(keys) > 0 {
			all = append(all, Locked{Namespace: s.Namespace, Name: s.Name, Certificate: s.Certificate, Keys: keys,
				Subject: Printable(s.About.Subject), NotBefore: s.About.NotBefore, NotAfter: s.About.NotAfter})
		}
	}
	return all, ds
}

// SecretID names a secret in a cluster.
type SecretID struct{ Namespace, Name string }

func (s SecretID) String() string { return s.Namespace + "/" + s.Name }

// Marshal writes the lock as YAML. It does so by hand because the encoder
// took a fifth of the time of sealing; a test reads it back with the decoder.
// All strings are quoted, for a name may look like a number, a digest too.
func (l *Lock) Marshal() []byte {
	b := make([]byte, 0, l.size())
	text := func(before, s string) { b = append(appendQuoted(append(b, before...), s), '\n') }
	name := func(before, s string) { b = append(appendQuoted(append(b, before...), s), ":\n"...) }
	line := func(s ...string) {
		for _, s := range s {
			b = append(b, s...)
		}
		b = append(b, '\n')
	}
	at := func(before string, t time.Time) {
		b = append(t.UTC().AppendFormat(append(b, before...), time.RFC3339), '\n')
	}
	line(Header+"version: ", strconv.Itoa(l.Version))
	text("environment: ", l.Environment)
	line("files:")
	for _, f := range l.Files {
		text("  - ", f)
	}
	if len(l.Accepted) > 0 {
		line("accepted:")
	}
	for _, a := range l.Accepted {
		text("  - ", a)
	}
	if len(l.Certificates) > 0 {
		line("certificates:")
	}
	for _, sha := range slices.Sorted(maps.Keys(l.Certificates)) {
		c := l.Certificates[sha]
		name("  ", sha)
		text("    subject: ", c.Subject)
		at("    notBefore: ", c.NotBefore)
		at("    notAfter: ", c.NotAfter)
	}
	if len(l.Inputs) > 0 {
		line("inputs:")
	}
	for _, input := range slices.Sorted(maps.Keys(l.Inputs)) {
		in := l.Inputs[input]
		name("  ", input)
		text("    place: ", in.Place)
		line("    present: ", strconv.FormatBool(in.Present))
		if in.Family != "" {
			text("    family: ", in.Family)
		}
		if !in.Replaced.IsZero() {
			at("    replaced: ", in.Replaced)
		}
	}
	if len(l.Secrets) == 0 {
		line("secrets: []")
		return b
	}
	line("secrets:")
	for _, s := range l.Secrets {
		text("  - namespace: ", s.Namespace)
		text("    name: ", s.Name)
		text("    scope: ", s.Scope)
		text("    certificate: ", s.Certificate)
		if s.File != "" {
			text("    file: ", s.File)
		}
		line("    keys:")
		for _, key := range slices.Sorted(maps.Keys(s.Keys)) {
			k := s.Keys[key]
			name("      ", key)
			text("        definition: ", k.Definition)
			if k.Omitted {
				line("        omitted: true")
				continue
			}
			text("        ciphertext: ", k.Ciphertext)
			if k.Tag != "" {
				text("        tag: ", k.Tag)
			}
			if k.Stamp != "" && l.Version > 1 {
				text("        stamp: ", k.Stamp)
			}
			at("        sealed: ", k.Sealed)
			at("        changed: ", k.Changed)
		}
	}
	return b
}

// appendQuoted is [strconv.AppendQuote]; most of a lock are names and digests, in which
// nothing is to be escaped.
func appendQuoted(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return strconv.AppendQuote(b, s)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

// size is about how long the lock is as text.
func (l *Lock) size() int {
	n := 1000 + 100*len(l.Files) + 300*len(l.Inputs)
	for _, s := range l.Secrets {
		n += 500 + 500*len(s.Keys)
	}
	return n
}

const hintLock = "restore " + LockFile + " from Git, or remove it together with the files that it lists, and build again"

// hintLater is what to do about the lock of a later version: it is right as it is.
const hintLater = "it was written by a later version of victorgen: install that one"

// parseLock reads a lock strictly. file is where it lies, for messages; an
// empty one stands for a lock that is not in a file.
func parseLock(data []byte, file string) (*Lock, plan.Diagnostics) {
	var ds plan.Diagnostics
	problem := func(line int, format string, args ...any) {
		var pos []plan.Pos
		if file != "" {
			pos = []plan.Pos{{File: file, Line: max(line, 1), Column: 1}}
		}
		ds.Errorf(plan.CodeLockRead, pos, hintLock, LockFile+": "+format, args...)
	}
	if len(data) > maxLockFile {
		problem(1, "it is larger than %d MiB", maxLockFile>>20)
		return nil, ds
	}
	if len(bytes.TrimSpace(data)) == 0 {
		problem(1, "it is empty")
		return nil, ds
	}
	l := readWritten(data)
	if l == nil {
		// The version comes first: the fields of another one would look unknown.
		var v struct{ Version int }
		if err := yaml.Unmarshal(data, &v); err == nil && (v.Version < 1 || v.Version > LockVersion) {
			problem(1, "it has version %d, and this victorgen reads versions 1 to %d", v.Version, LockVersion)
			if v.Version > LockVersion {
				ds[len(ds)-1].Hint = hintLater
			}
			return nil, ds
		}
		l = new(Lock)
		dec := yaml.NewDecoder(bytes.NewReader(data))
		dec.KnownFields(true)
		if err := dec.Decode(l); err != nil {
			for _, p := range yamlProblems(err) {
				problem(p.line, "%s", p.what)
			}
			return nil, ds
		}
		if err := dec.Decode(new(yaml.Node)); err != io.EOF {
			problem(1, "there is content after its end")
		}
	}
	if l.Environment == "" {
		problem(1, "it names no environment")
	}
	files := map[string]bool{"": true}
	for _, f := range l.Files {
		// Files that are listed are replaced and removed: none may lie elsewhere.
		if !fs.ValidPath(f) || f == "." || f == LockFile || strings.ContainsAny(f, "\\:\x00") {
			problem(1, "it lists %q, which is not a file of a tree", f)
		}
		files[f] = true
	}
	secrets := map[SecretID]bool{}
	for i, s := range l.Secrets {
		l.Secrets[i].About = l.Certificates[s.Certificate]
		id := SecretID{s.Namespace, s.Name}
		if !files[s.File] {
			problem(1, "the file of secret %q is not among its files", s.Name)
		}
		if secrets[id] {
			problem(1, "it has secret %q of namespace %q twice", s.Name, s.Namespace)
		}
		secrets[id] = true
	}
	if ds.HasErrors() {
		return nil, ds
	}
	return l, ds
}

type yamlProblem struct {
	line int
	what string
}

var (
	yamlLine      = lazy.MustCompile(`line (\d+)`)
	yamlUnknown   = lazy.MustCompile(`field (\S+) not found`)
	yamlDuplicate = lazy.MustCompile(`key "?([^" ]+)"? already|field (\S+) already`)
)

// yamlProblems says in words of its own what a decoder complains of: the
// decoder's name Go types and quote what they do not understand.
func yamlProblems(err error) []yamlProblem {
	texts := []string{err.Error()}
	if te, ok := errors.AsType[*yaml.TypeError](err); ok {
		texts = te.Errors
	}
	var problems []yamlProblem
	for _, text := range texts {
		p := yamlProblem{1, "it is not what victorgen writes"}
		if m := yamlLine.FindStringSubmatch(text); m != nil {
			p.line, _ = strconv.Atoi(m[1])
		}
		if m := yamlUnknown.FindStringSubmatch(text); m != nil {
			p.what = "unknown field " + strconv.Quote(m[1])
		} else if m := yamlDuplicate.FindStringSubmatch(text); m != nil {
			p.what = "duplicate key " + strconv.Quote(m[1]+m[2])
		}
		problems = append(problems, p)
	}
	return problems
}

// digest hashes parts, each behind its length, so that no two lists of parts
// are the same bytes.
func digest(h hash.Hash, parts ...string) string {
	var length [8]byte
	for _, part := range parts {
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		io.WriteString(h, part)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Definition is the digest of what the contract says that k is made from,
// the values of its settings included as far as the contract has them. While
// it stays the same, a copy sealed earlier may stand for a value that cannot
// be read now. It covers no secret value.
func Definition(k plan.Key, p *plan.Plan) string {
	var parts []string
	switch {
	case k.Value != nil:
		parts = []string{"value", *k.Value}
	case k.Template != nil:
		parts = []string{"template", k.Template.Text}
	default:
		parts = []string{"input", k.Input}
	}
	for _, name := range k.Inputs() {
		in, _ := p.Input(name)
		if in.Class == plan.Setting && in.Default != nil {
			parts = append(parts, name, *in.Default)
		}
		if in.Encoding != "" {
			parts = append(parts, "encoding", name, in.Encoding)
		}
		if k.Template != nil && in.Present != nil && !*in.Present {
			parts = append(parts, "absent", name)
		}
	}
	return digest(sha256.New(), parts...)
}

// PlaceOf is the digest of where in is. What is known of another place says
// nothing of this one. Of a file outside the module it is empty: the name of that
// one may be another on each machine.
func PlaceOf(in plan.Input, p *plan.Plan) string {
	src, _ := p.Source(in.Source)
	return placeAt(in, src, src.At(), p)
}

// SamePlace reports whether place, of a lock, is that of in. A lock may be older
// than the file that an environment has of its own, or made where there was one.
func SamePlace(place string, in plan.Input, p *plan.Plan) bool {
	src, _ := p.Source(in.Source)
	return place == PlaceOf(in, p) || src.Shared != "" && (place == placeAt(in, src, src.Shared, p) || place == placeAt(in, src, src.File, p))
}

// placeAt is PlaceOf with the file that it has at src, if it is in one.
func placeAt(in plan.Input, src plan.Source, file string, p *plan.Plan) string {
	parts := []string{src.Kind, src.Region, src.Vault, src.Project, src.Address, src.Mount, in.Remote.String()}
	if at := cmp.Or(file, src.Dir); at != "" {
		file, err := filepath.Rel(p.Module, at)
		if err != nil || !filepath.IsLocal(file) {
			return ""
		}
		parts = append(parts, filepath.ToSlash(file))
	}
	if in.Remote.Name == "" { // it is there under its own name
		parts = append(parts, in.Name)
	}
	return digest(sha256.New(), parts...)
}

// TagOf authenticates with the lock key that content is what the ciphertext
// of k holds: HMAC-SHA-256 over all that the entry says, and the content. It
// takes the ciphertext by its digest, so that one can still tell whether the
// value changed after someone has edited the ciphertext.
func TagOf(lockKey []byte, s LockedSecret, key string, k LockedKey, content []byte) string {
	return digest(hmac.New(sha256.New, lockKey),
		s.Certificate, s.Scope, s.Namespace, s.Name, key, k.Definition, string(content), k.Ciphertext)
}

func VerifyTag(lockKey []byte, s LockedSecret, key string, k LockedKey, content []byte) bool {
	return hmac.Equal([]byte(TagOf(lockKey, s, key, k, content)), []byte(k.Tag))
}

// StampOf authenticates with the lock key all that the entry of k says, its times
// included, and what the lock notes of its certificate. Unlike a tag it takes no value to verify it.
func StampOf(lockKey []byte, s LockedSecret, key string, k LockedKey) string {
	parts := []string{"stamp", s.Certificate, s.Scope, s.Namespace, s.Name, key, k.Definition, k.Ciphertext, k.Tag,
		k.Sealed.UTC().Format(time.RFC3339), k.Changed.UTC().Format(time.RFC3339)}
	return digest(hmac.New(sha256.New, lockKey), append(parts, s.About.parts()...)...)
}

func VerifyStamp(lockKey []byte, s LockedSecret, key string, k LockedKey) bool {
	return hmac.Equal([]byte(StampOf(lockKey, s, key, k)), []byte(k.Stamp))
}

// CiphertextDigest is public data: the ciphertext stands in Git next to it.
func CiphertextDigest(ciphertext string) string {
	sum := sha256.Sum256([]byte(ciphertext))
	return hex.EncodeToString(sum[:])
}

// Pins are the certificates that the lock has something sealed for, sorted.
func (l *Lock) Pins() []string {
	var pins []string
	for _, s := range l.Secrets {
		for _, k := range s.Keys {
			if !k.Omitted && s.Certificate != "" && !slices.Contains(pins, s.Certificate) {
				pins = append(pins, s.Certificate)
			}
		}
	}
	slices.Sort(pins)
	return pins
}

// About tells of a pinned certificate: its SHA-256, and whose it is.
func (l *Lock) About(pin string) string {
	if c, ok := l.Certificates[pin]; ok {
		return fmt.Sprintf("SHA-256 %s (%s)", pin, c)
	}
	return fmt.Sprintf("SHA-256 %s (this lock of an earlier version does not have the subject)", pin)
}
