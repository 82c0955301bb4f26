package importer_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bitnami-labs/sealed-secrets/pkg/apis/sealedsecrets/v1alpha1"
	"github.com/rogpeppe/go-internal/txtar"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/source/env"
	"github.com/victor-ai/victorgen/emit"
	"github.com/victor-ai/victorgen/emit/tree"
	"github.com/victor-ai/victorgen/importer"
	"github.com/victor-ai/victorgen/importer/observe"
	_ "github.com/victor-ai/victorgen/internal/heap" // collecting garbage is a third of what the tests take
)

// sealing is the key of the controller that the corpus is sealed for.
var sealing = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// certificate writes its certificate.
func certificate(t *testing.T, file string) {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sealed-secrets"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * 365 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, sealing().Public(), sealing())
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func write(t *testing.T, file string, text []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// open opens the sources of a plan, in a process without an environment.
func open(p *plan.Plan) map[string]source.Source {
	sources := map[string]source.Source{}
	for _, s := range p.Sources {
		sources[s.Name] = env.New(s, func(string) (string, bool) { return "", false })
	}
	return sources
}

// read reads the files of a case, each as what its name says that it is: those in
// manifests are manifests.
func read(t *testing.T, dir string, a *txtar.Archive) (*observe.Observed, plan.Diagnostics) {
	t.Helper()
	var envs []string
	manifests := false
	for _, f := range a.Files {
		if f.Name == "contract.cue" || f.Name == "dev.cue" || f.Name == "env.cue" || f.Name == "says" {
			continue
		}
		write(t, filepath.Join(dir, f.Name), f.Data)
		if strings.HasPrefix(f.Name, "manifests/") {
			manifests = true
		} else {
			envs = append(envs, filepath.Join(dir, f.Name))
		}
	}
	if err := os.Mkdir(filepath.Join(dir, ".git"), 0o755); err != nil { // within which a kustomization may refer to others
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "manifests", "overlay")); err == nil {
		return observe.Manifests(t.Context(), []string{filepath.Join(dir, "manifests", "overlay")}, observe.Options{})
	}
	if manifests {
		return observe.Manifests(t.Context(), []string{filepath.Join(dir, "manifests")}, observe.Options{})
	}
	return observe.EnvFiles(envs, nil)
}

func cases(t *testing.T, glob string) map[string]*txtar.Archive {
	t.Helper()
	files, _ := filepath.Glob(glob)
	if len(files) == 0 {
		t.Fatal("there are no cases")
	}
	all := map[string]*txtar.Archive{}
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimSuffix(filepath.Base(file), ".txtar")] = a
	}
	return all
}

// module starts an empty module.
func module(t *testing.T, dir string) string {
	t.Helper()
	write(t, filepath.Join(dir, "cue.mod", "module.cue"), []byte("module: \"case.example/secrets@v0\"\nlanguage: version: \"v0.15.0\"\n"))
	write(t, filepath.Join(dir, ".gitignore"), []byte(".secrets*\n..secrets*\n"))
	return dir
}

func optionsOf(dir string) importer.Options {
	return importer.Options{Module: dir, Names: importer.Names{Package: "shop", Environment: "prod"}, Open: open, Timeout: time.Minute}
}

// TestCorpus imports each case, and checks whether what the contract makes is what
// was read: by the proof, and by what upstream's code unseals of a build. What is
// written is a golden; what is said is, too. A value is in neither.
func TestCorpus(t *testing.T) {
	t.Parallel()
	all := cases(t, "testdata/corpus/*.txtar")
	if len(all) < 40 {
		t.Errorf("there are %d cases", len(all))
	}
	for name, a := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			observed, said := read(t, filepath.Join(dir, "in"), a)
			if said.HasErrors() {
				t.Fatal(said)
			}
			m := module(t, filepath.Join(dir, "module"))
			o := optionsOf(m)
			result, ds := importer.Run(t.Context(), observed, o)
			said = append(said, ds...)
			if len(ds) > 0 && testing.Verbose() {
				t.Log(ds)
			}
			canaries(t, observed, result, said, m)
			if ds.HasErrors() {
				for _, f := range result.Files {
					t.Logf("%s:\n%s", f.Path, f.Text())
				}
				t.Fatal(ds)
			}
			for _, one := range result.Proof {
				if one.Verdict != importer.Equal && one.Verdict != importer.Unknown {
					t.Errorf("%+v", one)
				}
			}
			if len(result.Proof) == 0 {
				t.Error("nothing is proved")
			}
			var text strings.Builder
			for _, d := range said {
				fmt.Fprintf(&text, "%s %s: %s\n", d.Severity, d.Code, strings.ReplaceAll(d.Message, dir, "DIR"))
			}
			golden(t, name, a, result, text.String())

			// It passes vet, and what says so is not the tool that has written it alone.
			environment := filepath.Join(m, "envs", "prod")
			p, bad := compiler.Compile(environment, compiler.Options{Review: true})
			if bad.HasErrors() {
				t.Fatalf("vet: %v", bad)
			}
			for _, file := range []string{"contract.cue", "envs/prod/env.cue"} {
				text, err := os.ReadFile(filepath.Join(m, file))
				if err != nil {
					t.Fatal(err)
				}
				if again, err := compiler.Format(text); err != nil || !bytes.Equal(again, text) {
					t.Errorf("%s is not formatted (%v)", file, err)
				}
			}
			again, ds := importer.Run(t.Context(), observed, o)
			if ds.HasErrors() || slices.ContainsFunc(again.Files, func(f importer.File) bool { return f.State != "unchanged" }) ||
				slices.ContainsFunc(again.Inputs, func(p importer.Place) bool { return p.State != "" && p.State != "unchanged" }) {
				t.Errorf("a second import changes something: %v %+v %+v", ds, again.Files, again.Inputs)
			}
			if !slices.ContainsFunc(p.Secrets, func(s plan.Secret) bool { return s.Delivery.Kind == plan.External }) {
				unseal(t, observed, environment)
			}
		})
	}
}

// golden compares what was written and said with the case, or updates it.
func golden(t *testing.T, name string, a *txtar.Archive, r *importer.Result, says string) {
	t.Helper()
	want := map[string]string{"contract.cue": r.Files[0].Text(), "says": says}
	if env := r.Files[1].Text(); !strings.Contains(env, "sealing-cert.pem") || strings.Contains(env, "sources:") {
		want["env.cue"] = env
	}
	compare(t, filepath.Join("testdata", "corpus", name+".txtar"), a, want)
}

// unseal builds the environment, unseals what comes out with the controller's code,
// and compares it with what was read.
func unseal(t *testing.T, observed *observe.Observed, dir string) {
	t.Helper()
	certificate(t, filepath.Join(dir, "sealing-cert.pem"))
	p, ds := compiler.Compile(dir, compiler.Options{})
	if ds.HasErrors() {
		t.Fatal(ds)
	}
	set, ds := source.Resolve(t.Context(), p, open(p), source.Options{SkipValidation: true, MustRead: true})
	missing := map[string]bool{}
	for _, d := range ds {
		if d.Severity == plan.Error && d.Code != plan.CodeMissing {
			t.Fatal(ds)
		}
	}
	for _, in := range p.Inputs {
		if set[in.Name].Value.Len() == 0 && in.Default == nil {
			missing[in.Name] = true // no one has said what it is
		}
	}
	built := *p
	built.Secrets = nil
	for _, s := range p.Secrets {
		s.Keys = slices.DeleteFunc(slices.Clone(s.Keys), func(k plan.Key) bool {
			return slices.ContainsFunc(k.Inputs(), func(in string) bool { return missing[in] })
		})
		if len(s.Keys) > 0 {
			built.Secrets = append(built.Secrets, s)
		}
	}
	if len(built.Secrets) == 0 {
		return // no value is known
	}
	out, _, ds := emit.Emit(context.Background(), &built, set, &tree.Tree{}, emit.Options{})
	if ds.HasErrors() {
		t.Fatal(ds)
	}
	s := runtime.NewScheme()
	utilruntime.Must(scheme.AddToScheme(s))
	utilruntime.Must(v1alpha1.AddToScheme(s))
	codecs := serializer.NewCodecFactory(s)
	got := map[string]map[string][]byte{}
	types := map[string]string{}
	for file, text := range out.Files {
		if !strings.HasPrefix(file, "secrets/") {
			continue
		}
		var ss v1alpha1.SealedSecret
		if err := yaml.UnmarshalStrict(text, &ss); err != nil {
			t.Fatalf("%s does not parse", file)
		}
		secret, err := ss.Unseal(codecs, map[string]*rsa.PrivateKey{"": sealing()})
		if err != nil {
			t.Fatalf("%s does not unseal", file)
		}
		got[secret.Namespace+"/"+secret.Name] = secret.Data
		types[secret.Namespace+"/"+secret.Name] = string(secret.Type)
	}
	secrets := observed.Secrets
	if len(secrets) == 0 {
		only := observe.Secret{Name: "shop"}
		for _, v := range observed.Variables {
			only.Keys = append(only.Keys, observe.Key{Name: v.Name, State: v.State, Value: v.Value})
		}
		secrets = []observe.Secret{only}
	}
	compared := 0
	for _, s := range secrets {
		id := s.Namespace + "/" + s.Name
		if s.Namespace == "" {
			id = p.Namespace + "/" + s.Name
		}
		for _, k := range s.Keys {
			if k.State != observe.Given {
				continue
			}
			if !bytes.Equal(got[id][k.Name], k.Value.Reveal()) {
				t.Errorf("key %s of %s unseals to something else", k.Name, id)
			}
			compared++
		}
		if want := s.Type; compared > 0 && got[id] != nil && want != types[id] && !(want == "" && types[id] == "Opaque") {
			t.Errorf("%s has the type %s, and had %s", id, types[id], want)
		}
	}
	t.Logf("%d keys unseal to what was read", compared)
}

// canaries looks for each secret value that was read in all that came out: files of
// the module but the source's own, diagnostics, the result.
func canaries(t *testing.T, o *observe.Observed, r *importer.Result, ds plan.Diagnostics, module string) {
	t.Helper()
	public := map[string]bool{} // what is in Git on purpose: the report says so
	dirs, _ := filepath.Glob(filepath.Join(module, "envs", "*"))
	for _, dir := range dirs {
		if p, _ := compiler.Compile(dir, compiler.Options{Direct: true}); p != nil {
			for _, in := range p.Inputs {
				if in.Default != nil {
					public[*in.Default] = true
				}
			}
		}
	}
	var out strings.Builder
	for _, f := range r.Files {
		out.WriteString(f.Text())
	}
	js, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(js)
	fmt.Fprintf(&out, "%v %+v %#v", ds, r, o)
	filepath.WalkDir(module, func(file string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !strings.HasPrefix(d.Name(), ".secrets") {
			text, _ := os.ReadFile(file)
			out.Write(text)
		}
		return nil
	})
	text := out.String()
	look := func(what string, b []byte) {
		if len(b) < 8 || public[string(b)] || !bytes.ContainsFunc(b, func(r rune) bool { return r < 'A' || r > 'z' }) {
			return // a word shows everywhere
		}
		for form, s := range map[string]string{
			"plain": string(b), "hex": hex.EncodeToString(b), "base64": base64.StdEncoding.EncodeToString(b), "query": url.QueryEscape(string(b)), "quoted": fmt.Sprintf("%q", b),
		} {
			if strings.Contains(text, s) {
				t.Errorf("%s shows in what comes out (%s)", what, form)
			}
		}
	}
	for _, s := range o.Secrets {
		for _, k := range s.Keys {
			look(s.String()+" "+k.Name, k.Value.Reveal())
		}
	}
	for _, v := range o.Variables {
		look(v.Name, v.Value.Reveal())
	}
}
