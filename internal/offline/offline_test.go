package offline

import (
	"testing"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
)

// TestRemote: what kustomize might take for a place that is not a file is known, and
// what it is run with runs nothing.
func TestRemote(t *testing.T) {
	t.Parallel()
	if got := isRemote("../a/b"); got {
		t.Error("a path is taken for remote")
	}
	for _, s := range []string{"https://x", "HTTP:x", " ssh://x", "git::x", "github.com/a/b", "GitHub.com:a/b", "git@x:y", "file:///etc"} {
		if !isRemote(s) {
			t.Errorf("%q is not taken for remote", s)
		}
	}
	if options := krusty.MakeDefaultOptions(); options.PluginConfig.PluginRestrictions != types.PluginRestrictionsBuiltinsOnly || options.PluginConfig.HelmConfig.Enabled ||
		options.PluginConfig.FnpLoadingOptions.EnableExec || options.PluginConfig.BpLoadingOptions != types.BploUseStaticallyLinked {
		t.Errorf("kustomize would run programs: %+v", options.PluginConfig)
	}
}
