package awsssm

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/internal/awstest"
)

// TestAsUpstream: what is sent is what the SDK's client would send, and what is
// answered is read as that would.
func TestAsUpstream(t *testing.T) {
	t.Parallel()
	const v = "a \"v\\alue\" <of> é & \u2028 \x01 \n"
	name := aws.String("/app/x")
	read := ssm.GetParametersInput{Names: []string{"/app/x"}, WithDecryption: aws.Bool(true)}
	put := ssm.PutParameterInput{Name: name, Value: aws.String(v), Type: types.ParameterTypeSecureString, Overwrite: aws.Bool(false)}
	replace, keyed, large := put, put, put
	replace.Overwrite = aws.Bool(true)
	keyed.KeyId = aws.String("alias/app")
	large.Value, large.Tier = aws.String(strings.Repeat("x", 5000)), types.ParameterTierAdvanced
	for _, test := range []struct {
		name    string
		answers []string
		theirs  func(*ssm.Client) (any, error)
		ours    func(*Source, source.Ref)
		out     any
	}{
		{
			name: "read",
			answers: []string{`{"Parameters":[
				{"Name":"/app/x","ARN":"arn:aws:ssm:us-east-1:1:parameter/app/x","Type":"SecureString","Value":"<\u00e9\u2028>","Version":7,"LastModifiedDate":1.533070591827E9},
				{"Name":"/app/y","Selector":":2","Type":"String","Value":"","LastModifiedDate":1533070591},
				null,{"Value":null,"LastModifiedDate":null}],"InvalidParameters":["/app/z",null]}`},
			theirs: func(c *ssm.Client) (any, error) { return c.GetParameters(t.Context(), &read) },
			ours:   func(s *Source, r source.Ref) { s.Read(t.Context(), []source.Ref{r}) },
			out:    &getParametersOutput{},
		},
		{
			name:    "prove",
			answers: []string{`{"Parameters":[{"Name":"/app/x","Type":"String","LastModifiedDate":1533070591.5}],"NextToken":"to+ken/=="}`, `{"Parameters":[]}`},
			theirs: func(c *ssm.Client) (any, error) {
				pages := ssm.NewDescribeParametersPaginator(c, &ssm.DescribeParametersInput{
					ParameterFilters: []types.ParameterStringFilter{{Key: aws.String("Name"), Option: aws.String("Equals"), Values: []string{"/app/x"}}},
					MaxResults:       aws.Int32(maxFilter),
				})
				return awstest.Pages(pages.HasMorePages, func() (any, error) { return pages.NextPage(t.Context()) })
			},
			ours: func(s *Source, r source.Ref) { s.Prove(t.Context(), []source.Ref{r}) },
			out:  &describeParametersOutput{},
		},
		{
			name: "number", answers: []string{`{"InvalidParameters":["/app/x"]}`},
			theirs: func(c *ssm.Client) (any, error) {
				return c.GetParameters(t.Context(), &ssm.GetParametersInput{Names: []string{"/app/x"}})
			},
			ours: func(s *Source, r source.Ref) { s.Previous(t.Context(), []source.Ref{r}, true) },
			out:  &getParametersOutput{},
		},
		{
			name: "create", answers: []string{`{"Version":12}`},
			theirs: func(c *ssm.Client) (any, error) { return c.PutParameter(t.Context(), &put) },
			ours:   func(s *Source, r source.Ref) { s.Create(t.Context(), r, value.New([]byte(v))) },
			out:    &putParameterOutput{},
		},
		{
			name: "replace", answers: []string{`{"Version":9007199254740993}`},
			theirs: func(c *ssm.Client) (any, error) { return c.PutParameter(t.Context(), &replace) },
			ours:   func(s *Source, r source.Ref) { s.Replace(t.Context(), r, value.New([]byte(v))) },
			out:    &putParameterOutput{},
		},
		{
			name: "under a key", answers: []string{`{"Version":1}`},
			theirs: func(c *ssm.Client) (any, error) { return c.PutParameter(t.Context(), &keyed) },
			ours: func(s *Source, r source.Ref) {
				s.kmsKey = "alias/app"
				s.Create(t.Context(), r, value.New([]byte(v)))
			},
			out: &putParameterOutput{},
		},
		{
			name: "large", answers: []string{`{"Version":1}`},
			theirs: func(c *ssm.Client) (any, error) { return c.PutParameter(t.Context(), &large) },
			ours:   func(s *Source, r source.Ref) { s.Create(t.Context(), r, value.New([]byte(*large.Value))) },
			out:    &putParameterOutput{},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			options, requests := awstest.Record(t, test.answers...)
			s := New(plan.Source{})
			s.aws.Options = options
			cfg, err := s.aws.Config(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			client, err := s.client(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			awstest.Same(t, requests, len(test.answers),
				func() (any, error) { return test.theirs(ssm.NewFromConfig(cfg)) },
				func() { test.ours(s, source.Ref{Input: "X", Remote: plan.Remote{Name: "/app/x"}}) },
				func() (any, error) { return test.out, client.Call(t.Context(), "X", struct{}{}, test.out) })
		})
	}
}
