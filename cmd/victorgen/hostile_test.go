package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/victor-ai/victorgen/fixtures"
	"github.com/victor-ai/victorgen/internal/awstest"
	"github.com/victor-ai/victorgen/internal/fifo"
	"github.com/victor-ai/victorgen/internal/sample"
)

// hostileMark is in every value that the scene of a hostile contract holds, so
// that a part of one is noticed, too.
const hostileMark = "c4nary"

// hostileCanary is the value of that name: long and random enough to pass for a
// real one. The mark stands at its beginning and its end.
func hostileCanary(name string) string {
	return hostileMark + "-" + base64.RawURLEncoding.EncodeToString([]byte(name+"/k3J9x")) + "-Zq8" + "-" + hostileMark
}

// hostileVerbs are the command lines that each hostile contract gets, in this
// order. What reads alone comes first.
var hostileVerbs = []string{
	"vet ENV", "vet ENV -o json", "vet ENV -o sarif", "vet ENV -o github", "vet ALL",
	"template ENV", "explain ENV", "explain ENV -o json", "explain ENV DB_PASSWORD", "explain ENV app", "explain --permissions ENV",
	"diff ENV --from HONEST -o json", "diff ALL --from HONEST -o markdown", "diff ENV --from HONEST -o github", "diff HONEST/envs/... --from REPO",
	"build ENV --offline --check", "build ENV --check", "build ENV --check -o json", "build ENV --check -o sarif", "build ENV --check -o github",
	"build ENV --dry-run", "build ENV --no-generate --dry-run",
	"build ENV --source vault --check", "build ENV --source aws-ssm --check",
	"verify ENV --source --no-values", "verify ENV --source=vault --no-values",
	"apply ENV --dry-run --kubeconfig KUBECONFIG", "cert inspect ENV", "cert fetch ENV --dry-run --kubeconfig KUBECONFIG",
	"generate ENV", "build ENV", "build ENV --rule-tests RULES", "build ALL", "build ENV --offline --check",
	"verify ENV --source", "verify ENV --source -o json", "verify ENV --source=vault", "verify ENV --source=aws-ssm",
	"verify ENV --kubeconfig KUBECONFIG", "verify ENV --detailed -o json --kubeconfig KUBECONFIG",
	"apply ENV --kubeconfig KUBECONFIG", "apply ENV --prune --restart -o json --kubeconfig KUBECONFIG",
	"recover ENV --dry-run --kubeconfig KUBECONFIG", "recover ENV --yes -o json --kubeconfig KUBECONFIG",
	"report ENV --html -", "report ALL -o json", "report ENV --values -o json", "report ENV --live --html - --kubeconfig KUBECONFIG", "docs ENV", "docs ALL",
	"list ENV", "list ENV --changed-since HEAD -o json", "copy ENV --from vault --dry-run", "copy ENV --from env --to files --dry-run", "set ENV API_KEY --from-file REPO/good.pem --dry-run", "import env REPO/.secrets.test --into ENV --dry-run",
	"rotate ENV SIGNING_KEY", "rotate ENV --due", "build ENV -o json",
	"build ENV --source vault", "build ENV --source aws-ssm", "generate ENV --source vault",
	"scan ENV -- REPO", "scan ALL --source vault -o json -- REPO", "scan ENV --history HEAD --source aws-ssm", "scan ENV --staged -o sarif", "scan ENV -o github -- REPO",
	"import env REPO/.secrets --into REPO/envs/next --dry-run -o json", "import env REPO/.secrets --into REPO/envs/next",
	"import cluster -n apps --kubeconfig KUBECONFIG --into REPO/envs/next --dry-run -o json", "import manifests REPO --from-cluster --kubeconfig KUBECONFIG --into REPO/envs/next --dry-run",
	"cert fetch ENV --kubeconfig KUBECONFIG", "init REPO", "source test -- false", "version",
}

// makesAnother reports whether a command line makes an environment next to that of the
// contract. These take as long as half of all others, and read of a contract what its
// environments share: where not all is tried, each fifth contract gets them.
func makesAnother(line string) bool {
	return strings.HasPrefix(line, "import ") && strings.Contains(line, "--into REPO/envs/next")
}

// recorder is a server that answers nothing of use and keeps what it is sent.
type recorder struct {
	mu  sync.Mutex
	got bytes.Buffer
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(q.Body, 1<<20))
	r.mu.Lock()
	fmt.Fprintln(&r.got, q.Method, q.URL)
	q.Header.Write(&r.got)
	fmt.Fprintf(&r.got, "%s\n", body)
	r.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, `{"data":{"data":{"value":"evil-3f9c1e7a-7b2d90c4"},"metadata":{"version":1,"created_time":"2026-01-02T03:04:05Z"},"version":1}}`)
}

func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.got.String()
}

// vaultWith is a Vault of which every secret has one value, but for what is
// generated: that is kept as it is written.
func vaultWith(v string) http.Handler {
	var mu sync.Mutex
	written := map[string]string{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		name := filepath.Base(r.URL.Path)
		meta := map[string]any{"version": 1, "created_time": "2026-01-02T03:04:05Z", "deletion_time": "", "destroyed": false}
		switch {
		case strings.Contains(r.URL.Path, "/sys/internal/ui/mounts/"):
			io.WriteString(w, `{"data":{"type":"kv","path":"secret/","options":{"version":"2"}}}`)
		case r.Method == http.MethodPut || r.Method == http.MethodPost:
			var in struct{ Data map[string]string }
			json.NewDecoder(r.Body).Decode(&in)
			written[name] = in.Data["value"]
			json.NewEncoder(w).Encode(map[string]any{"data": meta})
		case written[name] == "" && (name == "signing-key" || strings.HasPrefix(name, "victorgen")):
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, `{"errors":[]}`)
		case strings.Contains(r.URL.Path, "/metadata/"):
			json.NewEncoder(w).Encode(map[string]any{"data": map[string]any{"current_version": 1, "versions": map[string]any{"1": meta}, "updated_time": meta["created_time"]}})
		default:
			value := v
			if written[name] != "" {
				value = written[name]
			}
			json.NewEncoder(w).Encode(map[string]any{"data": map[string]any{"data": map[string]any{"value": value}, "metadata": meta}})
		}
	})
}

// TestHostile runs every verb over every hostile contract, with values in each
// source, the process environment, files next to the module and an API server,
// and looks for them in all that was printed, written or sent.
func TestHostile(t *testing.T) {
	cases, err := fixtures.LoadHostile()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d hostile contracts, %d command lines each", len(cases), len(hostileVerbs))
	covered := map[string]bool{"help": true, "completion": true}
	for _, v := range hostileVerbs {
		covered[strings.Fields(v)[0]] = true
	}
	for _, cmd := range newRoot(io.Discard, io.Discard).Commands() {
		if !covered[cmd.Name()] {
			t.Errorf("no hostile contract meets the verb %s: add it to hostileVerbs", cmd.Name())
		}
	}
	honest := httptest.NewServer(vaultWith(hostileCanary("vault")))
	t.Cleanup(honest.Close)
	parameters := awstest.NewParameterStore(t)
	for _, name := range []string{"db-password", "api-key"} {
		parameters.Put(name, hostileCanary("ssm"))
	}
	for name, v := range map[string]string{
		"VAULT_ADDR": honest.URL, "VAULT_TOKEN": hostileCanary("vault token"), "VAULT_MAX_RETRIES": "0",
		"AWS_ENDPOINT_URL": parameters.URL(), "AWS_ENDPOINT_URL_SSM": parameters.URL(), "AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_PROFILE": "", "AWS_ACCESS_KEY_ID": "AKIDTEST", "AWS_SECRET_ACCESS_KEY": hostileCanary("aws"), "AWS_SESSION_TOKEN": hostileCanary("session"),
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_MAX_ATTEMPTS": "1",
		"DEPLOY_TOKEN": hostileCanary("environment"), "KUBECONFIG": filepath.Join(t.TempDir(), "none"),
	} {
		t.Setenv(name, v)
	}
	certificates, err := filepath.Abs("../../fixtures/certificates")
	if err != nil {
		t.Fatal(err)
	}
	// What --history and --staged search is where the command runs. It isn't the
	// repository of the project, whose history makes each search longer.
	t.Chdir(repositoryOfValues(t))
	for i, h := range cases {
		if raceDetector && i%10 != 0 { // all of them run without it, and the paths through the program are the same ones
			continue
		}
		lines := hostileVerbs
		if i%sample.Every(5) != 0 {
			lines = slices.DeleteFunc(slices.Clone(lines), makesAnother)
		}
		t.Run(h.Name, func(t *testing.T) { t.Parallel(); runHostile(t, h, certificates, lines) })
	}
}

// repositoryOfValues makes a repository of Git that has the values of the cases'
// sources in a commit and in what is staged, and returns where it is.
func repositoryOfValues(t *testing.T) string {
	dir := t.TempDir()
	runGit(t, dir, "init", "-q")
	writeFile(t, filepath.Join(dir, "committed.txt"), "password: "+hostileCanary("ssm")+"\n")
	runGit(t, dir, "add", ".")
	runGit(t, dir, "commit", "-qm", "a value")
	writeFile(t, filepath.Join(dir, "staged.txt"), "password: "+hostileCanary("db")+"\n")
	runGit(t, dir, "add", ".")
	return dir
}

func runHostile(t *testing.T, h fixtures.Hostile, certificates string, lines []string) {
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	evil := &recorder{}
	server := httptest.NewServer(evil)
	t.Cleanup(server.Close)
	repo := filepath.Join(root, "repo")
	if _, ok := h.Files["repo/.secrets"]; !ok {
		h.Files["repo/.secrets"] = []byte("DB_PASSWORD='" + hostileCanary("db") + "'\nAPI_KEY='" + hostileCanary("api") + "'\n")
	}
	if _, ok := h.Files["repo/.secrets.test"]; !ok { // both are where values may be
		h.Files["repo/.secrets.test"] = h.Files["repo/.secrets"]
	}
	err = h.Write(root, certificates, map[string]string{
		"EVIL": server.URL, "REPO": repo, "BESIDE": filepath.Join(root, "beside"), "TOKEN": hostileCanary("beside"),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range h.FIFOs {
		if err := fifo.Make(filepath.Join(root, f)); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"objects", "refs"} { // what Git takes for a repository
		if err := os.MkdirAll(filepath.Join(repo, ".git", dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, filepath.Join(repo, ".git", "HEAD"), "ref: refs/heads/main\n")
	if _, ok := h.Files["repo/.gitignore"]; !ok {
		writeFile(t, filepath.Join(repo, ".gitignore"), ".secrets*\n")
	}
	before := regularFiles(t, root)

	api := apiServer(t, filepath.Join(repo, "good.pem"))
	api.Put(t, "namespaces", "test", &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "apps"}})
	api.Put(t, "secrets", "test", &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "other", Namespace: "apps"},
		Data: map[string][]byte{"token": []byte(hostileCanary("cluster"))}})
	honest := filepath.Join(t.TempDir(), "honest") // what diff compares with, and what it compares
	for name, content := range fixtures.HostileDefaults {
		writeFile(t, filepath.Join(honest, strings.TrimPrefix(name, "repo/")), content)
	}
	writeFile(t, filepath.Join(honest, "good.pem"), string(read(t, filepath.Join(certificates, "good.pem"))))
	replace := strings.NewReplacer("HONEST", honest, "ENV", filepath.Join(repo, "envs", "test"), "ALL", filepath.Join(repo, "envs")+"/...",
		"KUBECONFIG", api.Kubeconfig(t), "REPO", repo, "RULES", filepath.Join(t.TempDir(), "rules.yaml"))

	results := map[string][]string{} // what came of each command line, by that
	lines = slices.Concat(h.Verbs, lines)
	if len(h.Only) > 0 {
		lines = h.Only
	}
	for _, line := range lines {
		args := strings.Fields(line)
		for i := range args {
			args[i] = replace.Replace(args[i])
		}
		if args[0] != "init" && args[0] != "version" && slices.Contains(args, "--source") && args[0] != "verify" || strings.HasPrefix(line, "build") {
			args = append(args, "--timeout", "10s")
		}
		var stdout, stderr bytes.Buffer
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		code := run(ctx, args, &stdout, &stderr)
		if ctx.Err() != nil {
			t.Errorf("%s: took more than a minute", line)
		}
		cancel()
		out := stdout.String() + stderr.String()
		for what := range marksIn(out) {
			t.Errorf("%s: prints a value (%s):\n%s", line, what, out)
		}
		checkHarmless(t, line, out)
		results[line] = append(results[line], fmt.Sprintf("exit %d\n%s", code, out))
	}

	for _, out := range results["diff ENV --from HONEST -o json"] {
		checkReviewed(t, h, out)
	}

	generated := map[string]bool{}
	after := regularFiles(t, root)
	for name, content := range before {
		now, there := after[name]
		switch {
		case strings.HasPrefix(name, "beside/") && now != content:
			t.Errorf("%s, which is beside the repository, changed or is gone", name)
		case !there && !ofSchema(name): // init removes what is there
			t.Errorf("%s is gone", name)
		case strings.HasPrefix(name, "repo/.secrets"):
			for line := range strings.Lines(content) {
				if !strings.Contains(now, strings.TrimSpace(line)) {
					t.Errorf("a line of %s is gone", name)
				}
			}
		}
	}
	for name, content := range after {
		if strings.HasPrefix(filepath.Base(name), ".secrets") {
			for line := range strings.Lines(content) {
				if _, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.Contains(before[name], line) && len(v) >= 16 {
					generated[strings.Trim(v, `'"`)] = true
				}
			}
			continue
		}
		if _, ok := before[name]; !ok && strings.HasPrefix(name, "beside/") {
			t.Errorf("%s was written beside the repository", name)
		}
		if content == before[name] {
			continue
		}
		for what := range marksIn(content) {
			t.Errorf("%s holds a value (%s)", name, what)
		}
	}
	for v := range generated {
		for name, content := range after {
			if !strings.HasPrefix(filepath.Base(name), ".secrets") && strings.Contains(content, v) {
				t.Errorf("%s holds a value that was generated", name)
			}
		}
		for line, outs := range results {
			if strings.Contains(strings.Join(outs, ""), v) {
				t.Errorf("%s: prints a value that was generated", line)
			}
		}
	}
	for what := range marksIn(evil.String()) {
		t.Errorf("the server of the attacker got a value (%s):\n%s", what, evil)
	}
	for _, e := range h.Expect {
		outs, ok := results[e.Args]
		switch kind, _, _ := strings.Cut(e.Want, " "); {
		case !ok:
			t.Errorf("%s is expected to be %s, and is not run: add it to the verbs of the case", e.Args, e.Want)
		case kind == "fine" && !strings.HasPrefix(outs[0], "exit 0\n"):
			t.Errorf("%s is not fine:\n%s", e.Args, outs[0])
		case kind != "fine" && (!strings.Contains(outs[0], e.Want+":") || kind == "error" && strings.HasPrefix(outs[0], "exit 0\n")):
			t.Errorf("%s gives no %s:\n%s", e.Args, e.Want, outs[0])
		}
	}
}

// unseen are the cases of which no change of trust is told, and why.
var unseen = map[string]string{
	"nothing":                    "it is no attack",
	"text-description":           "a description gives nothing to anybody, and is shown in code",
	"lock-key-moved":             "the lock is made up, and the contract has not changed: vet warns; diffs/lock-key is of one that has",
	"lock-of-nothing":            "its trees are of no environment; nothing of them is removed that victorgen has not written",
	"lock-lists-files-of-others": "a build leaves them alone",
}

// checkReviewed fails if diff neither refuses what a case is about nor tells of it as a
// change of trust.
func checkReviewed(t *testing.T, h fixtures.Hostile, out string) {
	t.Helper()
	code, text, _ := strings.Cut(out, "\n")
	var said struct {
		Environments []struct {
			Diff struct{ Trust []struct{ What string } }
		}
	}
	seen := code != "exit 0"
	if err := json.NewDecoder(strings.NewReader(text)).Decode(&said); err != nil && !seen {
		t.Fatalf("diff: %v\n%s", err, out)
	}
	for _, e := range said.Environments {
		seen = seen || len(e.Diff.Trust) > 0
	}
	if why := unseen[h.Name]; seen != (why == "") {
		t.Errorf("diff tells of a change of trust: %v, though %q\n%s", seen, why, out)
	}
}

// ofSchema reports whether CUE takes a file of the scene for a part of the schema
// or reads it for a package below it.
func ofSchema(name string) bool {
	return slices.ContainsFunc([]string{"pkg", "gen", "usr"}, func(d string) bool {
		return strings.HasPrefix(name, "repo/cue.mod/"+d+"/github.com/victor-ai/")
	})
}

// marksIn returns the forms in which a part of a value stands in content.
func marksIn(content string) map[string]bool {
	found := map[string]bool{}
	content = strings.ToLower(content)
	for form, s := range hostileForms {
		if strings.Contains(content, s) {
			found[form] = true
		}
	}
	return found
}

// hostileForms are the forms that the mark may have, in lower case. In base64
// it has one of three, by where it stands; only the characters that depend on
// nothing else count.
var hostileForms = func() map[string]string {
	forms := map[string]string{
		"plain": hostileMark, "hex": hex.EncodeToString([]byte(hostileMark)),
		"bytes": strings.Trim(fmt.Sprint([]byte(hostileMark)), "[]"), "spaced": strings.Join(strings.Split(hostileMark, ""), " "),
	}
	for shift := range 3 {
		encoded := base64.StdEncoding.EncodeToString(append(make([]byte, shift), hostileMark...))
		forms[fmt.Sprintf("base64 at %d", shift)] = strings.ToLower(encoded[[]int{0, 2, 3}[shift] : (shift+len(hostileMark))*8/6])
	}
	return forms
}()

// checkHarmless fails if out could do something to a terminal or to a service
// for CI that shows it.
func checkHarmless(t *testing.T, line, out string) {
	t.Helper()
	for i, l := range strings.Split(out, "\n") {
		github := strings.Contains(line, "-o github") && slices.ContainsFunc([]string{"::error ", "::warning ", "::notice "}, func(p string) bool { return strings.HasPrefix(l, p) })
		if trimmed := strings.TrimSpace(l); strings.HasPrefix(trimmed, "::") && !github || strings.HasPrefix(trimmed, "##[") {
			t.Errorf("%s: line %d of the output is a command for CI: %q", line, i+1, l)
		}
		for _, r := range l {
			if r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' || r == utf8.RuneError) {
				t.Errorf("%s: line %d of the output has the character %U: %q", line, i+1, r, l)
				break
			}
		}
	}
	for _, trace := range []string{"goroutine ", "runtime error", "panic:"} {
		if strings.Contains(out, trace) {
			t.Errorf("%s: the program broke:\n%s", line, out)
		}
	}
}

// regularFiles are those below root, by slash-separated path, but for those of
// Git.
func regularFiles(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == ".git" {
			return filepath.SkipDir
		}
		if !d.Type().IsRegular() {
			return nil
		}
		b, err := os.ReadFile(path)
		rel, _ := filepath.Rel(root, path)
		all[filepath.ToSlash(rel)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestHostileIsSeen: the search finds the mark in each form, wherever it stands.
func TestHostileIsSeen(t *testing.T) {
	v := hostileCanary("x")
	for before := range 4 {
		text := strings.Repeat("a", before) + v
		for form, s := range map[string]string{
			"plain": text, "base64": base64.StdEncoding.EncodeToString([]byte(text)), "base64url": base64.RawURLEncoding.EncodeToString([]byte(text)),
			"hex": strings.ToUpper(hex.EncodeToString([]byte(text))), "bytes": fmt.Sprint([]byte(text)),
		} {
			if len(marksIn(s)) == 0 {
				t.Errorf("a value in %s, after %d characters, is not found", form, before)
			}
		}
	}
}
