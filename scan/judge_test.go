package scan

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"testing"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
)

// TestWhy: what may stand somewhere by chance, and what is no secret, is not searched
// for; all else is.
func TestWhy(t *testing.T) {
	public, private, _ := ed25519.GenerateKey(nil)
	der, _ := x509.MarshalPKIXPublicKey(public)
	open := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	der, _ = x509.MarshalPKCS8PrivateKey(private)
	closed := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	sample, literal := "Kq7vXw2Zt9mB4nR8", "Jh5gF3dS8kLp2wQx"
	base := plan.Input{Name: "A", Class: plan.Required, Constraints: plan.Constraints{MinStrength: 60}}
	with := func(change func(*plan.Input)) plan.Input {
		in := base
		change(&in)
		return in
	}
	made := func(kind string) plan.Input {
		return with(func(in *plan.Input) { in.Class, in.Generate = plan.Generated, &plan.Generate{Kind: kind} })
	}
	p := &plan.Plan{
		Inputs:  []plan.Input{with(func(in *plan.Input) { in.Name, in.Class, in.Default = "S", plan.Setting, &sample })},
		Secrets: []plan.Secret{{Keys: []plan.Key{{Name: "k", Value: &literal}}}},
	}
	for _, c := range []struct {
		in    plan.Input
		value string
		state value.State
		want  Reason
	}{
		{base, "xK9#mQ2$vL5n", value.Present, ""},
		{base, "fe12ab90cd34ef56", value.Present, ""},
		{base, closed, value.Present, ""},
		{base, closed + open, value.Present, ""},
		{base, "https://hooks.chat.example/services/T0A1B2C3/B4D5E6F7/q8w9e0r1t2y3u4i5", value.Present, ""},
		{base, "postgres://shop:xK9mQ2vL5nT8@db.internal/shop", value.Present, ""},
		{made(plan.Bcrypt), "$2a$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW", value.Present, ""},
		{with(func(in *plan.Input) { in.Constraints.MinStrength, in.Encoding = 0, plan.Binary }), "\xff\x00\x81bQ\xee\x17zK\xd2\x05", value.Present, ""},

		{base, "", value.Absent, Absent},
		{base, "", value.Unreadable, Unreadable},
		{made(plan.Bytes), "", value.Present, Absent}, // generated in the cluster
		{with(func(in *plan.Input) { in.Class = plan.Setting }), "xK9#mQ2$vL5n", value.Present, Setting},
		{base, "1a2B3c4", value.Present, Short},
		{base, "  a b c d e f ", value.Present, Short},
		{base, "production", value.Present, Placeholder},
		{base, "4815162342", value.Present, Short},
		{base, "changeme", value.Present, Placeholder},
		{base, open, value.Present, Public},
		{base, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0hfHcEr5 me@host", value.Present, Public},
		{made(plan.PublicKey), closed, value.Present, Public},
		{made(plan.Time), "2026-01-02T03:04:05Z", value.Present, Public},
		{base, sample, value.Present, InContract},
		{base, literal + "\n", value.Present, InContract},
		{with(func(in *plan.Input) { in.Constraints.MinStrength = 0 }), "jonathan.smith@apps.internal", value.Present, Guessable},
		{with(func(in *plan.Input) { in.Constraints.OneOf = []string{"x"} }), "xK9#mQ2$vL5n", value.Present, Guessable},
		{base, "https://grafana.victor.example/", value.Present, NoSecret},
	} {
		if got := Why(p, c.in, value.Resolved{State: c.state, Value: value.New([]byte(c.value))}); got != c.want {
			t.Errorf("%.20q: %q, not %q", c.value, got, c.want)
		}
	}
}
