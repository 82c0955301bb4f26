package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	vg "github.com/victor-ai/victorgen"
	"github.com/victor-ai/victorgen/cluster"
	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/trust"
	"github.com/victor-ai/victorgen/emit/sealing"
	"github.com/victor-ai/victorgen/emit/tree"
)

func certCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cert",
		Short: "Fetch or inspect sealing certificates",
		Example: `  victorgen cert fetch envs/production
  victorgen cert inspect envs/production`,
		Args: verbsAlone,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(certFetchCommand(), certInspectCommand())
	return cmd
}

func certFetchCommand() *cobra.Command {
	var o struct {
		cluster.Target
		format  string
		output  string
		dryRun  bool
		timeout time.Duration
	}
	cmd := &cobra.Command{
		Use:   "fetch ENV...",
		Short: "Fetch the controller's newest certificate into the environment's file",
		Long: `Fetch asks the sealed-secrets controller of the cluster for its newest
certificate, through the API server as kubeseal does, and writes it to the file
that delivery.certificate names. The next build seals for it; the controller
still unseals what was sealed for older ones. Of an environment that has a tree,
it notes the fingerprint in victorgen.lock: a build seals for no other.

The controller is the Service that delivery.controller names. That takes the
right to get it, and to get services/proxy of http:NAME:PORT.

A certificate that is not fit for sealing is refused, and a file that holds
anything else is never replaced. Where the certificate differs from the one in the
file, both fingerprints are shown: compare the new one with what a colleague sees
of the cluster.`,
		Example: `  victorgen cert fetch envs/production
  victorgen cert fetch envs/production --context prod-eu
  victorgen cert fetch ./envs/... --dry-run   # is there a newer one?`,
		Args:              environments,
		ValidArgsFunction: completeEnvironments,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), o.timeout)
			defer cancel()
			client, err := cluster.Connect(o.Target)
			fetch := &cluster.CertificateFetch{Client: client, DryRun: o.dryRun, Now: time.Now()}
			return forEach(cmd, args, compiler.Options{}, o.format, "fetching", func(_ context.Context, r *result) {
				if err != nil {
					r.Diagnostics.Errorf(plan.CodeClusterRead, nil, "name a cluster with --context, or a kubeconfig with --kubeconfig", "%v", err)
					return
				}
				if ds := trust.Writes(r.plan, r.grant); ds.HasErrors() {
					r.Diagnostics = append(r.Diagnostics, ds...)
					return
				}
				fetched, ds := fetch.Fetch(ctx, r.plan)
				r.Diagnostics = append(r.Diagnostics, ds...)
				locked := lockedOf(r, o.output)
				for _, f := range fetched {
					r.Fetched = append(r.Fetched, tellFetched(r, f, locked, fetch))
					if dir, err := vg.TreeIn(r.plan, o.output); err == nil && !o.dryRun {
						r.Diagnostics = append(r.Diagnostics, tree.Accept(r.plan, dir, f.New.SHA256)...)
					}
				}
			}, fetchText)
		},
	}
	permitFlags(cmd)
	asksNoSource(cmd)
	clusterFlags(cmd, &o.Target)
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "write nothing; show what would change")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 30*time.Second, "how long the cluster may take")
	check(cmd, func() error {
		if o.timeout <= 0 {
			return errors.New("--timeout must be positive, as in 30s")
		}
		return nil
	})
	outputDirFlag(cmd, &o.output)
	outputFlag(cmd, &o.format)
	return cmd
}

func certInspectCommand() *cobra.Command {
	var format, output string
	var target cluster.Target
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "inspect ENV... | FILE...",
		Short: "Show a sealing certificate, when it ends, and what was sealed for it",
		Long: `Inspect shows the certificates of an environment: subject, validity, fingerprint
and key, and which keys of which secrets its tree has sealed for each, by
victorgen.lock. Of a certificate that has been replaced, it shows what the lock
records; the next build seals again what is listed there.

With --context or --kubeconfig it also asks the controller that the contract names
whether each certificate is its own: its newest, an older one whose key it still
has, or none. It finds out with a SealedSecret of random bytes, or one of the
tree, as kubeseal --validate does. That takes the right to get its Service, and to
get and create services/proxy of http:NAME:PORT. Otherwise no cluster is asked. A
FILE is shown by itself.`,
		Example: `  victorgen cert inspect envs/production
  victorgen cert inspect envs/production --context prod-eu   # is it the cluster's own?
  victorgen cert inspect ./envs/... -o json
  victorgen cert inspect sealing-cert.pem`,
		Args:              environments,
		ValidArgsFunction: completeCertificates,
		RunE: func(cmd *cobra.Command, args []string) error {
			now := time.Now()
			asks := cmd.Flags().Changed("context") || cmd.Flags().Changed("kubeconfig")
			switch files := len(slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return !isFile(arg) })); files {
			case 0:
			case len(args):
				if asks {
					return usageError{errors.New("name an environment, to ask its controller; a file belongs to none")}
				}
				return inspectFiles(cmd, args, format, now)
			default:
				return usageError{errors.New("name environments or files, not both")}
			}
			var client *cluster.Client
			var failed error
			if asks {
				client, failed = cluster.Connect(target)
			}
			return forEach(cmd, args, compiler.Options{}, format, "inspecting", func(ctx context.Context, r *result) {
				inspectEnvironment(r, output, now)
				switch {
				case failed != nil:
					r.Diagnostics.Errorf(plan.CodeClusterRead, nil, "name a cluster with --context, or a kubeconfig with --kubeconfig", "%v", failed)
				case client != nil:
					ctx, cancel := context.WithTimeout(ctx, timeout)
					defer cancel()
					askController(ctx, client, r, output, now)
				}
			}, inspectText)
		},
	}
	permitFlags(cmd)
	asksNoSource(cmd)
	clusterFlags(cmd, &target)
	cmd.Flags().Lookup("context").Usage = "ask the controller of this context of the kubeconfig"
	cmd.Flags().Lookup("kubeconfig").Usage = "ask the controller of this kubeconfig"
	cmd.Flags().DurationVar(&timeout, "timeout", 30*time.Second, "how long the cluster may take")
	check(cmd, func() error {
		if timeout <= 0 {
			return errors.New("--timeout must be positive, as in 30s")
		}
		return nil
	})
	outputDirFlag(cmd, &output)
	outputFlag(cmd, &format)
	return cmd
}

// askController tells of each certificate whether it is its controller's own.
func askController(ctx context.Context, client *cluster.Client, r *result, output string, now time.Time) {
	dir, err := vg.TreeIn(r.plan, output)
	if err != nil {
		return // which is told already
	}
	built, _ := tree.Read(dir) // what is wrong with the lock is told, too
	for _, c := range client.Certificates(ctx, r.plan, now, built.Pinned(r.plan)...) {
		r.Diagnostics = append(r.Diagnostics, c.Judge(client.Name)...)
		for i := range r.Certificates {
			if s := &r.Certificates[i]; s.SHA256 == c.SHA256 {
				s.Controllers = append(s.Controllers, controllerStory{client.Name, c.Controller.Namespace + "/" + c.Controller.Name, c.Own})
			}
		}
	}
}

// controllerStory is whether a certificate is one of a controller.
type controllerStory struct {
	Cluster    string            `json:"cluster"`
	Controller string            `json:"controller"` // NAMESPACE/NAME
	Own        cluster.Ownership `json:"own"`
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

// certificateStory is what there is to say of one certificate.
type certificateStory struct {
	File      string        `json:"file,omitempty"` // none if the lock alone knows of it
	SHA256    string        `json:"sha256"`
	Subject   string        `json:"subject,omitempty"`
	Issuer    string        `json:"issuer,omitempty"` // none if it is the subject
	NotBefore *time.Time    `json:"notBefore,omitempty"`
	NotAfter  *time.Time    `json:"notAfter,omitempty"`
	DaysLeft  *int          `json:"daysLeft,omitempty"` // fewer than none after its end
	Key       string        `json:"key,omitempty"`
	Sealed    []sealedStory `json:"sealed,omitempty"`
	// Controllers are those that were asked whether it is theirs.
	Controllers []controllerStory `json:"controllers,omitempty"`
}

// sealedStory is what is sealed for a certificate, of one secret.
type sealedStory struct {
	Secret string   `json:"secret"` // NAMESPACE/NAME
	Keys   []string `json:"keys"`
}

func tellCertificate(c *sealing.Certificate, locked []tree.Locked, now time.Time) certificateStory {
	from, to, left := c.NotBefore.UTC(), c.NotAfter.UTC(), int(c.NotAfter.Sub(now)/(24*time.Hour))
	if to.Before(now) {
		left--
	}
	key := c.Algorithm
	if c.Bits > 0 {
		key = fmt.Sprintf("%s, %d bits", key, c.Bits)
	}
	return certificateStory{File: c.Path, SHA256: c.SHA256, Subject: c.Subject, Issuer: c.Issuer, NotBefore: &from, NotAfter: &to, DaysLeft: &left,
		Key: key, Sealed: sealedFor(c.SHA256, locked)}
}

// tellLocked tells what the lock notes of a certificate that is not there any more.
func tellLocked(l tree.Locked, locked []tree.Locked) certificateStory {
	s := certificateStory{SHA256: l.Certificate, Subject: l.Subject, Sealed: sealedFor(l.Certificate, locked)}
	if !l.NotAfter.IsZero() {
		from, to := l.NotBefore.UTC(), l.NotAfter.UTC()
		s.NotBefore, s.NotAfter = &from, &to
	}
	return s
}

func sealedFor(sha256 string, locked []tree.Locked) (sealed []sealedStory) {
	for _, l := range locked {
		if l.Certificate == sha256 {
			sealed = append(sealed, sealedStory{l.String(), l.Keys})
		}
	}
	return sealed
}

// lockedOf returns what the lock of an environment says.
func lockedOf(r *result, output string) []tree.Locked {
	dir, err := vg.TreeIn(r.plan, output)
	if err != nil {
		r.fail(err)
		return nil
	}
	locked, ds := tree.ReadLocked(dir)
	r.Diagnostics = append(r.Diagnostics, ds...)
	return locked
}

func inspectEnvironment(r *result, output string, now time.Time) {
	locked := lockedOf(r, output)
	var files, known []string
	for _, s := range r.plan.Secrets {
		file := s.Delivery.Certificate
		if file == "" || slices.Contains(files, file) {
			continue
		}
		files = append(files, file)
		c, ds := sealing.Inspect(file, s.Delivery.Pos, now)
		r.Diagnostics = append(r.Diagnostics, ds...)
		if c != nil {
			r.Certificates = append(r.Certificates, tellCertificate(c, locked, now))
			known = append(known, c.SHA256)
		}
	}
	for _, l := range locked {
		if !slices.Contains(known, l.Certificate) {
			r.Certificates = append(r.Certificates, tellLocked(l, locked))
			known = append(known, l.Certificate)
		}
	}
}

// certificatesDocument is what cert inspect prints of files with -o json.
type certificatesDocument struct {
	Certificates []certificateStory `json:"certificates"`
	Diagnostics  plan.Diagnostics   `json:"diagnostics"`
	Version      int                `json:"version"`
}

func inspectFiles(cmd *cobra.Command, files []string, format string, now time.Time) error {
	var all []certificateStory
	var ds plan.Diagnostics
	for _, file := range files {
		c, problems := sealing.Inspect(file, nil, now)
		ds = append(ds, problems...)
		if c != nil {
			all = append(all, tellCertificate(c, nil, now))
		}
	}
	p := newPrinter(cmd.ErrOrStderr())
	r := result{Diagnostics: ds}
	if format == "json" {
		if err := encode(cmd.OutOrStdout(), certificatesDocument{all, ds, 1}); err != nil {
			return err
		}
	} else {
		for _, c := range all {
			fmt.Fprintln(cmd.OutOrStdout(), p.rel(c.File))
			certificateText(cmd.OutOrStdout(), c, false)
		}
		p.print(findings([]result{r}), 1)
	}
	if ds.HasErrors() {
		return failure(exitFindings)
	}
	return nil
}

func inspectText(w io.Writer, p *printer, r *result) {
	if len(r.Certificates) == 0 && r.OK {
		fmt.Fprintf(w, "%s: nothing is sealed\n", r.name())
	}
	for _, c := range r.Certificates {
		of := "a certificate that has been replaced"
		if c.File != "" {
			of = p.rel(c.File)
		}
		fmt.Fprintf(w, "%s: %s\n", r.name(), of)
		certificateText(w, c, true)
	}
}

func certificateText(w io.Writer, c certificateStory, withSealed bool) {
	tw := newTable(w)
	defer tw.Flush()
	if c.NotAfter != nil {
		fmt.Fprintf(tw, "  subject\t%s\n", cmp.Or(c.Subject, "none"))
		if c.Issuer != "" {
			fmt.Fprintf(tw, "  issuer\t%s\n", c.Issuer)
		}
		left := ""
		if c.DaysLeft != nil {
			left = " (" + plural(*c.DaysLeft, "day") + " left)"
			if *c.DaysLeft < 0 {
				left = " (it has ended)"
			}
		}
		fmt.Fprintf(tw, "  valid\t%s to %s%s\n", c.NotBefore.Format(time.DateOnly), c.NotAfter.Format(time.DateOnly), left)
	}
	fmt.Fprintf(tw, "  SHA-256\t%s\n", c.SHA256)
	if c.Key != "" {
		fmt.Fprintf(tw, "  key\t%s\n", c.Key)
	}
	for _, o := range c.Controllers {
		fmt.Fprintf(tw, "  whose\t%s (%s in %s)\n", o.Own, o.Controller, o.Cluster)
	}
	for i, s := range c.Sealed {
		title := ""
		if i == 0 {
			title = "sealed for it"
		}
		fmt.Fprintf(tw, "  %s\t%s: %s\n", title, s.Secret, strings.Join(s.Keys, ", "))
	}
	if withSealed && len(c.Sealed) == 0 {
		fmt.Fprint(tw, "  sealed for it\tnothing\n")
	}
}

// fetchedStory is what fetch did to one file.
type fetchedStory struct {
	File       string            `json:"file"`
	Cluster    string            `json:"cluster"`
	Controller string            `json:"controller"` // NAMESPACE/NAME
	State      string            `json:"state"`      // unchanged, wrote, would write
	Old        *certificateStory `json:"old,omitempty"`
	New        certificateStory  `json:"new"`
	// Outdated are the secrets that are sealed for another certificate than the new
	// one, which the next build seals again.
	Outdated []string `json:"outdated,omitempty"`
}

// unchanged is the state of a file that has the right certificate already.
const unchanged = "unchanged"

func tellFetched(r *result, f cluster.FetchedCertificate, locked []tree.Locked, fetch *cluster.CertificateFetch) fetchedStory {
	now := fetch.Now
	s := fetchedStory{File: f.File, Cluster: fetch.Client.Name, Controller: f.Controller.Namespace + "/" + f.Controller.Name, State: unchanged, New: tellCertificate(f.New, locked, now)}
	s.New.File = f.File
	switch {
	case f.Changed() && fetch.DryRun:
		s.State = "would write"
	case f.Changed():
		s.State = "wrote"
	}
	if f.Old != nil {
		old := tellCertificate(f.Old, locked, now)
		s.Old = &old
	}
	for _, l := range locked {
		here := func(secret plan.Secret) bool {
			return secret.Namespace == l.Namespace && secret.Name == l.Name && secret.Delivery.Certificate == f.File
		}
		if l.Certificate != f.New.SHA256 && slices.ContainsFunc(r.plan.Secrets, here) {
			s.Outdated = append(s.Outdated, l.String())
		}
	}
	return s
}

func fetchText(w io.Writer, p *printer, r *result) {
	if len(r.Fetched) == 0 && r.OK {
		fmt.Fprintf(w, "%s: nothing is sealed\n", r.name())
	}
	for _, f := range r.Fetched {
		fmt.Fprintf(w, "%s: %s %s\n", r.name(), f.State, p.rel(f.File))
		tw := newTable(w)
		fmt.Fprintf(tw, "  from\tService %s of cluster %s\n", f.Controller, f.Cluster)
		is := "has"
		if f.State != unchanged {
			is = "new"
		}
		if f.Old != nil && f.State != unchanged {
			fmt.Fprintf(tw, "  old\tSHA-256 %s, ends %s\n", f.Old.SHA256, f.Old.NotAfter.Format(time.DateOnly))
		}
		fmt.Fprintf(tw, "  %s\tSHA-256 %s, ends %s\n", is, f.New.SHA256, f.New.NotAfter.Format(time.DateOnly))
		if n := len(f.Outdated); n > 0 {
			fmt.Fprintf(tw, "  next\t`victorgen build %s` seals again what was sealed for another: %s\n", p.rel(r.Directory), plural(n, "secret"))
		}
		tw.Flush()
	}
}
