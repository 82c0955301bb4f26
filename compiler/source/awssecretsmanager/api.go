package awssecretsmanager

import "github.com/victor-ai/victorgen/compiler/source/internal/awsapi"

// What the source needs of the API, with the names of its fields
// (https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_Operations.html).

type getSecretValueInput struct {
	SecretId     string
	VersionId    string `json:",omitempty"`
	VersionStage string `json:",omitempty"`
}

// secretValue is what GetSecretValue answers, and BatchGetSecretValue of each secret. A
// secret holds a string or bytes, which JSON has in base64.
type secretValue struct {
	ARN          string
	CreatedDate  awsapi.Time
	Name         string
	SecretBinary []byte
	SecretString *string
}

type batchGetSecretValueInput struct {
	NextToken    string `json:",omitempty"`
	SecretIdList []string
}

type batchGetSecretValueOutput struct {
	Errors       []secretError
	NextToken    string
	SecretValues []secretValue
}

type secretError struct {
	ErrorCode string
	SecretId  string
}

type listSecretsInput struct {
	Filters                []filter
	IncludePlannedDeletion bool
	MaxResults             int
	NextToken              string `json:",omitempty"`
}

type filter struct {
	Key    string
	Values []string
}

type listSecretsOutput struct {
	NextToken  string
	SecretList []listedSecret
}

type listedSecret struct {
	ARN                    string
	DeletedDate            awsapi.Time
	LastChangedDate        awsapi.Time
	Name                   string
	SecretVersionsToStages map[string][]string
}

type listSecretVersionIdsInput struct {
	MaxResults int
	NextToken  string `json:",omitempty"`
	SecretId   string
}

type listSecretVersionIdsOutput struct {
	NextToken string
	Versions  []listedVersion
}

type listedVersion struct {
	CreatedDate   awsapi.Time
	VersionStages []string
}

// A write says who it is by ClientRequestToken, which becomes the ID of the version: a
// call that is made again with the same one adds nothing.

type createSecretInput struct {
	ClientRequestToken string
	KmsKeyId           string `json:",omitempty"`
	Name               string
	SecretBinary       []byte  `json:",omitempty"`
	SecretString       *string `json:",omitempty"`
}

type putSecretValueInput struct {
	ClientRequestToken string
	SecretBinary       []byte `json:",omitempty"`
	SecretId           string
	SecretString       *string `json:",omitempty"`
}

// writtenVersion is what CreateSecret and PutSecretValue answer.
type writtenVersion struct {
	VersionId string
}
