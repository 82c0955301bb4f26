package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/victor-ai/victorgen/fixtures"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"victorgen": main})
}

// TestScripts runs testdata, one file a verb. Each script starts with the
// certificates of the fixtures in its directory.
func TestScripts(t *testing.T) {
	certificates, err := filepath.Glob("../../fixtures/certificates/*.pem")
	if err != nil || len(certificates) == 0 {
		t.Fatal("no certificates")
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		UpdateScripts:       os.Getenv("VICTORGEN_UPDATE") != "",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			for _, c := range certificates {
				b, err := os.ReadFile(c)
				if err != nil {
					return err
				}
				if err := os.WriteFile(filepath.Join(e.WorkDir, filepath.Base(c)), b, 0o644); err != nil {
					return err
				}
			}
			return os.WriteFile(filepath.Join(e.WorkDir, "key.pem"), fixtures.Key, 0o600)
		},
	})
}
