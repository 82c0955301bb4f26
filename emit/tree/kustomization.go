package tree

import (
	"io/fs"
	"path"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/offline"
)

func Kustomization(resources []string) ([]byte, error) {
	y, err := MarshalYAML(types.Kustomization{
		TypeMeta:  types.TypeMeta{APIVersion: types.KustomizationVersion, Kind: types.KustomizationKind},
		Resources: resources,
	})
	return append([]byte(Header), y...), err
}

// Kustomize builds the tree in memory, as kustomize build would on disk, and
// reports an error unless that gives just so many resources.
func (t *Tree) Kustomize(resources int) plan.Diagnostics {
	var ds plan.Diagnostics
	const dir = "tree"
	const hint = "no tree that victorgen writes should do this: please report it"
	if built, ok := offline.Plain(t.Files[KustomizationFile], false, func(name string) ([]byte, error) {
		if data, ok := t.Files[name]; ok {
			return data, nil
		}
		return nil, fs.ErrNotExist
	}); ok && built.Size() == resources {
		return nil
	}
	fsys := filesys.MakeFsInMemory()
	for name, data := range t.Files {
		if err := fsys.WriteFile(path.Join(dir, name), data); err != nil {
			ds.Errorf(plan.CodeKustomize, nil, hint, "kustomize cannot hold the tree: %v", err)
			return ds
		}
	}
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(fsys, dir)
	if err != nil {
		ds.Errorf(plan.CodeKustomize, nil, hint, "kustomize cannot build the tree: %v", err)
	} else if built.Size() != resources {
		ds.Errorf(plan.CodeKustomize, nil, hint, "kustomize builds %d resources of the tree, which has %d", built.Size(), resources)
	}
	return ds
}
