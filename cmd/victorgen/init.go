package main

import (
	"bytes"
	"cmp"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/emit/sealing"
	"github.com/victor-ai/victorgen/examples/gallery"
	"github.com/victor-ai/victorgen/internal/git"
	"github.com/victor-ai/victorgen/internal/lazy"
	"github.com/victor-ai/victorgen/internal/safefile"
	"github.com/victor-ai/victorgen/schema"
)

// start holds the files of a new module. APP stands for its name.
//
//go:embed start
var start embed.FS

func initCommand() *cobra.Command {
	var o initOptions
	cmd := &cobra.Command{
		Use:   "init [DIR]",
		Short: "Start a new module, or renew its schema",
		Long: `Init writes a CUE module that works: a contract, one environment, the schema for
editors and cue vet, a policy to start from, a .gitignore that keeps .secrets.* out
of Git, a configuration for pre-commit, and what gitleaks and detect-secrets need to
accept ciphertexts. The name of the application is that of the
directory.

Files that exist are left alone, except for the schema, which is renewed, and
.gitignore, to which missing lines are added; it prints what to add to an existing
allow-list. Files in cue.mod that CUE would take for a part of the schema are
removed.

With --from gallery/NAME the contract is that of an application of the gallery, such
as gallery/supabase. With --demo-certificate there is a certificate to seal for, so
that a build needs no cluster. No cluster can open what is sealed for it: vet and
build warn of it until cert fetch has replaced it.`,
		Example: `  victorgen init
  victorgen init deploy/secrets
  victorgen init shop --demo-certificate
  victorgen init supabase --from gallery/supabase`,
		Args:              argsOf(cobra.MaximumNArgs(1)),
		ValidArgsFunction: completeDirs,
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			o.contract = true
			return initModule(cmd, dir, o)
		},
	}
	cmd.Flags().StringVar(&o.from, "from", "", "start from the contract of an application: gallery/NAME, and NAME is one of "+strings.Join(gallery.Names(), ", "))
	known := fromGallery()
	completes(cmd, "from", cobra.FixedCompletions(known, cobra.ShellCompDirectiveNoFileComp))
	cmd.Flags().BoolVar(&o.demo, "demo-certificate", false, "write a demonstration certificate, so that a build needs no cluster")
	check(cmd, func() error {
		if o.from != "" && !slices.Contains(known, o.from) {
			return notOne("--from", "one of "+strings.Join(known, ", "), known, o.from)
		}
		return nil
	})
	return cmd
}

// initOptions are how a module begins.
type initOptions struct {
	contract bool   // with a contract and an environment
	from     string // gallery/NAME
	demo     bool   // with a certificate for trying
}

// fromGallery are what init --from takes.
func fromGallery() (names []string) {
	for _, name := range gallery.Names() {
		names = append(names, "gallery/"+name)
	}
	return names
}

var notName = lazy.MustCompile(`[^a-z0-9]+`)

// appOf is what the application is called whose module lies in dir.
func appOf(dir string) string {
	return cmp.Or(strings.Trim(notName.ReplaceAllString(strings.ToLower(filepath.Base(dir)), ""), "0123456789"), "app")
}

// initModule starts a module in dir.
func initModule(cmd *cobra.Command, dir string, o initOptions) error {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	app := appOf(abs)
	say := func(what, file string) {
		fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", what, filepath.ToSlash(filepath.Join(dir, file)))
	}

	_, err = os.Stat(filepath.Join(abs, "cue.mod", "module.cue"))
	existing := err == nil // a module that has its own contract somewhere
	if existing && (o.from != "" || o.demo) {
		return usageError{fmt.Errorf("%s is a module already; --from and --demo-certificate are for new ones", dir)}
	}
	var lacking []string // what files lack that are left alone
	last := func() error { return nil }
	err = fs.WalkDir(start, "start", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := start.ReadFile(path)
		if err != nil {
			return err
		}
		content = bytes.ReplaceAll(content, []byte("APP"), []byte(app))
		// Names that start with a dot are not embedded; the files have none.
		name := strings.TrimPrefix(path, "start/")
		switch name {
		case "gitignore":
			return addLines(abs, ".gitignore", content, say)
		case "pre-commit-config.yaml":
			name = "." + name
		case "gitleaks.toml", "detect-secrets.baseline":
			name = "." + name
			if old, err := os.ReadFile(filepath.Join(abs, name)); err == nil && !bytes.Contains(old, []byte(ciphertext)) {
				lacking = append(lacking, fmt.Sprintf("%s does not allow ciphertexts; add to it:\n\n%s\n", filepath.ToSlash(filepath.Join(dir, name)), toAdd(content)))
			}
		case "module.cue":
			name = "cue.mod/module.cue"
		}
		if name == "contract.cue" && o.from != "" {
			if content, err = gallery.Contract(strings.TrimPrefix(o.from, "gallery/"), app); err != nil {
				return err
			}
		}
		if existing && strings.HasSuffix(name, ".cue") || !o.contract && (name == "contract.cue" || strings.HasPrefix(name, "envs/")) {
			return nil
		}
		if name == "cue.mod/module.cue" { // it is what makes a module: if this is interrupted, it begins again
			last = func() error { return createFile(abs, name, content, say) }
			return nil
		}
		return createFile(abs, name, content, say)
	})
	if err != nil {
		return err
	}
	// What stands where only the schema may is no part of it: see VG1010.
	renewed := map[string]bool{}
	for _, f := range compiler.StrangeSchema(abs) {
		file := filepath.FromSlash(f.Path)
		if err := os.Remove(filepath.Join(abs, file)); err != nil {
			return err
		}
		if f.Old {
			renewed[f.Path] = true
		} else {
			say("removed", file)
		}
	}
	definitions := schema.Files()
	for _, name := range slices.Sorted(maps.Keys(definitions)) {
		content := definitions[name]
		file := filepath.FromSlash(schema.Dir + "/" + name)
		if old, err := os.ReadFile(filepath.Join(abs, file)); err == nil && bytes.Equal(old, content) {
			continue
		}
		what := "created"
		if renewed[schema.Dir+"/"+name] {
			what = "renewed"
		}
		if err := write(abs, file, content); err != nil {
			return err
		}
		say(what, file)
	}
	if o.demo {
		pem, err := sealing.Demo(time.Now())
		if err != nil {
			return err
		}
		if err := createFile(abs, "envs/dev/sealing-cert.pem", pem, say); err != nil {
			return err
		}
	}
	if err := last(); err != nil {
		return err
	}
	for _, text := range lacking {
		fmt.Fprintln(cmd.ErrOrStderr(), text)
	}
	if root, ok := git.Find(abs); ok && root != abs {
		fmt.Fprintf(cmd.ErrOrStderr(), "pre-commit, gitleaks and detect-secrets read their files from the working directory, usually the root of the repository: "+
			"move .pre-commit-config.yaml, .gitleaks.toml and .detect-secrets.baseline there, or add them to those that are there\n")
	}
	if !existing && o.contract {
		next := []string{"cd " + dir, "victorgen cert fetch envs/dev", "victorgen vet ./envs/...", "victorgen build envs/dev"}
		title := "fetch the cluster's certificate, then build"
		if o.demo {
			next, title = slices.Delete(next, 1, 2), "build; no cluster can open what is sealed for the demo certificate, so victorgen cert fetch envs/dev comes before the first commit"
		}
		if filepath.Clean(dir) == "." {
			next = next[1:] // one is there
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "next: %s:\n  %s\n", title, strings.Join(next, "\n  "))
	}
	return nil
}

// ciphertext is what an allow-list has for ciphertexts, and by which init knows that it
// has them: the lengths of the session keys of RSA with 2048, 3072, 4096 and 8192 bits
// (https://github.com/bitnami-labs/sealed-secrets/blob/v0.36.0/pkg/crypto/crypto.go), and base64.
const ciphertext = `(?:A[QYg]|BA)[A-Za-z0-9+/]{300,}`

// toAdd is what an allow-list of init has that one of someone else's may lack: the
// last table of TOML, or the last filter of JSON.
func toAdd(content []byte) string {
	if i := bytes.Index(content, []byte("[[allowlists]]")); i >= 0 {
		return strings.TrimSpace(string(content[i:]))
	}
	var baseline struct {
		Filters []json.RawMessage `json:"filters_used"`
	}
	json.Unmarshal(content, &baseline)
	return "    " + string(baseline.Filters[len(baseline.Filters)-1])
}

func createFile(dir, name string, content []byte, say func(what, file string)) error {
	if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
		say("kept", name)
		return nil
	}
	if err := write(dir, name, content); err != nil {
		return err
	}
	say("created", name)
	return nil
}

// addLines appends the lines of content that the file lacks.
func addLines(dir, name string, content []byte, say func(what, file string)) error {
	old, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return createFile(dir, name, content, say)
	} else if err != nil {
		return err
	}
	have := strings.Split(string(old), "\n")
	added := old
	if len(added) > 0 && !bytes.HasSuffix(added, []byte("\n")) {
		added = append(added, '\n')
	}
	before := len(added)
	for line := range strings.Lines(string(content)) {
		if !slices.Contains(have, strings.TrimSuffix(line, "\n")) {
			added = append(added, line...)
		}
	}
	if len(added) == before {
		say("kept", name)
		return nil
	}
	if err := write(dir, name, added); err != nil {
		return err
	}
	say("extended", name)
	return nil
}

// write writes a file so that it is the old one or the new, whenever this is killed.
func write(dir, name string, content []byte) error {
	file := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	if target, err := safefile.Follow(file); err == nil {
		file = target
	}
	safefile.Sweep(file)
	return safefile.Overwrite(file, content, 0o644)
}
