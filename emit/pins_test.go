package emit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/emit/emittest"
	"github.com/victor-ai/victorgen/emit/sealing"
	"github.com/victor-ai/victorgen/emit/tree"
)

// TestSwappedCertificate (issue 18, 5): nothing is sealed for a certificate that the
// tree was not sealed for, until someone else than the contract says so.
func TestSwappedCertificate(t *testing.T) {
	t.Parallel()
	p := testPlan(t, emittest.CertFile(t, 0))
	plain := Options{Now: func() time.Time { return day }}
	first, report := mustEmit(t, p, testValues(), nil, plain)
	if len(report.Certificates) != 1 || report.Certificates[0].SHA256 != emittest.SHA256(0) || !report.Certificates[0].New {
		t.Errorf("the first build does not tell its certificate: %+v", report.Certificates)
	}
	if _, report := mustEmit(t, p, testValues(), first, plain); report.Certificates[0].New {
		t.Error("the second build says that it is new")
	}
	dir := filepath.Join(t.TempDir(), "production")
	if err := first.Write(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	swapped := testPlan(t, emittest.CertFile(t, 1))
	more := testPlan(t, emittest.CertFile(t, 0)) // one more secret, for someone else's certificate
	more.Secrets = append(more.Secrets, secret(t, emittest.CertFile(t, 1), plan.Strict, "zebra", "key", "KEY"))
	for name, p := range map[string]*plan.Plan{"swapped": swapped, "one more": more} {
		built, _, ds := Emit(t.Context(), p, testValues(), first, plain)
		if built != nil || !strings.Contains(ds.Error(), "error VG3006") || !strings.Contains(ds.Error(), emittest.SHA256(1)+" (CN=test, valid from 2026-01-03 to 2027-01-03)") ||
			!strings.Contains(ds.Error(), "the tree SHA-256 "+emittest.SHA256(0)+" (CN=test, valid from 2026-01-03 to 2027-01-03)") {
			t.Errorf("%s: %v", name, ds)
		}
		if ds, _ := CheckCertificates(p, first, plain); !strings.Contains(ds.Error(), "VG3006") {
			t.Errorf("%s: nothing is known before something is generated: %v", name, ds)
		}
		if ds := CheckLock(p, dir, nil); !strings.Contains(ds.Error(), "VG3006") {
			t.Errorf("%s: vet does not see it: %v", name, ds)
		}
		accepting := plain
		accepting.Accept = []string{strings.ToUpper(emittest.SHA256(1)[:2]) + ":" + emittest.SHA256(1)[2:]}
		mustEmit(t, p, testValues(), first, accepting)
	}

	if ds := CheckLock(swapped, dir, []string{emittest.SHA256(1)}); ds.HasErrors() {
		t.Errorf("vet does not believe the policy: %v", ds)
	}

	// The cluster has handed it out.
	if ds := tree.Accept(swapped, dir, emittest.SHA256(1)); len(ds) > 0 {
		t.Fatal(ds)
	}
	old, ds := tree.Read(dir)
	if len(ds) > 0 || !strings.Contains(string(old.Files[tree.LockFile]), "accepted:\n  - \""+emittest.SHA256(1)+"\"\n") {
		t.Fatalf("%v\n%s", ds, old.Files[tree.LockFile])
	}
	built, report := mustEmit(t, swapped, testValues(), old, plain)
	if strings.Contains(string(built.Files[tree.LockFile]), "accepted") || !report.Certificates[0].New {
		t.Errorf("%+v\n%s", report.Certificates, built.Files[tree.LockFile])
	}
	if _, _, ds := Emit(t.Context(), p, testValues(), built, plain); !strings.Contains(ds.Error(), "VG3006") {
		t.Errorf("the one before is taken still: %v", ds)
	}
}

// TestLockedCertificate (issue 18, 5): what the lock notes of a certificate is
// authenticated, and a lock that does not note it yet stays as it is.
func TestLockedCertificate(t *testing.T) {
	t.Parallel()
	p := testPlan(t, emittest.CertFile(t, 0))
	plain := at(day)
	first, _ := mustEmit(t, p, testValues(), nil, plain)
	if l := readLockOf(t, first); l.Certificates[emittest.SHA256(0)].String() != "CN=test, valid from 2026-01-03 to 2027-01-03" {
		t.Fatalf("%+v", l.Certificates)
	}
	forged := edit(t, first, tree.LockFile, `subject: "CN=test"`, `subject: "CN=the cluster's own"`)
	if _, _, ds := Emit(t.Context(), p, testValues(), forged, plain); !strings.Contains(ds.Error(), "error "+string(plan.CodeLockTimes)) {
		t.Errorf("a forged subject is believed: %v", ds)
	}
	begin, _, _ := strings.Cut(string(first.Files[tree.LockFile]), "certificates:\n")
	_, end, _ := strings.Cut(string(first.Files[tree.LockFile]), "inputs:\n")
	gone := edit(t, first, tree.LockFile, string(first.Files[tree.LockFile]), begin+"inputs:\n"+end)
	if _, _, ds := Emit(t.Context(), p, testValues(), gone, plain); !strings.Contains(ds.Error(), "error "+string(plan.CodeLockTimes)) {
		t.Errorf("it can be left out: %v", ds)
	}

	// As an earlier version has written it: with stamps, and without this.
	l := readLockOf(t, gone)
	for _, s := range l.Secrets {
		for name, k := range s.Keys {
			if k.Tag != "" {
				k.Stamp = tree.StampOf(testValues()[plan.LockKey].Value.Reveal(), s, name, k)
				s.Keys[name] = k
			}
		}
	}
	earlier := edit(t, gone, tree.LockFile, string(gone.Files[tree.LockFile]), string(l.Marshal()))
	if again, _ := mustEmit(t, p, testValues(), earlier, plain); cmp.Diff(earlier, again) != "" {
		t.Errorf("it does not stay: %s", cmp.Diff(earlier, again))
	}
	if ds := sealing.CheckPins(l, testPlan(t, "other.pem"), map[string]*sealing.Certificate{"other.pem": {SHA256: emittest.SHA256(1)}}, nil); !strings.Contains(ds.Error(), "does not have the subject") {
		t.Errorf("%v", ds)
	}
	values := testValues()
	values["DB_PASSWORD"] = present("another")
	later, _ := mustEmit(t, p, values, earlier, plain)
	if l := readLockOf(t, later); l.Certificates[emittest.SHA256(0)].Subject != "CN=test" {
		t.Errorf("it is not noted when something is sealed: %+v", l.Certificates)
	}
	mustEmit(t, p, values, later, plain) // and the stamps of what was kept hold
}

// TestEndedCertificate (issue 10, 6): what needs no sealing needs no valid certificate.
func TestEndedCertificate(t *testing.T) {
	t.Parallel()
	p := testPlan(t, emittest.CertFile(t, 0))
	first, _ := mustEmit(t, p, testValues(), nil, at(day))
	late := Options{Now: func() time.Time { return day.AddDate(2, 0, 0) }}
	built, _, ds := Emit(t.Context(), p, nil, first, late)
	if diff := cmp.Diff(first, built); diff != "" {
		t.Errorf("it changes: %v\n%s", ds, diff)
	}
	if len(ds) != 1 || ds[0].Code != plan.CodeCertificateExpired || ds[0].Severity != plan.Warning {
		t.Errorf("%v", ds)
	}
	values := testValues()
	values["DB_PASSWORD"] = present("another")
	if built, _, ds := Emit(t.Context(), p, values, first, late); built != nil || !strings.Contains(ds.Error(), "error VG3002") {
		t.Errorf("it is sealed for: %v", ds)
	}
	if ds := sealing.Vet(p, day.AddDate(2, 0, 0)); len(ds) != 1 || ds[0].Severity != plan.Warning {
		t.Errorf("vet: %v", ds)
	}
	if ds := sealing.Vet(testPlan(t, "/none"), day); len(ds) > 0 {
		t.Errorf("vet before the first fetch: %v", ds)
	}
}

// TestAcceptOnlyWhatIsNew: the lock stays as it is for another environment, for a
// certificate that it knows, and for one that was accepted before.
func TestAcceptOnlyWhatIsNew(t *testing.T) {
	t.Parallel()
	p := testPlan(t, emittest.CertFile(t, 0))
	built, _ := mustEmit(t, p, testValues(), nil, at(day))
	dir := filepath.Join(t.TempDir(), "production")
	if err := built.Write(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	lock := func() string {
		text, err := os.ReadFile(filepath.Join(dir, tree.LockFile))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	other := *p
	other.Environment = "other"
	before := lock()
	for name, accept := range map[string]func() plan.Diagnostics{
		"another environment":    func() plan.Diagnostics { return tree.Accept(&other, dir, emittest.SHA256(1)) },
		"that of the tree":       func() plan.Diagnostics { return tree.Accept(p, dir, emittest.SHA256(0)) },
		"where there is no tree": func() plan.Diagnostics { return tree.Accept(p, dir+"-none", emittest.SHA256(1)) },
	} {
		if ds := accept(); len(ds) > 0 || lock() != before {
			t.Errorf("%s: %v", name, ds)
		}
	}
	var once string
	for range 2 {
		if ds := tree.Accept(p, dir, emittest.SHA256(1)); len(ds) > 0 || strings.Count(lock(), emittest.SHA256(1)) != 1 {
			t.Errorf("%v\n%s", ds, lock())
		}
		if once != "" && lock() != once {
			t.Error("it is noted twice")
		}
		once = lock()
	}
}
