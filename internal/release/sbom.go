package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx"
	"github.com/spdx/tools-golang/spdx/v2/common"
)

// writeSBOM writes what a program is made of, as an SPDX document. The modules are those
// that the program itself tells of; their licences are looked up in the module cache.
// Nothing in it depends on when and where it is made.
func writeSBOM(w io.Writer, program, version, date string) error {
	if _, err := time.Parse(time.RFC3339, date); err != nil {
		return fmt.Errorf("the date: %w", err)
	}
	bytes, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return err
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	target := settings["GOOS"] + "/" + settings["GOARCH"]
	modules, err := linked([]string{target})
	if err != nil {
		return err
	}
	known := map[string]*module{}
	for _, m := range modules {
		known[m.Path+"@"+m.Version] = m
	}

	sum := sha256.Sum256(bytes)
	digest := hex.EncodeToString(sum[:])
	main := component(info.Main.Path, version, "Apache-2.0")
	main.PrimaryPackagePurpose = "APPLICATION"
	main.PackageChecksums = []common.Checksum{{Algorithm: common.SHA256, Value: digest}}
	main.PackageComment = "the program for " + target
	document := &spdx.Document{
		SPDXVersion:       spdx.Version,
		DataLicense:       spdx.DataLicense,
		SPDXIdentifier:    "DOCUMENT",
		DocumentName:      fmt.Sprintf("victorgen %s for %s", version, target),
		DocumentNamespace: fmt.Sprintf("https://%s/spdx/%s/%s/%s", info.Main.Path, version, target, digest),
		CreationInfo: &spdx.CreationInfo{
			Created:  date,
			Creators: []common.Creator{{CreatorType: "Tool", Creator: "victorgen-release"}},
		},
		Packages:      []*spdx.Package{main},
		Relationships: []*spdx.Relationship{relationship("DOCUMENT", "DESCRIBES", main.PackageSPDXIdentifier)},
	}
	for _, d := range append([]*debug.Module{{Path: standard, Version: info.GoVersion}}, info.Deps...) {
		if d.Replace != nil {
			d = d.Replace
		}
		m := known[d.Path+"@"+d.Version]
		if m == nil {
			return fmt.Errorf("%s %s is linked into it, and not what this module is made of: it is not built from here", d.Path, d.Version)
		}
		p := component(d.Path, d.Version, strings.Join(m.Licenses, " AND "))
		p.PackageDownloadLocation = "NOASSERTION"
		if d.Sum != "" {
			p.PackageSourceInfo = "go.sum has " + d.Sum
		}
		document.Packages = append(document.Packages, p)
		document.Relationships = append(document.Relationships, relationship(main.PackageSPDXIdentifier, "DEPENDS_ON", p.PackageSPDXIdentifier))
	}
	return spdxjson.Write(document, w, spdxjson.Indent("  "))
}

// component is the package of a module. Which licence it is under is what the module says,
// and not a judgement.
func component(path, version, license string) *spdx.Package {
	return &spdx.Package{
		PackageName:             path,
		PackageSPDXIdentifier:   common.ElementID("Package-" + regexp.MustCompile(`[^A-Za-z0-9.-]+`).ReplaceAllString(path, "-")),
		PackageVersion:          version,
		PackageDownloadLocation: "https://" + path,
		PackageLicenseConcluded: "NOASSERTION",
		PackageLicenseDeclared:  license,
		PackageCopyrightText:    "NOASSERTION",
		PackageExternalReferences: []*spdx.PackageExternalReference{{
			Category: common.CategoryPackageManager,
			RefType:  common.TypePackageManagerPURL,
			Locator:  purl(path, version),
		}},
	}
}

// purl is how a module is called in https://github.com/package-url/purl-spec: in lower
// case, and of Go the number alone.
func purl(path, version string) string {
	return "pkg:golang/" + strings.ToLower(path) + "@" + strings.ReplaceAll(strings.TrimPrefix(version, "go"), "+", "%2B")
}

func relationship(from common.ElementID, kind string, to common.ElementID) *spdx.Relationship {
	return &spdx.Relationship{RefA: common.MakeDocElementID("", string(from)), Relationship: kind, RefB: common.MakeDocElementID("", string(to))}
}
