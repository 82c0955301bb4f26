package tree

import (
	"bytes"
	"strings"
	"time"
)

// readWritten reads a lock that is, byte for byte, as marshal writes it; nil of any
// other, which is for the YAML decoder. To have that read a lock is half of a build in
// which nothing has changed, and a build reads those of other environments, too.
func readWritten(data []byte) *Lock {
	r := &lockReader{rest: string(data)}
	l := r.lock()
	if r.failed || r.rest != "" || !bytes.Equal(l.Marshal(), data) {
		return nil
	}
	return l
}

// lockReader reads the lines of a lock. A line that is not as expected makes it fail,
// and all that follows comes to nothing.
type lockReader struct {
	rest   string
	failed bool
}

// has takes the line that begins with before, if it is the next one.
func (r *lockReader) has(before string) (line string, ok bool) {
	if r.failed || !strings.HasPrefix(r.rest, before) {
		return "", false
	}
	line, rest, ok := strings.Cut(r.rest[len(before):], "\n")
	if ok {
		r.rest = rest
	}
	return line, ok
}

// is takes the line that is just that.
func (r *lockReader) is(line string) bool {
	rest, ok := strings.CutPrefix(r.rest, line+"\n")
	if ok = ok && !r.failed; ok {
		r.rest = rest
	}
	return ok
}

// quoted takes the line that begins with before, has a text in double quotes, and ends
// with after: a text without any character that is not written as it is.
func (r *lockReader) quoted(before, after string) (text string, ok bool) {
	line, ok := r.has(before + `"`)
	if !ok {
		return "", false
	}
	text, ok = strings.CutSuffix(line, `"`+after)
	for i := 0; i < len(text); i++ {
		ok = ok && text[i] >= ' ' && text[i] <= '~' && text[i] != '"' && text[i] != '\\'
	}
	r.failed = r.failed || !ok
	return text, ok
}

// text is quoted of a line that must be there.
func (r *lockReader) text(before string) string {
	text, ok := r.quoted(before, "")
	r.failed = r.failed || !ok
	return text
}

// optional is quoted of a line that may be there.
func (r *lockReader) optional(before string) string {
	text, _ := r.quoted(before, "")
	return text
}

func (r *lockReader) time(before string) time.Time {
	line, ok := r.has(before)
	t, err := time.Parse(time.RFC3339, line)
	r.failed = r.failed || !ok || err != nil
	return t
}

// replacedField begins a line that not every input has.
const replacedField = "    replaced: "

func (r *lockReader) list() (all []string) {
	for {
		text, ok := r.quoted("  - ", "")
		if !ok {
			return all
		}
		all = append(all, text)
	}
}

func (r *lockReader) lock() *Lock {
	l := new(Lock)
	switch {
	case r.is(Header + "version: 1"):
		l.Version = 1
	case r.is(Header + "version: 2"):
		l.Version = 2
	default:
		r.failed = true
	}
	l.Environment = r.text("environment: ")
	r.failed = r.failed || !r.is("files:")
	l.Files = r.list()
	if r.is("accepted:") {
		l.Accepted = r.list()
	}
	if r.is("certificates:") {
		l.Certificates = map[string]LockedCertificate{}
		for {
			sha, ok := r.quoted("  ", ":")
			if !ok {
				break
			}
			l.Certificates[sha] = LockedCertificate{Subject: r.text("    subject: "), NotBefore: r.time("    notBefore: "), NotAfter: r.time("    notAfter: ")}
		}
	}
	if r.is("inputs:") {
		l.Inputs = map[string]LockedInput{}
		for {
			name, ok := r.quoted("  ", ":")
			if !ok {
				break
			}
			in := LockedInput{Place: r.text("    place: "), Present: r.is("    present: true")}
			r.failed = r.failed || !in.Present && !r.is("    present: false")
			in.Family = r.optional("    family: ")
			if strings.HasPrefix(r.rest, replacedField) {
				in.Replaced = r.time(replacedField)
			}
			l.Inputs[name] = in
		}
	}
	if r.is("secrets: []") {
		l.Secrets = []LockedSecret{}
		return l
	}
	r.failed = r.failed || !r.is("secrets:")
	for {
		namespace, ok := r.quoted("  - namespace: ", "")
		if !ok {
			return l
		}
		s := LockedSecret{Namespace: namespace, Name: r.text("    name: "), Scope: r.text("    scope: "), Certificate: r.text("    certificate: "), File: r.optional("    file: ")}
		r.failed = r.failed || !r.is("    keys:")
		for {
			name, ok := r.quoted("      ", ":")
			if !ok {
				break
			}
			k := LockedKey{Definition: r.text("        definition: ")}
			if k.Omitted = r.is("        omitted: true"); !k.Omitted {
				k.Ciphertext = r.text("        ciphertext: ")
				k.Tag, k.Stamp = r.optional("        tag: "), r.optional("        stamp: ")
				k.Sealed, k.Changed = r.time("        sealed: "), r.time("        changed: ")
			}
			if s.Keys == nil {
				s.Keys = map[string]LockedKey{}
			}
			s.Keys[name] = k
		}
		l.Secrets = append(l.Secrets, s)
	}
}
