package plan

import (
	"slices"
	"strings"
)

// The kinds of source.
const (
	Env               = "env"                // the process environment over a dotenv file
	AWSSSM            = "aws-ssm"            // AWS Systems Manager Parameter Store
	AWSSecretsManager = "aws-secretsmanager" // AWS Secrets Manager
	AzureKeyVault     = "azure-keyvault"     // Azure Key Vault
	GCPSecretManager  = "gcp-secretmanager"  // Google Secret Manager
	Vault             = "vault"              // a KV engine of HashiCorp Vault or OpenBao
	SOPS              = "sops"               // a file that SOPS has encrypted
	Files             = "files"              // a directory in which each input is a file
	Exec              = "exec"               // whatever a program asks, that the contract names
)

// SourceKind is what is known of one kind of source, next to how it is asked: that is a
// package below compiler/source.
type SourceKind struct {
	Name   string
	Fields []string // of schema.#Source that mean something
	Needs  []string // those without which it means nothing

	Separator   string // between prefix and name
	NamePattern string // a regular expression of the names that there can be; empty where inputs have their own
	MaxName     int    // the characters that a name may have
	NameRule    string // what the two say, in words

	Versions   bool   // a version can be selected
	Binary     bool   // it can hold bytes that are no text
	Properties bool   // one property of an object can be written, and the others stay as they are
	ARN        string // the service in its ARNs, by which it can be asked; empty is none
	MaxValue   int    // the bytes that a value may have; 0 is no limit that matters

	// Previous says where the value before the current one is, Next to or BeforeIt;
	// empty is nowhere.
	Previous string
	// PreviousVersion is the version by which the External Secrets Operator asks for
	// that one; empty where none stays the same, as numbers do not.
	PreviousVersion string

	// Plain says that values stand in File or Dir, in plain text.
	Plain bool
	// NoAddress says that no field of it, and no file that one names, says where a
	// credential goes: there is nothing for package trust to judge.
	NoAddress bool
	// Note is what there is to say of the rights that it takes, where it asks no service
	// that has a language for them.
	Note string

	Operator      bool     // the External Secrets Operator reaches it
	OperatorNeeds string   // the field without which it does not; empty is none
	StoreFields   []string // of schema.#Store that mean something, next to name and existing
}

// Where a source has the value that another one has replaced.
const (
	Beside   = "beside"  // victorgen keeps it next to the current one
	BeforeIt = "version" // the service does, as the version before
)

// Kinds has a row for each kind of source: the rules of the services themselves.
var Kinds = []SourceKind{
	{
		Name: Env, Fields: []string{"file", "environment"}, Plain: true, NoAddress: true, Previous: Beside,
		Note: "No service is asked: the values are in the environment of the process, or in a file that only its user may read.",
	},
	// https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-su-create.html (names) and
	// https://docs.aws.amazon.com/general/latest/gr/ssm.html (sizes; that of an advanced parameter)
	{
		Name: AWSSSM, Fields: []string{"region", "prefix", "kmsKey", "names", "object"}, Separator: "/", Versions: true, MaxValue: 8 << 10, NoAddress: true,
		NamePattern: `^(arn:[^\s?#]+|[A-Za-z0-9_.-]+|(/[A-Za-z0-9_.-]+){1,15})$`, MaxName: 1011,
		NameRule: "up to 1011 letters, digits, and any of _.- in up to 15 parts that / separates",
		Operator: true, OperatorNeeds: "region", StoreFields: []string{"serviceAccount", "awsRole"}, ARN: "ssm", Previous: BeforeIt,
	},
	// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html
	{
		Name: AWSSecretsManager, Fields: []string{"region", "prefix", "kmsKey", "names", "object"}, Separator: "/", Versions: true, Binary: true, MaxValue: 64 << 10, NoAddress: true,
		NamePattern: `^(arn:[^\s?#]+|[A-Za-z0-9/_+=.@-]+)$`, MaxName: 512,
		NameRule: "up to 512 letters, digits, and any of /_+=.@-",
		Operator: true, OperatorNeeds: "region", StoreFields: []string{"serviceAccount", "awsRole"}, ARN: "secretsmanager", Previous: BeforeIt, PreviousVersion: "AWSPREVIOUS",
	},
	// https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#objects-identifiers-and-versioning and
	// https://learn.microsoft.com/azure/key-vault/secrets/about-secrets
	{
		Name: AzureKeyVault, Fields: []string{"vault", "prefix", "names", "object"}, Separator: "-", Versions: true, MaxValue: 25000,
		NamePattern: `^[A-Za-z0-9-]+$`, MaxName: 127,
		NameRule: "up to 127 letters, digits and hyphens",
		Operator: true, OperatorNeeds: "vault", StoreFields: []string{"serviceAccount", "azureClient", "azureTenant"}, Previous: BeforeIt,
	},
	// https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets/create and
	// https://cloud.google.com/secret-manager/quotas
	{
		Name: GCPSecretManager, Fields: []string{"project", "location", "prefix", "names", "object"}, Separator: "-", Versions: true, Binary: true, MaxValue: 64 << 10, NoAddress: true,
		NamePattern: `^[A-Za-z0-9_-]+$`, MaxName: 255,
		NameRule: "up to 255 letters, digits, hyphens and underscores",
		Operator: true, OperatorNeeds: "project", StoreFields: []string{"serviceAccount", "gcpAccount", "clusterProject", "clusterLocation", "clusterName"}, Previous: BeforeIt,
	},
	// https://developer.hashicorp.com/vault/api-docs/secret/kv
	{
		Name: Vault, Fields: []string{"address", "namespace", "caBundle", "mount", "version", "prefix", "names", "object"}, Separator: "/", Versions: true, Properties: true,
		NamePattern: `^[^/\s?#]+(/[^/\s?#]+)*$`, MaxName: 512,
		NameRule: "up to 512 characters without spaces, in parts that / separates",
		Operator: true, OperatorNeeds: "address", StoreFields: []string{"serviceAccount", "role", "mountPath"}, Previous: BeforeIt,
	},
	{
		Name: SOPS, Fields: []string{"file", "names", "object"}, Needs: []string{"file"}, Properties: true, Previous: Beside,
		NamePattern: `^[^\n?#]+$`, MaxName: 512,
		NameRule: "up to 512 characters on one line",
		Note:     "The program sops reads and writes the file, for anyone who has it and one of the keys that it is encrypted for.",
	},
	{
		Name: Files, Fields: []string{"dir"}, Binary: true, MaxValue: 1 << 20, Plain: true, NoAddress: true, Previous: Beside,
		NamePattern: `^[A-Za-z0-9_-][A-Za-z0-9_.-]*$`, MaxName: 200,
		NameRule: "up to 200 letters, digits, and any of _.-, without a dot first",
		Note:     "No service is asked: the values are in files that only their owner may read.",
	},
	{
		Name: Exec, Fields: []string{"command", "prefix", "names", "object"}, Needs: []string{"command"}, Separator: "/", Versions: true, Binary: true, MaxValue: 1 << 20,
		NamePattern: `^/?[^\s?#/-][^\s?#/]*(/[^\s?#/]+)*$`, MaxName: 512,
		NameRule: "up to 512 characters without white space, in parts that / separates, and no - first",
		Note:     "The program of the contract reads the values, with the rights of the user who runs victorgen: its own manual says which it needs.",
	},
}

// KindOf returns the row of a kind of source, and false if there is none.
func KindOf(kind string) (SourceKind, bool) {
	i := slices.IndexFunc(Kinds, func(k SourceKind) bool { return k.Name == kind })
	if i < 0 {
		return SourceKind{Name: kind}, false
	}
	return Kinds[i], true
}

// SourceKinds are the names of all kinds of source.
var SourceKinds = func() (names []string) {
	for _, k := range Kinds {
		names = append(names, k.Name)
	}
	return names
}()

// Source is one place where inputs live. A field that the contract leaves out
// is empty; the source then takes what its own tools take from the process
// environment. The tags are the names of the contract's own fields, #Source.
type Source struct {
	Name string `json:"-"` // "default", or the name that inputs select it by
	Kind string `json:"kind"`
	// Prefix stands before the remote names of its inputs, which have it already.
	Prefix string `json:"prefix"`
	File   string `json:"file"` // env, sops: absolute path of the file; see At
	// Shared of kind env, if File is its default, is the absolute path of .secrets,
	// which all environments once shared. It counts, as FromShared says, if it was
	// there when the plan was made and File was not.
	Shared     string `json:"-"`
	FromShared bool   `json:"-"`
	Dir        string `json:"dir"` // files: absolute path of the directory
	// Command of kind exec is the program and its arguments.
	Command []string `json:"command"`
	// ProcessEnv of kind env says whether the environment of the process counts;
	// nil is yes, but for names that every shell sets.
	ProcessEnv *bool  `json:"environment"`
	Region     string `json:"region"`    // aws-*
	KMSKey     string `json:"kmsKey"`    // aws-*: ID, ARN or alias of the key that encrypts what is written
	Vault      string `json:"vault"`     // azure-keyvault: name of the vault, or its URL
	Project    string `json:"project"`   // gcp-secretmanager: ID of the project
	Location   string `json:"location"`  // gcp-secretmanager: the region that keeps regional secrets
	Address    string `json:"address"`   // vault: URL of the server
	Namespace  string `json:"namespace"` // vault: of Vault Enterprise, or of OpenBao
	CABundle   string `json:"caBundle"`  // vault: certificates of the authorities that vouch for the server, in PEM with nothing else
	Mount      string `json:"mount"`     // vault: path of the KV engine
	Version    string `json:"version"`   // vault: version of the KV engine, "v1" or "v2"
	Store      Store  `json:"-"`         // how external delivery reaches it
	// Pending and PendingValues are where [PendingName] and [PendingValues] are, if it
	// has names of its own.
	Pending       Remote `json:"-"`
	PendingValues Remote `json:"-"`
	Pos           []Pos  `json:"-"`
}

// String names the source for people: `default (aws-ssm)`.
func (s Source) String() string { return s.Name + " (" + s.Kind + ")" }

// At is the absolute path of the file that is read and written.
func (s Source) At() string {
	if s.FromShared {
		return s.Shared
	}
	return s.File
}

// Writes reports whether a value can be written where r is at s: never a version that
// there is already, and one property of an object only where the others stay as they
// are, no matter who writes them.
func (s Source) Writes(r Remote) bool {
	k, _ := KindOf(s.Kind)
	return r.Version == "" && (r.Property == "" || k.Properties)
}

// AzureCloud returns the cloud of Azure that the vault is in, as the External
// Secrets Operator calls it, and false if it is in none of them
// (https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#dns-suffixes-for-object-identifiers).
func (s Source) AzureCloud() (string, bool) {
	_, host, isURL := strings.Cut(strings.ToLower(s.Vault), "://")
	host, _, _ = strings.Cut(strings.TrimSuffix(host, "/"), ":")
	switch {
	case !isURL, strings.HasSuffix(host, ".vault.azure.net"):
		return "PublicCloud", true
	case strings.HasSuffix(host, ".vault.azure.cn"):
		return "ChinaCloud", true
	case strings.HasSuffix(host, ".vault.usgovcloudapi.net"):
		return "USGovernmentCloud", true
	}
	return "", false
}

// SourceDocument is a source in a [Document].
type SourceDocument struct {
	Kind       string         `json:"kind"`
	Prefix     string         `json:"prefix"`
	File       string         `json:"file"` // in the module, or absolute
	Dir        string         `json:"dir"`  // in the module, or absolute
	Command    []string       `json:"command"`
	ProcessEnv *bool          `json:"processEnv"`
	Region     string         `json:"region"`
	KMSKey     string         `json:"kmsKey"`
	Vault      string         `json:"vault"`
	Project    string         `json:"project"`
	Location   string         `json:"location"`
	Namespace  string         `json:"namespace"`
	Address    string         `json:"address"`
	CABundle   string         `json:"caBundle"`
	Mount      string         `json:"mount"`
	Version    string         `json:"version"`
	Store      *StoreDocument `json:"store"` // null if no external secret needs it
}

func (p *Plan) sourceDocument(s Source) SourceDocument {
	d := SourceDocument{
		Kind: s.Kind, Prefix: s.Prefix, File: p.inModule(s.File), Dir: p.inModule(s.Dir), Command: list(s.Command), ProcessEnv: s.ProcessEnv, Region: s.Region, KMSKey: s.KMSKey, Vault: s.Vault, Project: s.Project,
		Location: s.Location, Namespace: s.Namespace, Address: s.Address, CABundle: s.CABundle, Mount: s.Mount, Version: s.Version,
	}
	external := func(sec Secret) bool { return sec.Delivery.Fetches() }
	if slices.ContainsFunc(p.Secrets, external) && s.Store.Name != "" {
		d.Store = &StoreDocument{Name: s.Store.Name, Existing: s.Store.Existing, Role: s.Store.Role, MountPath: s.Store.MountPath}
		if a := s.Store.ServiceAccount; a != nil {
			account := ServiceAccountDocument(*a)
			d.Store.ServiceAccount = &account
		}
	}
	return d
}
