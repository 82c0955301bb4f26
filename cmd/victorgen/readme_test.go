package main

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/kubetest"
)

// repository is the root, from here.
const repository = "../../"

// A page is a page of the documentation that has commands. Each block of sh is run
// somewhere: in order with all others of its page, by the test that is named here, or in
// e2e. A page that has such a block and no row here fails TestPages.
type page struct {
	// by is the test that runs its blocks.
	by string

	// before is what the reader has done before the first block, in a shell; each says the
	// same before the block that begins with the words.
	before string
	each   map[string]string

	// want is what the commands print.
	want []string
}

// inExample is where the pages about dev begin that follow values.md.
const (
	inExample = "cd \"$home/examples/victor\"\n"
	renewed   = "victorgen generate envs/dev --renew DB_PASSWORD,ENCRYPTION_KEY,GRAFANA_ADMIN_PASSWORD,JWT_SECRET,VICTORGEN_LOCK_KEY\n"
	committed = "git init -q . && git add . && git -c user.name=a -c user.email=a@b.example commit -qm example\n"
	// ofTrees is the cluster that has what the trees say, unsealed.
	ofTrees = "export KUBECONFIG=\"$TREES\"\n"
)

var pages = map[string]page{
	"README.md":        {want: []string{"dev: set API_KEY", "dev: unchanged", "dev: wrote", "DB_PASSWORD     generated"}},
	"docs/contract.md": {want: []string{"production: ok", `"secret": "victor-ai/victor-ai-secrets"`}},
	"docs/values.md": {
		before: inExample,
		want:   []string{"dev: generated DB_PASSWORD", "dev: ok (", "staging: copied REDIS_PASSWORD"},
	},
	"docs/build.md": {
		before: inExample + renewed + "victorgen build envs/dev\n",
		want:   []string{"dev: unchanged", "production: unchanged", "dev: unchanged demo-sealing-cert.pem", "sealed for it  victor-ai-dev/"},
	},
	"docs/apply.md": {
		before: inExample + renewed,
		want:   []string{"dev: would apply to test", "dev: applied to test", "created namespace victor-ai-dev", "dev: unchanged in test"},
	},
	"docs/verify.md": {
		before: inExample + renewed + "victorgen build envs/dev\n" + ofTrees,
		want:   []string{"dev: ok in kind (4 secrets: 2 ok, 2 left out)", "owner SealedSecret/grafana-credentials", `"version": "2.1.0"`},
	},
	"docs/sources.md":   {before: inExample, want: []string{"production-aws: unchanged", "ssm:GetParameters"}},
	"docs/consumers.md": {before: inExample + "helm() { cat k8s/[agw]*.yaml; }\n", want: []string{"production: ok"}},
	"docs/policy.md":    {want: []string{`"environment": "production"`}},
	"docs/alerts.md":    {before: inExample, want: []string{"production: unchanged"}},
	"docs/scan.md": {
		before: inExample + renewed + "git init -q .; git add contract.cue deploy envs\n",
		want:   []string{"inputs searched for in "},
	},
	"docs/review.md": {
		before: inExample + committed + "git update-ref refs/remotes/origin/main HEAD\nsed -i.old 's/2160h/1440h/' contract.cue\n",
		want:   []string{"1440h", "<!-- victorgen diff -->"},
	},
	"docs/report.md": {
		before: inExample, each: map[string]string{"victorgen report envs/production --values": ofTrees},
		want: []string{"production-external  34", "wrote report.html (", "wrote SECRETS.md"},
	},
	"docs/cli.md": {want: []string{"VG1205"}},
	"docs/day.md": {
		before: inExample + "printf '.secrets*\\nkey.txt\\n' > .gitignore\nexport GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b.example GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b.example\n" +
			committed + "printf %s sk-ant-3f9c1e7a-Quartz7-lantern-Brine > key.txt\n",
		each: map[string]string{"victorgen verify envs/dev ": ofTrees},
		want: []string{"ANTHROPIC_API_KEY", "dev: ok", "VG1411"},
	},
	"docs/exec.md": {
		before: "cat > victorgen-source-mine <<'END'\n" + sourceMine + "END\nchmod 755 victorgen-source-mine\n",
		want:   []string{"4 ok, 0 failed", "ok             reads what is there", "6 ok, 0 failed"},
	},
	"docs/switching.md":          {by: "TestSwitchingPage"},
	"examples/victor/README.md":  {before: inExample, want: []string{"production: ok", "rotation due", "production: unchanged", "ANTHROPIC_API_KEY="}},
	"docs/from-scripts.md":       {by: "TestFromScripts"},
	"docs/adopting.md":           {by: "TestAdopting"},
	"docs/rotation.md":           {by: "TestRotationPage"},
	"docs/databases.md":          {by: "TestTellPostgres"}, // and the tests next to it, in e2e
	"examples/gallery/README.md": {by: "TestGalleryReadme"},
}

// sourceMine is the program that the reader of docs/exec.md has written, with one value.
// It needs nothing but a POSIX shell.
const sourceMine = `#!/bin/sh
set -eu
echo '{"protocol":1,"can":["read"]}'
IFS= read -r request || exit 0
answers=
for name in $(printf %s "$request" | tr '{' '\n' | sed -n 's/.*"name":"\([^"]*\)".*/\1/p'); do
	case $name in
	shop/db-password) answers=$answers,'{"state":"present","value":"aHVudGVyMg=="}' ;;
	*) answers=$answers,'{"state":"absent"}' ;;
	esac
done
printf '{"id":1,"answers":[%s]}\n' "${answers#,}"
`

// inE2E are the tests in e2e that run a page, or its blocks of a word after sh, for
// what they need is not on each machine.
var inE2E = map[string]string{
	"docs/databases.md":         "TestTellPostgres",
	"docs/from-scripts.md sops": "TestFromScriptsSOPS",
	"docs/install.md release":   "TestRelease",
	"docs/sources.md sops":      "TestSourcesSOPS",
	"docs/exec.md example":      "TestExecExample",
}

// fence is a block of a page: its words, and its text.
var fence = regexp.MustCompile("(?ms)^[ ]{0,3}```([a-z][a-z ]*)?\n(.*?)^[ ]{0,3}```$")

// blocks returns the code blocks of a page that start with ```KIND.
func blocks(t *testing.T, page, kind string) []string {
	t.Helper()
	var all []string
	for _, b := range regexp.MustCompile("(?ms)^```"+kind+"\n(.*?)^```$").FindAllStringSubmatch(string(read(t, page)), -1) {
		all = append(all, b[1])
	}
	return all
}

// markdown are all pages, by their names in the repository.
func markdown(t *testing.T) []string {
	t.Helper()
	all := []string{"README.md", "CONTRIBUTING.md"}
	for _, dir := range []string{"docs", "examples"} {
		err := filepath.WalkDir(repository+dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(path, ".md") {
				all = append(all, filepath.ToSlash(strings.TrimPrefix(path, repository)))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(all) < 40 {
		t.Fatalf("there are but %d pages", len(all))
	}
	return all
}

// runPage runs a script of the commands of a page, in one shell that stops at the
// first that fails, and returns what they print. Below the working directory
// there is a copy of the example; dev has no values there yet. The cluster is a
// stand-in, and so is kubectl; another, by the kubeconfig TREES, has what the
// trees say at the time, unsealed.
func runPage(t *testing.T, script string, prepare ...func(*kubetest.Server)) (work, out string) {
	t.Helper()
	dir := copyExample(t)
	work = t.TempDir()
	if err := errors.Join(
		os.Mkdir(filepath.Join(work, "examples"), 0o755),
		os.Rename(dir, filepath.Join(work, "examples", "victor")),
		os.Remove(filepath.Join(work, "examples", "victor", ".secrets.dev")),
	); err != nil {
		t.Fatal(err)
	}
	cluster := apiServer(t, filepath.Join(work, "examples/victor/demo-sealing-cert.pem"))
	for _, p := range prepare {
		p(cluster)
	}
	trees, kubeconfig := startCluster(t, filepath.Join(work, "examples", "victor"))
	cmd := exec.Command("sh", "-xc", "set -eu\nhome=$PWD\n"+script)
	cmd.Dir = work
	cmd.Env = append(os.Environ(), "KUBECONFIG="+cluster.Kubeconfig(t), "TREES="+kubeconfig, "EDITOR=true")
	b, err := cmd.CombinedOutput()
	if strings.Contains(script, "$TREES") {
		trees.readOnly()
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	return work, string(b)
}

// TestPages runs the commands of all pages, and fails for a block that nothing runs.
func TestPages(t *testing.T) {
	t.Parallel()
	tests := testsOf(t, ".", repository+"e2e")
	seen := map[string]bool{}
	for _, name := range markdown(t) {
		text := string(read(t, repository+name))
		row, known := pages[name]
		script := row.before
		for _, m := range fence.FindAllStringSubmatch(text, -1) {
			words, block := strings.Fields(m[1]), m[2]
			switch {
			case len(words) == 0 || words[0] != "sh":
				if c := regexp.MustCompile(`(?m)^\s*\$?\s*victorgen [a-z].*`).FindString(block); c != "" && len(words) > 0 && !slices.Contains([]string{"crontab", "yaml"}, words[0]) &&
					name != "docs/reference/codes.md" { // whose blocks show what is wrong, and what is right
					t.Errorf("%s: a command in a block that is not sh: %s", name, c)
				}
				continue
			case len(words) > 1:
				key := name + " " + strings.Join(words[1:], " ")
				if test := inE2E[key]; !tests[test] {
					t.Errorf("%s: no test runs the block %q", name, m[1])
				}
				seen[key] = true
				continue
			case tests[inE2E[name]]:
				seen[name] = true
				continue
			case !known:
				t.Errorf("%s has a block of sh that no test runs; give it a row in pages", name)
				continue
			}
			seen[name] = true
			for first, before := range row.each {
				if strings.HasPrefix(block, first) {
					script += before
				}
			}
			script += block
		}
		if row.by != "" {
			if !tests[row.by] {
				t.Errorf("%s is run by %s, which there is not", name, row.by)
			}
			continue
		}
		if !seen[name] {
			continue
		}
		t.Run(name, func(t *testing.T) {
			// The test's own victorgen is on the PATH already.
			script := strings.Replace(script, "go install ./cmd/victorgen", ": go install ./cmd/victorgen", 1)
			_, out := runPage(t, script)
			for _, want := range row.want {
				if !strings.Contains(out, want) {
					t.Errorf("the commands do not print %q:\n%s", want, out)
				}
			}
		})
	}
	for name := range pages {
		if !seen[name] {
			t.Errorf("%s has a row here and no block of sh", name)
		}
	}
	for name := range inE2E {
		if !seen[name] {
			t.Errorf("there is no block %q", name)
		}
	}
}

// testsOf are the names of the tests in directories.
func testsOf(t *testing.T, dirs ...string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, dir := range dirs {
		files, err := filepath.Glob(dir + "/*_test.go")
		if err != nil || len(files) == 0 {
			t.Fatal(dir, err)
		}
		for _, file := range files {
			for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(string(read(t, file)), -1) {
				names[m[1]] = true
			}
		}
	}
	return names
}

// fromScripts is the page for those who have scripts. Its block
// `sh sops` is run in e2e.
const fromScripts = "../../docs/from-scripts.md"

// TestFromScripts runs docs/from-scripts.md, in order, in the example.
func TestFromScripts(t *testing.T) {
	all := blocks(t, fromScripts, "sh")
	if len(all) < 6 {
		t.Fatalf("%s has %d sh blocks", fromScripts, len(all))
	}
	const lost = "c4nary-lost-and-found-7h3k9d2m"
	work, out := runPage(t, "cd examples/victor\n"+strings.Join(all, ""), func(cluster *kubetest.Server) {
		cluster.Put(t, "namespaces", "kubectl", &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "victor-ai-dev"}})
		cluster.Put(t, "secrets", "kubectl-client-side-apply", &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: "grafana-credentials", Namespace: "victor-ai-dev",
				Annotations: map[string]string{"kubectl.kubernetes.io/last-applied-configuration": "{}"}},
			Data: map[string][]byte{"admin-user": []byte("admin"), "admin-password": []byte(lost)}, Type: corev1.SecretTypeOpaque,
		})
	})
	source := string(read(t, filepath.Join(work, "examples/victor/.secrets.dev")))
	if !strings.Contains(source, "\nGRAFANA_ADMIN_PASSWORD=") || strings.Contains(source, lost) { // it is rotated in the end
		t.Error("the password is not in the source, or still that of the cluster")
	}
	for _, want := range []string{"dev: generated DB_PASSWORD", "dev: ok (", "production: unchanged", "dev: nothing is due", "input GRAFANA_ADMIN_PASSWORD"} {
		if !strings.Contains(out, want) {
			t.Errorf("the commands do not print %q:\n%s", want, out)
		}
	}
}

// TestSwitchingPage runs the commands of docs/switching.md over a Secret that has been
// given up as the page says: it has no owner, and keeps its data.
func TestSwitchingPage(t *testing.T) {
	t.Parallel()
	annotations := map[string]string{"note": "kept"}
	for _, m := range regexp.MustCompile(`(?m)^\t\t"(sealedsecrets.bitnami.com/[a-z-]+)": +"true"$`).FindAllStringSubmatch(string(read(t, repository+"docs/switching.md")), -1) {
		annotations[m[1]] = "true"
	}
	if len(annotations) != 3 {
		t.Fatalf("the page adds the annotations %v", annotations)
	}
	var cluster *kubetest.Server
	_, out := runPage(t, strings.Join(blocks(t, repository+"docs/switching.md", "sh"), ""), func(s *kubetest.Server) {
		cluster = s
		s.Put(t, "namespaces", "kubectl", &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "victor-ai"}})
		s.Put(t, "secrets", "kubectl", &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: "victor-ai-secrets", Namespace: "victor-ai", Annotations: annotations},
			Data:       map[string][]byte{"key": []byte("c4nary-switched")}, Type: corev1.SecretTypeOpaque,
		})
	})
	if strings.Contains(out, "uid") {
		t.Errorf("the Secret has an owner:\n%s", out)
	}
	if s := cluster.Secret("victor-ai", "victor-ai-secrets"); s == nil || len(s.Data) != 1 || !maps.Equal(s.Annotations, map[string]string{"note": "kept"}) {
		t.Errorf("the Secret is %v", s)
	}
}

// TestPageCommands: what any page mentions, in passing or in a block, are commands, with
// flags that there are.
func TestPageCommands(t *testing.T) {
	n := 0
	for _, page := range markdown(t) {
		if strings.HasPrefix(page, "docs/reference/") {
			continue // which are made from the commands
		}
		text := string(read(t, repository+page))
		var commands []string
		for _, m := range regexp.MustCompile("`(victorgen\\s[a-z][^`]*)`").FindAllStringSubmatch(text, -1) {
			commands = append(commands, m[1])
		}
		for _, m := range regexp.MustCompile(`(?m)^(?:    |\t)(victorgen [a-z][^|&>#)\n]*)`).FindAllStringSubmatch(text, -1) {
			commands = append(commands, m[1])
		}
		for _, m := range fence.FindAllStringSubmatch(text, -1) {
			if strings.HasPrefix(m[1], "sh") || m[1] == "crontab" {
				commands = append(commands, regexp.MustCompile(`\bvictorgen [a-z][^|&>#)\n]*`).FindAllString(m[2], -1)...)
			}
		}
		for _, c := range commands {
			root := newRoot(io.Discard, io.Discard)
			words := strings.Fields(strings.TrimSuffix(c, " --help"))[1:]
			if slices.ContainsFunc(words, func(w string) bool { return w == "VERB" || w == "CODE" }) {
				continue // a pattern
			}
			cmd, args, err := root.Find(words)
			if err == nil {
				err = cmd.ParseFlags(args)
			}
			if err != nil || !cmd.HasParent() {
				t.Errorf("%s: %s: %v", page, c, err)
			}
			n++
		}
	}
	if n < 80 {
		t.Errorf("there are but %d commands", n)
	}
}

// TestReadmeVerbs: the overview of the commands, to which the README leads, has each.
func TestReadmeVerbs(t *testing.T) {
	overview := string(read(t, repository+"docs/reference/commands/victorgen.md"))
	for _, verb := range newRoot(io.Discard, io.Discard).Commands() {
		if !verb.Hidden && verb.Name() != "help" && !strings.Contains(overview, "[victorgen "+verb.Name()+"]") {
			t.Errorf("the overview does not have victorgen %s", verb.Name())
		}
	}
	if n := strings.Count(string(read(t, repository+"README.md")), "\n"); n > 150 {
		t.Errorf("the README has %d lines; what is more than 150 belongs to docs", n)
	}
}

// TestPageContracts: the contracts of all pages compile: as a contract and its
// environment, or as something that the README's contract has besides.
func TestPageContracts(t *testing.T) {
	t.Setenv("VAULT_ADDR", "https://vault.example") // or a contract that names it is warned of
	base := blocks(t, repository+"README.md", "cue")
	if len(base) != 2 {
		t.Fatalf("the README has %d cue blocks, not a contract and an environment", len(base))
	}
	n := 0
	for _, name := range markdown(t) {
		if pages[name].by == "TestRotationPage" || name == "docs/exec.md" || name == "docs/switching.md" || name == "docs/verify.md" || strings.HasPrefix(name, "docs/reference/") {
			continue // which are compiled by the tests that run them, or no contract: the form of JSON
		}
		contract, environment := base[0], base[1]
		for _, block := range blocks(t, repository+name, "cue") {
			more := ""
			switch {
			case strings.Contains(block, "schema.#Environment"):
				contract = block
				continue
			case strings.HasPrefix(block, "package "):
				environment = block
			default:
				more = block
			}
			t.Run(name, func(t *testing.T) {
				n++
				compiles(t, contract, environment, more)
			})
		}
	}
	if n < 14 {
		t.Errorf("%d contracts were compiled", n)
	}
}

func compiles(t *testing.T, contract, environment, more string) {
	t.Helper()
	dir := t.TempDir()
	head := "package shop\n\n"
	if !strings.HasPrefix(more, "import ") && strings.Contains(more, "schema.#") {
		head += "import \"github.com/victor-ai/victorgen/schema\"\n\n"
	}
	for file, content := range map[string]string{
		"cue.mod/module.cue":       "module: \"shop.example/secrets@v0\"\nlanguage: version: \"v0.15.0\"\n",
		"contract.cue":             contract,
		"envs/production/env.cue":  environment,
		"envs/production/more.cue": head + more,

		"envs/production/k8s/base/api.yaml":      "{apiVersion: v1, kind: Pod, metadata: {name: api}, spec: {containers: [{name: api, envFrom: [{secretRef: {name: shop}}]}]}}\n",
		"envs/production/k8s/production/sa.yaml": "{apiVersion: v1, kind: ServiceAccount, metadata: {name: api}, imagePullSecrets: [{name: regcred}]}\n",
	} {
		if err := write(dir, file, []byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	code, stdout, stderr := victorgen(t, "vet", filepath.Join(dir, "envs/production"))
	other := slices.DeleteFunc(regexp.MustCompile(`VG\d{4}`).FindAllString(stderr, -1), func(code string) bool {
		return code == string(plan.CodeUnusedInput) // a page may show inputs alone
	})
	if code != 0 || len(other) > 0 {
		t.Errorf("exit %d\n%s\n%s%s", code, more, stdout, stderr)
	}
}

// TestPagePolicy: the policy of the page is one, and says what the page says of it.
func TestPagePolicy(t *testing.T) {
	all := blocks(t, repository+"docs/policy.md", "cue policy")
	if len(all) != 1 {
		t.Fatalf("the page has %d policies", len(all))
	}
	dir := t.TempDir()
	if err := write(dir, "policy.cue", []byte(all[0])); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := victorgen(t, "vet", example+"/envs/production", "--policy", dir)
	if code != exitFindings || !strings.Contains(stderr, "the platform team gives out namespaces") || !strings.Contains(stderr, "VG1406") {
		t.Errorf("exit %d\n%s", code, stderr)
	}
}

// TestReadmeFirstCommands: the first two commands are make's, and CI runs both.
func TestReadmeFirstCommands(t *testing.T) {
	readme, ci := read(t, repository+"README.md"), read(t, repository+".ci/run")
	commands := regexp.MustCompile(`(?m)^    (make \w+)$`).FindAllStringSubmatch(string(readme), -1)
	if len(commands) != 2 {
		t.Fatalf("the README starts with %d commands, not two", len(commands))
	}
	for _, c := range commands {
		if !regexp.MustCompile(`(?m)^` + c[1] + `\b`).Match(ci) {
			t.Errorf(".ci/run does not run %q", c[1])
		}
	}
}

// TestLinks: the links of all pages lead to files of the repository, and to headings that
// their pages have; each page can be reached from the README.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	all := markdown(t)
	to := map[string][]string{}
	n := 0
	for _, name := range all {
		text := fence.ReplaceAllString(string(read(t, repository+name)), "")
		text = regexp.MustCompile("`[^`\n]*`").ReplaceAllString(text, "")
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			n++
			path, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(path, "://") {
				if !strings.HasPrefix(path, "https://") {
					t.Errorf("%s: %s is not https", name, path)
				}
				continue
			}
			target := name
			if path != "" {
				target = filepath.ToSlash(filepath.Join(filepath.Dir(name), path))
			}
			if _, err := os.Stat(repository + target); err != nil {
				t.Errorf("%s: the link %s leads nowhere", name, m[1])
				continue
			}
			to[name] = append(to[name], target)
			if anchor != "" && !anchors(string(read(t, repository+target)))[anchor] {
				t.Errorf("%s: %s has no heading for #%s", name, target, anchor)
			}
		}
	}
	if n < 200 {
		t.Errorf("there are but %d links", n)
	}
	reached := map[string]bool{}
	for next := []string{"README.md"}; len(next) > 0; next = next[1:] {
		if !reached[next[0]] {
			reached[next[0]] = true
			next = append(next, to[next[0]]...)
		}
	}
	for _, name := range all {
		if !reached[name] {
			t.Errorf("no way leads from the README to %s", name)
		}
	}
}

// anchors are the anchors of a page's headings, as GitHub and the site make them.
func anchors(text string) map[string]bool {
	all := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		all[slug(m[1])] = true
	}
	return all
}

// slug is the anchor of a heading: https://docs.github.com/en/get-started/writing-on-github.
func slug(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, strings.TrimSpace(strings.ReplaceAll(heading, "`", "")))
}

// goldens compares generated pages with what is committed, or writes them with
// VICTORGEN_UPDATE=1. What is there and is not generated any more is removed.
func goldens(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	update := os.Getenv("VICTORGEN_UPDATE") != ""
	old := map[string]string{}
	if _, err := os.Stat(dir); err == nil {
		old = filesOf(t, dir)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if old[name] == files[name] {
			continue
		}
		if !update {
			t.Errorf("%s/%s is stale: make update", dir, name)
		} else if err := write(dir, name, []byte(files[name])); err != nil {
			t.Fatal(err)
		}
	}
	for name := range old {
		if _, ok := files[name]; ok {
			continue
		}
		if !update {
			t.Errorf("%s/%s is not generated any more: make update", dir, name)
		} else if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}
