package permissions

import (
	"cmp"
	"slices"
	"strings"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/lazy"
)

// IAM is an identity-based policy of AWS
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html).
// The account stands in it as *, which is that of anyone who has the policy: to use
// what another account shares, an ARN must name it.
type IAM struct {
	Version   string
	Statement []Statement
}

// Statement is a statement of an [IAM] policy. Its condition is by operator,
// then by key.
type Statement struct {
	Sid       string
	Effect    string
	Action    []string
	Resource  []string
	Condition map[string]map[string]string `json:",omitempty"`
}

// maxManaged is how many characters a managed policy may have, white space not
// counted (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html).
const maxManaged = 6144

func iam(note string, statements ...Statement) Policy {
	p := Policy{IAM: &IAM{Version: "2012-10-17", Statement: statements}, Note: note}
	if len(strings.Join(strings.Fields(p.String()), "")) > maxManaged {
		p.Note = strings.TrimSpace(p.Note + " It is too long for one managed policy: spread the resources over several.")
	}
	return p
}

func allow(sid string, resources []string, actions ...string) Statement {
	return Statement{Sid: sid, Effect: "Allow", Action: actions, Resource: slices.Compact(slices.Sorted(slices.Values(resources)))}
}

// noResource is the resource of an action that is about none in particular.
var noResource = []string{"*"}

// parameterStore knows what the service authorization reference says of it:
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssystemsmanager.html
func parameterStore(s plan.Source, use Use, names []string) Policy {
	resources := make([]string, len(names))
	for i, name := range names {
		resources[i] = arnOf(s, "ssm", "parameter/"+strings.TrimPrefix(name, "/"), name)
	}
	switch use {
	case Prove:
		return iam(listsAll(names), allow("DescribeParameters", noResource, "ssm:DescribeParameters"))
	case Write:
		// A standard parameter is encrypted by KMS itself, an advanced one with a data key:
		// https://docs.aws.amazon.com/kms/latest/developerguide/services-parameter-store.html
		return iam("", withKey(s, "ssm", allow("PutParameters", resources, "ssm:PutParameter"), "kms:Encrypt", "kms:GenerateDataKey")...)
	case Fetch: // one by one
		return iam("", withKey(s, "ssm", allow("GetParameter", resources, "ssm:GetParameter"), "kms:Decrypt")...)
	case Push: // with a tag that says whose it is
		return iam("", withKey(s, "ssm", allow("PutParameters", resources, "ssm:PutParameter", "ssm:AddTagsToResource"), "kms:Encrypt", "kms:GenerateDataKey")...)
	}
	return iam("", withKey(s, "ssm", allow("GetParameters", resources, "ssm:GetParameters"), "kms:Decrypt")...)
}

// secretsManager knows what the service authorization reference says of it:
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecretsmanager.html
func secretsManager(s plan.Source, use Use, names, kept []string) Policy {
	resources := secretARNs(s, names)
	switch use {
	case Prove:
		statements := []Statement{allow("ListSecrets", noResource, "secretsmanager:ListSecrets")}
		if len(kept) > 0 { // when the current one took their place
			statements = append(statements, allow("ListVersions", secretARNs(s, kept), "secretsmanager:ListSecretVersionIds"))
		}
		return iam(listsAll(names), statements...)
	case Write:
		// https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html
		return iam("", withKey(s, "secretsmanager", allow("PutSecrets", resources, "secretsmanager:CreateSecret", "secretsmanager:PutSecretValue"),
			"kms:Decrypt", "kms:GenerateDataKey")...)
	case Push: // since v0.20 the operator checks whether it is there
		return iam("", withKey(s, "secretsmanager", allow("CreateSecrets", resources, "secretsmanager:DescribeSecret", "secretsmanager:CreateSecret", "secretsmanager:TagResource"),
			"kms:Decrypt", "kms:GenerateDataKey")...)
	}
	statements := withKey(s, "secretsmanager", allow("GetSecrets", resources, "secretsmanager:GetSecretValue"), "kms:Decrypt")
	if use == Fetch { // one by one
		return iam("", statements...)
	}
	// A batch has those secrets alone that GetSecretValue is allowed of.
	return iam("", append(statements, allow("GetSecretsInBatches", noResource, "secretsmanager:BatchGetSecretValue"))...)
}

// secretARNs are the resources of secrets.
func secretARNs(s plan.Source, names []string) (resources []string) {
	for _, name := range names {
		// The service adds six characters of its own choice, and to say so names no other secret:
		// https://docs.aws.amazon.com/secretsmanager/latest/userguide/auth-and-access_iam-policies.html
		// It also takes an ARN without them; but a policy is held to the whole one.
		arn := arnOf(s, "secretsmanager", "secret:"+name, name)
		if !strings.HasPrefix(name, "arn:") || !withSuffix.MatchString(name) {
			resources = append(resources, arn+"-??????")
			continue
		}
		resources = append(resources, arn, arn+"-??????") // for its name itself may end so
	}
	return resources
}

// withSuffix is how a whole ARN of a secret ends.
var withSuffix = lazy.MustCompile(`-[A-Za-z0-9]{6}$`)

// listsAll says what an action without resources comes to.
func listsAll(names []string) string {
	note := "The action can't be limited to names: it shows the metadata of everything in the account, and no values."
	if slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(name, "arn:") }) {
		note += " For what another account shares, nothing is known without reading it."
	}
	return note
}

// arnOf returns the ARN of a resource of a service in the region of s, or name
// if that is one.
func arnOf(s plan.Source, service, resource, name string) string {
	if strings.HasPrefix(name, "arn:") {
		return name
	}
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
	partition := "aws"
	switch {
	case strings.HasPrefix(s.Region, "cn-"):
		partition = "aws-cn"
	case strings.HasPrefix(s.Region, "us-gov-"):
		partition = "aws-us-gov"
	}
	return strings.Join([]string{"arn", partition, service, cmp.Or(s.Region, "*"), "*", resource}, ":")
}

// withKey adds to a statement that one may use the key of s, if it has one of
// its own, and only through the service. An alias is no resource: anyone who may
// use what it stands for is told by a condition
// (https://docs.aws.amazon.com/kms/latest/developerguide/alias-authorization.html).
func withKey(s plan.Source, service string, statement Statement, actions ...string) []Statement {
	if s.KMSKey == "" {
		return []Statement{statement}
	}
	key := arnOf(s, "kms", "key/"+s.KMSKey, s.KMSKey)
	condition := map[string]map[string]string{
		"StringLike": {"kms:ViaService": service + "." + cmp.Or(s.Region, "*") + ".amazonaws.com*"}, // .cn in China
	}
	if i := strings.Index(s.KMSKey, "alias/"); i >= 0 {
		key = arnOf(s, "kms", "key/*", "")
		if before := s.KMSKey[:i]; before != "" {
			key = before + "key/*"
		}
		condition["ForAnyValue:StringEquals"] = map[string]string{"kms:ResourceAliases": s.KMSKey[i:]}
	}
	use := allow("UseKey", []string{key}, actions...)
	use.Condition = condition
	return []Statement{statement, use}
}
