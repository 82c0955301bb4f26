package trust_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/trust"
)

// of is a plan with one input, at a source.
func of(s plan.Source) *plan.Plan {
	s.Name = "default"
	return &plan.Plan{Sources: []plan.Source{s}, Inputs: []plan.Input{{Name: "TOKEN", Source: "default"}}}
}

func codes(ds plan.Diagnostics) string {
	var all []string
	for _, d := range ds {
		all = append(all, string(d.Severity)+" "+string(d.Code))
	}
	return strings.Join(all, ", ")
}

// TestAddresses: an address needs someone else than the contract who names it.
func TestAddresses(t *testing.T) {
	t.Parallel()
	const no, plain = "error VG1401", "error VG1402"
	vault := func(address string) plan.Source { return plan.Source{Kind: plan.Vault, Address: address} }
	azure := func(vault string) plan.Source { return plan.Source{Kind: plan.AzureKeyVault, Vault: vault} }
	for name, c := range map[string]struct {
		source plan.Source
		env    map[string]string
		allow  []string
		want   string
	}{
		"the environment's own":     {source: vault("")},
		"of a kind not known":       {source: plan.Source{Kind: "new"}, want: no},
		"nobody else":               {source: vault("https://vault.example"), want: no},
		"the environment names it":  {source: vault("https://vault.example/"), env: map[string]string{"VAULT_ADDR": "https://VAULT.example:443"}},
		"an agent":                  {source: vault("http://127.0.0.1:8100"), env: map[string]string{"VAULT_AGENT_ADDR": "http://127.0.0.1:8100"}},
		"another port":              {source: vault("https://vault.example:8200"), env: map[string]string{"VAULT_ADDR": "https://vault.example"}, want: no},
		"another path":              {source: vault("https://host.example/evil"), env: map[string]string{"VAULT_ADDR": "https://host.example/vault"}, want: no},
		"a longer host":             {source: vault("https://vault.example.evil.invalid"), env: map[string]string{"VAULT_ADDR": "https://vault.example"}, want: no},
		"allowed":                   {source: vault("https://vault.example"), allow: []string{"https://vault.example/"}},
		"another is allowed":        {source: vault("https://vault.example"), allow: []string{"https://other.example"}, want: no},
		"nothing is allowed":        {source: vault("https://vault.example"), allow: []string{""}, want: no},
		"plain":                     {source: vault("http://vault.example"), env: map[string]string{"VAULT_ADDR": "http://vault.example"}, want: plain},
		"plain, allowed":            {source: vault("http://vault.example"), allow: []string{"http://vault.example"}},
		"plain, https allowed":      {source: vault("http://vault.example"), allow: []string{"https://vault.example"}, want: plain},
		"this machine":              {source: vault("http://127.0.0.1:8200"), want: no},
		"this machine, in IPv6":     {source: vault("http://[::1]:8200"), want: no},
		"looks like this machine":   {source: vault("http://127.0.0.1.evil.invalid"), want: plain},
		"a name":                    {source: azure("shared-kv")},
		"Azure in China":            {source: azure("https://kv.vault.azure.cn")},
		"Azure on another port":     {source: azure("https://kv.vault.azure.net:8443"), want: no},
		"Azure in the clear":        {source: azure("http://kv.vault.azure.net"), want: plain},
		"not Azure":                 {source: azure("https://vault.azure.net.evil.invalid"), want: no},
		"ends like Azure":           {source: azure("https://evilvault.azure.net"), want: no},
		"the environment's own URL": {source: azure("https://stack.example"), env: map[string]string{"AZURE_KEY_VAULT": "https://stack.example"}},
		"Vault's is not Azure's":    {source: azure("https://stack.example"), env: map[string]string{"VAULT_ADDR": "https://stack.example"}, want: no},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lookup := func(name string) (string, bool) { v, ok := c.env[name]; return v, ok }
			if got := codes(trust.Addresses(of(c.source), trust.Grant{Addresses: c.allow}, lookup, true)); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if got, want := codes(trust.Addresses(of(c.source), trust.Grant{Addresses: c.allow}, lookup, false)), strings.Replace(c.want, no, "warning VG1401", 1); got != want {
				t.Errorf("where nobody is asked: got %q, want %q", got, want)
			}
		})
	}
}

// TestUnusedSource: what no input lives at is asked nothing.
func TestUnusedSource(t *testing.T) {
	t.Parallel()
	p := of(plan.Source{Kind: plan.Vault, Address: "https://vault.example"})
	p.Inputs[0].Source = "other"
	if ds := trust.Addresses(p, trust.Grant{}, os.LookupEnv, true); len(ds) > 0 {
		t.Error(ds)
	}
}

// TestEncryptedFiles: sops is not run on a file that sends it elsewhere.
func TestEncryptedFiles(t *testing.T) {
	t.Parallel()
	const mac = "  mac: x\n  version: 3.11.0\n"
	for name, c := range map[string]struct{ file, text, want string }{
		"age":                      {"s.yaml", "sops:\n  age:\n    - recipient: age1x\n      enc: x\n" + mac, ""},
		"all that need no address": {"s.yaml", "sops:\n  kms:\n    - arn: arn:aws:kms:us-east-1:111122223333:key/0-a\n      context: {a: b}\n      role: \"\"\n  gcp_kms:\n    - resource_id: projects/p/locations/global/keyRings/r/cryptoKeys/k\n  pgp:\n    - fp: ABCD\n" + mac, ""},
		"Azure":                    {"s.yaml", "sops:\n  azure_kv:\n    - vault_url: https://kv.vault.azure.net\n" + mac, ""},
		"not Azure":                {"s.yaml", "sops:\n  azure_kv:\n    - vault_url: https://evil.invalid\n" + mac, "error VG1401"},
		"Vault":                    {"s.yaml", "sops:\n  hc_vault:\n    - vault_address: https://evil.invalid\n" + mac, "error VG1401"},
		"Vault over plain http":    {"s.yaml", "sops:\n  hc_vault:\n    - vault_address: http://evil.invalid\n" + mac, "error VG1402"},
		"the environment's Vault":  {"s.yaml", "sops:\n  hc_vault:\n    - vault_address: https://vault.example\n" + mac, ""},
		"no URL":                   {"s.yaml", "sops:\n  hc_vault:\n    - vault_address: evil.invalid\n" + mac, "error VG1401"},
		"an anchor":                {"s.yaml", "x: &x\n  - vault_address: https://evil.invalid\nsops:\n  hc_vault: *x\n" + mac, "error VG1401"},
		"a merge":                  {"s.yaml", "x: &x\n  hc_vault:\n    - vault_address: https://evil.invalid\nsops:\n  <<: *x\n" + mac, "error VG1401"},
		"base64":                   {"s.yaml", "sops:\n  hc_vault:\n    - vault_address: !!binary aHR0cHM6Ly9ldmlsLmludmFsaWQ=\n" + mac, "error VG1401"},
		"names that are no text":   {"s.yaml", "sops:\n  hc_vault:\n    - vault_address: https://evil.invalid\n      1: x\n" + mac, "error VG1401"},
		"keys of a kind to come":   {"s.yaml", "sops:\n  new_kms:\n    - endpoint: https://evil.invalid\n" + mac, "error VG1401"},
		"a group":                  {"s.yaml", "sops:\n  key_groups:\n    - hc_vault:\n        - vault_address: https://evil.invalid\n" + mac, "error VG1401"},
		"a field to come":          {"s.yaml", "sops:\n  age:\n    - recipient: x\n      plugin: y\n" + mac, "error VG1401"},
		"a region":                 {"s.yaml", "sops:\n  kms:\n    - arn: 'arn:aws:kms:evil.invalid/:1:key/x'\n" + mac, "error VG1401"},
		"a region of Huawei":       {"s.yaml", "sops:\n  hckms:\n    - key_id: 'evil.invalid/:x'\n" + mac, "error VG1401"},
		"JSON":                     {"s.json", `{"sops": {"hc_vault": [{"vault_address": "https://evil.invalid"}]}}`, "error VG1401"},
		"JSON in capitals":         {"s.json", `{"sops": {"age": [], "hc_vault": [{"Vault_Address": "https://evil.invalid"}]}}`, "error VG1401"},
		"JSON, SOPS twice":         {"s.json", `{"sops": {"age": []}, "SOPS": {"hc_vault": [{"vault_address": "https://evil.invalid"}]}}`, "error VG1401"},
		"JSON, a long s":           {"s.json", `{"sops": {"age": []}, "ſops": {}}`, "error VG1401"},
		"dotenv":                   {"s.env", "sops_hc_vault__list_0__map_vault_address=https://evil.invalid\n", "error VG1401"},
		"dotenv in capitals":       {"s.env", "sops_HC_VAULT__list_0__map_vault_address=https://evil.invalid\n", "error VG1401"},
		"dotenv, age":              {"s.env", "sops_age__list_0__map_recipient=age1x\nsops_age__list_0__map_enc=x\nsops_kms__list_0__map_context__map_vault_address=x\nsops_mac=x\n", ""},
		"not encrypted":            {"s.yaml", "a: b\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), c.file)
			if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			lookup := func(name string) (string, bool) { return "https://vault.example", name == "VAULT_ADDR" }
			ds := trust.Addresses(of(plan.Source{Kind: plan.SOPS, File: file}), trust.Grant{}, lookup, true)
			if got := codes(ds); got != c.want {
				t.Errorf("got %q, want %q\n%v", got, c.want, ds)
			}
		})
	}
}

// TestFiles: what lies outside of the repository needs to be allowed, by either
// of its names.
func TestFiles(t *testing.T) {
	t.Parallel()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	repo, module, beside := filepath.Join(root, "repo"), filepath.Join(root, "repo", "app"), filepath.Join(root, "beside")
	err = errors.Join(os.MkdirAll(filepath.Join(repo, ".git"), 0o755), os.MkdirAll(filepath.Join(module, "out", "dev"), 0o755), os.MkdirAll(beside, 0o755),
		os.Symlink(beside, filepath.Join(module, "away")), os.Symlink("away/none", filepath.Join(module, "dangling")), os.Symlink("loop", filepath.Join(module, "loop")),
		os.WriteFile(filepath.Join(module, "out", "dev", "victorgen.lock"), nil, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	const outside, tree = "error VG1403", "error VG1404"
	for name, c := range map[string]struct {
		file, allow, want string
	}{
		"in the module":       {file: filepath.Join(module, ".secrets")},
		"in the work tree":    {file: filepath.Join(repo, "shared.env")},
		"beside":              {file: filepath.Join(beside, "x"), want: outside},
		"begins alike":        {file: repo + "-other/x", want: outside},
		"the system's":        {file: "/etc/shadow", want: outside},
		"by a directory":      {file: filepath.Join(module, "away", "x"), want: outside},
		"by a dangling link":  {file: filepath.Join(module, "dangling"), want: outside},
		"a loop":              {file: filepath.Join(module, "loop")},
		"allowed":             {file: filepath.Join(beside, "x"), allow: filepath.Join(beside, "x")},
		"allowed by its link": {file: filepath.Join(module, "away", "x"), allow: filepath.Join(module, "away", "x")},
		"allowed by its name": {file: filepath.Join(module, "away", "x"), allow: filepath.Join(beside, "x")},
		"another is allowed":  {file: filepath.Join(beside, "x"), allow: filepath.Join(beside, "y"), want: outside},
		"in a tree":           {file: filepath.Join(module, "deploy", "dev", "x"), want: tree},
		"in another tree":     {file: filepath.Join(module, "out", "dev", "sub", "x"), want: tree},
		"in .git":             {file: filepath.Join(repo, ".git", "config"), want: tree},
		"in a .git inside":    {file: filepath.Join(module, ".GIT", "hooks", "x"), want: tree},
		"of a contract":       {file: filepath.Join(module, "envs", "dev", "values.cue"), want: tree},
		"in cue.mod":          {file: filepath.Join(module, "cue.mod", "module.cue"), want: tree},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var g trust.Grant
			if c.allow != "" {
				g.Files = []string{c.allow}
			}
			for _, kind := range []string{plan.Env, plan.SOPS} {
				p := of(plan.Source{Kind: kind, File: c.file})
				p.Module = module
				if ds := trust.Files(p, g, true); codes(ds) != c.want {
					t.Errorf("got %v, want %q", ds, c.want)
				}
			}
			if c.want == tree {
				return
			}
			p := &plan.Plan{Module: module, Secrets: []plan.Secret{{Delivery: plan.Delivery{Certificate: c.file}}}}
			if ds := trust.Files(p, g, false); codes(ds) != c.want {
				t.Errorf("a certificate: got %v, want %q", ds, c.want)
			}
		})
	}
}

// TestFilesAreCUE: no value is a file that CUE would compile.
func TestFilesAreCUE(t *testing.T) {
	t.Parallel()
	module := t.TempDir()
	for remote, want := range map[string]string{"token": "", "token.cue": "error VG1404", "cue": ""} {
		p := of(plan.Source{Kind: plan.Files, Dir: filepath.Join(module, "envs")})
		p.Module = module
		for i := range p.Inputs {
			p.Inputs[i].Remote.Name = remote
		}
		if ds := trust.Files(p, trust.Grant{}, true); codes(ds) != want {
			t.Errorf("%s: got %v, want %q", remote, ds, want)
		}
	}
}

// TestWithoutGit: the module is the limit then.
func TestWithoutGit(t *testing.T) {
	t.Parallel()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []plan.Source{
		{Kind: plan.Env, File: filepath.Join(root, "x")}, {Kind: plan.Files, Dir: filepath.Join(root, "x")},
		{Kind: "new", File: filepath.Join(root, "x")}, {Kind: "new", Dir: filepath.Join(root, "x")},
	} {
		p := of(s)
		p.Module = filepath.Join(root, "module")
		if ds := trust.Files(p, trust.Grant{}, true); codes(ds) != "error VG1403" {
			t.Errorf("%s: %v", s.Kind, ds)
		}
	}
}

// TestCommands: a program is run only if someone who answers for it allows the same
// words.
func TestCommands(t *testing.T) {
	t.Parallel()
	of := func(command ...string) *plan.Plan {
		return &plan.Plan{Sources: []plan.Source{{Name: "default", Kind: plan.Exec, Command: command}}, Inputs: []plan.Input{{Name: "A", Source: "default"}}}
	}
	for name, test := range map[string]struct {
		command []string
		allowed []string
		want    bool
	}{
		"nobody":                         {[]string{"op"}, nil, false},
		"the same":                       {[]string{"op"}, []string{"pass", "op"}, true},
		"with arguments":                 {[]string{"op", "--vault", "shop"}, []string{"op --vault shop"}, true},
		"other arguments":                {[]string{"op", "--vault", "evil"}, []string{"op --vault shop", "op"}, false},
		"fewer":                          {[]string{"op"}, []string{"op --vault shop"}, false},
		"any arguments":                  {[]string{"op", "--vault", "x"}, []string{"op ..."}, true},
		"any further ones":               {[]string{"op", "--vault", "x"}, []string{"op --vault ..."}, true},
		"any, and none":                  {[]string{"op"}, []string{"op ..."}, true},
		"another program that begins so": {[]string{"opevil"}, []string{"op ..."}, false},
		"blanks that make words":         {[]string{"sh", "-c evil"}, []string{"sh -c evil"}, false},
		"blanks as they are allowed":     {[]string{"sh", "-c evil"}, []string{`sh "-c evil"`}, true},
		"what stands for any":            {[]string{"op", "..."}, []string{`op "..."`}, true},
		"a quotation mark":               {[]string{"op", `"x"`}, []string{`op "x"`}, false},
	} {
		for _, asks := range []bool{true, false} {
			ds := trust.Addresses(of(test.command...), trust.Grant{Commands: test.allowed}, func(string) (string, bool) { return "", false }, asks)
			switch {
			case test.want && len(ds) > 0, !test.want && len(ds) != 1:
				t.Errorf("%s: %v", name, ds)
			case !test.want && (ds[0].Code != "VG1417" || (ds[0].Severity == plan.Error) != asks):
				t.Errorf("%s: %v", name, ds)
			}
		}
	}
}
