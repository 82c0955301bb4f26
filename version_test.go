package victorgen

import (
	"runtime/debug"
	"testing"
)

func TestVersionOf(t *testing.T) {
	t.Parallel()
	vcs := []debug.BuildSetting{{Key: "vcs.revision", Value: "c0ffee"}, {Key: "vcs.time", Value: "2026-01-02T03:04:05Z"}}
	deps := []*debug.Module{{Path: "cuelang.org/go", Version: "v0.1.0", Replace: &debug.Module{Path: "cue.example", Version: "v0.2.0"}}}
	for name, c := range map[string]struct {
		info debug.BuildInfo
		want Release
	}{
		"its own program":  {debug.BuildInfo{Main: debug.Module{Path: module, Version: "v1.2.3"}, Settings: vcs}, Release{Version: "v1.2.3", Commit: "c0ffee", Date: "2026-01-02T03:04:05Z"}},
		"go install":       {debug.BuildInfo{Main: debug.Module{Path: module, Version: "v1.2.3"}, Deps: deps}, Release{Version: "v1.2.3", CUE: "v0.2.0"}},
		"without versions": {debug.BuildInfo{Main: debug.Module{Path: module}}, Release{Version: "(devel)"}},
		"embedded": {debug.BuildInfo{Main: debug.Module{Path: "other.example", Version: "v9.0.0"}, Settings: vcs, Deps: []*debug.Module{{Path: module, Version: "v1.2.3"}}},
			Release{Version: "v1.2.3"}},
	} {
		got := Release{Version: "(devel)"}
		if got.read(&c.info); got != c.want {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}
