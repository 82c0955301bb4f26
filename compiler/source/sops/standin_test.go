package sops

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// TestMain puts this program into PATH under the name sops: a stand-in with the
// command line, the exit codes and the messages of the real one, as far as the
// source uses them. That the real one is like this is shown in e2e.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "sops" {
		os.Exit(standIn(os.Args[1:], os.Stdin, os.Stdout))
	}
	self, err := os.Executable()
	if err != nil {
		log.Fatal(err)
	}
	bin, err := os.MkdirTemp("", "sops")
	if err != nil {
		log.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(bin, "sops")); err != nil {
		log.Fatal(err)
	}
	os.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	os.Setenv("GORACE", "atexit_sleep_ms=0") // by default the race detector lets each program end a second later
	code := m.Run()
	os.RemoveAll(bin)
	os.Exit(code)
}

// What a stand-in does next to its work is told by files in the directory of the
// file that it works on.
const (
	faultFile = ".fault" // its content is what goes wrong
	callsFile = ".calls" // a line for each call, with its arguments and what it has left in plain text
	hangFile  = ".hang"  // a named pipe, to which a call that hangs writes a byte
)

// standIn is the main function of the stand-in.
func standIn(args []string, stdin io.Reader, stdout io.Writer) int {
	if slices.Equal(args, []string{"--version"}) {
		fmt.Fprintf(stdout, "sops %s\n", cmp.Or(os.Getenv("STANDIN_VERSION"), "3.13.3"))
		return 0
	}
	var major, minor int
	fmt.Sscanf(cmp.Or(os.Getenv("STANDIN_VERSION"), "3.13"), "%d.%d", &major, &minor)
	if minor < 9 { // "decrypt" is a file to edit
		if exec.Command(os.Getenv("EDITOR"), args[0]).Run() != nil {
			return say(201, "Could not run editor: exit status 1")
		}
		return 0
	}
	switch {
	case len(args) == 4 && slices.Equal(args[:3], []string{"decrypt", "--output-type", "json"}):
		return decrypt(args, stdout, args[3])
	case len(args) == 8 && args[0] == "set" && args[1] == "--input-type" && args[3] == "--output-type" && args[4] == args[2] &&
		args[5] == "--value-stdin" && minor >= 11:
		return set(args, stdin, args[6], args[2], args[7])
	case len(args) == 7 && args[0] == "unset" && args[1] == "--input-type" && args[3] == "--output-type" && args[4] == args[2] && minor >= 10:
		return set(args, stdin, args[5], args[2], args[6])
	}
	return say(1, "Incorrect Usage: flag provided but not defined")
}

func say(code int, format string, args ...any) int {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	return code
}

// called notes a call and returns what goes wrong with it.
func called(file string, args []string) string {
	dir := filepath.Dir(file)
	note(file, "%q", args)
	if pipe, err := os.OpenFile(filepath.Join(dir, hangFile), os.O_WRONLY, 0); err == nil {
		child := exec.Command("sleep", "600") // as gpg may be one
		child.Stdout = pipe
		child.Start()
		pipe.Write([]byte("!"))
		time.Sleep(10 * time.Minute)
	}
	fault, _ := os.ReadFile(filepath.Join(dir, faultFile))
	return string(fault)
}

func note(file, format string, args ...any) {
	f, err := os.OpenFile(filepath.Join(filepath.Dir(file), callsFile), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	fmt.Fprintf(f, format+"\n", args...)
}

func decrypt(args []string, stdout io.Writer, file string) int {
	switch fault := called(file, args); fault {
	case "garbage":
		fmt.Fprintln(stdout, "hunter2 is no JSON")
		return 0
	case "flood":
		for {
			if _, err := fmt.Fprintln(stdout, strings.Repeat("hunter2", 1<<10)); err != nil {
				return 1
			}
		}
	default:
		values, code := open(file, strings.TrimPrefix(filepath.Ext(file), "."), fault)
		if code != 0 {
			return code
		}
		out, _ := json.MarshalIndent(values, "", "\t")
		fmt.Fprintln(stdout, string(out))
		return 0
	}
}

func set(args []string, stdin io.Reader, file, format, index string) int {
	fault := called(file, args)
	values, code := open(file, format, fault)
	if code != 0 {
		return code
	}
	in, _ := io.ReadAll(stdin)
	var v any
	if args[0] == "set" && json.Unmarshal(in, &v) != nil {
		return say(7, "Value for --set is not valid JSON")
	}
	at, path := values, strings.Split(strings.TrimSuffix(strings.TrimPrefix(index, `["`), `"]`), `"]["`)
	for _, key := range path[:len(path)-1] {
		next, ok := at[key].(map[string]any)
		if !ok {
			next = map[string]any{}
			at[key] = next
		}
		at = next
	}
	at[path[len(path)-1]] = v
	if args[0] == "unset" {
		delete(at, path[len(path)-1])
	}
	if strings.HasSuffix(path[len(path)-1], "_unencrypted") {
		note(file, "%s", v)
	}
	f, err := os.Create(file)
	if err != nil || fault == "readonly" {
		return say(3, "Could not open in-place file for writing: %s", err)
	}
	defer f.Close()
	text := seal(format, values)
	f.Write(text[:len(text)/2]) // the real one, too, does not write all at once
	if fault == "half" {
		return say(2, "no space left on device")
	}
	f.Write(text[len(text)/2:])
	return 0
}

// open returns what is in a file of the stand-in, or the exit code.
func open(file, format, fault string) (map[string]any, int) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, say(2, "Error reading file: %s", err)
	}
	values := map[string]any{}
	switch format {
	case "json":
		err = json.Unmarshal(text, &values)
	case "env", "dotenv":
		ours := map[string]any{}
		for line := range strings.Lines(string(text)) {
			name, val, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			if name == "sops_mac" {
				ours["mac"] = val
			} else if line[0] != '#' && !strings.HasPrefix(name, "sops_") {
				values[name] = val
			}
			values["sops"] = ours
		}
	default:
		err = yaml.Unmarshal(text, &values)
	}
	ours, ok := values["sops"].(map[string]any)
	delete(values, "sops")
	switch {
	case err != nil:
		return nil, say(1, "Error unmarshalling: %s", err)
	case !ok:
		return nil, say(1, "sops metadata not found")
	case fault == "nokey":
		return nil, say(128, "Failed to get the data key required to decrypt the SOPS file.")
	case fault == "odd":
		return nil, say(99, "something about hunter2")
	}
	plain, err := unsealed(values, "")
	if err != nil {
		return nil, say(25, "Error decrypting tree: %s", err)
	}
	if got := mac(values); got != ours["mac"] {
		return nil, say(51, "MAC mismatch. File has %s, computed %s", ours["mac"], got)
	}
	return plain.(map[string]any), 0
}

// seal writes values as an encrypted file.
func seal(format string, values map[string]any) []byte {
	values = sealed(values, "").(map[string]any)
	var text []byte
	if format == "env" || format == "dotenv" {
		var b strings.Builder
		for name, v := range values {
			fmt.Fprintf(&b, "#a comment\n%s=%s\n", name, v)
		}
		fmt.Fprintf(&b, "sops_age__list_0__map_enc=-----BEGIN\\n\nsops_age__list_0__map_recipient=age1standin\nsops_mac=%s\n", mac(values))
		return []byte(b.String())
	}
	values["sops"] = map[string]any{
		"key_groups": []any{
			map[string]any{"age": []any{map[string]any{"enc": "-----BEGIN\n", "recipient": "age1standin"}}},
			map[string]any{"kms": []any{map[string]any{"arn": "arn:aws:kms:us-east-1:111122223333:key/k", "enc": "e"}}},
		},
		"mac": mac(values), "version": "3.13.3",
	}
	var err error
	if format == "json" {
		text, err = json.MarshalIndent(values, "", "\t")
	} else {
		text, err = yaml.Marshal(values)
	}
	if err != nil {
		panic(err)
	}
	return text
}

// sealed hides a value as sops does, with encryption that is none.
func sealed(v any, key string) any {
	switch v := v.(type) {
	case map[string]any:
		m := map[string]any{}
		for key, v := range v {
			m[key] = sealed(v, key)
		}
		return m
	case []any:
		var l []any
		for _, v := range v {
			l = append(l, sealed(v, key))
		}
		return l
	case nil:
		return nil
	default:
		if v == "" || strings.HasSuffix(key, "_unencrypted") {
			return v
		}
		b, err := json.Marshal(v)
		if s, ok := v.(string); ok {
			b = []byte("s" + s) // which need not be UTF-8
		}
		if err != nil {
			panic(err)
		}
		for i := range b {
			b[i] ^= 0x5a
		}
		return "ENC[AES256_GCM,data:" + base64.StdEncoding.EncodeToString(b) + ",iv:aXY=,tag:dGFn,type:str]"
	}
}

func unsealed(v any, key string) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		m := map[string]any{}
		for key, v := range v {
			var err error
			if m[key], err = unsealed(v, key); err != nil {
				return nil, err
			}
		}
		return m, nil
	case []any:
		l := make([]any, len(v))
		for i, v := range v {
			var err error
			if l[i], err = unsealed(v, key); err != nil {
				return nil, err
			}
		}
		return l, nil
	case string:
		if v == "" || strings.HasSuffix(key, "_unencrypted") {
			return v, nil
		}
		data, ok := strings.CutPrefix(v, "ENC[AES256_GCM,data:")
		data, _, _ = strings.Cut(data, ",")
		b, err := base64.StdEncoding.DecodeString(data)
		if !ok || err != nil {
			return nil, fmt.Errorf("Input string %s does not match sops' data format", v)
		}
		for i := range b {
			b[i] ^= 0x5a
		}
		if b[0] == 's' {
			return string(b[1:]), nil
		}
		return json.RawMessage(b), nil
	case nil:
		return nil, nil
	default:
		return nil, errors.New("Expected encrypted value as string")
	}
}

func mac(values map[string]any) string {
	b, err := json.Marshal(values)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf("%X", sha256.Sum256(b))
}
