package emit

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/emit/emittest"
	"github.com/victor-ai/victorgen/emit/tree"
)

// keeping is a plan with a key that keeps its previous value for a day: alone in one
// secret, and in a template in another.
func keeping(t *testing.T) *plan.Plan {
	t.Helper()
	cert := emittest.CertFile(t, 0)
	p := &plan.Plan{Environment: "production", PartOf: "app", Namespace: "victor", Inputs: inputs()}
	i := slices.IndexFunc(p.Inputs, func(in plan.Input) bool { return in.Name == "KEY" })
	p.Inputs[i].Generate = &plan.Generate{Kind: plan.Bytes, Bits: 256, KeepPrevious: 24 * time.Hour}
	tmpl, problems := plan.ParseTemplate("{{.KEY}}{{with .KEY.previous}},{{.}}{{end}}", p.Input, nil, false)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	all := secret(t, cert, plan.Strict, "all")
	all.Keys = []plan.Key{{Name: "keys", Template: tmpl}}
	p.Secrets = []plan.Secret{all, secret(t, cert, plan.Strict, "app", "key", "KEY", "previous", "KEY.previous")}
	p.Alerts = &plan.Alerts{Rules: map[string]plan.Alert{"PreviousValueOverdue": {For: 15 * time.Minute, Severity: "warning"}}}
	return p
}

func TestPrevious(t *testing.T) {
	t.Parallel()
	p := keeping(t)
	values := testValues()
	values["KEY"] = present("the key of now")
	before := func(r value.Resolved) value.Set {
		all := maps.Clone(values)
		all["KEY.previous"] = r
		return all
	}
	was := present("the key before")
	was.Changed = day.Add(-time.Hour).Add(500 * time.Millisecond)
	built, _ := mustEmit(t, p, before(was), nil, at(day))
	if got := readLockOf(t, built).Inputs["KEY.previous"].Replaced; !got.Equal(was.Changed.UTC().Truncate(time.Second)) {
		t.Errorf("the lock says that it was replaced at %v", got)
	}
	if rules := rulesOf(t, built)["PreviousValueOverdue"]; len(rules) != 1 || rules[0].Labels["input"] != "KEY" ||
		rules[0].Expr.StrVal != fmt.Sprintf("vector(time() - %d) > 0", day.Add(23*time.Hour).Unix()) {
		t.Errorf("%+v", rules)
	}
	nothing := value.Set{} // is read
	told := value.Resolved{State: value.Absent, Changed: was.Changed}
	for _, test := range []struct {
		name    string
		values  value.Set
		after   time.Duration
		states  string // of all/keys, app/key, app/previous
		noted   bool   // by the lock
		dropped string
		warning string
	}{
		{"it is there", before(was), time.Hour, "kept kept kept", true, "", ""},
		{"nothing is read", nothing, time.Hour, "kept kept kept", true, "", ""},
		{"nothing is read at its end", nothing, 23*time.Hour - time.Second, "kept kept kept", true, "", ""},
		{"nothing is read after its time", nothing, 23 * time.Hour, "kept kept kept", true, "", "KEY.previous cannot be read (it has expired"},
		{"its source has none", before(value.Resolved{State: value.Absent}), time.Hour, "kept kept kept", true, "", "it is not at its source, and counts until 2026-02-04T03:05:06Z"},
		{"its source has none after its time", before(value.Resolved{State: value.Absent}), 23 * time.Hour, "sealed kept left out", false, "KEY", ""},
		{"its source says that its time is over", before(told), time.Hour, "sealed kept left out", false, "", ""},
		{"it can't be read", before(value.Resolved{Reason: "denied"}), time.Hour, "kept kept kept", true, "", "KEY.previous cannot be read (denied)"},
		{"it can't be read after its time", before(value.Resolved{Reason: "denied"}), 23 * time.Hour, "kept kept kept", true, "", "it has expired"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := at(day.Add(test.after))
			next, report, ds := Emit(t.Context(), p, test.values, built, o)
			if ds.HasErrors() {
				t.Fatal(ds)
			}
			var got []string
			for _, s := range report.Secrets {
				for _, k := range s.Keys {
					got = append(got, string(k.State))
				}
			}
			if strings.Join(got, " ") != test.states {
				t.Errorf("the keys are %v, not %s", got, test.states)
			}
			if noted := readLockOf(t, next).Inputs["KEY.previous"].Present; noted != test.noted {
				t.Errorf("the lock has it: %v", noted)
			}
			if _, alerts := next.Files[tree.AlertsFile]; alerts != test.noted { // it has no others
				t.Errorf("there is an alert: %v", alerts)
			}
			if got := strings.Join(report.Dropped, " "); got != test.dropped {
				t.Errorf("dropped: %q", got)
			}
			if said := fmt.Sprint(ds); (test.warning == "") != (len(ds) == 0) || !strings.Contains(said, test.warning) {
				t.Errorf("it is said: %s", said)
			}
			if test.states == "kept kept kept" && !cmp.Equal(built, next) {
				t.Errorf("the tree differs:\n%s", cmp.Diff(built, next))
			}
		})
	}

	// What the lock knows nothing of was not there, whatever can be read.
	first, _ := mustEmit(t, p, before(value.Resolved{State: value.Absent}), nil, at(day))
	if again, _ := mustEmit(t, p, nothing, first, at(day.Add(time.Hour))); !cmp.Equal(first, again) {
		t.Errorf("before the first rotation, offline:\n%s", cmp.Diff(first, again))
	}
	// And a lock can't say that something is yet to be replaced.
	forged := edit(t, built, tree.LockFile, "replaced: 2026-02-03", "replaced: 2027-02-03")
	if _, _, ds := Emit(t.Context(), p, nothing, forged, at(day)); !slices.ContainsFunc(ds, func(d plan.Diagnostic) bool { return d.Code == plan.CodeLockTimes }) {
		t.Errorf("a time to come: %v", ds)
	}

	h, _ := built.History(p)
	if over := h.Overdue(day.Add(22 * time.Hour)); len(over) > 0 {
		t.Errorf("overdue before its end: %v", over)
	}
	if over := h.Overdue(day.Add(23 * time.Hour)); len(over) != 1 || !over["KEY"].Equal(day.Add(23*time.Hour).Truncate(time.Second)) {
		t.Errorf("overdue: %v", over)
	}
}
