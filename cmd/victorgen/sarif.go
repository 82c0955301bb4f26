package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	vg "github.com/victor-ai/victorgen"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/git"
)

// The part of SARIF 2.1.0 that findings need
// (https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/sarif-v2.1.0-errata01-os-complete.html).
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool    sarifTool                `json:"tool"`
		Bases   map[string]sarifArtifact `json:"originalUriBaseIds"`
		Results []sarifResult            `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name    string      `json:"name"`
		Version string      `json:"version"`
		Rules   []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID    string    `json:"id"`
		Short sarifText `json:"shortDescription"`
		Full  sarifText `json:"fullDescription"`
		Help  sarifText `json:"help"`
	}
	sarifResult struct {
		Rule      string          `json:"ruleId"`
		Index     int             `json:"ruleIndex"`
		Level     plan.Severity   `json:"level"`
		Message   sarifText       `json:"message"`
		Locations []sarifLocation `json:"locations"`
		Related   []sarifLocation `json:"relatedLocations,omitempty"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifLocation struct {
		Physical sarifPhysical `json:"physicalLocation"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   sarifRegion   `json:"region"`
	}
	sarifArtifact struct {
		URI  string `json:"uri"`
		Base string `json:"uriBaseId,omitempty"`
	}
	sarifRegion struct {
		Line   int `json:"startLine"`
		Column int `json:"startColumn"`
	}
)

const sarifSchema = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

// sourceRoot is how GitHub calls the root of a repository, to which the paths of
// results are relative
// (https://docs.github.com/en/code-security/code-scanning/integrating-with-code-scanning/sarif-support-for-code-scanning).
const sourceRoot = "%SRCROOT%"

// sarifOf writes findings as SARIF, with what there is to know of their codes.
func sarifOf(fs []finding) sarifLog {
	root := git.WorkTree(newPrinter(io.Discard).wd)
	run := sarifRun{
		Tool:    sarifTool{sarifDriver{Name: "victorgen", Version: vg.Version().Version, Rules: []sarifRule{}}},
		Bases:   map[string]sarifArtifact{sourceRoot: {URI: fileURL(root) + "/"}},
		Results: []sarifResult{},
	}
	var codes []plan.Code
	for _, f := range fs {
		codes = append(codes, f.Code)
	}
	slices.Sort(codes)
	codes = slices.Compact(codes)
	for _, code := range codes {
		text, _ := plan.Explain(code)
		title, _, _ := strings.Cut(text, "\n")
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{string(code), sarifText{title}, sarifText{text}, sarifText{text}})
	}
	for _, f := range fs {
		var at []sarifLocation
		for _, pos := range f.places() {
			a := sarifArtifact{URI: fileURL(pos.File)}
			if rel, ok := within(root, pos.File); ok {
				a = sarifArtifact{(&url.URL{Path: filepath.ToSlash(rel)}).String(), sourceRoot}
			}
			at = append(at, sarifLocation{sarifPhysical{a, sarifRegion{pos.Line, pos.Column}}})
		}
		first := min(1, len(at))
		index, _ := slices.BinarySearch(codes, f.Code)
		run.Results = append(run.Results, sarifResult{
			Rule: string(f.Code), Index: index, Level: f.Severity, Message: sarifText{f.text()}, Locations: at[:first:first], Related: at[first:],
		})
	}
	return sarifLog{sarifSchema, "2.1.0", []sarifRun{run}}
}

// annotate writes findings as GitHub Actions take them from a log, and shows
// them next to the lines that they are about
// (https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions#setting-an-error-message).
func annotate(w io.Writer, fs []finding) error {
	root := git.WorkTree(newPrinter(io.Discard).wd)
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	data := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	for _, f := range fs {
		where := ""
		if at := f.places(); len(at) > 0 {
			file := at[0].File
			if rel, ok := within(root, file); ok {
				file = filepath.ToSlash(rel)
			}
			where = fmt.Sprintf("file=%s,line=%d,col=%d,", property.Replace(file), at[0].Line, at[0].Column)
		}
		if err := raw(w, "::"); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "%s %stitle=%s::%s\n", f.Severity, where, f.Code, data.Replace(f.text())); err != nil {
			return err
		}
	}
	return nil
}

// qualityIssue is a finding as GitLab shows it in a merge request
// (https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format).
type qualityIssue struct {
	Description string          `json:"description"`
	Check       plan.Code       `json:"check_name"`
	Fingerprint string          `json:"fingerprint"` // the same in another run, and of no other finding
	Severity    string          `json:"severity"`
	Location    qualityLocation `json:"location"`
}

type qualityLocation struct {
	Path  string `json:"path"`
	Lines struct {
		Begin int `json:"begin"`
	} `json:"lines"`
}

// codeQuality writes findings as GitLab's report of code quality. GitLab takes none
// without a place.
func codeQuality(fs []finding) []qualityIssue {
	root := git.WorkTree(newPrinter(io.Discard).wd)
	issues := []qualityIssue{}
	for _, f := range fs {
		q := qualityIssue{Description: f.text(), Check: f.Code, Severity: "major", Location: qualityLocation{Path: "."}}
		if f.Severity == plan.Warning {
			q.Severity = "minor"
		}
		q.Location.Lines.Begin = 1
		if at := f.places(); len(at) > 0 {
			q.Location.Path = filepath.ToSlash(at[0].File)
			if rel, ok := within(root, at[0].File); ok {
				q.Location.Path = filepath.ToSlash(rel)
			}
			q.Location.Lines.Begin = at[0].Line
		}
		message := strings.ReplaceAll(f.Message, root+string(filepath.Separator), "")
		q.Fingerprint = fmt.Sprintf("%x", sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%d\n%s", f.Code, q.Location.Path, q.Location.Lines.Begin, message)))
		issues = append(issues, q)
	}
	return issues
}

// text is all that a finding says, for who shows it somewhere else.
func (f finding) text() string {
	text := f.Message + " [" + strings.Join(f.environments, ", ") + "]"
	if f.Hint != "" {
		text += "\nhint: " + f.Hint
	}
	return text
}

// places returns where a finding is. One that is nowhere is in the first file of
// its environment, for GitHub shows none without a place.
func (f finding) places() []plan.Pos {
	at := slices.DeleteFunc(slices.Clone(f.Pos), func(p plan.Pos) bool { return !p.IsValid() })
	if len(at) > 0 {
		return at
	}
	files, _ := filepath.Glob(filepath.Join(f.directory, "*.cue"))
	if len(files) == 0 {
		return nil
	}
	return []plan.Pos{{File: files[0], Line: 1, Column: 1}}
}

// within returns path relative to root, if it is below.
func within(root, path string) (string, bool) {
	rel, err := filepath.Rel(root, path)
	return rel, err == nil && filepath.IsLocal(rel)
}

func fileURL(path string) string {
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(path)}).String()
}
