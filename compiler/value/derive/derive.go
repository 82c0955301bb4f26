// Package derive makes values from other values, and tells whether a value
// still belongs to those that it was made from: a hash to its password, a token
// to its key, a certificate to its key and issuer. There is a file for each kind
// of child, and one table of them.
//
// Plaintext goes in and out as [value.Value] alone. No error holds a part of
// one: what a library says of a value is left out.
package derive

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
)

// Family is what a child is made of and checked with.
type Family struct {
	Generate plan.Generate          // of the child; Child is set
	Parents  map[string]value.Value // by the name of the input; all of them
	Unknown  []string               // the parents of which nothing is known; of such a family only Ends tells
	Rand     io.Reader              // crypto/rand.Reader wherever the child will be used; nil where none is made
	Now      time.Time
}

// FamilyOf returns what in is made of at the time now. known is what is known of
// an input, in its own bytes ([value.Decode]); an empty value is nothing.
func FamilyOf(in plan.Input, known func(name string) value.Value, now time.Time) Family {
	f := Family{Generate: *in.Generate, Parents: map[string]value.Value{}, Now: now}
	for _, name := range in.Parents() {
		f.Parents[name] = known(name)
		if f.Parents[name].Len() == 0 {
			f.Unknown = append(f.Unknown, name)
		}
	}
	return f
}

// of is the value of the parent.
func (f *Family) of() []byte { return f.Parents[f.Generate.Child.Of].Reveal() }

// kind makes one kind of child.
type kind struct {
	// make returns a new child. Its errors say what is wrong with a parent, in
	// words that follow "is made from NAME, ".
	make func(f *Family) ([]byte, error)
	// check returns nil if child belongs to the parents and is what the
	// definition says, or else why not, in words that follow "it".
	check func(f *Family, child []byte) error
	// ends is when a child must be made again for it ends; nil is never.
	ends func(f *Family, child []byte) (time.Time, bool)
	// flaws is what is wrong with a definition, whatever the parents are; nil is
	// nothing.
	flaws func(g plan.Generate) []Flaw
	// slow says that check costs so much that it is worth remembering.
	slow bool
}

// kinds is the one table of them.
var kinds = map[string]kind{
	plan.Bcrypt:      {make: makeBcrypt, check: checkBcrypt, slow: true},
	plan.Argon2id:    {make: makeArgon2id, check: checkArgon2id, slow: true},
	plan.SHA512Crypt: {make: makeSHA512Crypt, check: checkSHA512Crypt, slow: true},
	plan.SCRAM:       {make: makeSCRAM, check: checkSCRAM, slow: true},
	plan.RabbitMQ:    {make: makeRabbitMQ, check: checkRabbitMQ},
	plan.Htpasswd:    {make: makeHtpasswd, check: checkHtpasswd, slow: true},
	plan.JWT:         {make: makeJWT, check: checkJWT, ends: endsJWT, flaws: flawsJWT},
	plan.PublicKey:   {make: makePublicKey, check: checkPublicKey},
	plan.X509:        {make: makeCertificate, check: checkCertificate, ends: endsCertificate, flaws: flawsCertificate},
	plan.PKCS12:      {make: makePKCS12, check: checkPKCS12, slow: true},
	plan.JKS:         {make: makeJKS, check: checkJKS},
	plan.Time:        {make: makeTime, check: checkTime},
}

// Kinds reports whether there is a kind of child of that name, and whether to
// check one is slow.
func Kinds(name string) (known, slow bool) {
	k, known := kinds[name]
	return known, k.slow
}

// Flaw is something that is wrong with a definition.
type Flaw struct {
	Field      []string // of generate in the contract
	What, Hint string   // What follows the name of the input
}

// Flaws returns what is wrong with how a child is to be made, whatever its parents
// are.
func Flaws(g plan.Generate) []Flaw {
	if k := kinds[g.Kind]; k.flaws != nil {
		return k.flaws(g)
	}
	return nil
}

// Make makes a new child. The error says what is wrong with its parents, or
// that there are no random numbers; it is for people and holds no value.
func Make(f Family) (value.Value, error) {
	k, ok := kinds[f.Generate.Kind]
	if !ok {
		return value.Value{}, fmt.Errorf("there is no kind %q of value that is made from others", f.Generate.Kind)
	}
	b, err := k.make(&f)
	if err != nil {
		return value.Value{}, err
	}
	return value.New(b), nil
}

// Check returns nil if child belongs to its parents, is what its definition
// says, and does not end soon. The error says why not, in words that follow
// "it": "does not fit DB_PASSWORD". Where a parent is unknown, only the time is
// judged, as Ends does.
func Check(f Family, child value.Value) error {
	k, ok := kinds[f.Generate.Kind]
	if !ok {
		return fmt.Errorf("is of the unknown kind %q", f.Generate.Kind)
	}
	if len(f.Unknown) == 0 {
		if err := k.check(&f, child.Reveal()); err != nil {
			return err
		}
	}
	return Ends(f, child)
}

// Ends returns nil if child does not end soon. It is the part of [Check] that
// depends on the time, and never slow.
func Ends(f Family, child value.Value) error {
	k := kinds[f.Generate.Kind]
	if k.ends == nil {
		return nil
	}
	end, ok := k.ends(&f, child.Reveal())
	switch renew := f.Generate.Child.RenewBefore; {
	case !ok:
		return nil
	case !f.Now.Before(end):
		return fmt.Errorf("ended on %s", end.UTC().Format(time.DateOnly))
	case !f.Now.Add(renew).Before(end):
		return fmt.Errorf("ends on %s, and is renewed %s before that", end.UTC().Format(time.DateOnly), plan.Age(renew))
	}
	return nil
}

// unfit is what check says of a child that does not belong to the parent.
func unfit(f *Family) error { return fmt.Errorf("does not fit %s", f.Generate.Child.Of) }

// errForm is what check says of a child that is not of its kind at all.
func errForm(f *Family) error { return fmt.Errorf("is not a %s", plan.Noun(f.Generate.Kind)) }

var errRandom = errors.New("the system has no random numbers")
