package e2e

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/buildinfo"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/crane"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"sigs.k8s.io/yaml"
)

// A release is what `make release-snapshot` makes of the commit that is checked out, in
// a clone. What has not been committed is not in it.
type release struct {
	clone   string
	dist    string
	version string // without a v
	commit  string
	date    time.Time
}

// releaseTag is the version that the pages of the documentation name.
const releaseTag = "v1.2.3"

// makeVariable is what a variable of the Makefile says.
func makeVariable(t testing.TB, name string) string {
	t.Helper()
	m := regexp.MustCompile(`(?m)^` + name + `\s*:=\s*(\S+)$`).FindStringSubmatch(read(t, "../Makefile"))
	if m == nil {
		t.Fatalf("the Makefile has no variable %s", name)
	}
	return m[1]
}

// madeBy is the program that a variable of the Makefile names.
func madeBy(t testing.TB, variable string) string {
	t.Helper()
	pkg, version, _ := strings.Cut(makeVariable(t, variable), "@")
	return goProgram(t, pkg, version)
}

// cloneOf is a clone of this repository that has the tag, and the programs of make.
func cloneOf(t testing.TB, dir string, programs ...string) string {
	t.Helper()
	if err := command("", nil, "git", "clone", "--quiet", "..", dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := command(dir, nil, "git", "tag", "--force", releaseTag); err != nil {
		t.Fatal(err)
	}
	for _, p := range programs {
		if err := os.Symlink(p, filepath.Join(dir, "bin", filepath.Base(p))); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func newRelease(t testing.TB, dir string) release {
	t.Helper()
	r := release{clone: cloneOf(t, dir, madeBy(t, "GORELEASER"), madeBy(t, "KO"))}
	started := time.Now()
	if err := command(r.clone, []string{"GOFLAGS="}, "make", "release-snapshot"); err != nil {
		t.Fatal(err)
	}
	t.Logf("make release-snapshot took %v", time.Since(started).Round(time.Second))
	r.dist = filepath.Join(r.clone, "bin", "dist")
	var metadata struct {
		Version, Commit string
	}
	if err := json.Unmarshal(r.file(t, "metadata.json"), &metadata); err != nil {
		t.Fatal(err)
	}
	r.version, r.commit = metadata.Version, metadata.Commit
	out, err := exec.Command("git", "-C", r.clone, "log", "-1", "--format=%cI").Output()
	if err != nil {
		t.Fatal(err)
	}
	if r.date, err = time.Parse(time.RFC3339, strings.TrimSpace(string(out))); err != nil {
		t.Fatal(err)
	}
	if status, err := exec.Command("git", "-C", r.clone, "status", "--porcelain").Output(); err != nil || len(status) > 0 {
		t.Errorf("the work tree is not what it was: %v\n%s", err, status)
	}
	return r
}

// TestRelease makes a release, and looks at all that is in it.
func TestRelease(t *testing.T) {
	r := newRelease(t, filepath.Join(t.TempDir(), "victorgen"))
	for name, look := range map[string]func(*testing.T, release){
		"archives": archives, "checksums": checksums, "deb": deb, "formula": formula, "image": image, "krew": krew, "manual": manual,
		"program": runsStripped, "reproducible": reproducible, "rpm": rpm, "sbom": sbom,
	} {
		t.Run(name, func(t *testing.T) { look(t, r) })
	}
}

// systems are those that there is an archive for.
var systems = []string{"darwin_amd64", "darwin_arm64", "linux_amd64", "linux_arm64", "windows_amd64"}

// archive is the name of the archive for a system.
func (r release) archive(system string) string {
	ext := ".tar.gz"
	if strings.HasPrefix(system, "windows") {
		ext = ".zip"
	}
	return "victorgen_" + r.version + "_" + system + ext
}

// names are the files that are published.
func (r release) names() []string {
	var all []string
	for _, s := range systems {
		all = append(all, r.archive(s), "victorgen_"+r.version+"_"+s+".spdx.json")
	}
	for _, s := range []string{"linux_amd64", "linux_arm64"} {
		all = append(all, "victorgen_"+r.version+"_"+s+".deb", "victorgen_"+r.version+"_"+s+".rpm")
	}
	slices.Sort(all)
	return all
}

func (r release) file(t testing.TB, name string) []byte {
	t.Helper()
	return []byte(read(t, filepath.Join(r.dist, name)))
}

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// A packed file is one of an archive.
type packed struct {
	content []byte
	mode    fs.FileMode
	time    time.Time
	owner   string
}

// unpack returns the files of an archive by name, and their order.
func unpack(t testing.TB, archive string) (map[string]packed, []string) {
	t.Helper()
	files := map[string]packed{}
	var order []string
	add := func(name string, p packed, r io.Reader) {
		var err error
		if p.content, err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
		if _, twice := files[name]; twice {
			t.Errorf("%s has %s twice", archive, name)
		}
		files[name] = p
		order = append(order, name)
	}
	if filepath.Ext(archive) == ".zip" {
		z, err := zip.OpenReader(archive)
		if err != nil {
			t.Fatal(err)
		}
		defer z.Close()
		for _, f := range z.File {
			r, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			add(f.Name, packed{mode: f.Mode(), time: f.Modified, owner: "root"}, r)
			r.Close()
		}
		return files, order
	}
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if !z.ModTime.IsZero() || z.Name != "" {
		t.Errorf("%s: the header of gzip has %v, %q", archive, z.ModTime, z.Name)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, order
		}
		if err != nil {
			t.Fatal(err)
		}
		add(h.Name, packed{mode: h.FileInfo().Mode(), time: h.ModTime, owner: fmt.Sprintf("%s%.0d%.0d", h.Uname, h.Uid, h.Gid)}, r)
	}
}

// programOf is the name of the program on a system.
func programOf(system string) string {
	if strings.HasPrefix(system, "windows") {
		return "victorgen.exe"
	}
	return "victorgen"
}

// reproducible: docs/install.md leads from what is published to a program that runs, and
// to a release that is made again in another directory: the same, byte for byte. What
// fetches and what verifies signatures are stand-ins, because nothing is published here.
func reproducible(t *testing.T, r release) {
	var script strings.Builder
	for _, m := range regexp.MustCompile("(?ms)^```sh release\n(.*?)^```$").FindAllStringSubmatch(read(t, "../docs/install.md"), -1) {
		script.WriteString(m[1])
	}
	work := t.TempDir()
	bin := filepath.Join(work, "stand-ins")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	another := filepath.Join(work, "source")
	for name, body := range map[string]string{
		"curl":   `for url; do :; done; case $url in */download/` + releaseTag + `/*.sigstore.json) : > "${url##*/}" ;; */download/` + releaseTag + `/*) cp "` + r.dist + `/${url##*/}" . ;; *) exit 1 ;; esac`,
		"cosign": `echo "cosign $*"`, "gh": `echo "gh $*"`, "docker": `echo "docker $*"`,
		"git": `if [ "$1" = clone ]; then exec mv "` + cloneOf(t, filepath.Join(work, "clone"), madeBy(t, "GORELEASER")) + `" "` + another + `"; fi; exec ` + look(t, "git") + ` "$@"`,
	} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("bash", "-euxc", strings.Replace(script.String(), "system=linux_amd64", "system="+native, 1))
	cmd.Dir = work
	cache := func(name string) string {
		out, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		return name + "=" + strings.TrimSpace(string(out))
	}
	cmd.Env = append(os.Environ(), "HOME="+work, "PATH="+bin+":"+os.Getenv("PATH"), cache("GOCACHE"), cache("GOMODCACHE"), cache("GOPATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		r.archive(native) + ": OK\n", "victorgen " + releaseTag + "\n", "cosign verify-blob checksums.txt --bundle checksums.txt.sigstore.json",
		"gh attestation verify " + r.archive(native) + " --repo victor-ai/victorgen\n", "cosign verify ghcr.io/victor-ai/victorgen:" + releaseTag,
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the page does not print %q:\n%s", want, out)
		}
	}
	r.runs(t, filepath.Join(work, ".local/bin/victorgen"))
	for _, name := range append(r.names(), "checksums.txt", "homebrew/Formula/victorgen.rb", "krew/victorgen.yaml") {
		if r.file(t, name) == nil || !bytes.Equal(r.file(t, name), []byte(read(t, filepath.Join(another, "bin", "dist", name)))) {
			t.Errorf("%s differs", name)
		}
	}
}

// look is the path of a program.
func look(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// checksums: what is published is in the list of checksums, which are right,
// and nothing else is.
func checksums(t *testing.T, r release) {
	var names []string
	for line := range strings.Lines(string(r.file(t, "checksums.txt"))) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		names = append(names, name)
		if sum != sumOf(r.file(t, name)) {
			t.Errorf("the checksum of %s is wrong", name)
		}
	}
	slices.Sort(names)
	if want := r.names(); !slices.Equal(names, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(names, "\n"), strings.Join(want, "\n"))
	}
}

// machine are paths of this machine, which nothing in a release may name.
func machine(t testing.TB, r release) []string {
	t.Helper()
	paths := []string{r.clone, runtime.GOROOT()}
	for _, v := range []string{"GOMODCACHE", "GOCACHE", "GOROOT"} {
		out, err := exec.Command("go", "env", v).Output()
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, strings.TrimSpace(string(out)))
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if len(host) > 8 && host != "localhost" { // a short one is in every program
		paths = append(paths, host)
	}
	return slices.DeleteFunc(paths, func(p string) bool { return p == "" })
}

// archives: each archive has the program, its manual, completions, and the
// licence of each module that is linked into that program.
func archives(t *testing.T, r release) {
	paths := machine(t, r)
	out, err := exec.Command(built(t), "__complete", "").Output()
	if err != nil {
		t.Fatal(err)
	}
	var pages []string // of each verb
	for line := range strings.Lines(string(out)) {
		if verb, _, ok := strings.Cut(line, "\t"); ok && verb != "help" {
			pages = append(pages, "man/victorgen-"+verb+".1")
		}
	}
	if len(pages) < 20 {
		t.Fatalf("there are but %d verbs: %s", len(pages), out)
	}
	for _, system := range systems {
		t.Run(system, func(t *testing.T) {
			files, order := unpack(t, filepath.Join(r.dist, r.archive(system)))
			if !slices.IsSorted(order[:len(order)-1]) || order[len(order)-1] != programOf(system) {
				t.Errorf("the files are not in order, the program last: %q", order)
			}
			for _, want := range append(pages, "LICENSE", "README.md", "CHANGELOG.md", "THIRD-PARTY-LICENSES.txt", "man/victorgen.1",
				"completions/victorgen", "completions/_victorgen", "completions/victorgen.fish", "completions/victorgen.ps1") {
				if len(files[want].content) == 0 {
					t.Errorf("there is no %s", want)
				}
			}
			for name, f := range files {
				want := fs.FileMode(0o644)
				if name == programOf(system) {
					want = 0o755
				}
				if f.mode.Perm() != want || !f.time.Equal(r.date) || f.owner != "root" {
					t.Errorf("%s: mode %v, time %v, owner %q", name, f.mode, f.time, f.owner)
				}
				for _, p := range paths {
					if bytes.Contains(f.content, []byte(p)) {
						t.Errorf("%s has %s in it", name, p)
					}
				}
			}
			info, err := buildinfo.Read(bytes.NewReader(files[programOf(system)].content))
			if err != nil {
				t.Fatal(err)
			}
			licenses := string(files["THIRD-PARTY-LICENSES.txt"].content)
			if len(info.Deps) < 100 {
				t.Errorf("it tells of but %d modules", len(info.Deps))
			}
			for _, d := range info.Deps {
				if !strings.Contains(licenses, "\n"+d.Path+" "+d.Version+": ") || !strings.Contains(licenses, "\n"+d.Path+" LICEN") && !strings.Contains(licenses, "\n"+d.Path+" COPYING") {
					t.Errorf("there is no licence of %s %s", d.Path, d.Version)
				}
			}
			if !strings.Contains(licenses, "\nstdlib "+info.GoVersion+": BSD-3-Clause\n") {
				t.Errorf("there is no licence of %s", info.GoVersion)
			}
			for _, s := range info.Settings {
				if s.Key == "CGO_ENABLED" && s.Value != "0" || strings.HasPrefix(s.Key, "vcs") {
					t.Errorf("it was built with %s=%s", s.Key, s.Value)
				}
			}
		})
	}
}

// native is the system that the tests run on.
const native = runtime.GOOS + "_" + runtime.GOARCH

// runsStripped: the program is stripped, runs, and tells what it was made of.
func runsStripped(t *testing.T, r release) {
	dir := extract(t, r)
	path := filepath.Join(dir, "victorgen")
	r.runs(t, path)
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, name := range []string{".symtab", ".debug_info", ".zdebug_info"} {
		if f.Section(name) != nil {
			t.Errorf("it has %s", name)
		}
	}
	if f.Section(".interp") != nil {
		t.Error("it needs libraries")
	}
}

// runs fails unless a program is that of the release.
func (r release) runs(t testing.TB, program string) {
	t.Helper()
	out, err := exec.Command(program, "version", "-o", "json").CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", program, err, out)
	}
	var v struct{ Version, Commit, Date, Go string }
	if err := json.Unmarshal(out, &v); err != nil {
		t.Fatal(err)
	}
	if v.Version != "v"+r.version || v.Commit != r.commit || v.Date != r.date.UTC().Format(time.RFC3339) || v.Go == "" {
		t.Errorf("%s says %s", program, out)
	}
}

// extract returns a directory with the archive for the system of the tests.
func extract(t testing.TB, r release) string {
	t.Helper()
	dir := t.TempDir()
	if err := command("", nil, "tar", "-xzf", filepath.Join(r.dist, r.archive(native)), "-C", dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// manual: man shows each page, and has nothing to warn of.
func manual(t *testing.T, r release) {
	pages, _ := filepath.Glob(filepath.Join(extract(t, r), "man", "*.1"))
	if len(pages) < 25 {
		t.Fatalf("there are but %d pages", len(pages))
	}
	for _, page := range pages {
		cmd := exec.Command("man", "--warnings", "-l", page)
		cmd.Env = append(os.Environ(), "MANWIDTH=100", "LC_ALL=C.UTF-8")
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		if err := cmd.Run(); err != nil || errs.Len() > 0 {
			t.Errorf("%s: %v\n%s", page, err, &errs)
		}
		name := strings.ToUpper(strings.TrimSuffix(filepath.Base(page), ".1")) + "(1)"
		if !strings.Contains(out.String(), name) || !strings.Contains(out.String(), "SYNOPSIS") {
			t.Errorf("%s: man shows\n%s", page, &out)
		}
	}
}

// sbom: each list is valid SPDX, by the reader of SPDX itself, is of the program
// in the archive, and names each module that is linked into it.
func sbom(t *testing.T, r release) {
	validate := filepath.Join(pythonPrograms(t, "spdx-tools", "0.8.3"), "pyspdxtools")
	for _, system := range systems {
		t.Run(system, func(t *testing.T) {
			name := "victorgen_" + r.version + "_" + system + ".spdx.json"
			if err := command("", nil, validate, "-i", filepath.Join(r.dist, name)); err != nil {
				t.Error(err)
			}
			var document struct {
				SPDXVersion  string `json:"spdxVersion"`
				CreationInfo struct{ Created string }
				Packages     []struct {
					Name, VersionInfo, LicenseDeclared string
					Checksums                          []struct{ ChecksumValue string }
				}
			}
			if err := json.Unmarshal(r.file(t, name), &document); err != nil {
				t.Fatal(err)
			}
			files, _ := unpack(t, filepath.Join(r.dist, r.archive(system)))
			content := files[programOf(system)].content
			info, err := buildinfo.Read(bytes.NewReader(content))
			if err != nil {
				t.Fatal(err)
			}
			has := map[string]string{}
			for _, p := range document.Packages {
				has[p.Name] = p.VersionInfo
				if p.LicenseDeclared == "" || p.LicenseDeclared == "NOASSERTION" {
					t.Errorf("%s has no licence", p.Name)
				}
			}
			want := map[string]string{info.Main.Path: "v" + r.version, "stdlib": info.GoVersion}
			for _, d := range info.Deps {
				want[d.Path] = d.Version
			}
			for path, version := range want {
				if has[path] != version {
					t.Errorf("%s %s is linked, and the list has %q", path, version, has[path])
				}
			}
			if len(has) != len(want) {
				t.Errorf("the list has %d packages, and %d are linked", len(has), len(want))
			}
			if document.SPDXVersion != "SPDX-2.3" || document.CreationInfo.Created != r.date.UTC().Format(time.RFC3339) || document.Packages[0].Checksums[0].ChecksumValue != sumOf(content) {
				t.Errorf("%+v", document)
			}
		})
	}
}

// installed are the files that a package installs, with its completions in the places
// of its distribution.
func installed(zsh, doc string) []string {
	return []string{
		"usr/bin/victorgen", "usr/bin/kubectl-victorgen", "usr/bin/kubectl_complete-victorgen",
		"usr/share/man/man1/victorgen.1.gz", "usr/share/man/man1/victorgen-build.1.gz",
		"usr/share/bash-completion/completions/victorgen", "usr/share/zsh/" + zsh + "/_victorgen", "usr/share/fish/vendor_completions.d/victorgen.fish",
		"usr/share/doc/victorgen/CHANGELOG.md", doc, path.Dir(doc) + "/THIRD-PARTY-LICENSES.txt",
	}
}

// holdsInstalled fails unless a system has all that is installed, and the program of
// the release.
func (r release) holdsInstalled(t *testing.T, root string, files []string) {
	t.Helper()
	for _, name := range files {
		if info, err := os.Stat(filepath.Join(root, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	r.runs(t, filepath.Join(root, "usr/bin/victorgen"))
	out, err := exec.Command(filepath.Join(root, "usr/bin/kubectl-victorgen"), "--help").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "kubectl victorgen") {
		t.Errorf("%v\n%s", err, out)
	}
	out, err = exec.Command(filepath.Join(root, "usr/bin/kubectl_complete-victorgen"), "expl").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "explain\t") {
		t.Errorf("%v\n%s", err, out)
	}
	unpacked, _ := unpack(t, filepath.Join(r.dist, r.archive(native)))
	if read(t, filepath.Join(root, "usr/bin/victorgen")) != string(unpacked["victorgen"].content) {
		t.Error("the program is not that of the archive")
	}
	for _, name := range files {
		for _, p := range machine(t, r) {
			if strings.Contains(read(t, filepath.Join(root, name)), p) {
				t.Errorf("%s has %s in it", name, p)
			}
		}
	}
}

// deb: dpkg installs the package, and what it has installed runs.
func deb(t *testing.T, r release) {
	file := filepath.Join(r.dist, "victorgen_"+r.version+"_"+native+".deb")
	root := t.TempDir()
	for _, dir := range []string{"updates", "info"} {
		if err := os.MkdirAll(filepath.Join(root, "var/lib/dpkg", dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "var/lib/dpkg/status"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := command("", nil, "dpkg", "--root="+root, "--log=/dev/null", "--force-not-root", "--install", file); err != nil {
		t.Fatal(err)
	}
	r.holdsInstalled(t, root, installed("vendor-completions", "usr/share/doc/victorgen/copyright"))
	out, err := exec.Command("dpkg-deb", "--field", file, "Package", "Architecture", "Maintainer", "Homepage", "Recommends", "License").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Package: victorgen\n", "Architecture: " + runtime.GOARCH + "\n", "Maintainer: victor-ai <", "Recommends: git\n"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("there is no %q in\n%s", want, out)
		}
	}
}

// rpm: rpm installs the package, and what it has installed runs.
func rpm(t *testing.T, r release) {
	file := filepath.Join(r.dist, "victorgen_"+r.version+"_"+native+".rpm")
	root := t.TempDir()
	if err := command("", nil, "rpm", "--root", root, "--nodeps", "--nosignature", "--install", file); err != nil {
		t.Fatal(err)
	}
	r.holdsInstalled(t, root, installed("site-functions", "usr/share/licenses/victorgen/LICENSE"))
	out, err := exec.Command("rpm", "--root", root, "-q", "--qf", "%{NAME} %{LICENSE} %{BUILDHOST} %{BUILDTIME} [%{RECOMMENDS}]", "victorgen").Output()
	if want := fmt.Sprintf("victorgen Apache-2.0 localhost %d git", r.date.Unix()); err != nil || string(out) != want {
		t.Errorf("got %q, %v, want %q", out, err, want)
	}
}

// krew: what the manifest says is what the archives are, and kubectl finds the
// plugin as krew lays it out.
func krew(t *testing.T, r release) {
	var manifest struct {
		Kind     string
		Metadata struct{ Name string }
		Spec     struct {
			Version, ShortDescription, Homepage string
			Platforms                           []struct {
				Bin, URI, SHA256 string
				Selector         struct{ MatchLabels map[string]string }
			}
		}
	}
	if err := yaml.Unmarshal(r.file(t, "krew/victorgen.yaml"), &manifest); err != nil {
		t.Fatal(err)
	}
	if manifest.Kind != "Plugin" || manifest.Metadata.Name != "victorgen" || manifest.Spec.Version != "v"+r.version || manifest.Spec.ShortDescription == "" {
		t.Errorf("%+v", manifest)
	}
	var got []string
	for _, p := range manifest.Spec.Platforms {
		system := p.Selector.MatchLabels["os"] + "_" + p.Selector.MatchLabels["arch"]
		got = append(got, system)
		name := path.Base(p.URI)
		if name != r.archive(system) || !strings.HasPrefix(p.URI, "https://github.com/victor-ai/victorgen/releases/download/") || p.SHA256 != sumOf(r.file(t, name)) {
			t.Errorf("%+v", p)
		}
		files, _ := unpack(t, filepath.Join(r.dist, name))
		if p.Bin != programOf(system) || files[p.Bin].mode&0o111 == 0 || len(files["LICENSE"].content) == 0 {
			t.Errorf("%s has no %s, or no LICENSE", name, p.Bin)
		}
	}
	if slices.Sort(got); !slices.Equal(got, systems) {
		t.Errorf("got %q", got)
	}

	// krew unpacks the archive, and links kubectl-PLUGIN to the program:
	// https://krew.sigs.k8s.io/docs/developer-guide/plugin-manifest/.
	bin := t.TempDir()
	if err := os.Symlink(filepath.Join(extract(t, r), "victorgen"), filepath.Join(bin, "kubectl-victorgen")); err != nil {
		t.Fatal(err)
	}
	kubectl := exec.Command(toolProgram(t, "kubernetes", kubernetesVersion, "kubectl"), "victorgen", "version")
	kubectl.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
	if out, err := kubectl.CombinedOutput(); err != nil || string(out) != "victorgen v"+r.version+"\n" {
		t.Errorf("%v\n%s", err, out)
	}

	// As docs/install.md says, kubectl completes it then.
	if err := os.Symlink("kubectl-victorgen", filepath.Join(bin, "kubectl_complete-victorgen")); err != nil {
		t.Fatal(err)
	}
	kubectl = exec.Command(toolProgram(t, "kubernetes", kubernetesVersion, "kubectl"), "__complete", "victorgen", "expl")
	kubectl.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
	if out, err := kubectl.Output(); err != nil || !strings.HasPrefix(string(out), "explain\t") {
		t.Errorf("%v\n%s", err, out)
	}
}

// formula: each archive that the formula names is there, and has its checksum.
func formula(t *testing.T, r release) {
	text := string(r.file(t, "homebrew/Formula/victorgen.rb"))
	all := regexp.MustCompile(`url "([^"]+)"[^\n]*\n\s*sha256 "([0-9a-f]+)"`).FindAllStringSubmatch(text, -1)
	var got []string
	for _, m := range all {
		name := path.Base(m[1])
		got = append(got, name)
		if m[2] != sumOf(r.file(t, name)) {
			t.Errorf("the checksum of %s is wrong", name)
		}
	}
	want := []string{r.archive("darwin_amd64"), r.archive("darwin_arm64"), r.archive("linux_amd64"), r.archive("linux_arm64")}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("got %q\n%s", got, text)
	}
	dir := extract(t, r)
	for _, m := range regexp.MustCompile(`install "([^"]+)"`).FindAllStringSubmatch(text, -1) {
		if _, err := os.Stat(filepath.Join(dir, m[1])); err != nil {
			t.Error(err)
		}
	}
}

// image: `make image` pushes an image for each system, with the program of the archives,
// which runs in it as a user that is not root. Two clones make the same one. The base is
// a stand-in for the distroless one, which no registry here has.
func image(t *testing.T, r release) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	base, err := name.ParseReference(host + "/base:nonroot")
	if err != nil {
		t.Fatal(err)
	}
	platforms := []string{"amd64", "arm64"}
	index := v1.ImageIndex(empty.Index)
	for _, arch := range platforms {
		layer, err := crane.Layer(map[string][]byte{"etc/ssl/certs/ca-certificates.crt": []byte("of " + arch)})
		if err != nil {
			t.Fatal(err)
		}
		platform := v1.Platform{OS: "linux", Architecture: arch}
		img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: arch, Config: v1.Config{User: "0"}})
		if err != nil {
			t.Fatal(err)
		}
		if img, err = mutate.AppendLayers(img, layer); err != nil {
			t.Fatal(err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &platform}})
	}
	if err := remote.WriteIndex(base, index); err != nil {
		t.Fatal(err)
	}

	another := cloneOf(t, filepath.Join(t.TempDir(), "another", "clone"), madeBy(t, "KO"))
	var images []string
	for i, dir := range []string{r.clone, another} {
		cmd := exec.Command("make", "--silent", "image", "VERSION="+releaseTag)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), fmt.Sprintf("KO_DOCKER_REPO=%s/%d/victorgen", host, i), "KO_DEFAULTBASEIMAGE="+base.Name(), "GOFLAGS=")
		var errs strings.Builder
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v\n%s", err, &errs)
		}
		images = append(images, strings.TrimSpace(string(out)))
	}
	_, one, _ := strings.Cut(images[0], "@")
	_, two, _ := strings.Cut(images[1], "@")
	if one != two || !strings.HasPrefix(images[0], host+"/0/victorgen:"+releaseTag+"@sha256:") {
		t.Errorf("got %q", images)
	}

	ref, err := name.ParseReference(images[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, arch := range platforms {
		img, err := remote.Image(ref, remote.WithPlatform(v1.Platform{OS: "linux", Architecture: arch}))
		if err != nil {
			t.Fatal(err)
		}
		config, err := img.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if config.Architecture != arch || config.Config.User != "65532:65532" || !slices.Equal(config.Config.Entrypoint, []string{"/ko-app/victorgen"}) || !config.Created.Equal(r.date) {
			t.Errorf("%+v", config)
		}
		root := t.TempDir()
		unpackImage(t, img, root)
		files, _ := unpack(t, filepath.Join(r.dist, r.archive("linux_"+arch)))
		if read(t, filepath.Join(root, "ko-app/victorgen")) != string(files["victorgen"].content) {
			t.Errorf("the program for %s is not that of the archive", arch)
		}
		if got := read(t, filepath.Join(root, "etc/ssl/certs/ca-certificates.crt")); got != "of "+arch {
			t.Errorf("the base is %s", got)
		}
		if arch != runtime.GOARCH || os.Getuid() != 0 {
			continue
		}
		cmd := exec.Command("/ko-app/victorgen", "version")
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
		cmd.Dir, cmd.Env = "/", config.Config.Env
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != "victorgen "+releaseTag+"\n" {
			t.Errorf("%v\n%s", err, out)
		}
	}
}

// unpackImage writes the files of an image below a directory.
func unpackImage(t testing.TB, img v1.Image, root string) {
	t.Helper()
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	r := mutate.Extract(img)
	defer r.Close()
	cmd := exec.Command("tar", "-xf", "-", "-C", root)
	cmd.Stdin = r
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// TestDockerfile: the variants of the image that docs/install.md tells of are there, and
// sops is the one that the tests have tried.
func TestDockerfile(t *testing.T) {
	text := read(t, "../Dockerfile")
	for _, m := range regexp.MustCompile(`docker build --target (\w+)`).FindAllStringSubmatch(read(t, "../docs/install.md"), -1) {
		if !regexp.MustCompile(`(?m)^FROM \w+ AS ` + m[1] + `$`).MatchString(text) {
			t.Errorf("there is no stage %s", m[1])
		}
	}
	if !strings.Contains(text, "/cmd/sops@"+sopsVersion+"\n") || !strings.HasSuffix(text, "\nFROM program AS git\n") {
		t.Errorf("sops is not %s, or the last stage is not that with git alone", sopsVersion)
	}
}

// TestReleaseWorkflow: what others have written is taken by its commit, no job has a right
// by default, and the one that runs the tests can write nothing.
func TestReleaseWorkflow(t *testing.T) {
	const file = "../.github/workflows/release.yml"
	w := load[struct {
		Permissions map[string]string
		Jobs        map[string]struct {
			Permissions map[string]string
			Steps       []struct{ Uses, Run string }
		}
	}](t, file)
	if w.Permissions == nil || len(w.Permissions) != 0 || len(w.Jobs["check"].Permissions) != 1 || w.Jobs["check"].Permissions["contents"] != "read" {
		t.Errorf("%+v", w)
	}
	pinned := regexp.MustCompile(`^[\w./-]+@[0-9a-f]{40}$`)
	for name, j := range w.Jobs {
		for _, s := range j.Steps {
			if s.Uses != "" && !pinned.MatchString(s.Uses) {
				t.Errorf("%s: %s", name, s.Uses)
			}
			if strings.Contains(s.Run, "${{") {
				t.Errorf("%s: a script that GitHub writes into: %s", name, s.Run)
			}
		}
	}
}
