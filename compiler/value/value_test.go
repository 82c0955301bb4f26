package value

import (
	"bytes"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const canary = "s3cret/canary+value"

// hidesCanary fails if out holds the canary, in any common coding.
func hidesCanary(t *testing.T, what, out string) {
	t.Helper()
	for _, c := range []string{
		canary, fmt.Sprint([]byte(canary)), fmt.Sprintf("%#v", []byte(canary)), hex.EncodeToString([]byte(canary)),
		base64.StdEncoding.EncodeToString([]byte(canary)), url.QueryEscape(canary),
	} {
		if strings.Contains(strings.ToLower(out), strings.ToLower(c)) {
			t.Errorf("%s shows the value", what)
		}
	}
}

func TestValueHides(t *testing.T) {
	t.Parallel()
	v := New([]byte(canary))
	hidden := struct{ v Value }{v}
	resolved := Resolved{State: Present, Value: v, Origin: ".secrets:1"}
	for name, x := range map[string]any{
		"value":               v,
		"pointer":             &v,
		"pointer to pointer":  func() **Value { p := &v; return &p }(),
		"slice":               []Value{v},
		"array":               [1]Value{v},
		"map":                 map[string]Value{"k": v},
		"any in a map":        map[string]any{"k": v},
		"exported field":      struct{ V Value }{v},
		"unexported field":    hidden,
		"unexported in slice": []any{hidden, &hidden},
		"unexported pointer":  struct{ v *Value }{&v},
		"embedded":            struct{ Value }{v},
		"resolved":            resolved,
		"set":                 Set{"DB_PASSWORD": resolved},
		"error":               fmt.Errorf("bad: %v", v),
		"joined error":        errors.Join(fmt.Errorf("%s", v), fmt.Errorf("%q", v)),
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%t", "%c", "%U", "%T", "%10.3s", "%w"} {
			hidesCanary(t, name+" "+verb, fmt.Sprintf(verb, x))
		}
		hidesCanary(t, name+" Sprint", fmt.Sprint(x)+fmt.Sprintln(x))
		if out, err := json.Marshal(x); err == nil {
			hidesCanary(t, name+" json", string(out))
		}
		if out, err := yaml.Marshal(x); err == nil {
			hidesCanary(t, name+" yaml", string(out))
		}
		var log, bin bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("m", "x", x, slog.Group("g", "x", x))
		slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "x", x, slog.Group("g", "x", x))
		hidesCanary(t, name+" slog", log.String())
		if gob.NewEncoder(&bin).Encode(x) == nil {
			hidesCanary(t, name+" gob", bin.String())
		}
	}
	for _, verb := range []string{"%v", "%s", "%q", "%#v", "%x", "%d"} {
		if got := fmt.Sprintf(verb, v); got != redacted {
			t.Errorf("%s prints %s, want %s", verb, got, redacted)
		}
	}
	if out, err := json.Marshal(v); err != nil || string(out) != `"[redacted]"` {
		t.Errorf("json: %s, %v", out, err)
	}
}

func TestValue(t *testing.T) {
	t.Parallel()
	b := []byte(canary)
	v := New(b)
	b[0] = 'X'
	if string(v.Reveal()) != canary {
		t.Error("the value changed with the slice that it was made from")
	}
	if v.Len() != len(canary) || !v.Equal(New([]byte(canary))) || v.Equal(New(b)) || v.Equal(Value{}) {
		t.Error("Len or Equal is wrong")
	}
	if zero := (Value{}); zero.Len() != 0 || !zero.Equal(New(nil)) || zero.String() != redacted {
		t.Error("the zero value is not an empty one")
	}
}
