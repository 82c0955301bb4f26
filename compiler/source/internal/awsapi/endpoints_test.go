package awsapi

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	smithyendpoints "github.com/aws/smithy-go/endpoints"

	"github.com/victor-ai/victorgen/compiler/source"
)

// regions are those of the partitions of the SDK, and some that there are not yet.
const regions = `
	af-south-1 ap-east-1 ap-east-2 ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-south-2 ap-southeast-1
	ap-southeast-2 ap-southeast-3 ap-southeast-4 ap-southeast-5 ap-southeast-6 ap-southeast-7 ca-central-1 ca-west-1
	eu-central-1 eu-central-2 eu-north-1 eu-south-1 eu-south-2 eu-west-1 eu-west-2 eu-west-3 il-central-1 me-central-1
	me-south-1 me-west-1 mx-central-1 sa-east-1 sa-west-1 us-east-1 us-east-2 us-west-1 us-west-2 aws-global
	cn-north-1 cn-northwest-1
	eusc-de-east-1
	us-iso-east-1 us-iso-west-1 us-isob-east-1 us-isob-west-1 eu-isoe-west-1 us-isof-east-1 us-isof-south-1
	us-gov-east-1 us-gov-west-1
	us-east-9 xx-north-1 cn-south-1 eusc-de-west-2 us-iso-north-1 us-isob-south-1 eu-isoe-east-1 us-isof-west-1 us-gov-north-1`

// TestHosts: the hosts are those of the SDK's rules.
func TestHosts(t *testing.T) {
	t.Parallel()
	upstream := map[*Service]func(region string, fips, dualStack bool) (smithyendpoints.Endpoint, error){
		ParameterStore: func(region string, fips, dualStack bool) (smithyendpoints.Endpoint, error) {
			return ssm.NewDefaultEndpointResolverV2().ResolveEndpoint(t.Context(), ssm.EndpointParameters{Region: &region, UseFIPS: &fips, UseDualStack: &dualStack})
		},
		SecretsManager: func(region string, fips, dualStack bool) (smithyendpoints.Endpoint, error) {
			return secretsmanager.NewDefaultEndpointResolverV2().ResolveEndpoint(t.Context(), secretsmanager.EndpointParameters{Region: &region, UseFIPS: &fips, UseDualStack: &dualStack})
		},
	}
	for s, resolve := range upstream {
		for _, region := range strings.Fields(regions) {
			for _, fips := range []bool{false, true} {
				for _, dualStack := range []bool{false, true} {
					want, err := resolve(region, fips, dualStack)
					if err != nil {
						t.Fatal(err)
					}
					if got := "https://" + s.host(region, fips, dualStack); got != want.URI.String() {
						t.Errorf("%s in %s, FIPS %v, dual stack %v: %s, not %s", s.title, region, fips, dualStack, got, want.URI.String())
					}
				}
			}
		}
	}
}

// sent keeps the request that it is given, and answers none.
type sent struct{ *http.Request }

func (s *sent) Do(r *http.Request) (*http.Response, error) {
	s.Request = r
	return nil, context.Canceled
}

// TestAddresses: what the environment and a profile say of an address, and of who calls,
// is obeyed as the SDK obeys it, but where the latter would sign for a region that there is not, or
// call what is no address.
func TestAddresses(t *testing.T) {
	for _, test := range []struct {
		name, env, profile string
		refused            string
		scope              string // if the SDK signs for another region
	}{
		{name: "region"},
		{name: "an application, within a function", env: "AWS_SDK_UA_APP_ID=shop AWS_LAMBDA_FUNCTION_NAME=f _X_AMZN_TRACE_ID=Root=1;x"},
		{name: "region of the profile", env: "AWS_REGION=", profile: "region = eu-west-1"},
		{name: "FIPS", env: "AWS_USE_FIPS_ENDPOINT=true"},
		{name: "no FIPS", env: "AWS_USE_FIPS_ENDPOINT=false", profile: "use_fips_endpoint = true"},
		{name: "FIPS of the profile", profile: "use_fips_endpoint = true"},
		{name: "FIPS of gov", env: "AWS_REGION=us-gov-west-1 AWS_USE_FIPS_ENDPOINT=true"},
		{name: "dual stack", env: "AWS_USE_DUALSTACK_ENDPOINT=true"},
		{name: "dual stack of the profile", profile: "use_dualstack_endpoint = true"},
		{name: "both", env: "AWS_USE_DUALSTACK_ENDPOINT=true AWS_USE_FIPS_ENDPOINT=true AWS_REGION=cn-north-1"},
		{name: "FIPS as a region", env: "AWS_REGION=fips-us-east-1", scope: "us-east-1"},
		{name: "FIPS as a region, after it", env: "AWS_REGION=us-gov-west-1-fips", scope: "us-gov-west-1"},
		{name: "endpoint", env: "AWS_ENDPOINT_URL=http://localhost:4566"},
		{name: "endpoint with a path", env: "AWS_ENDPOINT_URL=https://host/a/b"},
		{name: "endpoint with a path and a slash", env: "AWS_ENDPOINT_URL=https://host/a%20b/"},
		{name: "endpoint of each", env: "AWS_ENDPOINT_URL_SSM=http://ssm AWS_ENDPOINT_URL_SECRETS_MANAGER=http://sm"},
		{name: "endpoint of one", env: "AWS_ENDPOINT_URL=http://all AWS_ENDPOINT_URL_SSM=http://ssm"},
		{name: "endpoint of the profile", profile: "endpoint_url = http://profile"},
		{name: "endpoint of the environment first", env: "AWS_ENDPOINT_URL=http://all", profile: "endpoint_url = http://profile"},
		{name: "services", profile: "services = s\nendpoint_url = http://profile\n[services s]\nssm =\n  endpoint_url = http://ssm\nsecrets_manager =\n  endpoint_url = http://sm"},
		{name: "services, one", profile: "services = s\nendpoint_url = http://profile\n[services s]\nssm =\n  endpoint_url = http://ssm"},
		{name: "services after all", env: "AWS_ENDPOINT_URL=http://all", profile: "services = s\n[services s]\nssm =\n  endpoint_url = http://ssm"},
		{name: "services after each", env: "AWS_ENDPOINT_URL_SSM=http://own", profile: "services = s\n[services s]\nssm =\n  endpoint_url = http://ssm"},
		{name: "ignored", env: "AWS_ENDPOINT_URL=http://all AWS_ENDPOINT_URL_SSM=http://ssm AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true"},
		{name: "ignored by the profile", profile: "ignore_configured_endpoint_urls = true\nservices = s\nendpoint_url = http://profile\n[services s]\nssm =\n  endpoint_url = http://ssm"},
		{name: "FIPS of one's own", env: "AWS_ENDPOINT_URL=http://all AWS_USE_FIPS_ENDPOINT=true", refused: "can't be asked for FIPS"},
		{name: "dual stack of one's own", env: "AWS_ENDPOINT_URL=http://all AWS_USE_DUALSTACK_ENDPOINT=true", refused: "can't be asked for FIPS"},
		{name: "endpoint without a scheme", env: "AWS_ENDPOINT_URL=c4nary.local:4566", refused: "not the URL"},
		{name: "endpoint of another scheme", env: "AWS_ENDPOINT_URL=ftp://c4nary", refused: "not the URL"},
		{name: "endpoint that is none", env: "AWS_ENDPOINT_URL=http://c4nary%zz", refused: "not the URL"},
		{name: "region with a host", env: "AWS_REGION=x.example.com/", refused: "not an AWS region"},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "config")
			if err := os.WriteFile(file, []byte("[default]\n"+test.profile+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			env := "AWS_REGION=us-east-1 AWS_CONFIG_FILE=" + file + " AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull +
				" AWS_PROFILE= AWS_ACCESS_KEY_ID=AKIDTEST AWS_SECRET_ACCESS_KEY=secret AWS_SESSION_TOKEN= AWS_CA_BUNDLE= AWS_MAX_ATTEMPTS=1 " + test.env
			for _, set := range strings.Fields(env) {
				name, v, _ := strings.Cut(set, "=")
				t.Setenv(name, v)
			}
			var theirs, ours sent
			upstream, err := config.LoadDefaultConfig(t.Context(), config.WithHTTPClient(&theirs))
			if err != nil {
				t.Fatal(err)
			}
			for s, call := range map[*Service]func() error{
				ParameterStore: func() error {
					_, err := ssm.NewFromConfig(upstream).GetParameters(t.Context(), &ssm.GetParametersInput{Names: []string{"x"}})
					return err
				},
				SecretsManager: func() error {
					_, err := secretsmanager.NewFromConfig(upstream).GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("x")})
					return err
				},
			} {
				theirs.Request, ours.Request = nil, nil
				connection := Connection{Options: []func(*config.LoadOptions) error{config.WithHTTPClient(&ours)}}
				client, err := connection.Client(t.Context(), s)
				if test.refused != "" {
					var f *source.Failure
					if !errors.As(err, &f) || !f.Unreadable || !strings.Contains(f.Reason, test.refused) || strings.Contains(f.Reason+f.Remedy, "c4nary") {
						t.Errorf("%s: %v", s.title, err)
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				client.Call(t.Context(), "X", struct{}{}, nil)
				call()
				if ours.Request == nil || theirs.Request == nil {
					t.Fatal("nothing was sent")
				}
				if got, want := ours.URL.String(), theirs.URL.String(); got != want {
					t.Errorf("%s: %s, not %s", s.title, got, want)
				}
				want := scope(theirs.Request)
				if test.scope != "" {
					want = test.scope + "/" + s.name
				}
				if got := scope(ours.Request); got != want {
					t.Errorf("%s: signed for %s, not %s", s.title, got, want)
				}
				if got, want := called(ours.Request), called(theirs.Request); got != want {
					t.Errorf("%s: called by %s, not %s", s.title, got, want)
				}
			}
		})
	}
}

// scope is the region and the service that a request is signed for.
func scope(r *http.Request) string {
	parts := strings.Split(r.Header.Get("Authorization"), "/")
	if len(parts) < 4 {
		return ""
	}
	return parts[2] + "/" + parts[3]
}

// called is for what application and function a request is made, if any.
func called(r *http.Request) string {
	_, app, _ := strings.Cut(r.UserAgent(), " app/")
	app, _, _ = strings.Cut(app, " ")
	return app + "/" + r.Header.Get("X-Amzn-Trace-Id")
}
