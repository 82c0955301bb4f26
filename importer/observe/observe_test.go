package observe

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// canary is a value that no diagnostic and no note may have.
const canary = "c4n4rY-Xq7Zp2Lw9Kd5"

// TestRefused: what can't be read is an error that says what it is and what to do,
// and nothing of what is there.
func TestRefused(t *testing.T) {
	t.Parallel()
	secret := func(rest string) string {
		return "apiVersion: v1\nkind: Secret\nmetadata: {name: app, namespace: shop}\n" + rest
	}
	store := "apiVersion: external-secrets.io/v1\nkind: ClusterSecretStore\nmetadata: {name: s}\nspec: {provider: {%s}}\n---\n"
	es := "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {name: app}\nspec:\n  secretStoreRef: {name: s, kind: ClusterSecretStore}\n  "
	for name, test := range map[string]struct{ text, want string }{
		"no YAML":                    {secret("stringData: {a: " + canary + "\n"), "is not valid YAML"},
		"no base64":                  {secret("data: {a: '" + canary + "!'}\n"), "key a of data is not valid base64"},
		"a number":                   {secret("stringData: {a: " + canary + ", b: 5}\n"), "key b of stringData is not text"},
		"a list":                     {secret("data: [" + canary + "]\n"), "it is not a valid Secret"},
		"SOPS":                       {secret("stringData: {a: " + canary + "}\nsops: {mac: x}\n"), "it is encrypted by SOPS"},
		"a template of Helm":         {secret("stringData: {a: {{ .Values.a }}, b: " + canary + "}\n"), "is a Helm template"},
		"nothing":                    {"a: " + canary + "\n", "there is no Kubernetes object"},
		"no Secret":                  {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: " + canary + "}\n", "there is no Secret"},
		"an old SealedSecret":        {"apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {name: a}\nspec: {data: " + canary + "}\n", "has the old form"},
		"no store":                   {es + "data: [{secretKey: a, remoteRef: {key: a}}]\n", "which was not read"},
		"a strange provider":         {fmt.Sprintf(store, "bitwarden: {}") + es + "data: [{secretKey: a, remoteRef: {key: a}}]\n", "is of the provider bitwarden"},
		"extract":                    {fmt.Sprintf(store, "aws: {region: eu-west-1}") + es + "dataFrom: [{extract: {key: db}}]\n", `takes all properties of "db"`},
		"find":                       {fmt.Sprintf(store, "aws: {region: eu-west-1}") + es + "dataFrom: [{find: {name: {regexp: x}}}]\n", "takes everything that a search by the name \"x\" finds"},
		"all of an object":           {fmt.Sprintf(store, "vault: {server: 'https://v.test', path: kv}") + es + "data: [{secretKey: a, remoteRef: {key: a}}]\n", "is a whole object of Vault"},
		"decoding":                   {fmt.Sprintf(store, "aws: {region: eu-west-1}") + es + "data: [{secretKey: a, remoteRef: {key: a, decodingStrategy: Auto}}]\n", "decoded by the strategy Auto"},
		"templateFrom, a Secret":     {fmt.Sprintf(store, "aws: {region: eu-west-1}") + es + "data: [{secretKey: a, remoteRef: {key: a}}]\n  target: {template: {templateFrom: [{secret: {name: t, items: [{key: k}]}}]}}\n", "has a template in Secret \"t\""},
		"templateFrom, absent":       {fmt.Sprintf(store, "aws: {region: eu-west-1}") + es + "data: [{secretKey: a, remoteRef: {key: a}}]\n  target: {template: {templateFrom: [{configMap: {name: t, items: [{key: k}]}}]}}\n", "ConfigMap \"t\", which was not read"},
		"templateFrom, labels":       {fmt.Sprintf(store, "aws: {region: eu-west-1}") + es + "data: [{secretKey: a, remoteRef: {key: a}}]\n  target: {template: {templateFrom: [{target: Labels, literal: 'a: b'}]}}\n", "templateFrom[0] makes labels of values"},
		"templateFrom, a loop":       {fmt.Sprintf(store, "aws: {region: eu-west-1}") + es + "data: [{secretKey: a, remoteRef: {key: a}}]\n  target: {template: {templateFrom: [{literal: '{{ range . }}'}]}}\n", "is not a list of keys before it is executed"},
		"a generator":                {fmt.Sprintf(store, "aws: {region: eu-west-1}") + es + "dataFrom: [{sourceRef: {generatorRef: {apiVersion: generators.external-secrets.io/v1alpha1, kind: Password, name: pw}}}]\n", "what the generator Password pw makes"},
		"a generator of a key":       {fmt.Sprintf(store, "aws: {region: eu-west-1}") + es + "data: [{secretKey: a, remoteRef: {key: a}, sourceRef: {generatorRef: {kind: UUID, name: id}}}]\n", "key a is made by the generator UUID id"},
		"rewrite":                    {fmt.Sprintf(store, "aws: {region: eu-west-1}") + es + "dataFrom: [{extract: {key: db}, rewrite: [{regexp: {source: a, target: b}}]}]\n", "dataFrom[0] renames what it takes (rewrite)"},
		"Unicode":                    {fmt.Sprintf(store, "aws: {region: eu-west-1}") + es + "dataFrom: [{extract: {key: db, conversionStrategy: Unicode}}]\n", "conversionStrategy: Unicode"},
		"metadata":                   {fmt.Sprintf(store, "aws: {region: eu-west-1}") + es + "data: [{secretKey: a, remoteRef: {key: a, metadataPolicy: Fetch}}]\n", "metadataPolicy: Fetch"},
		"another object":             {fmt.Sprintf(store, "aws: {region: eu-west-1}") + es + "data: [{secretKey: a, remoteRef: {key: a}}]\n  target: {manifest: {apiVersion: v1, kind: ConfigMap}}\n", "makes an object other than a Secret"},
		"a field of tomorrow":        {fmt.Sprintf(store, "aws: {region: eu-west-1}") + es + "data: [{secretKey: a, remoteRef: {key: a}}]\n  target: {template: {metadata: {finalizers: [x]}}}\n  dataFrom: [{}]\n", "a contract can't express target.template.metadata.finalizers"},
		"extract of several":         {fmt.Sprintf(store, "aws: {region: eu-west-1}") + es + "dataFrom: [{extract: {key: a}}, {extract: {key: b}}]\n  target: {template: {data: {u: '{{ .user }}'}}}\n", "key user comes from one of 2 objects"},
		"extract, all":               {fmt.Sprintf(store, "aws: {region: eu-west-1}") + es + "dataFrom: [{extract: {key: a}}]\n  target: {template: {data: {u: '{{ . | toJson }}'}}}\n", "a template ranges over all of them"},
		"extract, envFrom":           {fmt.Sprintf(store, "aws: {region: eu-west-1}") + es + "dataFrom: [{extract: {key: a}}]\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: {envFrom: [{secretRef: {name: app}}]}\n", "Deployment d takes all keys of the Secret"},
		"a certificate of Key Vault": {fmt.Sprintf(store, "azurekv: {vaultUrl: 'https://v.test'}") + es + "data: [{secretKey: a, remoteRef: {key: cert/web}}]\n", "a key or a certificate of Key Vault"},
		"v1alpha1":                   {strings.ReplaceAll(es, "/v1", "/v1alpha1"), "of the version v1alpha1"},
		"1Password":                  {secret("stringData: {a: '<path:vaults/x/items/y#z>'}\n"), "in 1Password Connect"},
		"IBM":                        {secret("stringData: {a: '<path:ibmcloud/arbitrary/secrets/groups/g#z>'}\n"), "in IBM Cloud"},
		"a version of the engine 1":  {secret("stringData: {a: '<path:kv/mail#password#3>'}\n"), "version 1 of Vault's engine keeps none"},
		"decoded twice":              {secret("stringData: {a: '<path:kv/data/mail#password | base64decode | base64decode>'}\n"), "is decoded twice"},
		"engine v1":                  {fmt.Sprintf(store, "aws: {region: eu-west-1}") + es + "data: [{secretKey: a, remoteRef: {key: a}}]\n  target: {template: {engineVersion: v1, data: {a: x}}}\n", "for the engine v1"},
		"a selector":                 {"apiVersion: external-secrets.io/v1\nkind: ClusterExternalSecret\nmetadata: {name: app}\nspec: {namespaceSelector: {}}\n", "a selector decides in which namespaces"},
		"a backend":                  {secret("stringData: {a: '<path:mail#password>'}\n"), "from which the plugin's backend is not known"},
		"a modifier":                 {secret("stringData: {a: '<path:kv/data/mail#password | jsonPath {.a}>'}\n"), "has the modifier"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, ds := Manifests(t.Context(), []string{Stdin}, Options{Stdin: strings.NewReader(test.text)})
			if !ds.HasErrors() || !strings.Contains(ds.Error(), test.want) {
				t.Errorf("%v, want %q", ds, test.want)
			}
			if strings.Contains(fmt.Sprintf("%+v %#v %+v", ds, ds, o), canary) {
				t.Error("the canary shows")
			}
		})
	}
	for name, test := range map[string]struct{ name, text, want string }{
		"no variables":     {".env", "# nothing\n", "has no variables"},
		"an open quote":    {".env", "A=1\nB='" + canary, "the quote that opens here is not closed"},
		"twice":            {".env", "A=" + canary + "\nA=other\n", "given twice"},
		"a broken Compose": {"compose.yaml", "services: {a: {environment: {A: " + canary + ", B: {c: d}}}}\n", "B is not text"},
		"no environment":   {"compose.yaml", "services: {a: {image: x}}\n", "no service in compose.yaml has an environment"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), test.name)
			if err := os.WriteFile(file, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			o, ds := EnvFiles([]string{file}, nil)
			if !ds.HasErrors() || !strings.Contains(ds.Error(), test.want) {
				t.Errorf("%v, want %q", ds, test.want)
			}
			if strings.Contains(fmt.Sprintf("%+v %#v %+v", ds, ds, o), canary) {
				t.Error("the canary shows")
			}
		})
	}
}

// TestNotes reads comments.
func TestNotes(t *testing.T) {
	t.Parallel()
	text := `# The application of the shop.
# It has two lines.

######## Web ########
# What it listens on
PORT=80
A=1 # behind

# Mail
HOST=m
USER_NAME=u

# Get one at https://example.com/keys.
KEY=x
VICTORGEN_PREVIOUS_KEY='2026-01-01T00:00:00Z w'
# the old password was hunter2hunter2: 9f8e7d6c5b4a39281706
B=2
`
	got := ""
	variables, ds := Dotenv("/x/.env", []byte(text))
	for _, v := range variables {
		got += fmt.Sprintf("%s|%s|%s|%s\n", v.Name, v.Group, v.Description, v.Docs)
	}
	want := `PORT|Web|What it listens on|
A|Web|behind|
HOST|Mail||
USER_NAME|Mail||
KEY|Mail||https://example.com/keys
B|Mail||
`
	if got != want || len(ds) > 0 {
		t.Errorf("got\n%swant\n%s%v", got, want, ds)
	}
}

// said is all that comes of reading but the values.
func said(ds plan.Diagnostics, notes ...Notes) string {
	return fmt.Sprintf("%v %#v %+v", ds, ds, notes)
}

// FuzzDotenv: whatever stands around it, a value is in no note and no diagnostic.
func FuzzDotenv(f *testing.F) {
	for _, s := range []string{"", "# a\nA=1 # b\n", "A='", `B="x # `, "# @type=enum(a, b) @docs(https://x.test)\nC=\n", "export D = 1\n#E=2\n", "a\\", "# ---\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, behind := range []string{"K=" + canary, "K='" + canary + "'", `K="` + canary + ` # x"`} {
			variables, ds := Dotenv("/x/.env", []byte(text+"\n"+behind+"\n"))
			var notes []Notes
			for _, v := range variables {
				notes = append(notes, v.Notes)
			}
			if strings.Contains(said(ds, notes...), canary) {
				t.Errorf("the canary shows behind %q", text)
			}
		}
		Dotenv("/x/.env.schema", []byte(text))
	})
}

// FuzzCompose reads anything as a Compose file.
func FuzzCompose(f *testing.F) {
	for _, s := range []string{"services: {a: {environment: [A=1, B]}}", "services: {a: {environment: {A: ${B:-${C}}, D: $$}}}", "x: &a {A: 1}\nservices: {a: {environment: {<<: *a}}}", "services: {a: {env_file: .env}}"} {
		f.Add(s)
	}
	variables := []Variable{{Name: "B", State: Empty}}
	f.Fuzz(func(t *testing.T, text string) {
		if IsCompose("compose.yaml", []byte(text)) {
			Compose("/x/compose.yaml", []byte(text), variables)
		}
	})
}

// FuzzManifests reads anything as manifests; the value of a Secret behind it is in no
// diagnostic.
func FuzzManifests(f *testing.F) {
	for _, s := range []string{"apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {a: Yg==}\n", "kind: List\nitems: []\n", "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nspec: {data: [{secretKey: a}]}\n",
		"apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {a: '<path:a/data/b#c>'}\n", "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nspec: {encryptedData: {a: x}}\n", "a: [", "---\n---\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		text += "\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: c}\nstringData: {k: " + canary + "}\n"
		_, ds := Manifests(t.Context(), []string{Stdin}, Options{Stdin: strings.NewReader(text)})
		if strings.Contains(said(ds), canary) {
			t.Errorf("the canary shows behind %q", text)
		}
	})
}
