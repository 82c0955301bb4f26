// Package value is the one place where plaintext is held, generated and judged.
//
// A [Value] hides itself from every kind of printing; [Value.Reveal] is the
// only way out, and every call of it is a place to review. [Generate] makes new
// values, [Judge] compares a value with the constraints of its input. Nothing
// here prints, logs, or puts a value into an error.
package value

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// redacted is what a value prints as, everywhere.
const redacted = "[redacted]"

// Value is the plaintext of one input. It prints as [redacted] under every
// verb of package fmt, in JSON, in text and in slog. It holds its bytes in a
// closure, for reflection (as fmt uses it on unexported fields, where methods
// are out of reach) cannot look into one. The zero Value is empty.
type Value struct {
	reveal func() []byte
}

// New returns a value that holds a copy of b.
func New(b []byte) Value {
	c := append([]byte(nil), b...)
	return Value{reveal: func() []byte { return c }}
}

// Reveal returns the plaintext. The caller must not change it, print it, or
// put it into an error.
func (v Value) Reveal() []byte {
	if v.reveal == nil {
		return nil
	}
	return v.reveal()
}

// Len returns the length in bytes.
func (v Value) Len() int { return len(v.Reveal()) }

// Equal reports, in constant time for values of one length, whether v and w
// hold the same bytes.
func (v Value) Equal(w Value) bool {
	return subtle.ConstantTimeCompare(v.Reveal(), w.Reveal()) == 1
}

// Format implements fmt.Formatter.
func (v Value) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// String implements fmt.Stringer.
func (v Value) String() string { return redacted }

// GoString implements fmt.GoStringer.
func (v Value) GoString() string { return redacted }

// MarshalText implements encoding.TextMarshaler, and so JSON and YAML.
func (v Value) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// GobEncode implements gob.GobEncoder.
func (v Value) GobEncode() ([]byte, error) { return []byte(redacted), nil }

// LogValue implements slog.LogValuer.
func (v Value) LogValue() slog.Value { return slog.StringValue(redacted) }

// State says what resolution found out about an input.
type State int

// The states of an input after resolution.
const (
	// Unreadable means that nothing is known: the source could not be asked,
	// or would not answer. What was sealed before stays as it is.
	Unreadable State = iota
	// Absent means that the source was asked and has no such value.
	Absent
	// Present means that Value holds it.
	Present
)

// Resolved is one input after resolution.
type Resolved struct {
	State     State
	Value     Value     // if Present
	Origin    string    // where it was found, for people: ".secrets:12"
	Changed   time.Time // when the source says that it last changed; zero if it does not say
	Generated bool      // it was made in this run
	Why       string    // if it was made in the place of another: what was wrong with that, in words that follow its name
	Reason    string    // if Unreadable: why
	Remedy    string    // if Unreadable because it is lost: how to bring it back
}

// Set is what resolution found out about all inputs of a plan, by input name.
// What is not in it is Unreadable.
type Set map[string]Resolved
