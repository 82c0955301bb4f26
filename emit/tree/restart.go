package tree

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/resid"
	sigsyaml "sigs.k8s.io/yaml"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// RestartFile is a component for kustomizations of workloads
// (https://kubectl.docs.kubernetes.io/guides/config_management/components/). It is
// not in the kustomization of the tree.
const RestartFile = "restart/kustomization.yaml"

// secretsAnnotation is on the templates of pods. Its value changes if and only if that
// of a key does which the pod uses, as far as the lock knows.
const secretsAnnotation = "victorgen/secrets"

// reloaderAnnotation names the Secrets of which a change restarts a workload
// (https://github.com/stakater/Reloader/blob/v1.4.0/README.md).
const reloaderAnnotation = "secret.reloader.stakater.com/reload"

// RestartComponent returns the component that restarts the workloads of a plan, or
// nothing if there are none to restart.
func RestartComponent(p *plan.Plan, consumers []plan.Consumer, l *Lock) ([]byte, error) {
	changed := map[plan.KeyPlace]string{} // of what is sealed
	for _, s := range l.Secrets {
		for name, k := range s.Keys {
			state := k.Changed.UTC().Format(time.RFC3339)
			if k.Omitted {
				state = "left out"
			}
			changed[plan.KeyPlace{Secret: SecretID{s.Namespace, s.Name}.String(), Key: name}] = state
		}
	}
	k := types.Kustomization{TypeMeta: types.TypeMeta{APIVersion: types.ComponentVersion, Kind: types.ComponentKind}}
	for _, c := range consumers {
		set := map[string]any{}
		switch p.Workloads.Restart {
		case plan.RestartAnnotation:
			digest := sha256.New()
			sealedOnes := 0
			for _, place := range c.Keys {
				if state, sealed := changed[place]; sealed {
					sealedOnes++
					fmt.Fprintf(digest, "%s\n%s\n%s\n", place.Secret, place.Key, state)
				}
			}
			if sealedOnes == 0 {
				continue
			}
			value := hex.EncodeToString(digest.Sum(nil)[:16])
			set["spec"] = map[string]any{"template": annotated(secretsAnnotation, value)}
		case plan.RestartReloader:
			var names []string
			for _, place := range c.Keys {
				_, name, _ := strings.Cut(place.Secret, "/")
				if !slices.Contains(names, name) {
					names = append(names, name)
				}
			}
			set = annotated(reloaderAnnotation, strings.Join(names, ","))
		default:
			return nil, fmt.Errorf("%q is not a way to restart a workload", p.Workloads.Restart)
		}
		gv, err := schema.ParseGroupVersion(c.APIVersion)
		if err != nil {
			return nil, err
		}
		// Kustomize wants a whole object. Its name does not count next to a target.
		set["apiVersion"], set["kind"] = c.APIVersion, c.Kind
		meta, _ := set["metadata"].(map[string]any)
		if meta == nil {
			meta = map[string]any{}
			set["metadata"] = meta
		}
		meta["name"] = c.Name
		patch, err := sigsyaml.Marshal(set)
		if err != nil {
			return nil, err
		}
		k.Patches = append(k.Patches, types.Patch{
			Patch: string(patch),
			Target: &types.Selector{ResId: resid.ResId{
				Gvk: resid.Gvk{Group: gv.Group, Version: gv.Version, Kind: c.Kind}, Name: regexp.QuoteMeta(c.Name), Namespace: regexp.QuoteMeta(c.Namespace),
			}},
		})
	}
	if len(k.Patches) == 0 {
		return nil, nil
	}
	y, err := MarshalYAML(k)
	return append([]byte(Header), y...), err
}

func annotated(name, value string) map[string]any {
	return map[string]any{"metadata": map[string]any{"annotations": map[string]any{name: value}}}
}

// restartsOf returns the annotations that a component sets on templates of pods, by the
// kind and the name of the workload. What cannot be read is none.
func restartsOf(component []byte) map[string]string {
	all := map[string]string{}
	var k types.Kustomization
	if k.Unmarshal(component) != nil {
		return all
	}
	for _, p := range k.Patches {
		var o struct {
			Kind     string
			Metadata struct{ Name string }
			Spec     struct {
				Template struct {
					Metadata struct{ Annotations map[string]string }
				}
			}
		}
		if sigsyaml.Unmarshal([]byte(p.Patch), &o) != nil {
			continue
		}
		name := o.Kind + " " + o.Metadata.Name
		if p.Target != nil && p.Target.Namespace != "" {
			name = o.Kind + " " + p.Target.Namespace + "/" + o.Metadata.Name
		}
		if value := o.Spec.Template.Metadata.Annotations[secretsAnnotation]; value != "" {
			all[name] = value
		}
	}
	return all
}
