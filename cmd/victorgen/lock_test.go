package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/victor-ai/victorgen/internal/dirlock"
)

// A build that is under way keeps others waiting for no longer than --timeout,
// and those that write nothing and ask no one not at all (issue 18).
func TestBuildWaits(t *testing.T) {
	t.Parallel()
	env := filepath.Join(copyExample(t), "envs", "dev")
	unlock, err := dirlock.Lock(t.Context(), env)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	code, stdout, stderr := victorgen(t, "build", env, "--timeout", "100ms")
	if code != exitFindings || !strings.Contains(stderr, "another build of dev has not ended within 100ms") || !strings.Contains(stderr, "--timeout") {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	for _, how := range []string{"--check", "--dry-run"} {
		code, stdout, stderr := victorgen(t, "build", env, "--offline", how, "--timeout", "1h")
		if code != 0 || strings.Contains(stderr, "waiting") {
			t.Errorf("%s: exit %d\n%s%s", how, code, stdout, stderr)
		}
	}
}
