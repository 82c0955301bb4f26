package compiler

import (
	"strings"
	"testing"

	"github.com/victor-ai/victorgen/compiler/plan"
)

func TestDefaultRemote(t *testing.T) {
	t.Parallel()
	type names struct{ Names, Object string }
	for from, want := range map[names]string{
		{}:                              "db-password",
		{Names: "kebab"}:                "db-password",
		{Names: "snake"}:                "db_password",
		{Names: "same"}:                 "DB_PASSWORD",
		{Object: "svc/all"}:             "svc/all#DB_PASSWORD",
		{Object: "all", Names: "snake"}: "all#DB_PASSWORD",
	} {
		if got := defaultRemote("DB_PASSWORD", plan.AWSSSM, sourceSpec{Names: from.Names, Object: from.Object}); got != want {
			t.Errorf("%+v: %s, not %s", from, got, want)
		}
	}
}

// FuzzRemote reads any text as a remote: what is accepted has a name, writes
// itself as it was, and stays below its prefix unless it says that it does not.
func FuzzRemote(f *testing.F) {
	for _, text := range []string{"", "#", "?", "a", "/a", "//a", "a#", "a##", "a#b", "a#b.c", "a?version=1", "a?version=", "a?v=1", "a?version=1#b", "a#b?version=1",
		"?version=1", "arn:aws:ssm:eu-west-1:111122223333:parameter/a", "arn:", "data/a", "../a", "a/../b", "a\x00b", "\xff", "a?version=1?version=2", "a_"} {
		for _, prefix := range []string{"", "/app", "app/", "app_", "-", "/"} {
			f.Add(prefix, text)
		}
	}
	f.Fuzz(func(t *testing.T, prefix, text string) {
		r, ok := parseRemote(text)
		if !ok {
			return
		}
		if r.Name == "" || strings.ContainsAny(r.Name, "#?") {
			t.Errorf("%q has the name %q", text, r.Name)
		}
		if got := r.String(); got != text {
			t.Errorf("%q writes itself as %q", text, got)
		}
		for _, separator := range []string{"/", "-"} {
			name := joinName(prefix, r.Name, separator)
			below := strings.Trim(prefix, "/")
			if separator != "/" {
				below = prefix
			}
			if !strings.HasPrefix(r.Name, "/") && !strings.HasPrefix(r.Name, "arn:") && !strings.HasPrefix(name, below) {
				t.Errorf("%q below %q is %q", text, prefix, name)
			}
		}
	})
}
