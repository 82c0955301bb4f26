// Package awsssm is the source of kind "aws-ssm": parameters of AWS Systems
// Manager Parameter Store.
package awsssm

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/source/internal/awsapi"
	"github.com/victor-ai/victorgen/compiler/value"
)

// The limits of the API: names a GetParameters
// (https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameters.html),
// values of a filter of DescribeParameters
// (https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_ParameterStringFilter.html),
// and bytes of a parameter of the standard tier.
const (
	maxNames    = 10
	maxFilter   = 50
	maxStandard = 4096
)

// Source reads parameters of any type and writes SecureStrings. It needs
// ssm:GetParameters to read, ssm:DescribeParameters to prove, and
// ssm:PutParameter to write; with a KMS key of one's own also kms:Decrypt to
// read, and kms:Encrypt to write, or kms:GenerateDataKey for more than 4 KiB.
type Source struct {
	aws    awsapi.Connection
	kmsKey string
}

var (
	_ source.Prover = (*Source)(nil)
	_ source.Writer = (*Source)(nil)
)

// New returns the source that s describes. It connects when it is first asked.
func New(s plan.Source) *Source {
	return &Source{aws: awsapi.Connection{Region: s.Region}, kmsKey: s.KMSKey}
}

func (s *Source) client(ctx context.Context) (*ssm.Client, error) {
	cfg, err := s.aws.Config(ctx)
	if err != nil {
		return nil, err
	}
	return ssm.NewFromConfig(cfg), nil
}

// Read implements source.Source with one GetParameters for each ten names.
func (s *Source) Read(ctx context.Context, refs []source.Ref) []source.Answer {
	client, err := s.client(ctx)
	if err != nil {
		return source.Failed(refs, err)
	}
	return source.Batches(ctx, refs, maxNames, func(ctx context.Context, refs []source.Ref) []source.Answer {
		return s.get(ctx, client, refs)
	})
}

// get reads up to ten parameters.
func (s *Source) get(ctx context.Context, client *ssm.Client, refs []source.Ref) []source.Answer {
	names := make([]string, len(refs))
	for i, ref := range refs {
		names[i] = selector(ref)
	}
	out, err := client.GetParameters(ctx, &ssm.GetParametersInput{Names: names, WithDecryption: aws.Bool(true)})
	if err != nil && len(refs) > 1 && awsapi.OfOne(err) {
		// One name that is denied fails the whole call.
		half := len(refs) / 2
		return append(s.get(ctx, client, refs[:half]), s.get(ctx, client, refs[half:])...)
	}
	if err != nil {
		return source.Failed(refs, awsapi.Failure(err, "ssm:GetParameters", false))
	}
	answers := make([]source.Answer, len(refs))
	for i, ref := range refs {
		answers[i] = source.Answer{Origin: s.origin(ref), Err: source.ErrAbsent}
		invalid := slices.Contains(out.InvalidParameters, names[i]) // which are those that there are not
		if !invalid {
			answers[i].Err = &source.Failure{Reason: "AWS did not answer for it", Remedy: "try again", Unreadable: true}
		}
		exact, bare := -1, 0
		for j, p := range out.Parameters {
			// A parameter that is shared is asked for, and answered, by its ARN.
			asked := []string{aws.ToString(p.Name) + aws.ToString(p.Selector), aws.ToString(p.ARN) + aws.ToString(p.Selector)}
			if p.Selector == nil && (aws.ToString(p.Name) == ref.Remote.Name || aws.ToString(p.ARN) == ref.Remote.Name) {
				bare++
				// Some that stand in for AWS say no selector. It is clear where one was asked for alone.
				if alone(refs, ref) {
					asked = append(asked, names[i])
				}
			}
			if slices.Contains(asked, names[i]) && p.Value != nil {
				exact = j
			}
		}
		switch {
		case !alone(refs, ref) && (bare > 1 || bare > 0 && exact < 0 && !invalid): // such a one
			answers[i] = s.get(ctx, client, refs[i:i+1])[0]
		case exact >= 0:
			p := out.Parameters[exact]
			answers[i] = source.Answer{
				Value: value.New([]byte(aws.ToString(p.Value))), Origin: s.origin(ref), Changed: aws.ToTime(p.LastModifiedDate), Plain: plain(p.Type),
			}
		}
	}
	return answers
}

// plain says how a parameter is kept that is not encrypted.
func plain(t types.ParameterType) string {
	if t == types.ParameterTypeString || t == types.ParameterTypeStringList {
		return "as a " + string(t) + ", not a SecureString"
	}
	return ""
}

// alone reports whether of the parameter of ref nothing else is asked for.
func alone(refs []source.Ref, ref source.Ref) bool {
	return !slices.ContainsFunc(refs, func(other source.Ref) bool {
		return other.Remote.Name == ref.Remote.Name && other.Remote.Version != ref.Remote.Version
	})
}

// selector is how the API names a ref: with its version or label.
func selector(ref source.Ref) string {
	if ref.Remote.Version == "" {
		return ref.Remote.Name
	}
	return ref.Remote.Name + ":" + ref.Remote.Version
}

func (s *Source) origin(ref source.Ref) string { return "parameter " + selector(ref) }

// Prove implements source.Prover with one DescribeParameters for each fifty
// names. Versions are not looked at.
func (s *Source) Prove(ctx context.Context, refs []source.Ref) []source.Answer {
	client, err := s.client(ctx)
	if err != nil {
		return source.Failed(refs, err)
	}
	return source.Batches(ctx, refs, maxFilter, func(ctx context.Context, refs []source.Ref) []source.Answer {
		return s.describe(ctx, client, refs)
	})
}

func (s *Source) describe(ctx context.Context, client *ssm.Client, refs []source.Ref) []source.Answer {
	var names []string
	for _, ref := range refs {
		if !shared(ref) && !slices.Contains(names, ref.Remote.Name) {
			names = append(names, ref.Remote.Name)
		}
	}
	found := map[string]types.ParameterMetadata{}
	pages := ssm.NewDescribeParametersPaginator(client, &ssm.DescribeParametersInput{
		ParameterFilters: []types.ParameterStringFilter{{Key: aws.String("Name"), Option: aws.String("Equals"), Values: names}},
		MaxResults:       aws.Int32(maxFilter),
	})
	for len(names) > 0 && pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return source.Failed(refs, awsapi.Failure(err, "ssm:DescribeParameters", false))
		}
		if page.Parameters == nil { // it lists none as an empty list
			return source.Failed(refs, source.Nonsense("Parameter Store"))
		}
		for _, p := range page.Parameters {
			if p.Name == nil {
				return source.Failed(refs, source.Nonsense("Parameter Store"))
			}
			found[aws.ToString(p.Name)] = p
		}
	}
	answers := make([]source.Answer, len(refs))
	for i, ref := range refs {
		p, ok := found[ref.Remote.Name]
		switch {
		case shared(ref):
			answers[i].Err = &source.Failure{
				Reason: "a parameter that another account shares can't be checked without reading it",
				Remedy: "allow its value to be read, or give the input a source in that account", Unreadable: true,
			}
		case ok:
			answers[i] = source.Answer{Origin: s.origin(ref), Changed: aws.ToTime(p.LastModifiedDate), Plain: plain(p.Type)}
		default:
			answers[i] = source.Answer{Origin: s.origin(ref), Err: source.ErrAbsent}
		}
	}
	return answers
}

func shared(ref source.Ref) bool { return strings.HasPrefix(ref.Remote.Name, "arn:") }

// Create implements source.Writer: PutParameter that overwrites nothing.
func (s *Source) Create(ctx context.Context, ref source.Ref, v value.Value) (source.Answer, error) {
	err := s.put(ctx, ref, v, false)
	var exists *types.ParameterAlreadyExists
	if errors.As(err, &exists) {
		a := s.Read(ctx, []source.Ref{ref})[0]
		if errors.Is(a.Err, source.ErrAbsent) {
			a.Err = &source.Failure{Reason: "it was deleted in the meantime", Remedy: "try again"}
		}
		return a, a.Err
	}
	return s.written(ref, v, err)
}

// Replace implements source.Writer: PutParameter that overwrites, which adds a
// version.
func (s *Source) Replace(ctx context.Context, ref source.Ref, v value.Value) (source.Answer, error) {
	return s.written(ref, v, s.put(ctx, ref, v, true))
}

func (s *Source) put(ctx context.Context, ref source.Ref, v value.Value, overwrite bool) error {
	client, err := s.client(ctx)
	if err != nil {
		return err
	}
	in := &ssm.PutParameterInput{
		Name: aws.String(ref.Remote.Name), Value: aws.String(string(v.Reveal())),
		Type: types.ParameterTypeSecureString, Overwrite: aws.Bool(overwrite),
	}
	if s.kmsKey != "" {
		in.KeyId = aws.String(s.kmsKey)
	}
	if v.Len() > maxStandard {
		in.Tier = types.ParameterTierAdvanced
	}
	out, err := client.PutParameter(ctx, in)
	if err == nil && out.Version < 1 {
		return source.NotStored("Parameter Store")
	}
	return err
}

// written is what to answer after a PutParameter.
func (s *Source) written(ref source.Ref, v value.Value, err error) (source.Answer, error) {
	var own *source.Failure
	switch {
	case err == nil:
		return source.Answer{Value: v, Origin: s.origin(ref)}, nil
	case errors.As(err, &own):
		return source.Answer{}, own
	}
	return source.Answer{}, awsapi.Failure(err, "ssm:PutParameter", true)
}
