package awstest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// ParameterARN is what the ARNs of parameters begin with.
const ParameterARN = "arn:aws:ssm:us-east-1:111122223333:parameter"

// ParameterStore is AWS Systems Manager Parameter Store, as far as GetParameters,
// DescribeParameters and PutParameter go. Its fields are for the test alone
// while no call is under way.
type ParameterStore struct {
	*Server
	Versions  map[string][]Parameter
	Denied    map[string]bool // names that may not be read
	DeniedKey map[string]bool // names whose KMS key may not be used
	ReadOnly  bool
}

// Parameter is one version of a parameter.
type Parameter struct {
	Value   string
	Changed time.Time
	Key     string // of KMS
	Type    string
	Tier    string
}

// NewParameterStore starts an empty one.
func NewParameterStore(t testing.TB) *ParameterStore {
	p := &ParameterStore{Versions: map[string][]Parameter{}, Denied: map[string]bool{}, DeniedKey: map[string]bool{}}
	p.Server = New(t, p.handle)
	return p
}

// Put adds a version.
func (p *ParameterStore) Put(name, v string) {
	p.Versions[name] = append(p.Versions[name], Parameter{Value: v, Changed: time.Now(), Type: "SecureString"})
}

func (p *ParameterStore) handle(operation string, body json.RawMessage) (any, *Error) {
	var in struct {
		Names            []string
		WithDecryption   bool
		Name, Value      string
		Type, KeyId      string
		Tier             string
		Overwrite        bool
		MaxResults       int
		NextToken        string
		ParameterFilters []struct {
			Key, Option string
			Values      []string
		}
	}
	if json.Unmarshal(body, &in) != nil {
		return nil, Errorf("SerializationException", "")
	}
	switch operation {
	case "GetParameter": // which victorgen does not call; a peer may
		vs := p.Versions[in.Name]
		if len(vs) == 0 {
			return nil, Errorf("ParameterNotFound", "")
		}
		return map[string]any{"Parameter": map[string]any{"Name": in.Name, "Value": vs[len(vs)-1].Value, "Type": "SecureString"}}, nil
	case "GetParameters":
		if len(in.Names) < 1 || len(in.Names) > 10 {
			return nil, Errorf("ValidationException", "1 validation error detected: Value at 'names' failed to satisfy constraint")
		}
		out, invalid := []map[string]any{}, []string{}
		for _, asked := range in.Names {
			name, selector, _ := strings.Cut(strings.TrimPrefix(asked, ParameterARN), ":")
			if p.Denied[name] {
				return nil, Errorf("AccessDeniedException", "User: arn:aws:iam::111122223333:user/ci is not authorized to perform: ssm:GetParameters on resource: arn:aws:ssm:us-east-1:111122223333:parameter%s", name)
			}
			if p.DeniedKey[name] {
				return nil, Errorf("AccessDeniedException", "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access. (Service: AWSKMS)")
			}
			vs := p.Versions[name]
			i := len(vs) - 1
			if selector != "" {
				i = -1
				fmt.Sscan(selector, &i)
				i--
			}
			if i < 0 || i >= len(vs) {
				invalid = append(invalid, asked)
				continue
			}
			param := map[string]any{"Name": name, "Value": vs[i].Value, "LastModifiedDate": float64(vs[i].Changed.UnixMilli()) / 1000, "Version": i + 1}
			if strings.HasPrefix(asked, ParameterARN) {
				param["Name"], param["ARN"] = strings.TrimPrefix(name, "/"), ParameterARN+name
			}
			if selector != "" {
				param["Selector"] = ":" + selector
			}
			if !in.WithDecryption {
				param["Value"] = "AQICAH"
			}
			out = append(out, param)
		}
		slices.Reverse(out) // no order is promised
		return map[string]any{"Parameters": out, "InvalidParameters": invalid}, nil
	case "DescribeParameters":
		f := in.ParameterFilters
		if len(f) != 1 || f[0].Key != "Name" || f[0].Option != "Equals" || len(f[0].Values) < 1 || len(f[0].Values) > 50 || in.MaxResults > 50 {
			return nil, Errorf("ValidationException", "")
		}
		out := []map[string]any{}
		for _, name := range f[0].Values {
			if vs := p.Versions[name]; len(vs) > 0 {
				out = append(out, map[string]any{"Name": name, "LastModifiedDate": float64(vs[len(vs)-1].Changed.UnixMilli()) / 1000})
			}
		}
		// In two pages, the first of them short, as the API may.
		if n := len(out) / 3; in.NextToken == "" && n > 0 {
			return map[string]any{"Parameters": out[:n], "NextToken": "more"}, nil
		} else if in.NextToken == "more" {
			return map[string]any{"Parameters": out[n:]}, nil
		}
		return map[string]any{"Parameters": out}, nil
	case "PutParameter":
		switch {
		case p.ReadOnly || p.Denied[in.Name] && in.Overwrite:
			return nil, Errorf("AccessDeniedException", "User: arn:aws:iam::111122223333:user/ci is not authorized to perform: ssm:PutParameter on resource: %s", in.Name)
		case len(in.Value) > 8192 || len(in.Value) > 4096 && in.Tier != "Advanced":
			// The real service does not quote a value here; one day it may.
			return nil, Errorf("ValidationException", "1 validation error detected: Value '%s' at 'value' failed to satisfy constraint", in.Value)
		case in.Value == "":
			return nil, Errorf("ValidationException", "")
		case len(p.Versions[in.Name]) > 0 && !in.Overwrite:
			return nil, Errorf("ParameterAlreadyExists", "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.")
		}
		p.Versions[in.Name] = append(p.Versions[in.Name], Parameter{in.Value, time.Now(), in.KeyId, in.Type, in.Tier})
		return map[string]any{"Version": len(p.Versions[in.Name]), "Tier": "Standard"}, nil
	}
	return nil, Errorf("UnknownOperationException", "")
}
