package compiler_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// TestSizes: what Kubernetes does not store is an error before anything is built.
func TestSizes(t *testing.T) {
	t.Parallel()
	const env = "package app\n\nenvironment: \"test\"\nnamespace: \"apps\"\ndelivery: certificate: \"cert.pem\"\n"
	annotations := func(n int) string {
		return strings.Replace(plainContract, "secrets: app: ", fmt.Sprintf("secrets: app: annotations: \"example.com/a\": %q\nsecrets: app: ", strings.Repeat("a", n-len("example.com/a"))), 1)
	}
	input := func(n int) string { return strings.ReplaceAll(plainContract, "DB_PASSWORD", strings.Repeat("A", n)) }
	for _, c := range []struct {
		contract string
		code     plan.Code
	}{
		{annotations(256<<10 - 512), ""}, {annotations(256<<10 - 511), plan.CodeTooBig},
		{input(189), ""}, {input(190), plan.CodeName},
	} {
		_, ds := compile(t, c.contract, env, "")
		var found plan.Code
		for _, d := range ds {
			if d.Code == plan.CodeTooBig || d.Code == plan.CodeName {
				found = d.Code
				if d.Pos[0].Line != 8 && d.Pos[0].Line != 7 {
					t.Errorf("%v", d.Pos)
				}
			}
		}
		if found != c.code {
			t.Errorf("want %q: %.300v", c.code, ds)
		}
	}
}
