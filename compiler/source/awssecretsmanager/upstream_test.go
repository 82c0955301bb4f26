package awssecretsmanager

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/internal/awstest"
)

// TestAsUpstream: what is sent is what the SDK's client would send, and what is
// answered is read as that would.
func TestAsUpstream(t *testing.T) {
	t.Parallel()
	const (
		text   = "a \"v\\alue\" <of> é & \u2028 \x01 \n"
		binary = "\xff\x00 bytes"
	)
	name := aws.String("app/x")
	read := func(in secretsmanager.GetSecretValueInput) func(c *secretsmanager.Client) (any, error) {
		in.SecretId = name
		return func(c *secretsmanager.Client) (any, error) { return c.GetSecretValue(t.Context(), &in) }
	}
	replace := func(v string) func(s *Source, r source.Ref) {
		return func(s *Source, r source.Ref) { s.Replace(t.Context(), r, value.New([]byte(v))) }
	}
	put := func(in secretsmanager.PutSecretValueInput) func(c *secretsmanager.Client) (any, error) {
		in.SecretId = name
		return func(c *secretsmanager.Client) (any, error) { return c.PutSecretValue(t.Context(), &in) }
	}
	create := func(in secretsmanager.CreateSecretInput) func(c *secretsmanager.Client) (any, error) {
		in.Name = name
		return func(c *secretsmanager.Client) (any, error) { return c.CreateSecret(t.Context(), &in) }
	}
	for _, test := range []struct {
		name    string
		answers []string
		version string
		theirs  func(*secretsmanager.Client) (any, error)
		ours    func(*Source, source.Ref)
		out     any
	}{
		{
			name: "batch",
			answers: []string{
				`{"SecretValues":[{"Name":"app/x","ARN":"arn:aws:x","SecretString":"<\u00e9\u2028>","CreatedDate":1.533070591827E9},
					{"Name":"app/y","SecretBinary":"/wAgYnl0ZXM=","CreatedDate":1533070591},{"SecretString":null,"CreatedDate":null},null],
				"Errors":[{"SecretId":"app/z","ErrorCode":"ResourceNotFoundException"}],"NextToken":"to+ken/=="}`,
				`{"SecretValues":[]}`,
			},
			theirs: func(c *secretsmanager.Client) (any, error) {
				pages := secretsmanager.NewBatchGetSecretValuePaginator(c, &secretsmanager.BatchGetSecretValueInput{SecretIdList: []string{*name}})
				return awstest.Pages(pages.HasMorePages, func() (any, error) { return pages.NextPage(t.Context()) })
			},
			ours: func(s *Source, r source.Ref) { s.Read(t.Context(), []source.Ref{r}) },
			out:  &batchGetSecretValueOutput{},
		},
		{
			name: "read a label", version: "AWSPREVIOUS",
			answers: []string{`{"Name":"app/x","ARN":"arn:aws:x","SecretString":"","CreatedDate":1533070591.5}`},
			theirs:  read(secretsmanager.GetSecretValueInput{VersionStage: aws.String("AWSPREVIOUS")}),
			ours:    func(s *Source, r source.Ref) { s.Read(t.Context(), []source.Ref{r}) },
			out:     &secretValue{},
		},
		{
			name: "read a version", version: "11111111-2222-3333-4444-555555555555",
			answers: []string{`{"SecretBinary":"/wAgYnl0ZXM=","CreatedDate":1533070591.999}`},
			theirs:  read(secretsmanager.GetSecretValueInput{VersionId: aws.String("11111111-2222-3333-4444-555555555555")}),
			ours:    func(s *Source, r source.Ref) { s.Read(t.Context(), []source.Ref{r}) },
			out:     &secretValue{},
		},
		{
			name: "prove",
			answers: []string{
				`{"SecretList":[{"Name":"app/x","ARN":"arn:aws:x","LastChangedDate":1.5E9,"DeletedDate":1600000000.25,
					"SecretVersionsToStages":{"a":["AWSCURRENT","x"],"b":[],"c":null}}],"NextToken":"more"}`,
				`{"SecretList":[]}`,
			},
			theirs: func(c *secretsmanager.Client) (any, error) {
				pages := secretsmanager.NewListSecretsPaginator(c, &secretsmanager.ListSecretsInput{
					Filters:                []types.Filter{{Key: types.FilterNameStringTypeName, Values: []string{*name}}},
					IncludePlannedDeletion: aws.Bool(true), MaxResults: aws.Int32(maxPage),
				})
				return awstest.Pages(pages.HasMorePages, func() (any, error) { return pages.NextPage(t.Context()) })
			},
			ours: func(s *Source, r source.Ref) { s.Prove(t.Context(), []source.Ref{r}) },
			out:  &listSecretsOutput{},
		},
		{
			name: "versions",
			answers: []string{
				`{"Versions":[{"VersionStages":["AWSCURRENT"],"CreatedDate":1533070591.125},{"CreatedDate":null},null],"NextToken":"more"}`,
				`{"Versions":[]}`,
			},
			theirs: func(c *secretsmanager.Client) (any, error) {
				pages := secretsmanager.NewListSecretVersionIdsPaginator(c, &secretsmanager.ListSecretVersionIdsInput{SecretId: name, MaxResults: aws.Int32(maxPage)})
				return awstest.Pages(pages.HasMorePages, func() (any, error) { return pages.NextPage(t.Context()) })
			},
			ours: func(s *Source, r source.Ref) { s.Previous(t.Context(), []source.Ref{r}, false) },
			out:  &listSecretVersionIdsOutput{},
		},
		{
			name: "create", answers: []string{`{"VersionId":"v"}`},
			theirs: create(secretsmanager.CreateSecretInput{SecretString: aws.String(text), KmsKeyId: aws.String("alias/app")}),
			ours: func(s *Source, r source.Ref) {
				s.kmsKey = "alias/app"
				s.Create(t.Context(), r, value.New([]byte(text)))
			},
			out: &writtenVersion{},
		},
		{
			name: "create of bytes", answers: []string{`{"VersionId":null}`},
			theirs: create(secretsmanager.CreateSecretInput{SecretBinary: []byte(binary)}),
			ours:   func(s *Source, r source.Ref) { s.Create(t.Context(), r, value.New([]byte(binary))) },
			out:    &writtenVersion{},
		},
		{
			name: "replace", answers: []string{`{"VersionId":"v"}`},
			theirs: put(secretsmanager.PutSecretValueInput{SecretString: aws.String(text)}),
			ours:   replace(text), out: &writtenVersion{},
		},
		{
			name: "replace by bytes", answers: []string{`{"VersionId":"v"}`},
			theirs: put(secretsmanager.PutSecretValueInput{SecretBinary: []byte(binary)}),
			ours:   replace(binary), out: &writtenVersion{},
		},
		{
			name: "first value", answers: []string{`{"VersionId":"v"}`},
			theirs: put(secretsmanager.PutSecretValueInput{SecretString: aws.String(text), ClientRequestToken: aws.String("first")}),
			ours: func(s *Source, r source.Ref) {
				client, err := s.client(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				s.put(t.Context(), client, r, value.New([]byte(text)), "first")
			},
			out: &writtenVersion{},
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
				func() (any, error) { return test.theirs(secretsmanager.NewFromConfig(cfg)) },
				func() { test.ours(s, source.Ref{Input: "X", Remote: plan.Remote{Name: *name, Version: test.version}}) },
				func() (any, error) { return test.out, client.Call(t.Context(), "X", struct{}{}, test.out) })
		})
	}
}
