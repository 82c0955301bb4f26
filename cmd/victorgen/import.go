package main

import (
	"bytes"
	"cmp"
	"context"
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
	"github.com/victor-ai/victorgen/cluster"
	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/importer"
	"github.com/victor-ai/victorgen/importer/observe"
	"github.com/victor-ai/victorgen/internal/lazy"
)

type importOptions struct {
	into       string
	namespace  string
	source     string
	askSources bool
	force      bool
	dryRun     bool
	timeout    time.Duration
	format     string
}

func importCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Write a contract from what you have, and prove that nothing changes",
		Long: `Import reads what an application has now, writes the contract that a person would
have written, puts the values into their source, and proves that the two together
make what was read, byte for byte. It overwrites nothing without --force, and an
interrupted import is resumed by the same command.`,
		Args: verbsAlone,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(importEnvCommand(), importManifestsCommand(), importClusterCommand())
	return cmd
}

func importEnvCommand() *cobra.Command {
	o := &importOptions{}
	cmd := &cobra.Command{
		Use:   "env FILE...|-",
		Short: "Import dotenv files and the environment of Compose files",
		Long: `Import env reads dotenv files, examples of them (.env.example, .env.sample and the
like), schemas of @env-spec (.env.schema), and Compose files. Names become inputs,
comments descriptions and links, samples examples, headings groups.

Of what a .env has, values go to the source, and what looks like a setting (hosts,
ports, flags, names, URLs without a login) to the contract, and so to Git: the
report names these, for a look before a commit. An example has no values. The
variables become the keys of one Secret, for envFrom; of a Compose file, one
Secret a service.`,
		Example: `  victorgen import env .env.example .env
  victorgen import env .env.production --into envs/production
  victorgen import env compose.yaml .env --dry-run -o json
  victorgen import env .env --source aws-ssm,region=eu-west-1,prefix=/shop
  sops decrypt prod.enc.env | victorgen import env .env.example -`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("name dotenv or Compose files, such as .env; or write - for standard input")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd, func(importer.Options) (*observe.Observed, plan.Diagnostics) {
				return observe.EnvFiles(args, cmd.InOrStdin())
			})
		},
	}
	o.flags(cmd)
	return cmd
}

func importManifestsCommand() *cobra.Command {
	o := &importOptions{}
	var fromCluster bool
	var target cluster.Target
	cmd := &cobra.Command{
		Use:   "manifests PATH...|-",
		Short: "Import Secrets, and what Secrets are made from, out of manifests",
		Long: `Import manifests reads files and directories of manifests, kustomizations, which it
renders without a network, or standard input. It takes

  Secrets                  of any type; stringData counts over data
  secretGenerators         of a kustomization: the names lose their hash
  SealedSecrets            all but the values, which only the controller knows:
                           they must be filled in, or with --from-cluster those of
                           the Secrets that the controller has made
  ExternalSecrets and      of v1beta1 and v1, with their stores, which stay as they are:
  ClusterExternalSecrets   no value is read. dataFrom.extract takes whatever its object has,
                           and --ask-sources asks the source which properties these are
  Secrets for              placeholders become external secrets
  argocd-vault-plugin

and leaves out what controllers and tools own, and says so. Workloads among them show
which keys they can do without. Templates of Helm, and what SOPS has encrypted, come
through a pipe.`,
		Example: `  victorgen import manifests deploy/secrets --into envs/production
  kubectl get secret -n shop -o yaml | victorgen import manifests -
  helm template shop ./chart | victorgen import manifests - --dry-run
  victorgen import manifests deploy/sealed --from-cluster --context production
  victorgen import manifests deploy/external --ask-sources --dry-run
  sops decrypt secrets.enc.yaml | victorgen import manifests -`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("name manifests, or write - for standard input")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd, func(options importer.Options) (*observe.Observed, plan.Diagnostics) {
				reading, asked := o.asking(options)
				reading.Stdin = cmd.InOrStdin()
				if fromCluster {
					client, err := cluster.Connect(target)
					if err != nil {
						return nil, noCluster(err)
					}
					reading.Values = func(ctx context.Context, namespace, name string) (map[string]value.Value, bool) {
						data, ds := client.Made(ctx, cmp.Or(namespace, o.namespace, client.Namespace), name, o.timeout)
						*asked = append(*asked, ds...)
						return data, !ds.HasErrors()
					}
				}
				observed, ds := observe.Manifests(cmd.Context(), args, reading)
				return observed, append(ds, *asked...)
			})
		},
	}
	o.flags(cmd)
	o.asksFlag(cmd)
	cmd.Flags().BoolVar(&fromCluster, "from-cluster", false, "take the values of SealedSecrets from the Secrets that the controller has made of them")
	clusterFlags(cmd, &target)
	check(cmd, func() error {
		if !fromCluster && (target.Context != "" || target.Kubeconfig != "") {
			return errors.New("--context and --kubeconfig name the cluster of --from-cluster")
		}
		return nil
	})
	return cmd
}

func importClusterCommand() *cobra.Command {
	o := &importOptions{}
	var target cluster.Target
	cmd := &cobra.Command{
		Use:   "cluster [NAME...]",
		Short: "Import the Secrets of a live namespace",
		Long: `Import cluster reads the Secrets of a namespace, or those of them that are named, and
changes nothing in the cluster. A Secret that a SealedSecret or an ExternalSecret has
made is imported as that: the values of the first come from its Secret, and those of
the second stay at their source, where no value is read. Workloads show which keys
they can do without.

It leaves out what controllers and tools own, and says so: tokens of service
accounts and of nodes, releases of Helm, what cert-manager renews, and everything
else that has an owner.

It needs to get and list Secrets; without the right to list SealedSecrets,
ExternalSecrets, SecretStores or workloads, it warns of what it can't find out.`,
		Example: `  victorgen import cluster --namespace shop --into envs/production
  victorgen import cluster -n shop shop-db shop-smtp --context production
  victorgen import cluster -n shop --dry-run -o json
  victorgen import cluster -n shop --source aws-ssm,region=eu-west-1,prefix=/shop`,
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			return secretNames(cmd, target, o.namespace, args), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd, func(options importer.Options) (*observe.Observed, plan.Diagnostics) {
				client, err := cluster.Connect(target)
				if err != nil {
					return nil, noCluster(err)
				}
				o.namespace = cmp.Or(o.namespace, client.Namespace)
				names := slices.Compact(slices.Sorted(slices.Values(args)))
				found, ds := client.Inventory(cmd.Context(), o.namespace, names, o.timeout)
				if ds.HasErrors() {
					return nil, ds
				}
				reading, asked := o.asking(options)
				reading.Values, reading.Keys, reading.Named = found.Values, found.Keys, names
				observed, more := observe.Objects(cmd.Context(), found.Objects, reading)
				return observed, slices.Concat(ds, more, *asked)
			})
		},
	}
	o.flags(cmd)
	o.asksFlag(cmd)
	cmd.Flags().Lookup("namespace").Usage = "namespace that is read, and that of the environment; by default that of the context"
	completes(cmd, "namespace", func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return namespaceNames(cmd, target), cobra.ShellCompDirectiveNoFileComp
	})
	clusterFlags(cmd, &target)
	return cmd
}

// asking is how manifests are read, and what sources say when they are asked.
func (o *importOptions) asking(options importer.Options) (observe.Options, *plan.Diagnostics) {
	asked := &plan.Diagnostics{}
	if !o.askSources {
		return observe.Options{}, asked
	}
	return observe.Options{Properties: func(ctx context.Context, s observe.Source, r observe.Remote) ([]string, bool) {
		names, ds := importer.Properties(ctx, options, s, r)
		*asked = append(*asked, ds...)
		return names, !ds.HasErrors()
	}}, asked
}

// asksFlag adds the flag by which the sources of ExternalSecrets are asked.
func (o *importOptions) asksFlag(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.askSources, "ask-sources", false, "ask the sources of ExternalSecrets which properties dataFrom.extract takes; it needs to read these")
}

// noCluster says that none could be found.
func noCluster(err error) (ds plan.Diagnostics) {
	ds.Errorf(plan.CodeClusterRead, nil, "name one with --context or --kubeconfig", "%v", err)
	return ds
}

// completionTimeout is how long the shell waits for names.
const completionTimeout = 3 * time.Second

// secretNames are those of the namespace but for args, for the shell to complete.
func secretNames(cmd *cobra.Command, t cluster.Target, namespace string, args []string) []string {
	client, err := cluster.Connect(t)
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
	defer cancel()
	return slices.DeleteFunc(client.SecretNames(ctx, cmp.Or(namespace, client.Namespace)), func(name string) bool { return slices.Contains(args, name) })
}

func namespaceNames(cmd *cobra.Command, t cluster.Target) []string {
	client, err := cluster.Connect(t)
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
	defer cancel()
	return client.Namespaces(ctx)
}

func (o *importOptions) flags(cmd *cobra.Command) {
	permitFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&o.into, "into", "envs/dev", "directory of the environment; its module is the one above it, or it becomes one")
	namespaceFlag(cmd, &o.namespace)
	f.Lookup("namespace").Usage = "namespace of the environment; by default that of most Secrets, or the name of the application"
	f.StringVar(&o.source, "source", "", "where the values go: a source of the contract by its name, or KIND[,FIELD=VALUE...], such as aws-ssm,region=eu-west-1,prefix=/shop; by default env, a dotenv file")
	completes(cmd, "into", completeEnvironment)
	completes(cmd, "source", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return append(sourceNames(o.into), plan.SourceKinds...), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	})
	f.BoolVar(&o.force, "force", false, "overwrite a contract, an environment and values that exist")
	f.BoolVar(&o.dryRun, "dry-run", false, "write nothing; show what would be written")
	f.DurationVar(&o.timeout, "timeout", time.Minute, "how long the source may take")
	outputFlag(cmd, &o.format)
	check(cmd, func() error {
		if o.timeout <= 0 {
			return errors.New("--timeout must be positive, as in 30s")
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

// run imports what read finds. Policies judge the contract, and so what was read; one
// that can't be read itself is told before anything is asked.
func (o *importOptions) run(cmd *cobra.Command, read func(importer.Options) (*observe.Observed, plan.Diagnostics)) error {
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
	ds := allowed.Unread
	if !ds.HasErrors() {
		options := importer.Options{
			Permit: func(p *plan.Plan) plan.Diagnostics { return allowed.Check(&vg.Environment{Plan: p}) },
			Module: module, Source: src, Force: o.force, DryRun: true, Timeout: o.timeout, Open: vg.OpenSources,
			Names: importer.Names{Package: appOf(module), Environment: environment},
		}
		var observed *observe.Observed
		observed, ds = read(options)
		options.Namespace = o.namespace // which the context of a cluster may say
		var more plan.Diagnostics
		if !ds.HasErrors() {
			done, more = importer.Run(cmd.Context(), observed, options)
			if !o.dryRun && !more.HasErrors() { // or else there is no reason to start a module
				if err := startModule(cmd, module, existing, src.Kind); err != nil {
					return err
				}
				options.DryRun = false
				done, more = importer.Run(cmd.Context(), observed, options)
			}
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
		fmt.Fprintf(w, "to fill in: %s\n", strings.Join(r.Missing, ", "))
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
		if s.Kind, s.Name = "", kind; fields == "" && sourceName.MatchString(kind) {
			return s, nil // whether the contract has it is seen when it is read
		}
		return s, fmt.Errorf("--source takes the name of a source in the contract, or KIND[,FIELD=VALUE...], and KIND is one of %s, not %q", strings.Join(plan.SourceKinds, ", "), kind)
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

var sourceName = lazy.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

var sourceField = lazy.MustCompile(`^[a-z][A-Za-z]*$`)

// startModule makes what a module needs next to its contract, and sees to it that Git
// takes no value.
func startModule(cmd *cobra.Command, module string, existing bool, kind string) error {
	if !existing {
		if wd, err := os.Getwd(); err == nil {
			if rel, err := filepath.Rel(wd, module); err == nil {
				module = rel
			}
		}
		return initModule(cmd, module, initOptions{})
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
