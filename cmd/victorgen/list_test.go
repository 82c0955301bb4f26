package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestListChanged (issue 13, 3): whatever is changed, a build of an environment that
// list does not name changes nothing; and it names no more than it must.
func TestListChanged(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	good := string(read(t, "../../fixtures/certificates/good.pem"))
	environment := func(name, more string) string {
		return "package app\n\nenvironment: \"" + name + "\"\nnamespace: \"apps-" + name + "\"\ndelivery: certificate: \"" + name + ".pem\"\n" + more
	}
	for file, text := range map[string]string{
		".gitignore": ".secrets*\n", "README.md": "An application.\n",
		"secrets/cue.mod/module.cue": "module: \"test.example/secrets@v0\"\nlanguage: version: \"v0.15.0\"\n",
		"secrets/contract.cue": `package app

import (
	"github.com/victor-ai/victorgen/schema"
	"test.example/secrets/shared"
)

schema.#Environment

inputs: {
	PASSWORD: schema.#Generated & {generate: kind: "password"}
	TOKEN:    schema.#Generated & {generate: kind: "password", maxAge: *"720h" | string}
}
secrets: app: {
	keys: password: input: "PASSWORD"
	keys: token:    input: "TOKEN"
	labels: team: shared.team
}
`,
		"secrets/shared/shared.cue":    "package shared\n\nteam: \"one\"\n",
		"secrets/unused/unused.cue":    "package unused\n\nteam: \"one\"\n",
		"secrets/policy/policy.cue":    "package policy\n\nnamespace: =~\"^apps-\"\n",
		"secrets/envs/a/env.cue":       environment("a", ""),
		"secrets/envs/a/a.pem":         good,
		"secrets/envs/b/env.cue":       environment("b", "inputs: TOKEN: maxAge: \"240h\"\n"),
		"secrets/envs/b/b.pem":         good,
		"secrets/envs/c/env.cue":       environment("c", "workloads: {paths: [\"../../../k8s/c\"], restart: \"annotation\"}\n"),
		"secrets/envs/c/c.pem":         good,
		"k8s/base/deployment.yaml":     deploymentOf("api", "app"),
		"k8s/base/kustomization.yaml":  "resources: [deployment.yaml]\n",
		"k8s/c/kustomization.yaml":     "namespace: apps-c\nresources: [../base]\n",
		"other/deployment-of-more.txt": "nothing\n",
	} {
		writeFile(t, filepath.Join(root, file), text)
	}
	git := func(args ...string) { t.Helper(); runGit(t, root, args...) }
	git("init", "-q")
	module := filepath.Join(root, "secrets")
	policy := []string{"--policy", filepath.Join(module, "policy")}
	all := filepath.Join(module, "envs") + "/..."
	if code, out, errs := victorgen(t, append([]string{"build", all}, policy...)...); code != 0 {
		t.Fatalf("%s%s", out, errs)
	}
	git("add", "-A")
	git("commit", "-q", "-m", "first")

	replace := func(file, old, new string) func() {
		return func() {
			t.Helper()
			file := filepath.Join(root, file)
			text := string(read(t, file))
			if !strings.Contains(text, old) {
				t.Fatalf("%s has no %q", file, old)
			}
			writeFile(t, file, strings.ReplaceAll(text, old, new))
		}
	}
	add := func(file, text string) func() {
		return func() { writeFile(t, filepath.Join(root, file), text) }
	}
	remove := func(file string) func() {
		return func() {
			if err := os.RemoveAll(filepath.Join(root, file)); err != nil {
				t.Fatal(err)
			}
		}
	}
	abc := []string{"a", "b", "c"}
	for _, change := range []struct {
		name string
		make func()
		want []string
	}{
		{"nothing", func() {}, nil},
		{"a file of another kind", replace("README.md", "An", "The"), nil},
		{"a new file of another kind", add("other/new.txt", "x\n"), nil},
		{"a manifest that nobody reads", add("secrets/notes.yaml", "a: b\n"), []string{"c"}}, // a kustomization might
		{"the contract, a label", replace("secrets/contract.cue", "labels: team", "labels: group"), abc},
		{"the contract, what an environment says otherwise", replace("secrets/contract.cue", "720h", "730h"), []string{"a", "c"}},
		{"a comment", replace("secrets/contract.cue", "inputs: {", "// A comment.\ninputs: {"), nil},
		{"a package that is imported", replace("secrets/shared/shared.cue", "one", "two"), abc},
		{"a package that is not", replace("secrets/unused/unused.cue", "one", "two"), nil},
		{"a file more in the package", add("secrets/more.cue", "package app\n\nsecrets: app: annotations: \"test.example/a\": \"b\"\n"), abc},
		{"a file more in an environment", add("secrets/envs/a/more.cue", "package app\n\nsecrets: app: annotations: \"test.example/a\": \"b\"\n"), []string{"a"}},
		{"an environment", replace("secrets/envs/a/env.cue", "apps-a", "apps-d"), []string{"a"}},
		{"an environment that breaks", replace("secrets/envs/a/env.cue", "apps-a\"", "apps-a"), []string{"a"}},
		{"a certificate", add("secrets/envs/b/b.pem", string(read(t, "../../examples/victor/demo-sealing-cert.pem"))), []string{"b"}},
		{"a certificate that is gone", remove("secrets/envs/b/b.pem"), []string{"b"}},
		{"a policy", replace("secrets/policy/policy.cue", "^apps", "^apps?"), abc},
		{"a tree", replace("secrets/deploy/a/kustomization.yaml", "resources:", "# x\nresources:"), []string{"a"}},
		{"a tree that is gone", remove("secrets/deploy/a"), []string{"a"}},
		{"a lock that is gone", remove("secrets/deploy/b/victorgen.lock"), []string{"b"}},
		{"a file more in a tree", add("secrets/deploy/a/more.yaml", "a: b\n"), []string{"a"}},
		{"workloads", replace("k8s/base/deployment.yaml", "name: api", "name: web"), []string{"c"}},
		{"their kustomization", replace("k8s/c/kustomization.yaml", "resources", "namePrefix: x-\nresources"), []string{"c"}},
		{"a new environment", func() {
			add("secrets/envs/d/env.cue", environment("d", ""))()
			add("secrets/envs/d/d.pem", good)()
		}, []string{"d"}},
		{"a file that Git is told to pass over", func() {
			git("update-index", "--assume-unchanged", "secrets/envs/b/b.pem")
			add("secrets/envs/b/b.pem", string(read(t, "../../examples/victor/demo-sealing-cert.pem")))()
		}, []string{"b"}},
		{"what Git ignores", add(".gitignore", ".secrets.*\n*.log\n"), abc},
		{"a renamed directory", func() {
			if err := os.Rename(filepath.Join(module, "envs/a"), filepath.Join(module, "envs/z")); err != nil {
				t.Fatal(err)
			}
		}, []string{"a"}},
		{"an environment that is gone", remove("secrets/envs/a"), nil},
	} {
		if strings.HasPrefix(change.name, "a tree") || strings.HasPrefix(change.name, "a lock") {
			if _, err := os.Stat(filepath.Join(root, "secrets/deploy/a")); err != nil {
				t.Fatal("the trees are not where this test looks for them")
			}
		}
		change.make()
		_, out, errs := victorgen(t, append([]string{"list", all, "--changed-since", "HEAD", "-o", "json"}, policy...)...)
		var list []listed
		if err := json.Unmarshal([]byte(out), &list); err != nil {
			t.Fatalf("%s: %v\n%s%s", change.name, err, out, errs)
		}
		var names []string
		for _, l := range list {
			names = append(names, strings.TrimPrefix(filepath.Base(l.Directory), "z"))
			if filepath.Base(l.Directory) == "z" {
				names[len(names)-1] = "a"
			}
			if len(l.Why) == 0 {
				t.Errorf("%s: %s is listed for no reason", change.name, l.Directory)
			}
		}
		slices.Sort(names)
		if diff := cmp.Diff(change.want, names); diff != "" {
			t.Errorf("%s (-want +got)\n%s%s", change.name, diff, errs)
		}
		dirs, _ := filepath.Glob(filepath.Join(module, "envs/*"))
		for _, dir := range dirs {
			code, out, errs := victorgen(t, append([]string{"build", dir, "--check"}, policy...)...)
			if name := filepath.Base(dir); code != 0 && !slices.Contains(names, strings.Replace(name, "z", "a", 1)) {
				t.Errorf("%s: %s is not listed, and a build of it is not what it was\n%s%s", change.name, name, out, errs)
			}
		}
		git("update-index", "--no-assume-unchanged", "secrets/envs/b/b.pem")
		git("reset", "-q", "--hard")
		git("clean", "-fdq")
	}
	// No program runs that the configuration of the repository names.
	ran := filepath.Join(t.TempDir(), "ran")
	git("config", "filter.x.clean", "touch "+ran)
	add(".gitattributes", "*.cue filter=x\n")()
	add("secrets/contract.cue", string(read(t, filepath.Join(module, "contract.cue")))+"\n")()
	victorgen(t, "list", all, "--changed-since", "HEAD")
	if _, err := os.Stat(ran); err == nil {
		t.Error("list has run a filter")
	}
	git("config", "--unset", "filter.x.clean")
	git("reset", "-q", "--hard")
	git("clean", "-fdq")
	// Committed or not, it counts.
	replace("secrets/envs/b/env.cue", "apps-b", "apps-e")()
	git("commit", "-qam", "second")
	for since, want := range map[string]string{"HEAD~1": "b", "HEAD": "", "HEAD~1...": "b"} {
		_, out, errs := victorgen(t, append([]string{"list", all, "--changed-since", since}, policy...)...)
		if name, _, _ := strings.Cut(out, " "); name != want {
			t.Errorf("since %s: %q, want %q\n%s", since, out, want, errs)
		}
	}
	// Of what is not known, nothing is said.
	code, out, errs := victorgen(t, "list", all, "--changed-since", "nowhere", "-o", "json")
	if code != exitSource || out != "" || !strings.Contains(errs, "VG4022: cannot compare with nowhere") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	// Without a revision, all are listed.
	if code, out, errs := victorgen(t, "list", all); code != 0 || strings.Count(out, "\n") != 3 {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
}

// runGit runs Git in a directory.
func runGit(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=a", "-c", "user.email=a@a.example", "-c", "commit.gpgsign=false"}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
}

// deploymentOf is a Deployment that takes its environment from a Secret.
func deploymentOf(name, secret string) string {
	return `apiVersion: apps/v1
kind: Deployment
metadata:
  name: ` + name + `
spec:
  selector: {matchLabels: {app: ` + name + `}}
  template:
    metadata: {labels: {app: ` + name + `}}
    spec:
      containers:
      - name: ` + name + `
        image: app
        envFrom: [{secretRef: {name: ` + secret + `}}]
`
}

// TestListFeeds (issue 13, 3): the JSON is what the pipelines of examples make a job of
// each element from: a list, whose elements have the fields that they name.
func TestListFeeds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for file, text := range map[string]string{
		"cue.mod/module.cue": "module: \"test.example/secrets@v0\"\nlanguage: version: \"v0.15.0\"\n",
		"envs/a/env.cue":     "package app\n\nimport \"github.com/victor-ai/victorgen/schema\"\n\nschema.#Environment\nenvironment: \"a\"\nnamespace: \"a\"\n",
		"envs/b/env.cue":     "package app\n\nimport \"github.com/victor-ai/victorgen/schema\"\n\nschema.#Environment\nenvironment: \"b\"\nnamespace: \"b\"\n",
	} {
		writeFile(t, filepath.Join(dir, file), text)
	}
	_, out, errs := victorgen(t, "list", filepath.Join(dir, "envs")+"/...", "-o", "json")
	var list []map[string]any
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 2 {
		t.Fatalf("%v\n%s%s", err, out, errs)
	}
	for file, field := range map[string]string{
		"../../examples/pipelines/github/fleet.yml":          `matrix\.environment\.(\w+)`,
		"../../examples/pipelines/argo-workflows/fleet.yaml": `item\.(\w+)`,
	} {
		named := regexp.MustCompile(field).FindAllStringSubmatch(string(read(t, file)), -1)
		if len(named) == 0 {
			t.Errorf("%s names no field", file)
		}
		for _, name := range named {
			for _, element := range list {
				if text, ok := element[name[1]].(string); !ok || text == "" {
					t.Errorf("%s takes %s, which is no text in %v", file, name[1], element)
				}
			}
		}
	}
}
