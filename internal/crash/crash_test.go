package crash_test

import (
	"strings"
	"testing"

	"github.com/victor-ai/victorgen/internal/crash"
)

const canary = "c4nary-of-a-panic"

func TestCatch(t *testing.T) {
	t.Parallel()
	var none map[string]string
	var nothing *crash.Error
	for name, f := range map[string]func(){
		"a value":       func() { panic(canary) },
		"a nil map":     func() { none[canary] = "" },
		"a nil pointer": func() { _ = nothing.Place },
		"of a library":  func() { _ = strings.Repeat(canary, -1) },
		"a group": func() {
			var g crash.Group
			g.SetLimit(2)
			for range 5 {
				g.Go(func() { panic(canary) })
			}
			g.Wait()
		},
		"a group in a group": func() {
			var outer crash.Group
			outer.Go(func() {
				var inner crash.Group
				inner.Go(func() { panic(canary) })
				inner.Wait()
			})
			outer.Wait()
		},
	} {
		err := crash.Catch(f)
		if err == nil {
			t.Errorf("%s: nothing was caught", name)
		} else if strings.Contains(err.Error(), canary) || !strings.HasPrefix(err.Place, "internal/crash_test/crash_test.go:") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := crash.Catch(func() {}); err != nil {
		t.Errorf("caught %v of a function that did not panic", err)
	}
}
