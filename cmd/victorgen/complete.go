package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
)

// completeEnvironments completes environments that are not named yet, and the pattern
// of all; where there is none, directories.
func completeEnvironments(_ *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	all := environmentsBelow(word)
	if len(all) > 1 {
		if top := commonDirectory(all); top != "" {
			all = append(all, "./"+top+"/...")
		} else {
			all = append(all, "./...")
		}
	}
	all = slices.DeleteFunc(all, func(name string) bool {
		return slices.Contains(args, name) || !strings.HasPrefix(name, word)
	})
	if len(all) == 0 {
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	return all, cobra.ShellCompDirectiveNoFileComp
}

// completeEnvironment completes the one environment that a flag or a verb takes.
func completeEnvironment(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	names, directive := completeEnvironments(cmd, args, word)
	return slices.DeleteFunc(names, func(name string) bool { return strings.HasSuffix(name, "...") }), directive
}

// environmentsBelow are the environments below the directory that a word begins with,
// as one writes them from the working directory.
func environmentsBelow(word string) []string {
	from := "."
	if i := strings.LastIndexByte(word, '/'); i > 0 && !strings.HasSuffix(word[:i], "...") {
		from = word[:i]
	}
	base, err := compiler.Find(from) // as those below it are written
	if err != nil {
		return nil
	}
	dirs, err := compiler.Find(from + "/...")
	if err != nil {
		return nil
	}
	var all []string
	for _, dir := range dirs {
		rel, err := filepath.Rel(base[0], dir)
		if err != nil {
			continue
		}
		name := filepath.ToSlash(rel)
		switch {
		case from != ".":
			name = from + "/" + name
		case strings.HasPrefix(word, "./"):
			name = "./" + name
		}
		all = append(all, name)
	}
	return all
}

// commonDirectory is the first part of the names, if it is one in all.
func commonDirectory(names []string) string {
	top, _, _ := strings.Cut(strings.TrimPrefix(names[0], "./"), "/")
	for _, name := range names {
		if !strings.HasPrefix(strings.TrimPrefix(name, "./"), top+"/") {
			return ""
		}
	}
	return top
}

// completeInputs completes an environment, and then those of its inputs that a verb
// takes.
func completeInputs(takes func(*plan.Plan, plan.Input) bool) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return completeEnvironment(cmd, args, word)
		}
		p := planOf(args[0])
		if p == nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return inputsOf(p, args[1:], word, func(in plan.Input) bool { return in.PreviousOf() == "" && takes(p, in) }), cobra.ShellCompDirectiveNoFileComp
	}
}

// inputsOf are the inputs of a plan that begin with word and are not named yet.
func inputsOf(p *plan.Plan, named []string, word string, want func(plan.Input) bool) (names []string) {
	for _, in := range p.Inputs {
		if want(in) && strings.HasPrefix(in.Name, word) && !slices.Contains(named, in.Name) {
			names = append(names, in.Name+"\t"+in.Description)
		}
	}
	return names
}

// completeRenew completes the last of a list, between commas, of generated inputs of the
// environments that are named already.
func completeRenew(_ *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	var before string
	if i := strings.LastIndexByte(word, ','); i >= 0 {
		before, word = word[:i+1], word[i+1:]
	}
	dirs, err := compiler.Find(args...)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, dir := range dirs {
		p := planOf(dir)
		if p == nil {
			continue
		}
		for _, name := range inputsOf(p, strings.Split(before, ","), word, func(in plan.Input) bool { return in.PreviousOf() == "" && isRotatable(in) }) {
			names = append(names, before+name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), cobra.ShellCompDirectiveNoFileComp
}

// completeExplain completes a code or an environment, then the inputs and secrets in it.
func completeExplain(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if strings.HasPrefix(word, "VG") && (len(args) == 0 || strings.HasPrefix(args[0], "VG")) {
		var names []string
		for _, c := range plan.Codes() {
			text, _ := plan.Explain(c)
			title, _, _ := strings.Cut(text, "\n")
			if strings.HasPrefix(string(c), word) && !slices.Contains(args, string(c)) {
				names = append(names, string(c)+"\t"+title)
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
	if len(args) == 0 {
		return completeEnvironment(cmd, args, word)
	}
	p := planOf(args[0])
	if p == nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names := inputsOf(p, args[1:], word, func(plan.Input) bool { return true })
	for _, s := range p.Secrets {
		if strings.HasPrefix(s.Name, word) && !slices.Contains(args, s.Name) {
			names = append(names, s.Name+"\tsecret")
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeCertificates completes environments, and files of certificates.
func completeCertificates(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	names, _ := completeEnvironments(cmd, args, word)
	files, _ := filepath.Glob(word + "*.pem")
	for _, file := range files {
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && !slices.Contains(args, file) {
			names = append(names, filepath.ToSlash(file))
		}
	}
	if len(names) == 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
