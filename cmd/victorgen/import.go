package main

import (
	"bytes"
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

	vg "github.com/victor-ai/victorgen"
	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/importer"
	"github.com/victor-ai/victorgen/importer/observe"
	"github.com/victor-ai/victorgen/internal/lazy"
)

type importOptions struct {
	into      string
	namespace string
	source    string
	force     bool
	dryRun    bool
	timeout   time.Duration
	format    string
}

func importCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Write the contract of what is there, store its values, and prove that nothing changes",
		Long: `Import reads what an application has now, writes the contract that a person would
have written, puts the values into their source, and proves that both together
make what was read, byte for byte. It writes over nothing that is there without
--force, and what was interrupted is taken up again by the same command.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("import takes env or manifests, not %q", args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(importEnvCommand(), importManifestsCommand())
	return cmd
}

func importEnvCommand() *cobra.Command {
	o := &importOptions{}
	cmd := &cobra.Command{
		Use:   "env FILE...",
		Short: "Import dotenv files and the environment of Compose files",
		Long: `Import env reads dotenv files, examples of such (.env.example, .env.sample and the
like), schemas of @env-spec (.env.schema), and Compose files. Names become inputs,
comments descriptions and links, samples examples, headings groups.

Of what a .env has, values go to the source, and what is taken for a setting (hosts,
ports, flags, names, URLs without a login) into the contract, and so into Git: the
report names these, to be looked at before a commit. In an example nothing is a
value. The variables become the keys of one Secret, for envFrom; of a Compose file,
one Secret a service.`,
		Example: `  victorgen import env .env.example .env
  victorgen import env .env.production --into envs/production
  victorgen import env compose.yaml .env --dry-run -o json
  victorgen import env .env --source aws-ssm,region=eu-west-1,prefix=/shop`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("name dotenv or Compose files, such as .env")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			observed, ds := observe.EnvFiles(args)
			return o.run(cmd, observed, ds)
		},
	}
	o.flags(cmd)
	return cmd
}

func importManifestsCommand() *cobra.Command {
	o := &importOptions{}
	cmd := &cobra.Command{
		Use:   "manifests PATH...|-",
		Short: "Import Secrets, and what Secrets are made from, out of manifests",
		Long: `Import manifests reads files and directories of manifests, kustomizations, which it
renders without a network, or standard input. It takes

  Secrets                  of any type; stringData counts over data
  secretGenerators         of a kustomization: the names lose their hash
  SealedSecrets            all but the values, which nobody but the controller can tell:
                           they are to be filled in
  ExternalSecrets and      of v1beta1 and v1, with their stores, which stay as they are:
  ClusterExternalSecrets   no value is read
  Secrets for              placeholders become external secrets
  argocd-vault-plugin

and leaves out what controllers and tools own, and says so. Workloads beside them tell
which keys they can do without. Templates of Helm, and what SOPS has encrypted, come
through a pipe.`,
		Example: `  victorgen import manifests deploy/secrets --into envs/production
  kubectl get secret -n shop -o yaml | victorgen import manifests -
  helm template shop ./chart | victorgen import manifests - --dry-run
  sops decrypt secrets.enc.yaml | victorgen import manifests -`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("name manifests, or write - for standard input")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			observed, ds := observe.Manifests(cmd.Context(), args, observe.Options{Stdin: cmd.InOrStdin()})
			return o.run(cmd, observed, ds)
		},
	}
	o.flags(cmd)
	return cmd
}

func (o *importOptions) flags(cmd *cobra.Command) {
	permitFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&o.into, "into", "envs/dev", "directory of the environment; its module is the one above, or becomes one")
	namespaceFlag(cmd, &o.namespace)
	f.Lookup("namespace").Usage = "namespace of the environment; by default that of most Secrets, or the name of the application"
	f.StringVar(&o.source, "source", "", "where the values go: KIND[,FIELD=VALUE...], such as aws-ssm,region=eu-west-1,prefix=/shop; by default env, a dotenv file")
	cmd.RegisterFlagCompletionFunc("source", cobra.FixedCompletions(plan.SourceKinds, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace))
	f.BoolVar(&o.force, "force", false, "write over a contract, an environment and values that are there")
	f.BoolVar(&o.dryRun, "dry-run", false, "write nothing; show what would become of it")
	f.DurationVar(&o.timeout, "timeout", time.Minute, "how long the source may take")
	outputFlag(cmd, &o.format)
	check(cmd, func() error {
		if o.timeout <= 0 {
			return errors.New("--timeout must be more than nothing, as in 30s")
		}
		return nil
	})
}

// importReport is what import prints with -o json.
type importReport struct {
	Version int    `json:"version"`
	Module  string `json:"module"`
	OK      bool   `json:"ok"`
	*importer.Result
	Contract    string           `json:"contract,omitempty"`        // of a dry run
	Environment string           `json:"environmentFile,omitempty"` // likewise
	Diagnostics plan.Diagnostics `json:"diagnostics"`
}

// run imports what was observed, of which ds is what there was to say.
func (o *importOptions) run(cmd *cobra.Command, observed *observe.Observed, ds plan.Diagnostics) error {
	src, err := sourceOf(o.source)
	if err != nil {
		return usageError{err}
	}
	dir, err := filepath.Abs(o.into)
	if err != nil {
		return err
	}
	module, existing := compiler.ModuleRoot(filepath.Dir(dir))
	if !existing {
		if module, err = filepath.Abs("."); err != nil {
			return err
		}
	}
	environment, err := filepath.Rel(filepath.Join(module, "envs"), dir)
	if err != nil || environment == "." || !filepath.IsLocal(environment) || strings.ContainsAny(environment, `/\`) || !dnsName.MatchString(environment) {
		return usageError{fmt.Errorf("--into takes envs/NAME in the module %s, not %q", module, o.into)}
	}
	done := &importer.Result{}
	allowed := vg.PermissionOf(optionsOf(cmd, compiler.Options{}))
	if allowed.Unread.HasErrors() {
		ds = allowed.Unread
	}
	if !ds.HasErrors() {
		options := importer.Options{
			Permit: func(p *plan.Plan) plan.Diagnostics { return allowed.Check(&vg.Environment{Plan: p}) },
			Module: module, Source: src, Force: o.force, DryRun: true, Timeout: o.timeout, Open: vg.OpenSources,
			Names: importer.Names{Package: appOf(module), Environment: environment, Namespace: o.namespace},
		}
		var more plan.Diagnostics
		done, more = importer.Run(cmd.Context(), observed, options)
		if !o.dryRun && !more.HasErrors() { // or else there is no reason to start a module
			if err := startModule(cmd, module, existing, src.Kind); err != nil {
				return err
			}
			options.DryRun = false
			done, more = importer.Run(cmd.Context(), observed, options)
		}
		ds = append(ds, more...)
	}
	one := alone(ds)
	if o.format == "json" {
		report := importReport{Version: 1, Module: module, OK: !ds.HasErrors(), Result: done, Diagnostics: ds}
		if report.Diagnostics == nil {
			report.Diagnostics = plan.Diagnostics{}
		}
		for _, f := range done.Files {
			if o.dryRun && f.Path == "contract.cue" {
				report.Contract = f.Text()
			} else if o.dryRun {
				report.Environment = f.Text()
			}
		}
		if err := encode(cmd.OutOrStdout(), report); err != nil {
			return err
		}
		return exitOf(one)
	}
	o.text(cmd, module, done, ds)
	newPrinter(cmd.ErrOrStderr()).print(findings(one), 1)
	return exitOf(one)
}

// alone is what exitOf and findings take of a verb that has no environment yet.
func alone(ds plan.Diagnostics) []result { return []result{{Diagnostics: ds, OK: !ds.HasErrors()}} }

var dnsName = lazy.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// text prints the result for people.
func (o *importOptions) text(cmd *cobra.Command, module string, r *importer.Result, ds plan.Diagnostics) {
	w := cmd.OutOrStdout()
	for _, f := range r.Files {
		if f.State != "" {
			fmt.Fprintf(w, "%s: %s\n", f.Path, f.State)
		}
	}
	classes, states := map[plan.Class]int{}, map[string]int{}
	places := map[string]string{}
	for _, in := range r.Inputs {
		classes[in.Class]++
		if in.State != "" {
			states[in.State]++
			places[in.State], _, _ = strings.Cut(in.Place, ":")
		}
	}
	if len(r.Inputs) > 0 {
		var parts []string
		for _, c := range []plan.Class{plan.Required, plan.Generated, plan.Optional, plan.Setting} {
			if classes[c] > 0 {
				parts = append(parts, fmt.Sprintf("%d %s", classes[c], c))
			}
		}
		fmt.Fprintf(w, "%s: %s\n", plural(len(r.Inputs), "input"), strings.Join(parts, ", "))
	}
	for _, state := range slices.Sorted(maps.Keys(states)) {
		at := places[state]
		if at != "" {
			at = " (" + at + ")"
		}
		fmt.Fprintf(w, "%s %s%s\n", plural(states[state], "value"), state, at)
	}
	if names := r.Settings(); len(names) > 0 {
		fmt.Fprintf(w, "in Git, as settings: %s\n", strings.Join(names, ", "))
	}
	for _, one := range r.Proof {
		if one.Verdict == importer.Unknown { // errors and warnings tell the others
			fmt.Fprintf(w, "%s %s: unknown, for %s\n", one.Secret, one.Key, one.Why)
		}
	}
	if lost := r.Count(importer.Differs) + r.Count(importer.Lost); len(r.Proof) > 0 && (lost > 0 || !ds.HasErrors()) {
		fmt.Fprintf(w, "proved: %s equal to what was read, %d unknown, %d not\n", plural(r.Count(importer.Equal), "key"), r.Count(importer.Unknown), lost)
	}
	if len(r.Missing) > 0 {
		fmt.Fprintf(w, "to be filled in: %s\n", strings.Join(r.Missing, ", "))
	}
	if !o.dryRun && !ds.HasErrors() {
		where := ""
		if wd, err := os.Getwd(); err == nil {
			if rel, err := filepath.Rel(wd, module); err == nil && rel != "." {
				where = "cd " + rel + "; "
			}
		}
		env := strings.TrimSuffix(r.Files[len(r.Files)-1].Path, "/env.cue")
		fmt.Fprintf(cmd.ErrOrStderr(), "next: %svictorgen vet ./envs/...; victorgen cert fetch %s; victorgen build %s\n", where, env, env)
	}
}

// sourceOf reads --source.
func sourceOf(text string) (s importer.Source, err error) {
	kind, fields, _ := strings.Cut(text, ",")
	if s.Kind = kind; kind != "" && !slices.Contains(plan.SourceKinds, kind) {
		return s, fmt.Errorf("--source takes KIND[,FIELD=VALUE...], and KIND is one of %s, not %q", strings.Join(plan.SourceKinds, ", "), kind)
	}
	s.Fields = map[string]string{}
	if fields == "" {
		return s, nil
	}
	for _, f := range strings.Split(fields, ",") {
		name, v, ok := strings.Cut(f, "=")
		if !ok || !sourceField.MatchString(name) {
			return s, fmt.Errorf("--source takes KIND[,FIELD=VALUE...], and %q is no field with a value", f)
		}
		s.Fields[name] = v
	}
	return s, nil
}

var sourceField = lazy.MustCompile(`^[a-z][A-Za-z]*$`)

// startModule makes what a module needs beside its contract, and sees to it that Git
// takes no value.
func startModule(cmd *cobra.Command, module string, existing bool, kind string) error {
	if !existing {
		if wd, err := os.Getwd(); err == nil {
			if rel, err := filepath.Rel(wd, module); err == nil {
				module = rel
			}
		}
		return initModule(cmd, module, false)
	}
	if kind != "" && kind != plan.Env && kind != plan.Files {
		return nil
	}
	ignored, err := start.ReadFile("start/gitignore")
	if err != nil {
		return err
	}
	old, err := os.ReadFile(filepath.Join(module, ".gitignore"))
	if err == nil && bytes.Contains(old, bytes.TrimSpace(ignored)) {
		return nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return addLines(module, ".gitignore", ignored, func(what, file string) {
		if what != "kept" {
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", file, what)
		}
	})
}
