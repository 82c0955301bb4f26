// Package awsssm is the source of kind "aws-ssm": parameters of AWS Systems
// Manager Parameter Store.
package awsssm

import (
	"context"
	"errors"
	"slices"
	"strings"

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

func (s *Source) client(ctx context.Context) (*awsapi.Client, error) {
	return s.aws.Client(ctx, awsapi.ParameterStore)
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
func (s *Source) get(ctx context.Context, client *awsapi.Client, refs []source.Ref) []source.Answer {
	names := make([]string, len(refs))
	for i, ref := range refs {
		names[i] = selector(ref)
	}
	var out getParametersOutput
	err := client.Call(ctx, "GetParameters", getParametersInput{Names: names, WithDecryption: true}, &out)
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
			asked := []string{p.Name, p.ARN}
			if p.Selector != nil {
				asked = []string{p.Name + *p.Selector, p.ARN + *p.Selector}
			} else if slices.Contains(asked, ref.Remote.Name) {
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
				Value: value.New([]byte(*p.Value)), Origin: s.origin(ref), Changed: p.LastModifiedDate.Time, Plain: plain(p.Type),
			}
		}
	}
	return answers
}

// plain says how a parameter is kept that is not encrypted.
func plain(t string) string {
	if t == plainText || t == plainTexts {
		return "as a " + t + ", not a " + secureString
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

func (s *Source) describe(ctx context.Context, client *awsapi.Client, refs []source.Ref) []source.Answer {
	var names []string
	for _, ref := range refs {
		if !shared(ref) && !slices.Contains(names, ref.Remote.Name) {
			names = append(names, ref.Remote.Name)
		}
	}
	found := map[string]metadata{}
	in := describeParametersInput{
		ParameterFilters: []parameterFilter{{Key: "Name", Option: "Equals", Values: names}},
		MaxResults:       maxFilter,
	}
	for more := len(names) > 0; more; more = in.NextToken != "" {
		var page describeParametersOutput
		if err := client.Call(ctx, "DescribeParameters", in, &page); err != nil {
			return source.Failed(refs, awsapi.Failure(err, "ssm:DescribeParameters", false))
		}
		if page.Parameters == nil { // it lists none as an empty list
			return source.Failed(refs, source.Nonsense("Parameter Store"))
		}
		for _, p := range page.Parameters {
			if p.Name == "" {
				return source.Failed(refs, source.Nonsense("Parameter Store"))
			}
			found[p.Name] = p
		}
		in.NextToken = page.NextToken
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
			answers[i] = source.Answer{Origin: s.origin(ref), Changed: p.LastModifiedDate.Time, Plain: plain(p.Type)}
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
	if awsapi.Is(err, alreadyExists) {
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
	in := putParameterInput{Name: ref.Remote.Name, Value: string(v.Reveal()), Type: secureString, Overwrite: overwrite, KeyId: s.kmsKey}
	if v.Len() > maxStandard {
		in.Tier = advanced
	}
	var out putParameterOutput
	err = client.Call(ctx, "PutParameter", in, &out)
	if err == nil && out.Version < 1 {
		return source.NotStored("Parameter Store")
	}
	return err
}

// written is what to answer after a PutParameter.
func (s *Source) written(ref source.Ref, v value.Value, err error) (source.Answer, error) {
	if err == nil {
		return source.Answer{Value: v, Origin: s.origin(ref)}, nil
	}
	return source.Answer{}, awsapi.Failure(err, "ssm:PutParameter", true)
}
