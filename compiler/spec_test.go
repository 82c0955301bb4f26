package compiler

import (
	"crypto/rand"
	"encoding/json"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/build"
	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/parser"
	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/compiler/value/derive"
	"github.com/victor-ai/victorgen/schema"
)

// compiledSchema is the schema as CUE has it.
func compiledSchema(t *testing.T) cue.Value {
	t.Helper()
	inst := build.NewContext().NewInstance("", nil)
	for _, name := range slices.Sorted(maps.Keys(schema.Files())) {
		if strings.Contains(name, "/") {
			continue // of another package
		}
		f, err := parser.ParseFile(path.Join("schema", name), schema.Files()[name])
		if err != nil {
			t.Fatal(err)
		}
		if err := inst.AddSyntax(f); err != nil {
			t.Fatal(err)
		}
	}
	v := cuecontext.New().BuildInstance(inst)
	if err := v.Err(); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestSpec holds the Go types to the schema: each field of the one has a field
// in the other, of a type that can hold what CUE allows.
func TestSpec(t *testing.T) {
	t.Parallel()
	root := compiledSchema(t)
	tests := []struct {
		definition string
		with       []string // unified with it, one at a time, where its fields depend on another
		goType     reflect.Type
	}{
		{"#Environment", nil, reflect.TypeFor[spec]()},
		{"#Source", nil, reflect.TypeFor[sourceSpec]()},
		{"#Store", nil, reflect.TypeFor[storeSpec]()},
		{"#ServiceAccount", nil, reflect.TypeFor[serviceAccountSpec]()},
		{"#ArgoCD", nil, reflect.TypeFor[argocdSpec]()},
		{"#Workloads", nil, reflect.TypeFor[workloadsSpec]()},
		{"#Delivery", nil, reflect.TypeFor[deliverySpec]()},
		{"#Access", nil, reflect.TypeFor[accessSpec]()},
		{"#Reader", nil, reflect.TypeFor[readerSpec]()},
		{"#Input", nil, reflect.TypeFor[inputSpec]()},
		{"#Generate", []string{
			`{kind: "password"}`, `{kind: "bytes"}`, `{kind: "bytes", encoding: "base64url"}`, `{kind: "uuid"}`, `{kind: "rsa"}`, `{kind: "ed25519"}`, `{kind: "ecdsa"}`,
			`{kind: "bcrypt"}`, `{kind: "argon2id"}`, `{kind: "sha512crypt"}`, `{kind: "scram-sha-256"}`, `{kind: "rabbitmq"}`,
			`{kind: "htpasswd"}`, `{kind: "jwt"}`, `{kind: "publicKey"}`, `{kind: "certificate"}`, `{kind: "pkcs12"}`, `{kind: "jks"}`, `{kind: "time"}`,
		}, reflect.TypeFor[generateSpec]()},
		{"#Rule", nil, reflect.TypeFor[ruleSpec]()},
		{"#Secret", nil, reflect.TypeFor[secretSpec]()},
		{"#Key", nil, reflect.TypeFor[keySpec]()},
		{"#Alerts", nil, reflect.TypeFor[alertsSpec]()},
		{"#Exporter", nil, reflect.TypeFor[exporterSpec]()},
		{"#Alert", nil, reflect.TypeFor[alertSpec]()},
		{"#Plan", nil, reflect.TypeFor[plan.Document]()},
		{"#SourcePlan", nil, reflect.TypeFor[plan.SourceDocument]()},
		{"#InputPlan", nil, reflect.TypeFor[plan.InputDocument]()},
		{"#SecretPlan", nil, reflect.TypeFor[plan.SecretDocument]()},
	}
	tested := map[string]bool{"#AlertRules": true, "#DeliveryKind": true, "#Required": true, "#Optional": true, "#Generated": true, "#Setting": true} // by name alone; and each one is an #Input
	for _, tt := range tests {
		tested[tt.definition] = true
		def := root.LookupPath(cue.ParsePath(tt.definition))
		variants := []cue.Value{def}
		if len(tt.with) > 0 {
			variants = nil
			for _, w := range tt.with {
				variants = append(variants, def.Unify(cuecontext.New().CompileString(w)))
			}
		}
		kinds := map[string]cue.Kind{}
		for _, v := range variants {
			fields, err := v.Fields(cue.Optional(true))
			if err != nil {
				t.Fatalf("%s: %v", tt.definition, err)
			}
			for fields.Next() {
				kinds[fields.Selector().Unquoted()] |= fields.Value().IncompleteKind()
			}
		}
		delete(kinds, "allow") // which a policy adds to a plan
		var tags []string
		for tag, fieldType := range fieldsOf(tt.goType) {
			tags = append(tags, tag)
			if kind, ok := kinds[tag]; ok && !holds(fieldType, kind) {
				t.Errorf("%s.%s is %v in CUE, and %v in Go", tt.definition, tag, kind, fieldType)
			}
		}
		slices.Sort(tags)
		if diff := cmp.Diff(slices.Sorted(maps.Keys(kinds)), tags); diff != "" {
			t.Errorf("fields of %s and tags of %v (-schema +Go):\n%s", tt.definition, tt.goType, diff)
		}
	}

	definitions, err := root.Fields(cue.Definitions(true))
	if err != nil {
		t.Fatal(err)
	}
	for definitions.Next() {
		if name := definitions.Selector().String(); !tested[name] {
			t.Errorf("no Go type is held to %s", name)
		}
	}
}

func holds(t reflect.Type, kind cue.Kind) bool {
	if t.Kind() == reflect.Pointer {
		t, kind = t.Elem(), kind&^cue.NullKind
	}
	switch kind {
	case cue.BottomKind: // #Generate, whose fields are not known before its kind is
		return t == reflect.TypeFor[generateSpec]()
	case cue.StringKind:
		return t.Kind() == reflect.String
	case cue.IntKind:
		return t.Kind() == reflect.Int
	case cue.NumberKind:
		return t.Kind() == reflect.Float64
	case cue.BoolKind:
		return t.Kind() == reflect.Bool
	case cue.ListKind:
		return t.Kind() == reflect.Slice
	case cue.StructKind:
		return t == reflect.TypeFor[json.RawMessage]() || t.Kind() == reflect.Struct || t.Kind() == reflect.Map
	}
	return false
}

// TestSpecWords holds the words that the schema lists to the constants that Go
// compares with.
func TestSpecWords(t *testing.T) {
	t.Parallel()
	root := compiledSchema(t)
	tests := []struct {
		field string
		want  []string
	}{
		{"#Input.class", []string{string(plan.Required), string(plan.Optional), string(plan.Generated), string(plan.Setting)}},
		{"#Rule.kind", []string{string(plan.AtLeastOne), string(plan.ExactlyOne), string(plan.AllOrNone)}},
		{"#Generate.kind", []string{plan.Password, plan.Bytes, plan.UUID, plan.RSA, plan.Ed25519, plan.ECDSA,
			plan.Bcrypt, plan.Argon2id, plan.SHA512Crypt, plan.SCRAM, plan.RabbitMQ, plan.Htpasswd, plan.JWT, plan.PublicKey, plan.X509, plan.PKCS12, plan.JKS, plan.Time}},
		{"#Delivery.kind", plan.DeliveryKinds},
		{"#Delivery.scope", []string{plan.Strict, plan.NamespaceWide, plan.ClusterWide}},
		{"#Reader.kind", []string{rbacv1.ServiceAccountKind, rbacv1.GroupKind, rbacv1.UserKind}},
		{"#Source.kind", plan.SourceKinds},
		{"#InputPlan.class", []string{string(plan.Required), string(plan.Optional), string(plan.Generated), string(plan.Setting)}},
	}
	for _, tt := range tests {
		definition, field, _ := strings.Cut(tt.field, ".")
		fields, err := root.LookupPath(cue.ParsePath(definition)).Fields(cue.Optional(true))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for fields.Next() {
			if fields.Selector().Unquoted() == field {
				got = words(t, cue.Dereference(fields.Value()))
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-Go +schema):\n%s", tt.field, diff)
		}
	}
}

// TestTables holds each table by which Go acts to what the schema allows: an
// entry that is missing would let a contract ask for what then never happens.
func TestTables(t *testing.T) {
	t.Parallel()
	root := compiledSchema(t)
	field := func(definition, with, name string) []string {
		v := root.LookupPath(cue.ParsePath(definition))
		if with != "" {
			v = v.Unify(cuecontext.New().CompileString(with))
		}
		fields, err := v.Fields(cue.Optional(true))
		if err != nil {
			t.Fatal(err)
		}
		for fields.Next() {
			if fields.Selector().Unquoted() == name {
				return words(t, cue.Dereference(fields.Value()))
			}
		}
		t.Fatalf("%s has no field %s", definition, name)
		return nil
	}

	for _, format := range field("#Input", "", "format") {
		in := plan.Input{Name: "X", Class: plan.Setting, Constraints: plan.Constraints{Format: format}}
		// No format lets this through, and none but one that is judged says what it wants.
		ds := value.Judge(in, value.New([]byte("\x01 {")))
		if len(ds) != 1 || !strings.HasPrefix(ds[0].Hint, "it must be ") {
			t.Errorf("format %s is not judged: %v", format, ds)
		}
	}
	in := plan.Input{Name: "X", Class: plan.Setting, Constraints: plan.Constraints{Format: "new"}}
	if ds := value.Judge(in, value.New([]byte("anything"))); !ds.HasErrors() {
		t.Error("a format that nothing judges lets a value through")
	}

	kinds := field("#Source", "", "kind")

	for _, kind := range field("#Generate", "", "kind") {
		if known, _ := derive.Kinds(kind); known {
			continue // package derive tries each of its own
		}
		g := plan.Generate{Kind: kind, Length: 8, Alphabet: "abcd", Bits: 2048, Curve: "P-256"}
		encodings := []string{""}
		if kind != plan.Password && kind != plan.UUID {
			encodings = field("#Generate", "{kind: \""+kind+"\"}", "encoding")
		}
		for _, g.Encoding = range encodings {
			if v, err := value.Generate(g, rand.Reader); err != nil || v.Len() == 0 {
				t.Errorf("generate %s %s: %v", kind, g.Encoding, err)
			}
		}
	}

	for _, kind := range field("#Rule", "", "kind") {
		if clauses := clausesOf(plan.Rule{Kind: plan.RuleKind(kind), Inputs: []string{"A", "B"}}); len(clauses) == 0 {
			t.Errorf("a rule of kind %s demands nothing", kind)
		}
	}

	if clauses := clausesOf(plan.Rule{Kind: "new", Inputs: []string{"A"}}); satisfiable(clauses, new(1<<20)) {
		t.Error("a rule of a kind that nothing judges can be met")
	}

	for _, encoding := range field("#Input", "", "encoding") {
		in := plan.Input{Name: "X", Class: plan.Setting, Encoding: encoding}
		if ds := value.Judge(in, value.New([]byte("YQ=="))); len(ds) > 0 {
			t.Errorf("encoding %s: %v", encoding, ds)
		}
	}
	in = plan.Input{Name: "X", Class: plan.Setting, Encoding: "new"}
	if ds := value.Judge(in, value.New([]byte("YQ=="))); !ds.HasErrors() {
		t.Error("an encoding that nothing reads lets a value through")
	}

	for field, words := range map[string]struct{ schema, plan []string }{
		"kinds of delivery": {field("#Delivery", "", "kind"), plan.DeliveryKinds},
		"scopes":            {field("#Delivery", "{kind: \"sealed\"}", "scope"), []string{plan.Strict, plan.NamespaceWide, plan.ClusterWide}},
		"kinds of source":   {kinds, plan.SourceKinds},
		"classes":           {field("#Input", "", "class"), []string{string(plan.Required), string(plan.Optional), string(plan.Generated), string(plan.Setting)}},
	} {
		slices.Sort(words.schema)
		if diff := cmp.Diff(words.schema, slices.Sorted(slices.Values(words.plan))); diff != "" {
			t.Errorf("%s (-schema +plan):\n%s", field, diff)
		}
	}

	// Of each type of Secret that Kubernetes demands keys of, the content is judged.
	for kind, demanded := range typeKeys {
		data := map[string]value.Value{}
		for _, alternatives := range demanded {
			data[alternatives[0]] = value.New([]byte("a:\x00 {"))
		}
		if ds := value.JudgeTyped(plan.Secret{Name: "x", Type: string(kind)}, "a/x", data); len(ds) == 0 {
			t.Errorf("the content of type %s is not judged", kind)
		}
	}

	// The names of the alerts are those of the schema, as CUE reads it.
	rules, err := root.LookupPath(cue.ParsePath("#AlertRules")).Fields(cue.Optional(true))
	if err != nil {
		t.Fatal(err)
	}
	var alerts []string
	for rules.Next() {
		alerts = append(alerts, rules.Selector().Unquoted())
	}
	if diff := cmp.Diff(alerts, alertNames()); diff != "" || len(alerts) < 12 {
		t.Errorf("alerts (-schema +known):\n%s", diff)
	}
}

// words returns the members of a disjunction of strings.
func words(t *testing.T, v cue.Value) []string {
	t.Helper()
	if op, members := v.Expr(); op == cue.OrOp {
		var all []string
		for _, m := range members {
			all = append(all, words(t, m)...)
		}
		return all
	}
	word, err := v.String()
	if err != nil {
		t.Fatal(err)
	}
	return []string{word}
}
