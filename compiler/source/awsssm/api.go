package awsssm

import "github.com/victor-ai/victorgen/compiler/source/internal/awsapi"

// What the source needs of the API, with the names of its fields
// (https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_Operations.html).

type getParametersInput struct {
	Names          []string
	WithDecryption bool `json:",omitempty"`
}

type getParametersOutput struct {
	InvalidParameters []string
	Parameters        []parameter
}

type parameter struct {
	ARN              string
	LastModifiedDate awsapi.Time
	Name             string
	Selector         *string
	Type             string
	Value            *string
	Version          int64
}

type describeParametersInput struct {
	MaxResults       int
	NextToken        string `json:",omitempty"`
	ParameterFilters []parameterFilter
}

type parameterFilter struct {
	Key    string
	Option string
	Values []string
}

type describeParametersOutput struct {
	NextToken  string
	Parameters []metadata
}

type metadata struct {
	LastModifiedDate awsapi.Time
	Name             string
	Type             string
}

type putParameterInput struct {
	KeyId     string `json:",omitempty"`
	Name      string
	Overwrite bool
	Tier      string `json:",omitempty"`
	Type      string
	Value     string
}

type putParameterOutput struct {
	Version int64
}

// The types of parameters, the tier of those that are larger than the standard has
// room for, and what the service says of a parameter that there is.
const (
	plainText     = "String"
	plainTexts    = "StringList"
	secureString  = "SecureString"
	advanced      = "Advanced"
	alreadyExists = "ParameterAlreadyExists"
)
