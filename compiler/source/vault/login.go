package vault

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"text/scanner"
	"time"

	"github.com/victor-ai/victorgen/internal/program"
)

// helperTime is enough for a program to look a token up.
const helperTime = time.Minute

// kept returns the token that `vault login` has kept, or nothing: what the program
// prints that ~/.vault names, or what is in ~/.vault-token
// (https://developer.hashicorp.com/vault/docs/commands/token-helper). Its error may
// quote either.
func kept() (string, error) {
	home, err := homeDir()
	if err != nil {
		return "", err
	}
	file := filepath.Join(home, ".vault")
	if v := os.Getenv("VAULT_CONFIG_PATH"); v != "" {
		file = v
		if rest, ok := strings.CutPrefix(v, "~"); ok && (rest == "" || rest[0] == '/' || rest[0] == filepath.Separator) {
			file = filepath.Join(home, rest)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	helper, err := tokenHelper(text)
	if err != nil {
		return "", err
	}
	if helper == "" {
		token, err := os.ReadFile(filepath.Join(home, ".vault-token"))
		if errors.Is(err, fs.ErrNotExist) {
			return "", nil
		}
		return strings.TrimSpace(string(token)), err
	}
	if helper, err = filepath.Abs(helper); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), helperTime)
	defer cancel()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, helper, "get")
	cmd.Stdout = &out
	err = program.Run(cmd)
	return strings.TrimSpace(out.String()), err
}

func homeDir() (string, error) {
	home, err := os.UserHomeDir()
	if err == nil {
		return home, nil
	}
	u, err := user.Current()
	if err != nil {
		return "", err
	}
	return u.HomeDir, nil
}

// tokenHelper reads a ~/.vault, which has one setting, or none: token_helper, in HCL or
// JSON. Of HCL it knows what that needs: comments, names and strings.
func tokenHelper(text []byte) (string, error) {
	bad := errors.New("it is not a configuration of Vault's command line: token_helper = \"PATH\"")
	if t := bytes.TrimSpace(text); len(t) > 0 && t[0] == '{' {
		var settings map[string]string
		if json.Unmarshal(t, &settings) != nil {
			return "", bad
		}
		helper := settings["token_helper"]
		delete(settings, "token_helper")
		if len(settings) > 0 {
			return "", bad
		}
		return helper, nil
	}
	if bytes.HasPrefix(text, []byte("\ufeff")) { // which the scanner skips
		return "", bad
	}
	var s scanner.Scanner
	s.Init(bytes.NewReader(text))
	s.Mode = scanner.ScanIdents | scanner.ScanStrings | scanner.ScanComments | scanner.SkipComments
	s.Error = func(*scanner.Scanner, string) {} // counted
	var tokens []string
	for tok := s.Scan(); tok != scanner.EOF; tok = s.Scan() {
		if tok == '#' { // a comment that Go does not have
			for c := s.Next(); c != '\n' && c != scanner.EOF; c = s.Next() {
			}
			continue
		}
		tokens = append(tokens, s.TokenText())
	}
	switch {
	case s.ErrorCount > 0:
		return "", bad
	case len(tokens) == 0:
		return "", nil
	case len(tokens) != 3 || strings.Trim(tokens[0], `"`) != "token_helper" || tokens[1] != "=" || tokens[2][0] != '"':
		return "", bad
	}
	helper, err := strconv.Unquote(tokens[2])
	if err != nil || strings.Contains(helper, "${") { // which HCL leaves as it is, quotes and all
		return "", bad
	}
	return helper, nil
}
