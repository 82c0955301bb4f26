package workload_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/workload"
)

// contract is what the cases are judged by: secrets of every shape that a workload can
// ask for.
func contract(dir string) *plan.Plan {
	template := func(text string) *plan.Template {
		t, problems := plan.ParseTemplate(text, func(name string) (plan.Input, bool) {
			if name == "API_KEY" {
				return plan.Input{Name: name, Class: plan.Optional}, true
			}
			return plan.Input{Name: name, Class: plan.Required}, true
		}, []string{"API_KEY", "DB_PASSWORD"}, false)
		if t == nil || len(problems) > 0 {
			panic(fmt.Sprint(problems))
		}
		return t
	}
	literal := "x"
	at := func(line int) []plan.Pos {
		return []plan.Pos{{File: filepath.Join(dir, "contract.cue"), Line: line, Column: 2}}
	}
	return &plan.Plan{
		Environment: "test", Namespace: "shop", Module: dir, Dir: filepath.Join(dir, "envs/test"),
		Inputs: []plan.Input{
			{Name: "API_KEY", Class: plan.Optional}, {Name: "CERTIFICATE", Class: plan.Required}, {Name: "DB_PASSWORD", Class: plan.Required},
		},
		Sources: []plan.Source{{Name: "default", Kind: plan.Env, File: filepath.Join(dir, ".secrets.test")}},
		Secrets: []plan.Secret{
			{Name: "tools", Namespace: "ops", Type: "Opaque", Pos: at(40), Keys: []plan.Key{{Name: "token", Input: "DB_PASSWORD"}}},
			{Name: "app", Namespace: "shop", Type: "Opaque", Pos: at(10), Keys: []plan.Key{
				{Name: "2fa", Value: &literal}, {Name: "API_KEY", Input: "API_KEY"}, {Name: "DB_PASSWORD", Input: "DB_PASSWORD"}, {Name: "api.conf", Template: template("{{with .API_KEY}}key={{.}}{{end}}")},
				{Name: "mode", Value: &literal}, {Name: "url", Template: template("{{.DB_PASSWORD}}")},
			}},
			{Name: "frozen", Namespace: "shop", Type: "Opaque", Immutable: true, Pos: at(20), Keys: []plan.Key{{Name: "k", Input: "DB_PASSWORD"}}},
			{Name: "maybe", Namespace: "shop", Type: "Opaque", Pos: at(22), Keys: []plan.Key{{Name: "k", Input: "API_KEY"}}},
			{Name: "pull", Namespace: "shop", Type: "kubernetes.io/dockerconfigjson", Pos: at(24), Keys: []plan.Key{{Name: ".dockerconfigjson", Input: "DB_PASSWORD"}}},
			{Name: "repo", Namespace: "shop", Type: "Opaque", Labels: map[string]string{"argocd.argoproj.io/secret-type": "repository"}, Pos: at(26), Keys: []plan.Key{{Name: "password", Input: "DB_PASSWORD"}}},
			{Name: "web", Namespace: "shop", Type: "kubernetes.io/tls", Pos: at(28), Keys: []plan.Key{{Name: "tls.crt", Input: "CERTIFICATE"}, {Name: "tls.key", Input: "DB_PASSWORD"}}},
		},
		Workloads: &plan.Workloads{
			Paths: []string{filepath.Join(dir, "k8s")}, Other: []string{"regcred", "istio-*"}, Pos: at(50),
			References: []plan.SecretPath{{Kind: "Widget", Path: "spec.auth.passwords.from"}},
		},
	}
}

// TestCases runs the corpus: manifests, what they ask for, and what is said of it.
func TestCases(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d cases, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			dir, err := filepath.EvalSymlinks(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			var stdin []byte
			var want string
			for _, f := range a.Files {
				switch f.Name {
				case "expect":
					want = string(f.Data)
				case "stdin":
					stdin = f.Data
				default:
					name := filepath.Join(dir, filepath.FromSlash(f.Name))
					if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(name, f.Data, 0o644); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := os.MkdirAll(filepath.Join(dir, ".git"), 0o755); err != nil {
				t.Fatal(err)
			}
			p := contract(dir)
			var paths []string
			if stdin != nil {
				paths, p.Workloads.Paths = []string{workload.Stdin}, nil
			}
			set, ds := workload.Read(t.Context(), p, paths, stdin)
			ds = append(ds, workload.Judge(p, set)...)
			ds.Sort()
			got := said(dir, set, ds)
			if os.Getenv("VICTORGEN_UPDATE") != "" {
				for i := range a.Files {
					if a.Files[i].Name == "expect" {
						a.Files[i].Data = []byte(got)
					}
				}
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got)\n%s", a.Comment, diff)
			}
		})
	}
}

// said is what was found, with paths as they are in the case.
func said(dir string, set *workload.Set, ds plan.Diagnostics) string {
	var b strings.Builder
	place := func(p plan.Pos) string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column) }
	for _, r := range set.References {
		key := r.Key
		if key == "" {
			key = "*"
		}
		fmt.Fprintf(&b, "%s: %s: %s %s/%s %s", place(r.Pos), r, r.Use, r.Namespace, r.Secret, key)
		if r.Optional {
			b.WriteString(" optional")
		}
		b.WriteString("\n")
	}
	for _, d := range ds {
		if d.Code == plan.CodeNotConsumed && !strings.Contains(d.Message, "key") {
			continue // the contract has more than any case uses
		}
		fmt.Fprintf(&b, "%s %s: %s\n", d.Severity, d.Code, d.Message)
		for i, p := range d.Pos {
			if i == 0 || !strings.HasSuffix(p.File, "contract.cue") {
				fmt.Fprintf(&b, "    %s\n", place(p))
			}
		}
		if d.Hint != "" {
			fmt.Fprintf(&b, "    hint: %s\n", d.Hint)
		}
	}
	return strings.ReplaceAll(b.String(), dir+"/", "")
}

// TestPlaces: neither what a source keeps its values in nor what is outside of the
// repository is read for a contract, by way of links neither; what a user names is.
func TestPlaces(t *testing.T) {
	t.Parallel()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	outside, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	pod := "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: c, envFrom: [{secretRef: {name: nobody}}]}]}}\n"
	for name, text := range map[string]string{
		dir + "/.git/HEAD": "", dir + "/.secrets.test": pod, dir + "/k8s/pod.yaml": pod, dir + "/k8s/.hidden.yaml": pod, dir + "/k8s/.git/x.yaml": pod, outside + "/pod.yaml": pod,
		dir + "/big/big.yaml": strings.Repeat("# x\n", 1<<20), dir + "/big/small.yaml": pod,
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{"k8s/out.yaml": outside + "/pod.yaml", "k8s/secrets.yaml": "../.secrets.test", "k8s/gone.yaml": "nothing", "k8s/same.yaml": "pod.yaml", "there": outside} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	read := func(paths []string, more ...string) string {
		p := contract(dir)
		p.Workloads.Paths = nil
		for _, path := range paths {
			p.Workloads.Paths = append(p.Workloads.Paths, filepath.Join(dir, path))
		}
		set, ds := workload.Read(t.Context(), p, more, nil)
		got := []string{fmt.Sprintf("%d of %d", len(set.References), set.Files)}
		for _, d := range ds {
			got = append(got, strings.ReplaceAll(strings.ReplaceAll(d.Message, dir, "DIR"), outside, "OUT"))
		}
		return strings.Join(got, "\n")
	}
	for name, c := range map[string]struct{ got, want string }{
		"links":                  {read([]string{"k8s"}), "1 of 1\nDIR/k8s/gone.yaml can't be read: it is a dangling link: DIR/k8s/nothing, to which it leads, does not exist\nDIR/k8s/out.yaml is outside of DIR\nDIR/k8s/secrets.yaml is where a source keeps its values"},
		"a link to a directory":  {read([]string{"there"}), "0 of 0\nDIR/there is outside of DIR"},
		"a source's file":        {read([]string{".secrets.test"}), "0 of 0\nDIR/.secrets.test is where a source keeps its values"},
		"a source's file, named": {read(nil, dir+"/.secrets.test"), "0 of 0\nDIR/.secrets.test is where a source keeps its values"},
		"out by dots":            {read([]string{"../" + filepath.Base(outside) + "/../../"}), "0 of 0\n" + filepath.Dir(filepath.Dir(dir)) + " is outside of DIR"},
		"outside, named":         {read(nil, outside), "1 of 1"},
		"nothing":                {read([]string{"nothing"}), "0 of 0\nDIR/nothing can't be read: it does not exist"},
		"too large":              {read([]string{"big"}), "1 of 1\nDIR/big/big.yaml can't be read: it has more than 2 MiB"},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}

// TestBombs: what is small and grows by aliases ends, and is told.
func TestBombs(t *testing.T) {
	t.Parallel()
	laughs := "x0: &x0 [{secretName: nobody}]\n"
	for i := range 60 {
		laughs += fmt.Sprintf("x%d: &x%d [*x%d, *x%d]\n", i+1, i+1, i, i)
	}
	for name, text := range map[string]string{
		"laughs":           "kind: Ingress\n" + laughs + "spec: {tls: *x60}\n",
		"a list of itself": "&l\nkind: List\nitems: [*l, *l]\n",
		"itself":           "&l\nkind: Pod\nspec: *l\n",
	} {
		p := contract(t.TempDir())
		p.Workloads.Paths = nil
		if _, ds := workload.Read(t.Context(), p, []string{workload.Stdin}, []byte(text)); !ds.HasErrors() {
			t.Errorf("%s: no error", name)
		}
	}
}

// FuzzManifests: whatever manifests are, they are judged, or said not to be YAML, and
// nothing of them is shown but names.
func FuzzManifests(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, f2 := range a.Files {
			if strings.HasPrefix(f2.Name, "k8s/") {
				f.Add(f2.Data)
			}
		}
	}
	f.Add([]byte("&l\nkind: List\nitems: [*l]\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("a: &a {containers: [{name: x}], b: [*b]}\nb: &b [*a, *a]\n"))
	p := contract(f.TempDir())
	p.Workloads.Paths = nil
	f.Fuzz(func(t *testing.T, text []byte) {
		set, ds := workload.Read(t.Context(), p, []string{workload.Stdin}, text)
		for _, d := range append(ds, workload.Judge(p, set)...) {
			if d.Code == "" || strings.ContainsFunc(d.Message, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("%s: %q", d.Code, d.Message)
			}
		}
	})
}
