package awssecretsmanager

import (
	"net/http/httptest"
	"testing"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/source/sourcetest"
	"github.com/victor-ai/victorgen/internal/awstest"
)

func FuzzAnswers(f *testing.F) {
	sourcetest.FuzzAnswers(f, false, plan.Remote{Name: "app/x"}, func(_ *testing.T, s *httptest.Server) source.Source {
		src := New(plan.Source{})
		src.aws.Options = awstest.OptionsFor(s.URL)
		return src
	})
}
