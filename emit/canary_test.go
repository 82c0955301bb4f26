package emit

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/emit/emittest"
	"github.com/victor-ai/victorgen/emit/tree"
)

// leaks returns the forms in which text shows the value.
func leaks(text, v string) []string {
	var found []string
	b := []byte(v)
	for form, s := range map[string]string{
		"plain": v, "hex": hex.EncodeToString(b), "HEX": strings.ToUpper(hex.EncodeToString(b)),
		"query": url.QueryEscape(v), "path": url.PathEscape(v), "quoted": fmt.Sprintf("%q", v),
		"bytes": fmt.Sprint(b),
	} {
		if strings.Contains(text, s) {
			found = append(found, form)
		}
	}
	// Base64 of something that contains the value shows it in one of three
	// ways, by where it starts; its first and last characters are not its own.
	for shift := range 3 {
		padded := append(make([]byte, shift), b...)
		for form, enc := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64url": base64.RawURLEncoding} {
			s := enc.EncodeToString(padded)
			if s = s[shift+1 : len(s)-2]; strings.Contains(text, s) {
				found = append(found, form)
			}
		}
	}
	return found
}

func TestLeaks(t *testing.T) {
	t.Parallel()
	const v = "canary! &=?"
	for _, text := range []string{
		v, hex.EncodeToString([]byte(v)), url.QueryEscape(v), base64.StdEncoding.EncodeToString([]byte("x" + v + "yz")),
		base64.URLEncoding.EncodeToString([]byte("xy" + v)), fmt.Sprint([]byte(v)),
	} {
		if len(leaks("... "+text+" ...", v)) == 0 {
			t.Errorf("does not find %q", text)
		}
	}
	if found := leaks("nothing of the kind", v); len(found) > 0 {
		t.Errorf("finds %v in nothing", found)
	}
}

// TestNoLeaks plants canaries and looks for them in all that comes out, of
// builds that succeed and of templates that fail in every way we could think
// of.
func TestNoLeaks(t *testing.T) {
	t.Parallel()
	canaries := map[string]string{
		"DB_PASSWORD": "c4n4ry-p@ssword/1234567",
		"DB_USER":     "c4n4ry {\"json\": 'user'}",
		"KEY":         "c4n4ry\x00\xfe binary (",
		plan.LockKey:  "c4n4ry lock key, 32 bytes and up",
		"LEVEL":       "c4n4ry setting",
	}
	values := value.Set{"API_KEY": {State: value.Unreadable, Reason: "no login"}}
	for name, v := range canaries {
		values[name] = present(v)
	}
	search := func(t *testing.T, what, text string) {
		t.Helper()
		for name, v := range canaries {
			if found := leaks(text, v); len(found) > 0 {
				t.Errorf("%s shows %s (%v)", what, name, found)
			}
		}
	}
	build := func(t *testing.T, p *plan.Plan, old *tree.Tree) (*tree.Tree, plan.Diagnostics) {
		t.Helper()
		built, report, ds := Emit(context.Background(), p, values, old, at(day))
		if built != nil {
			for name, data := range built.Files {
				search(t, name, string(data))
			}
		}
		j, err := json.Marshal(map[string]any{"report": report, "diagnostics": ds})
		if err != nil {
			t.Fatal(err)
		}
		search(t, "JSON", string(j))
		search(t, "%+v", fmt.Sprintf("%+v %+v", report, ds))
		search(t, "Error", ds.Error())
		return built, ds
	}

	cert := emittest.CertFile(t, 0)
	p := testPlan(t, cert)
	p.Secrets[0].Keys = p.Secrets[0].Keys[1:]
	p.Secrets[0].Keys = append(p.Secrets[0].Keys, key(t, "setting", "{{with .LEVEL}}{{.}}{{end}}"))
	built, ds := build(t, p, nil)
	if len(ds) > 0 {
		t.Fatal(ds)
	}
	build(t, p, edit(t, built, "secrets/app.yaml", "password: A", "password: B"))

	// What goes by a value fails by what it is, and does not compile.
	for _, text := range []string{
		`{{slice .DB_PASSWORD .DB_USER}}`,
		`{{len (atoi .DB_PASSWORD)}}`,
		`{{index (fromJson .DB_PASSWORD) .DB_USER}}`,
		`{{regexReplaceAll .KEY .DB_PASSWORD "x"}}`,
		`{{regexMatch .KEY .DB_PASSWORD | not | index .DB_USER}}`,
		`{{urlParse .DB_PASSWORD | get .DB_USER}}`,
		`{{substr 5 .DB_PASSWORD .DB_USER}}`,
		`{{lt .DB_PASSWORD 1}}`,
		`{{join .DB_PASSWORD 3 | index .DB_PASSWORD}}`,
		`{{get .DB_PASSWORD .DB_USER}}`,
		`{{hasKey .DB_PASSWORD .DB_USER}}`,
		`{{set .DB_PASSWORD .DB_USER 1}}`,
		`{{.DB_PASSWORD | indent .DB_USER}}`,
		`{{index (dict .DB_PASSWORD 1) 3}}`,
		`{{b64dec .DB_PASSWORD | index (list .DB_USER)}}`,
		`{{trunc .DB_PASSWORD .DB_USER}}`,
		`{{printf "%d" .DB_PASSWORD}}`,
		`{{printf "%d %s" .DB_PASSWORD}}`,
		`{{set (dict) "a" .DB_PASSWORD}}`,
	} {
		if _, problems := plan.ParseTemplate(text, p.Input, nil, false); len(problems) == 0 {
			t.Errorf("%s compiles", text)
		}
	}

	failing := []string{
		`{{fromJson .DB_PASSWORD | toJson}}`,
		`{{index .DB_PASSWORD 99}}`,
		`{{index .DB_PASSWORD "x"}}`,
		`{{slice .DB_PASSWORD 0 999}}`,
		`{{urlParse .KEY}}`,
		`{{ternary .DB_PASSWORD .DB_USER .KEY}}`,
		`{{first .DB_PASSWORD}}`,
		`{{last .DB_PASSWORD}}`,
		`{{index (split "-" .DB_PASSWORD) 3}}`,
		`{{urlJoin .DB_PASSWORD}}`,
		// Sprig and fmt would print what they have against these, in the place of the secret.
		`{{atoi .DB_PASSWORD}}`,
		`{{b64dec .DB_PASSWORD}}`,
		`{{b32dec .DB_PASSWORD}}`,
		`{{split "," .DB_PASSWORD}}`,
		`{{list .DB_PASSWORD .DB_USER}}`,
	}
	rendering := []string{
		`{{printf "{\"a\": %q}" .DB_PASSWORD | fromJson | toJson}}`,
		`{{printf "%s of 100%%!" .DB_PASSWORD}}`,
		`{{.DB_PASSWORD | toString | quote | squote | b64enc | b32enc | html | js | urlquery}}`,
		`{{print .DB_PASSWORD | sha256sum}}`,
	}
	for i, text := range append(failing, rendering...) {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			p := testPlan(t, cert)
			p.Secrets = []plan.Secret{secret(t, cert, plan.Strict, "app", "k", text, "other", "DB_USER")}
			built, ds := build(t, p, nil)
			if fails := i < len(failing); ds.HasErrors() != fails {
				t.Errorf("fails: %v, want %v: %v", !fails, fails, ds)
			} else if fails && (len(ds) != 1 || ds[0].Code != plan.CodeRender || built != nil) {
				t.Errorf("diagnostics: %v", ds)
			}
		})
	}
}

func TestRenderError(t *testing.T) {
	t.Parallel()
	p := testPlan(t, emittest.CertFile(t, 0))
	p.Secrets[0].Keys = append(p.Secrets[0].Keys, key(t, "xyz", "{{.DB_USER}}\nab{{index .DB_PASSWORD 99}}"))
	_, _, ds := Emit(context.Background(), p, testValues(), nil, at(day))
	const want = `/contract.cue:3:1: error VG3101: key "xyz" of secret victor/app: the template fails at its line 2, column 5: a value is neither a list nor an object`
	if got := ds.Error(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestFunctions holds the list of functions of the plan against those that
// are to be had.
func TestFunctions(t *testing.T) {
	t.Parallel()
	builtin := strings.Fields("and or not eq ne lt le gt ge len index slice print printf println html js urlquery")
	have := map[string]bool{}
	for _, name := range builtin {
		have[name] = true
	}
	for name := range base() {
		if !plan.Functions[name] && name != property {
			t.Errorf("%s is to be had, but not in the list", name)
		}
		have[name] = true
	}
	for name := range plan.Functions {
		if !have[name] {
			t.Errorf("%s is in the list, but not to be had", name)
		}
	}
}
