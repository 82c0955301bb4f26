package compiler

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue"
	kjson "sigs.k8s.io/json"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// spec is schema.#Environment as Go sees it. A test holds it to the schema.
type spec struct {
	Environment string                `json:"environment"`
	Namespace   string                `json:"namespace"`
	PartOf      string                `json:"partOf"`
	Sources     map[string]sourceSpec `json:"sources"`
	Delivery    deliverySpec          `json:"delivery"`
	Access      accessSpec            `json:"access"`
	ArgoCD      *argocdSpec           `json:"argocd"`
	Inputs      map[string]inputSpec  `json:"inputs"`
	Rules       map[string]ruleSpec   `json:"rules"`
	Secrets     map[string]secretSpec `json:"secrets"`
	Alerts      *alertsSpec           `json:"alerts"`
	Workloads   *workloadsSpec        `json:"workloads"`
}

type workloadsSpec struct {
	Paths        []string         `json:"paths"`
	OtherSecrets []string         `json:"otherSecrets"`
	References   []secretPathSpec `json:"references"`
	Restart      string           `json:"restart"`
	Watched      []string         `json:"watched"`
}

type secretPathSpec struct {
	Kind string `json:"kind"`
	Path string `json:"path"`
}

// sourceSpec is a source as the contract writes it: File and Dir are relative, and what
// is left out is empty.
type sourceSpec struct {
	plan.Source
	Names  string     `json:"names"`
	Object string     `json:"object"`
	Store  *storeSpec `json:"store"`
}

type storeSpec struct {
	Name            string              `json:"name"`
	Existing        string              `json:"existing"`
	ServiceAccount  *serviceAccountSpec `json:"serviceAccount"`
	Role            string              `json:"role"`
	MountPath       string              `json:"mountPath"`
	ClusterProject  string              `json:"clusterProject"`
	ClusterLocation string              `json:"clusterLocation"`
	ClusterName     string              `json:"clusterName"`
}

type serviceAccountSpec struct {
	Name        string `json:"name"`
	Existing    bool   `json:"existing"`
	AWSRole     string `json:"awsRole"`
	AzureClient string `json:"azureClient"`
	AzureTenant string `json:"azureTenant"`
	GCPAccount  string `json:"gcpAccount"`
}

type deliverySpec struct {
	Kind            string         `json:"kind"`
	Certificate     string         `json:"certificate"`
	Scope           string         `json:"scope"`
	RefreshInterval string         `json:"refreshInterval"`
	RefreshPolicy   string         `json:"refreshPolicy"`
	CreationPolicy  string         `json:"creationPolicy"`
	DeletionPolicy  string         `json:"deletionPolicy"`
	ESOVersion      string         `json:"esoVersion"`
	Controller      controllerSpec `json:"controller"`
}

type controllerSpec struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
}

type argocdSpec struct {
	RepoURL   string `json:"repoURL"`
	Path      string `json:"path"`
	Revision  string `json:"revision"`
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	Project   string `json:"project"`
	Server    string `json:"server"`
	Automated bool   `json:"automated"`
}

type accessSpec struct {
	Readers []readerSpec `json:"readers"`
}

type readerSpec struct {
	Kind      string `json:"kind"`
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
}

type inputSpec struct {
	Class       plan.Class    `json:"class"`
	Description string        `json:"description"`
	Docs        string        `json:"docs"`
	Example     string        `json:"example"`
	Deprecated  string        `json:"deprecated"`
	Source      string        `json:"source"`
	Remote      string        `json:"remote"`
	Encoding    string        `json:"encoding"`
	Trim        bool          `json:"trim"`
	Present     *bool         `json:"present"`
	Default     *string       `json:"default"`
	Generate    *generateSpec `json:"generate"`
	Pattern     string        `json:"pattern"`
	Format      string        `json:"format"`
	MinLength   int           `json:"minLength"`
	MaxLength   int           `json:"maxLength"`
	MinStrength *float64      `json:"minStrength"`
	OneOf       []string      `json:"oneOf"`
	MaxAge      string        `json:"maxAge"`
	RotateAfter string        `json:"rotateAfter"`
	Expires     string        `json:"expires"`
	Owner       string        `json:"owner"`
	Rotate      string        `json:"rotate"`
}

type generateSpec struct {
	Kind        string          `json:"kind"`
	InCluster   bool            `json:"inCluster"`
	Keep        string          `json:"keepPrevious"`
	Length      int             `json:"length"`
	Alphabet    string          `json:"alphabet"`
	Bits        int             `json:"bits"`
	Encoding    string          `json:"encoding"`
	Padding     bool            `json:"padding"`
	Require     []string        `json:"require"`
	Curve       string          `json:"curve"`
	Of          string          `json:"of"`
	Cost        int             `json:"cost"`
	User        string          `json:"user"`
	Algorithm   string          `json:"algorithm"`
	Claims      json.RawMessage `json:"claims"`
	Lifetime    string          `json:"lifetime"`
	RenewBefore string          `json:"renewBefore"`
	Subject     string          `json:"subject"`
	SANs        []string        `json:"sans"`
	Usages      []string        `json:"usages"`
	CA          bool            `json:"ca"`
	Chain       bool            `json:"chain"`
	Issuer      *issuerSpec     `json:"issuer"`
	Password    string          `json:"password"`
	Entries     []entrySpec     `json:"entries"`
}

type issuerSpec struct {
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
}

type entrySpec struct {
	Alias       string `json:"alias"`
	Key         string `json:"key"`
	Certificate string `json:"certificate"`
}

type ruleSpec struct {
	Kind        plan.RuleKind `json:"kind"`
	Inputs      []string      `json:"inputs"`
	Description string        `json:"description"`
}

type secretSpec struct {
	Name        string             `json:"name"`
	Namespace   string             `json:"namespace"`
	Type        string             `json:"type"`
	Labels      map[string]string  `json:"labels"`
	Annotations map[string]string  `json:"annotations"`
	Immutable   bool               `json:"immutable"`
	Delivery    deliverySpec       `json:"delivery"`
	Keys        map[string]keySpec `json:"keys"`
}

type keySpec struct {
	Input    *string `json:"input"`
	Previous bool    `json:"previous"`
	Template *string `json:"template"`
	Value    *string `json:"value"`
}

type alertsSpec struct {
	For              string               `json:"for"`
	Severity         string               `json:"severity"`
	Runbook          string               `json:"runbook"`
	Labels           map[string]string    `json:"labels"`
	AlertLabels      map[string]string    `json:"alertLabels"`
	CertificateEnds  string               `json:"certificateEnds"`
	RotationOverdue  string               `json:"rotationOverdue"`
	ExpiryNotice     string               `json:"expiryNotice"`
	KubeStateMetrics exporterSpec         `json:"kubeStateMetrics"`
	SealedSecrets    exporterSpec         `json:"sealedSecrets"`
	ExternalSecrets  exporterSpec         `json:"externalSecrets"`
	Rules            map[string]alertSpec `json:"rules"` // by the names that the schema has
}

type exporterSpec struct {
	NamespaceLabel    string `json:"namespaceLabel"`
	OmitsSecretLabels bool   `json:"omitsSecretLabels"`
}

type alertSpec struct {
	Enabled  bool   `json:"enabled"`
	For      string `json:"for"`
	Severity string `json:"severity"`
}

// decode reads the package value into a spec, and reports the fields that the
// schema does not know. CUE does not: a package that embeds a definition may add
// to it. Fields that CUE has already complained of (the paths in broken) are
// left out, so that one run can go on to check the rest.
func decode(v cue.Value, ix *index, broken map[string]bool, unknown func(path, known []string)) (*spec, error) {
	var js []byte
	var err error
	if len(broken) == 0 {
		js, err = v.MarshalJSON()
	} else {
		js, err = json.Marshal(salvage(v, ix, nil, broken))
	}
	if err != nil {
		return nil, err
	}
	// Not encoding/json, which takes Namespace for namespace.
	s := new(spec)
	unknownOnes, err := kjson.UnmarshalStrict(js, s)
	if err != nil || len(unknownOnes) == 0 {
		return s, err
	}
	var generic map[string]any
	if err := json.Unmarshal(js, &generic); err != nil {
		return nil, err
	}
	unknownFields(generic, reflect.TypeFor[spec](), nil, unknown)
	return s, nil
}

// salvage returns what of v can be exported, as JSON has it. CUE does not list
// the fields of a struct with an error in it, but the syntax does.
func salvage(v cue.Value, ix *index, path []string, broken map[string]bool) any {
	if broken[pathKey(path)] && len(path) > 0 {
		return nil
	}
	if js, err := v.MarshalJSON(); err == nil {
		return json.RawMessage(js)
	}
	m := map[string]any{}
	for _, name := range ix.names(path) {
		p := append(path[:len(path):len(path)], name)
		if x := salvage(v.LookupPath(cuePath([]string{name})), ix, p, broken); x != nil {
			m[name] = x
		}
	}
	if len(m) == 0 {
		return nil
	}
	return m
}

// unknownFields reports the fields of v, decoded JSON, that t has no place for.
func unknownFields(v any, t reflect.Type, path []string, report func(path []string, known []string)) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if list, ok := v.([]any); ok && t.Kind() == reflect.Slice {
		for i, elt := range list {
			unknownFields(elt, t.Elem(), append(path[:len(path):len(path)], strconv.Itoa(i)), report)
		}
	}
	m, ok := v.(map[string]any)
	if !ok {
		return
	}
	switch t.Kind() {
	case reflect.Map:
		if t == reflect.TypeFor[map[string]alertSpec]() { // whose names are those of the schema alone
			known := slices.Sorted(slices.Values(alertNames()))
			for _, name := range slices.Sorted(maps.Keys(m)) {
				if !slices.Contains(known, name) {
					report(append(path[:len(path):len(path)], name), known)
					delete(m, name)
				}
			}
		}
		for _, name := range slices.Sorted(maps.Keys(m)) {
			unknownFields(m[name], t.Elem(), append(path[:len(path):len(path)], name), report)
		}
	case reflect.Struct:
		fields := fieldsOf(t)
		for _, name := range slices.Sorted(maps.Keys(m)) {
			p := append(path[:len(path):len(path)], name)
			if ft, ok := fields[name]; ok {
				unknownFields(m[name], ft, p, report)
			} else {
				report(p, slices.Sorted(maps.Keys(fields)))
			}
		}
	}
}

// fieldsOf returns the types of the fields that a contract can write at a struct, by
// their names there.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(t) {
		if tag := f.Tag.Get("json"); tag != "-" && !f.Anonymous {
			fields[tag] = f.Type
		}
	}
	return fields
}

// dotted writes a path as CUE does: inputs.DB_HOST, secrets."victor-ai".keys,
// access.readers.0.
func dotted(path []string) string {
	sels := make([]string, len(path))
	for i, s := range path {
		if sels[i] = cue.Str(s).String(); strings.Trim(s, "0123456789") == "" {
			sels[i] = s // nearly always an index
		}
	}
	return strings.Join(sels, ".")
}
