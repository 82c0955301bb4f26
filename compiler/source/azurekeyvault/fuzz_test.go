package azurekeyvault

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/source/sourcetest"
)

func FuzzAnswers(f *testing.F) {
	sourcetest.FuzzAnswers(f, true, plan.Remote{Name: "x"}, func(_ *testing.T, s *httptest.Server) source.Source {
		src := New(plan.Source{Vault: s.URL})
		src.second = time.Millisecond
		return src
	})
}
