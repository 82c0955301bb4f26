package awsapi

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/victor-ai/victorgen/compiler/source"
)

// Service is a service of AWS that speaks AWS JSON 1.1.
type Service struct {
	name   string // in its hosts and in signatures
	target string // what X-Amz-Target says before the operation
	id     string // as in AWS_ENDPOINT_URL_SECRETS_MANAGER, or the section of a profile
	title  string // for people

	// named says which of FIPS and dual stack, if they are asked for, the host has in
	// its name: in some partitions the ordinary host is one that has it.
	named func(partition string, fips, dualStack bool) (bool, bool)
}

// The services that there are sources of. Their hosts are those of the endpoint rules
// of the SDK, to which a test holds them.
var (
	ParameterStore = &Service{
		name: "ssm", target: "AmazonSSM", id: "ssm", title: "Parameter Store",
		named: func(partition string, fips, dualStack bool) (bool, bool) {
			return fips && (partition != "aws-us-gov" || dualStack), dualStack
		},
	}
	SecretsManager = &Service{
		name: "secretsmanager", target: "secretsmanager", id: "secrets_manager", title: "Secrets Manager",
		named: func(partition string, fips, dualStack bool) (bool, bool) {
			both := partition == "aws" || partition == "aws-us-gov" || partition == "aws-cn" && !fips
			return fips, dualStack && !both
		},
	}
)

// partition is a part of AWS that has its own accounts, and domains.
type partition struct {
	name      string
	regions   string // what their names begin with
	domain    string
	dualStack string // the domain of hosts that have IPv6
}

// partitions are all of them, but for the pseudo-regions of services that have no
// region, such as aws-cn-global. What is in none is in the first
// (https://github.com/aws/aws-sdk-go-v2/blob/main/internal/endpoints/awsrulesfn/partitions.json).
var partitions = []partition{
	{"aws", "", "amazonaws.com", "api.aws"},
	{"aws-cn", "cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn"},
	{"aws-eusc", "eusc-", "amazonaws.eu", "api.amazonwebservices.eu"},
	{"aws-iso", "us-iso-", "c2s.ic.gov", "api.aws.ic.gov"},
	{"aws-iso-b", "us-isob-", "sc2s.sgov.gov", "api.aws.scloud"},
	{"aws-iso-e", "eu-isoe-", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"},
	{"aws-iso-f", "us-isof-", "csp.hci.ic.gov", "api.aws.hci.ic.gov"},
	{"aws-us-gov", "us-gov-", "amazonaws.com", "api.aws"},
}

func partitionOf(region string) partition {
	for _, p := range partitions[1:] {
		if strings.HasPrefix(region, p.regions) {
			return p
		}
	}
	return partitions[0]
}

// host is where the service is in a region.
func (s *Service) host(region string, fips, dualStack bool) string {
	p := partitionOf(region)
	fips, dualStack = s.named(p.name, fips, dualStack)
	name, domain := s.name, p.domain
	if fips {
		name += "-fips"
	}
	if dualStack {
		domain = p.dualStack
	}
	return name + "." + region + "." + domain
}

// The settings of the environment and of profiles that the SDK leaves to the clients
// of services.
type (
	saysFIPS interface {
		GetUseFIPSEndpoint(context.Context) (aws.FIPSEndpointState, bool, error)
	}
	saysDualStack interface {
		GetUseDualStackEndpoint(context.Context) (aws.DualStackEndpointState, bool, error)
	}
	saysIgnored interface {
		GetIgnoreConfiguredEndpoints(context.Context) (bool, bool, error)
	}
	saysEndpoint interface {
		GetServiceBaseEndpoint(context.Context, string) (string, bool, error)
	}
)

// setting is what the first of the sources of cfg says that says anything.
func setting[Source, V any](ctx context.Context, cfg aws.Config, get func(Source, context.Context) (V, bool, error)) (v V) {
	for _, s := range cfg.ConfigSources {
		if s, ok := s.(Source); ok {
			if said, found, err := get(s, ctx); found && err == nil {
				return said
			}
		}
	}
	return v
}

// configured is the address that someone has set for the service, empty if no one has.
// AWS_ENDPOINT_URL of all services goes before what a profile says of this one.
func (s *Service) configured(ctx context.Context, cfg aws.Config) string {
	every := aws.ToString(cfg.BaseEndpoint)
	_, forAll := os.LookupEnv("AWS_ENDPOINT_URL")
	_, forThis := os.LookupEnv("AWS_ENDPOINT_URL_" + strings.ToUpper(s.id))
	if forAll && !forThis || setting(ctx, cfg, saysIgnored.GetIgnoreConfiguredEndpoints) {
		return every
	}
	return cmp.Or(setting(ctx, cfg, func(p saysEndpoint, ctx context.Context) (string, bool, error) {
		return p.GetServiceBaseEndpoint(ctx, s.id)
	}), every)
}

// address is where to call the service, and the region to sign for. Its error is a
// *source.Failure.
func (s *Service) address(ctx context.Context, cfg aws.Config) (*url.URL, string, error) {
	fips := setting(ctx, cfg, saysFIPS.GetUseFIPSEndpoint) == aws.FIPSEndpointStateEnabled
	dualStack := setting(ctx, cfg, saysDualStack.GetUseDualStackEndpoint) == aws.DualStackEndpointStateEnabled
	// So FIPS was asked for once: fips-us-east-1, us-gov-west-1-fips.
	region := strings.NewReplacer("-fips-", "-", "fips-", "", "-fips", "").Replace(cfg.Region)
	fips = fips || region != cfg.Region
	if !smithyhttp.ValidHostLabel(region) {
		return nil, "", &source.Failure{
			Reason: fmt.Sprintf("%q is not an AWS region", region), Unreadable: true,
			Remedy: "check region in the contract, or AWS_REGION, or the profile",
		}
	}
	own := s.configured(ctx, cfg)
	if own == "" {
		return &url.URL{Scheme: "https", Host: s.host(region, fips, dualStack), Path: "/"}, region, nil
	}
	if fips || dualStack {
		return nil, "", &source.Failure{
			Reason:     "an AWS endpoint of one's own can't be asked for FIPS or dual stack",
			Remedy:     "unset AWS_ENDPOINT_URL, or AWS_USE_FIPS_ENDPOINT and AWS_USE_DUALSTACK_ENDPOINT, and their likes in the profile",
			Unreadable: true,
		}
	}
	u, err := url.Parse(own)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, "", &source.Failure{ // which is not quoted: it may have a password in it
			Reason: "the AWS endpoint that is set is not the URL of a server", Unreadable: true,
			Remedy: "check AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_" + strings.ToUpper(s.id) + ", and endpoint_url of the profile",
		}
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host, Path: smithyhttp.JoinPath(u.Path, "/")}, region, nil
}
