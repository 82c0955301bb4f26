package main

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// replaced are the days on which something was, in a dotenv file and a lock.
var replaced = regexp.MustCompile(`(VICTORGEN_PREVIOUS_\w+='|replaced: )\d{4}-\d\d-\d\dT`)

// TestRotationPage runs the first part of docs/rotation.md, in order, over the contract
// that it shows. A day passes before what is due is rotated. The rest is for
// TestRotationOrders.
func TestRotationPage(t *testing.T) {
	const page = "../../docs/rotation.md"
	// A block in a list is indented.
	text := strings.ReplaceAll(string(read(t, page)), "\n   ", "\n")
	text, _, _ = strings.Cut(text, "\n## API keys\n")
	flat := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(flat, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	contracts, commands := blocks(t, flat, "cue"), blocks(t, flat, "sh")
	if len(contracts) != 2 || len(commands) < 3 {
		t.Fatalf("%s has %d cue blocks and %d sh blocks", page, len(contracts), len(commands))
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"cue.mod/module.cue": "module: \"test.example/app@v0\"\nlanguage: version: \"v0.15.0\"\n",
		"contract.cue":       "package app\n\nimport \"github.com/victor-ai/victorgen/schema\"\n\nschema.#Environment\n\n" + contracts[0],
		"envs/production/env.cue": "package app\n\nenvironment: \"production\"\nnamespace: \"app\"\n" +
			"delivery: {kind: \"sealed\", certificate: \"../../cert.pem\"}\nalerts: {}\n",
		// The operator fetches it from where it can.
		"envs/fetched/env.cue": "package app\n\nenvironment: \"fetched\"\nnamespace: \"app\"\n" +
			"sources: default: {kind: \"aws-secretsmanager\", region: \"us-east-1\"}\n" + contracts[1],
		"cert.pem":            string(read(t, "../../fixtures/certificates/good.pem")),
		".secrets.production": "",
	} {
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	run := func(script string) string {
		t.Helper()
		cmd := exec.Command("sh", "-euc", script)
		cmd.Dir = dir
		b, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", script, err, b)
		}
		return string(b)
	}
	lacks := func(out string, all ...string) {
		t.Helper()
		for _, want := range all {
			if !strings.Contains(out, want) {
				t.Errorf("it is not printed: %s\n%s", want, out)
			}
		}
	}
	run("victorgen vet ./envs/...\nvictorgen build envs/production")
	secrets := filepath.Join(dir, ".secrets.production")
	lacks(run(commands[0]), "app: session-key-previous", "sealed (the value changed)")
	if n := strings.Count(string(read(t, secrets)), plan.PreviousPrefix); n != 2 {
		t.Fatalf("%d previous values are kept", n)
	}
	// A day later, but for the environment whose source is not here.
	if err := os.RemoveAll(filepath.Join(dir, "envs/fetched")); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{secrets, filepath.Join(dir, "deploy/production/victorgen.lock")} {
		aged := replaced.ReplaceAllString(string(read(t, file)), "${1}"+time.Now().UTC().AddDate(0, 0, -2).Format(time.DateOnly)+"T")
		if err := os.WriteFile(file, []byte(aged), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	lacks(run(commands[1]), "dropped the previous value of SESSION_KEY", "dropped  ", "left out")
	if b := read(t, secrets); strings.Contains(string(b), plan.PreviousPrefix) {
		t.Error("what is over is still kept")
	}
	lacks(run(commands[2]), "VG2129: SESSION_KEY is rotated again")
}

// TestRotationOrders runs the sections of docs/rotation.md that say in which order what is
// rotated, each over the contract that it shows.
func TestRotationOrders(t *testing.T) {
	t.Parallel()
	page := strings.ReplaceAll(string(read(t, "../../docs/rotation.md")), "\n   ", "\n")
	flat := filepath.Join(t.TempDir(), "page.md")
	// open writes a module with the contract of a section, and builds it.
	open := func(t *testing.T, section string) (dir string, commands []string, run func(code int, script string) string) {
		t.Helper()
		_, text, found := strings.Cut(page, "\n## "+section+"\n")
		if !found {
			t.Fatalf("there is no section %q", section)
		}
		text, _, _ = strings.Cut(text, "\n## ")
		writeFile(t, flat, text)
		contracts := blocks(t, flat, "cue")
		if section == "Sealing certificates" {
			contracts = []string{"inputs: SESSION_KEY: schema.#Generated & {generate: kind: \"bytes\"}\nsecrets: app: keys: key: input: \"SESSION_KEY\"\n"}
		}
		if section == "On a schedule" { // where sources know how old a value is
			contracts[0] = "inputs: SESSION_KEY: schema.#Generated & {generate: kind: \"bytes\"}\nsecrets: app: keys: key: input: \"SESSION_KEY\"\nsources: default: kind: \"files\"\n" + contracts[0]
		}
		if len(contracts) != 1 {
			t.Fatalf("%s has %d cue blocks", section, len(contracts))
		}
		// The day is to come, whenever this runs.
		contract := strings.ReplaceAll(contracts[0], "2027-03-31", time.Now().AddDate(1, 0, 0).Format(time.DateOnly))
		dir = t.TempDir()
		for name, text := range map[string]string{
			"cue.mod/module.cue": "module: \"test.example/app@v0\"\nlanguage: version: \"v0.15.0\"\n",
			"contract.cue":       "package app\n\nimport \"github.com/victor-ai/victorgen/schema\"\n\nschema.#Environment\n\n" + contract,
			"envs/production/env.cue": "package app\n\nenvironment: \"production\"\nnamespace: \"app\"\n" +
				"delivery: {kind: \"sealed\", certificate: \"../../cert.pem\"}\nalerts: {}\n",
			"cert.pem":            string(read(t, "../../fixtures/certificates/good.pem")),
			".secrets.production": "PAYMENTS_KEY='pk-83jd92kf02ls-first'\n",
			"new-key":             "pk-93kd02ls83jf-second",
		} {
			file := filepath.Join(dir, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		next, err := sealingCertificate(1000 * time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, "next.pem"), string(next))
		kubeconfig := apiServer(t, filepath.Join(dir, "next.pem")).Kubeconfig(t)
		run = func(want int, script string) string {
			t.Helper()
			cmd := exec.Command("sh", "-euc", script)
			cmd.Dir, cmd.Env = dir, append(os.Environ(), "KUBECONFIG="+kubeconfig)
			b, _ := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != want {
				t.Fatalf("%s: exit %d, not %d\n%s", script, code, want, b)
			}
			return string(b)
		}
		run(0, "victorgen build envs/production")
		return dir, blocks(t, flat, "sh"), run
	}
	says := func(t *testing.T, out string, all ...string) {
		t.Helper()
		for _, want := range all {
			if !strings.Contains(out, want) {
				t.Errorf("it is not printed: %s\n%s", want, out)
			}
		}
	}
	t.Run("API keys", func(t *testing.T) {
		_, commands, run := open(t, "API keys")
		says(t, run(0, commands[0]), "payments-key", "sealed (the value changed)")
		says(t, run(0, commands[1]), "PAYMENTS_KEY", "present")
	})
	t.Run("Certificates", func(t *testing.T) {
		dir, commands, run := open(t, "Certificates")
		values := func() map[string]string {
			all := map[string]string{}
			for name, v := range dotenv(t, filepath.Join(dir, ".secrets.production")) {
				all[name] = v
			}
			return all
		}
		// verified reports whether who trusts these takes the certificate of the server.
		verified := func(server string, authorities ...string) bool {
			roots := x509.NewCertPool()
			for _, a := range authorities {
				roots.AppendCertsFromPEM([]byte(a))
			}
			block, _ := pem.Decode([]byte(server))
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			_, err = cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: "shop.example"})
			return err == nil
		}
		before := values()
		states := []map[string]string{before}
		for i, script := range commands {
			if i == 1 {
				contract := filepath.Join(dir, "contract.cue")
				writeFile(t, contract, strings.Replace(string(read(t, contract)), `*"CA_A" | "CA_B"`, `"CA_B"`, 1))
			}
			run(0, script)
			now, was := values(), states[i]
			// Anyone who has what was there before, and anyone who has what is there now, trust each other.
			if !verified(now["TLS"], was["CA_A"], was["CA_B"]) || !verified(was["TLS"], now["CA_A"], now["CA_B"]) || !verified(now["TLS"], now["CA_A"], now["CA_B"]) {
				t.Errorf("after step %d somebody is not trusted", i+1)
			}
			states = append(states, now)
		}
		last := states[len(states)-1]
		if last["CA_A"] == before["CA_A"] || last["CA_B"] == before["CA_B"] || verified(last["TLS"], before["CA_A"], before["CA_B"]) {
			t.Error("the authorities are not rotated")
		}
	})
	t.Run("Sealing certificates", func(t *testing.T) {
		dir, commands, run := open(t, "Sealing certificates")
		before := string(read(t, filepath.Join(dir, "cert.pem")))
		says(t, run(0, commands[0]), "the certificate changed")
		if string(read(t, filepath.Join(dir, "cert.pem"))) == before {
			t.Error("the certificate is the old one")
		}
	})
	t.Run("On a schedule", func(t *testing.T) {
		dir, commands, run := open(t, "On a schedule")
		file := filepath.Join(dir, ".secrets.production.d/SESSION_KEY")
		was := string(read(t, file))
		then := time.Now().AddDate(0, 0, -61)
		if err := os.Chtimes(file, then, then); err != nil {
			t.Fatal(err)
		}
		says(t, run(0, commands[0]), "sealed (the value changed)")
		says(t, string(read(t, filepath.Join(dir, "summary.md"))), "**1 value rotated in 1 environment**.")
		if string(read(t, file)) == was {
			t.Error("what is due is not rotated")
		}
	})
}
