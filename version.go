package victorgen

import (
	"cmp"
	"runtime"
	"runtime/debug"
)

// module is the path of this module.
const module = "github.com/victor-ai/victorgen"

// What a release is built with, by -ldflags "-X"; empty, the Go toolchain has noted it.
var version, commit, date string

// operator is the version of the External Secrets Operator to whose types and CRDs
// the tests hold what is emitted. None of its code is in the program.
const operator = "v0.19.2"

// Release says which victorgen this is, and what it is made for.
type Release struct {
	// Version is that of the module; "(devel)" is one of no release.
	Version string `json:"version"`
	// Commit and Date, which is that of the commit, are of the module itself:
	// a program that embeds it does not know them, nor what `go install` has built.
	Commit string `json:"commit,omitempty"`
	Date   string `json:"date,omitempty"`
	Go     string `json:"go"`
	// SealedSecrets is whose code seals, ExternalSecrets is the operator whose
	// types and CRDs the external delivery is held to, CUE is what compiles.
	SealedSecrets   string `json:"sealedSecrets"`
	ExternalSecrets string `json:"externalSecrets"`
	CUE             string `json:"cue"`
}

// Version returns what the program knows of itself.
func Version() Release {
	r := Release{Version: "(devel)", Go: runtime.Version(), ExternalSecrets: operator}
	if info, ok := debug.ReadBuildInfo(); ok {
		r.read(info)
	}
	r.Version, r.Commit, r.Date = cmp.Or(version, r.Version), cmp.Or(commit, r.Commit), cmp.Or(date, r.Date)
	return r
}

// read takes what the Go toolchain has noted.
func (r *Release) read(info *debug.BuildInfo) {
	ours := &info.Main
	for _, d := range info.Deps {
		if d.Replace != nil {
			d = &debug.Module{Path: d.Path, Version: d.Replace.Version}
		}
		switch d.Path {
		case module:
			ours = d
		case "github.com/bitnami-labs/sealed-secrets":
			r.SealedSecrets = d.Version
		case "cuelang.org/go":
			r.CUE = d.Version
		}
	}
	r.Version = cmp.Or(ours.Version, r.Version)
	if ours != &info.Main {
		return
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			r.Commit = s.Value
		case "vcs.time":
			r.Date = s.Value
		}
	}
}
