package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// TestAdopting runs the pages of docs/adopting.md, each over a case of the corpus of
// imports.
func TestAdopting(t *testing.T) {
	t.Parallel()
	page := string(read(t, "../../docs/adopting.md"))
	for heading, test := range map[string]struct{ from, want string }{
		"From .env files":          {"../../cmd/victorgen/testdata/import.txtar", "proved: 8 keys equal to what was read, 1 unknown, 0 not"},
		"A second environment":     {"../../cmd/victorgen/testdata/import.txtar", `DB_HOST: default: "db.prod.internal"`},
		"From Secrets in Git":      {"../../importer/testdata/corpus/kustomize-generators.txtar", "proved: 7 keys equal to what was read, 0 unknown, 0 not"},
		"From SealedSecrets":       {"../../importer/testdata/corpus/sealed.txtar", "to be filled in: DB_PASSWORD, STRICT_SESSION_KEY, WIDE_DB_PASSWORD"},
		"From ExternalSecrets":     {"../../importer/testdata/corpus/eso-vault.txtar", "proved: 4 keys equal to what was read, 0 unknown, 0 not"},
		"From a live namespace":    {"live", "proved: 4 keys equal to what was read, 1 unknown, 0 not"},
		"To a new cluster":         {"live", "prod: unchanged"},
		"From argocd-vault-plugin": {"../../importer/testdata/corpus/avp-inline.txtar", "proved: 3 keys equal to what was read, 0 unknown, 0 not"},
	} {
		t.Run(heading, func(t *testing.T) {
			t.Parallel()
			_, section, ok := strings.Cut(page, "\n## "+heading+"\n")
			if !ok {
				t.Fatalf("there is no such page")
			}
			section, _, _ = strings.Cut(section, "\n## ")
			commands := regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindStringSubmatch(section)
			if commands == nil {
				t.Fatal("the page has no commands")
			}
			dir := t.TempDir()
			var err error
			cluster := apiServer(t, "../../examples/victor/demo-sealing-cert.pem")
			files := new(txtar.Archive)
			if test.from == "live" {
				liveSecrets(t, cluster)
			} else if files, err = txtar.ParseFile(test.from); err != nil {
				t.Fatal(err)
			}
			for _, f := range files.Files {
				name, ok := strings.CutPrefix(f.Name, "shop/")
				if rest, manifest := strings.CutPrefix(f.Name, "manifests/"); manifest {
					name, ok = "k8s/"+rest, !strings.HasSuffix(test.from, "import.txtar")
				}
				if !ok {
					continue
				}
				file := filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, f.Data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			cmd := exec.Command("sh", "-xc", "set -eu\n"+commands[1])
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "KUBECONFIG="+cluster.Kubeconfig(t))
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), test.want) {
				t.Errorf("%v, and no %q\n%s", err, test.want, out)
			}
		})
	}
}
