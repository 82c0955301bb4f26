package vault

import (
	"net/http/httptest"
	"testing"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/source/sourcetest"
)

func FuzzAnswers(f *testing.F) {
	sourcetest.FuzzAnswers(f, false, plan.Remote{Name: "app/x", Property: "value"}, func(_ *testing.T, s *httptest.Server) source.Source {
		return New(plan.Source{Address: s.URL, Mount: "secret", Version: "v2"})
	})
}
