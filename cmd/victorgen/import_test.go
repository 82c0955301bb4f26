package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/victor-ai/victorgen/internal/awstest"
)

// TestAdopting runs the sections of docs/adopting.md, each block in a directory of its
// own, over a case of the corpus of imports, or what a test of the command imports.
func TestAdopting(t *testing.T) {
	t.Parallel()
	page := string(read(t, "../../docs/adopting.md"))
	for heading, blocks := range map[string][]struct{ from, want string }{
		"From .env files":      {{"../../cmd/victorgen/testdata/import.txtar", "proved: 8 keys equal to what was read, 1 unknown, 0 not"}},
		"A second environment": {{"../../cmd/victorgen/testdata/import.txtar", `DB_HOST: default: "db.prod.internal"`}},
		"From Secrets in Git":  {{"../../importer/testdata/corpus/kustomize-generators.txtar", "proved: 7 keys equal to what was read, 0 unknown, 0 not"}},
		"From SealedSecrets": {
			{"../../importer/testdata/corpus/sealed.txtar", "to fill in: DB_PASSWORD, STRICT_SESSION_KEY, WIDE_DB_PASSWORD"},
			{"live SealedSecrets", "proved: 1 key equal to what was read, 0 unknown, 0 not"},
		},
		"From ExternalSecrets": {
			{"../../importer/testdata/corpus/eso-vault.txtar", "proved: 4 keys equal to what was read, 0 unknown, 0 not"},
			{"live ExternalSecrets", "proved: 10 keys equal to what was read, 0 unknown, 0 not"},
		},
		"From a live namespace":    {{"live", "proved: 4 keys equal to what was read, 1 unknown, 0 not"}},
		"To a new cluster":         {{"live", "prod: unchanged"}},
		"From argocd-vault-plugin": {{"../../importer/testdata/corpus/avp-inline.txtar", "proved: 3 keys equal to what was read, 0 unknown, 0 not"}},
	} {
		_, section, ok := strings.Cut(page, "\n## "+heading+"\n")
		if !ok {
			t.Fatalf("there is no section %q", heading)
		}
		section, _, _ = strings.Cut(section, "\n## ")
		commands := regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllStringSubmatch(section, -1)
		if len(commands) != len(blocks) {
			t.Fatalf("the section %q has %d blocks of commands, and %d are known", heading, len(commands), len(blocks))
		}
		for i, test := range blocks {
			t.Run(fmt.Sprintf("%s %d", heading, i+1), func(t *testing.T) {
				t.Parallel()
				adopt(t, test.from, commands[i][1], test.want)
			})
		}
	}
}

// adopt runs commands over what there is to import: files of an archive, or what is live.
func adopt(t *testing.T, from, commands, want string) {
	t.Helper()
	dir := t.TempDir()
	var err error
	cluster := apiServer(t, "../../examples/victor/demo-sealing-cert.pem")
	environ := append(os.Environ(), "KUBECONFIG="+cluster.Kubeconfig(t))
	files := new(txtar.Archive)
	switch from {
	case "live":
		liveSecrets(t, cluster)
	case "live SealedSecrets":
		liveSecrets(t, cluster)
		environ = append(environ, "KUBECONFIG="+renamedContext(t, cluster.Kubeconfig(t), "production"))
		files.Files = []txtar.File{{Name: "manifests/smtp.yaml", Data: sealedManifest("smtp")}}
	case "live ExternalSecrets":
		p := awstest.NewParameterStore(t)
		putAsked(p)
		environ = append(environ, parameterStoreVariables(p)...)
		files.Files = []txtar.File{{Name: "manifests/tree.yaml", Data: []byte(askedTree)}}
	default:
		if files, err = txtar.ParseFile(from); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range files.Files {
		name, ok := strings.CutPrefix(f.Name, "shop/")
		if rest, manifest := strings.CutPrefix(f.Name, "manifests/"); manifest {
			name, ok = "k8s/"+rest, !strings.HasSuffix(from, "import.txtar")
		}
		if !ok {
			continue
		}
		if err := write(dir, name, f.Data); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("sh", "-xc", "set -eu\n"+commands)
	cmd.Dir, cmd.Env = dir, environ
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), want) {
		t.Errorf("%v, and no %q\n%s", err, want, out)
	}
}

// renamedContext writes a kubeconfig whose one context has another name, and returns its
// path.
func renamedContext(t *testing.T, kubeconfig, name string) string {
	t.Helper()
	config, err := clientcmd.LoadFromFile(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.Contexts = map[string]*clientcmdapi.Context{name: config.Contexts[config.CurrentContext]}
	config.CurrentContext = ""
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	return path
}
