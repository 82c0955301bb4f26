package emit

import (
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/emit/tree"
)

// application returns the Argo CD Application of an environment
// (https://argo-cd.readthedocs.io/en/stable/operator-manual/declarative-setup/#applications).
// It is a plain document, for Argo CD's own types are those of its whole server.
// Where an object is too large for client-side apply, Argo CD must apply on the
// server (https://argo-cd.readthedocs.io/en/stable/user-guide/sync-options/#server-side-apply).
func application(p *plan.Plan, large bool) tree.Document {
	a := p.ArgoCD
	spec := map[string]any{
		"project":     a.Project,
		"source":      map[string]any{"repoURL": a.RepoURL, "path": a.Path, "targetRevision": a.Revision},
		"destination": map[string]any{"server": a.Server, "namespace": p.Namespace},
	}
	policy := map[string]any{}
	if a.Automated {
		policy["automated"] = map[string]any{"prune": true, "selfHeal": true}
	}
	if large {
		policy["syncOptions"] = []any{"ServerSideApply=true"}
	}
	if len(policy) > 0 {
		spec["syncPolicy"] = policy
	}
	return tree.Document{
		"apiVersion": "argoproj.io/v1alpha1",
		"kind":       "Application",
		"metadata":   map[string]any{"name": a.Name, "namespace": a.Namespace, "labels": tree.Labels(p, nil)},
		"spec":       spec,
	}
}
