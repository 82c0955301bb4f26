package permissions_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/victor-ai/victorgen/compiler/permissions"
	"github.com/victor-ai/victorgen/compiler/plan"
)

// at is an input called name at remote of a source.
func at(source, name string, class plan.Class, remote plan.Remote) plan.Input {
	return plan.Input{Name: name, Class: class, Source: source, Remote: remote}
}

// everything has a source of each kind.
func everything() *plan.Plan {
	def := "5432"
	p := &plan.Plan{
		Sources: []plan.Source{
			{Name: "account", Kind: plan.AWSSSM, KMSKey: "arn:aws:kms:eu-west-1:111122223333:alias/shop"},
			{Name: "azure", Kind: plan.AzureKeyVault, Vault: "https://shop.vault.azure.net"},
			{Name: "bare", Kind: plan.AzureKeyVault},
			{Name: "beijing", Kind: plan.AWSSecretsManager, Region: "cn-north-1", KMSKey: "1234abcd-12ab"},
			{Name: "default", Kind: plan.AWSSSM, Region: "us-east-1", KMSKey: "alias/shop"},
			{Name: "dotenv", Kind: plan.Env, File: "/home/jane/.secrets"},
			{Name: "file", Kind: plan.SOPS, File: "/home/jane/secrets.enc.yaml"},
			{Name: "fedramp", Kind: plan.AWSSSM, Region: "us-gov-west-1"},
			{Name: "google", Kind: plan.GCPSecretManager, Project: "shop-1"},
			{Name: "gov", Kind: plan.AzureKeyVault, Vault: "https://shop.vault.usgovcloudapi.net"},
			{Name: "old", Kind: plan.Vault, Mount: "kv", Version: "v1"},
			{Name: "regional", Kind: plan.GCPSecretManager, Project: "shop-1", Location: "europe-west3"},
			{Name: "secrets", Kind: plan.AWSSecretsManager, Region: "eu-west-1"},
			{Name: "unused", Kind: plan.GCPSecretManager},
			{Name: "team", Kind: plan.Vault, Namespace: "team/shop", Mount: "secret", Version: "v2"},
			{Name: "vault", Kind: plan.Vault, Mount: "secret", Version: "v2"},
		},
	}
	for i, s := range p.Sources {
		p.Sources[i].Pending, p.Sources[i].PendingValues = plan.Remote{Name: "shop-victorgen-pending"}, plan.Remote{Name: "shop-victorgen-pending-values"}
		if s.Name == "unused" {
			continue
		}
		prefix := strings.ToUpper(s.Name)
		p.Inputs = append(p.Inputs,
			at(s.Name, prefix+"_GENERATED", plan.Generated, plan.Remote{Name: "shop-generated"}),
			at(s.Name, prefix+"_ONE", plan.Required, plan.Remote{Name: "shop-object", Property: "one"}),
			at(s.Name, prefix+"_OTHER", plan.Optional, plan.Remote{Name: "shop-object", Property: "other"}),
			at(s.Name, prefix+"_PINNED", plan.Required, plan.Remote{Name: "shop-pinned", Version: "3"}))
		port := at(s.Name, prefix+"_PORT", plan.Setting, plan.Remote{})
		port.Default = &def
		p.Inputs = append(p.Inputs, port)
	}
	p.Inputs = append(p.Inputs,
		at("default", "ZZ_PATH", plan.Required, plan.Remote{Name: "/shop/path"}),
		at("default", "ZZ_SHARED", plan.Required, plan.Remote{Name: "arn:aws:ssm:us-east-1:444455556666:parameter/shared"}),
		at("secrets", "ZZ_ARN", plan.Required, plan.Remote{Name: "arn:aws:secretsmanager:eu-west-1:111122223333:secret:shop/db"}),
		at("secrets", "ZZ_ARN_WHOLE", plan.Required, plan.Remote{Name: "arn:aws:secretsmanager:eu-west-1:111122223333:secret:shop/db-AbC123"}),
		at("old", "ZZ_DEEP", plan.Required, plan.Remote{Name: "shop/deep"}),
		at("old", "ZZ_LAST", plan.Required, plan.Remote{Name: "z"}),
		at("vault", "ZZ_GLOB", plan.Required, plan.Remote{Name: "shop/odd*"}))
	// Of each service an external secret, with an input that is generated in the cluster.
	external := plan.Secret{Name: "external", Delivery: plan.Delivery{Kind: plan.External}}
	for _, name := range []string{"ACCOUNT", "AZURE", "BEIJING", "GOOGLE", "REGIONAL", "VAULT"} {
		in := at(strings.ToLower(name), name+"_BORN", plan.Generated, plan.Remote{Name: "shop-born"})
		in.Generate = &plan.Generate{InCluster: true}
		p.Inputs = append(p.Inputs, in)
		external.Keys = append(external.Keys, plan.Key{Name: name + "-1", Input: name + "_ONE"}, plan.Key{Name: name + "-2", Input: name + "_BORN"},
			plan.Key{Name: name + "-3", Input: name + "_PORT"})
	}
	p.Secrets = []plan.Secret{external, {Name: "sealed", Keys: []plan.Key{{Name: "x", Input: "SECRETS_ONE"}}, Delivery: plan.Delivery{Kind: plan.Sealed}}}
	slices.SortFunc(p.Inputs, func(a, b plan.Input) int { return strings.Compare(a.Name, b.Name) })
	return p
}

// TestGolden shows the policies of all kinds. VICTORGEN_UPDATE=1 rewrites it.
func TestGolden(t *testing.T) {
	t.Parallel()
	var got strings.Builder
	for _, p := range permissions.Of(everything()) {
		fmt.Fprintf(&got, "-- %s (%s) %s --\n%s\n", p.Source, p.Kind, p.Use, strings.TrimSpace(p.Note+"\n"+p.String()))
	}
	const golden = "testdata/policies.txt"
	if os.Getenv("VICTORGEN_UPDATE") != "" {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestIAM holds what AWS demands of a policy
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html).
func TestIAM(t *testing.T) {
	t.Parallel()
	sid, arn := regexp.MustCompile(`^[A-Za-z0-9]+$`), regexp.MustCompile(`^(\*|arn:aws(-cn|-us-gov)?:(ssm|secretsmanager|kms):[^:]+:(\*|\d{12}):[^:]+(:[^:]+)?)$`)
	tested := 0
	for _, p := range permissions.Of(everything()) {
		if p.IAM == nil {
			continue
		}
		tested++
		var decoded permissions.IAM
		dec := json.NewDecoder(strings.NewReader(p.String()))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&decoded); err != nil {
			t.Fatalf("%s %s: %v", p.Source, p.Use, err)
		}
		if diff := cmp.Diff(*p.IAM, decoded); diff != "" {
			t.Errorf("%s %s: as JSON (-want +got)\n%s", p.Source, p.Use, diff)
		}
		if p.IAM.Version != "2012-10-17" {
			t.Errorf("%s %s: version %q", p.Source, p.Use, p.IAM.Version)
		}
		sids := map[string]bool{}
		for _, s := range p.IAM.Statement {
			if !sid.MatchString(s.Sid) || sids[s.Sid] || s.Effect != "Allow" || len(s.Action) == 0 || !slices.IsSorted(s.Resource) {
				t.Errorf("%s %s: %+v", p.Source, p.Use, s)
			}
			sids[s.Sid] = true
			for _, r := range s.Resource {
				if !arn.MatchString(r) {
					t.Errorf("%s %s: resource %s", p.Source, p.Use, r)
				}
			}
		}
	}
	if tested != 24 {
		t.Errorf("%d IAM policies, want 4 for each of 5 sources, and 2 of the operator for 2 of them", tested)
	}
}

func TestTooLong(t *testing.T) {
	t.Parallel()
	p := &plan.Plan{Sources: []plan.Source{{Name: "default", Kind: plan.AWSSSM, Region: "us-east-1"}}}
	for i := range 200 {
		name := fmt.Sprintf("INPUT_%03d", i)
		p.Inputs = append(p.Inputs, at("default", name, plan.Required, plan.Remote{Name: "/shop/" + name}))
	}
	for _, policy := range permissions.Of(p) {
		if got := strings.Contains(policy.Note, "too long"); got != (policy.Use == permissions.Read) {
			t.Errorf("%s: %s", policy.Use, policy.Note)
		}
	}
}

// TestUnknownKind: of a kind that nothing is known of, nothing is said that sounds
// as if it needed nothing; of all that there are, something is.
func TestUnknownKind(t *testing.T) {
	t.Parallel()
	note := func(kind string) string {
		p := &plan.Plan{Sources: []plan.Source{{Name: "x", Kind: kind}}, Inputs: []plan.Input{at("x", "A", plan.Required, plan.Remote{Name: "a"})}}
		out, err := json.Marshal(permissions.Of(p))
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	if got := note("new"); !strings.Contains(got, "is not known") {
		t.Error(got)
	}
	for _, kind := range plan.SourceKinds {
		if got := note(kind); strings.Contains(got, "is not known") {
			t.Errorf("%s: %s", kind, got)
		}
	}
}

// TestPrevious: to find the value before the current one takes more, of those alone
// that keep it.
func TestPrevious(t *testing.T) {
	t.Parallel()
	p := &plan.Plan{
		Sources: []plan.Source{
			{Name: "aws", Kind: plan.AWSSecretsManager, Region: "eu-west-1"}, {Name: "azure", Kind: plan.AzureKeyVault, Vault: "shop"},
			{Name: "google", Kind: plan.GCPSecretManager, Project: "shop-1"}, {Name: "ssm", Kind: plan.AWSSSM, Region: "eu-west-1"},
		},
		Secrets: []plan.Secret{{Name: "app", Namespace: "apps"}},
	}
	for _, s := range p.Sources {
		for name, keep := range map[string]time.Duration{"KEPT": time.Hour, "NOT_TAKEN": time.Hour, "OTHER": 0} {
			name = strings.ToUpper(s.Name) + "_" + name
			in := at(s.Name, name, plan.Generated, plan.Remote{Name: "shop-" + strings.ToLower(strings.ReplaceAll(name, "_", "-"))})
			in.Generate = &plan.Generate{Kind: plan.UUID, KeepPrevious: keep}
			p.Inputs = append(p.Inputs, in)
			k := plan.Key{Name: name, Input: name}
			if strings.HasSuffix(name, "_KEPT") {
				k.Input += plan.PreviousSuffix
			}
			p.Secrets[0].Keys = append(p.Secrets[0].Keys, k)
		}
	}
	slices.SortFunc(p.Inputs, func(a, b plan.Input) int { return strings.Compare(a.Name, b.Name) })
	more := map[string]string{}
	for _, policy := range permissions.Of(p) {
		key := fmt.Sprint(policy.Source, " ", policy.Use)
		if policy.IAM != nil {
			for _, s := range policy.IAM.Statement {
				if slices.Contains(s.Action, "secretsmanager:ListSecretVersionIds") {
					more[key] = strings.Join(s.Resource, " ")
				}
			}
		}
		if _, after, ok := strings.Cut(policy.Note, "Previous values"); ok {
			more[key] = after
		}
	}
	const versions = " that still count are found by their versions, which needs the role to prove as well: for shop-"
	want := map[string]string{
		"aws prove":  "arn:aws:secretsmanager:eu-west-1:*:secret:shop-aws-kept-??????",
		"azure read": versions + "azure-kept.", "google read": versions + "google-kept.",
	}
	if diff := cmp.Diff(want, more); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
