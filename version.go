package victorgen

import "runtime/debug"

// module is the path of this module.
const module = "github.com/victor-ai/victorgen"

// Version is what the Go toolchain has noted in the program: the version of this
// module, and the commit if the program is the module's own.
func Version() (version, commit string) {
	version = "(devel)"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return version, ""
	}
	main := &info.Main
	for _, d := range info.Deps {
		if d.Path == module {
			main = d
		}
	}
	if main.Version != "" {
		version = main.Version
	}
	if main != &info.Main {
		return version, ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			commit = s.Value
		}
	}
	return version, commit
}
