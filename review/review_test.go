package review_test

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/emit/sealing"
	"github.com/victor-ai/victorgen/review"
)

// silent are the fields of a plan that say nothing to a reviewer, and why.
var silent = map[string]string{
	"Module":                           "where it is on this machine",
	"Dir":                              "told as the state of the environment: moved",
	"Own":                              "of a run with --source alone",
	"Sources.Shared":                   "follows from File",
	"Sources.FromShared":               "what lies on this machine, and not what the contract says",
	"Sources.Pending.Name":             "follows from Kind and Prefix",
	"Sources.Pending.Version":          "follows from Kind and Prefix",
	"Sources.Pending.Property":         "follows from Kind and Prefix",
	"Sources.PendingValues.Name":       "follows from Kind and Prefix",
	"Sources.PendingValues.Version":    "follows from Kind and Prefix",
	"Sources.PendingValues.Property":   "follows from Kind and Prefix",
	"Secrets.Keys.Template.Inputs":     "follows from Text",
	"Secrets.Keys.Template.MayBeEmpty": "follows from Text",
	"Secrets.Keys.Template.Content":    "follows from Text",
	"Secrets.Keys.Template.Questions":  "follows from Text",
}

// TestEveryField: a change of any field of a plan is told, one that is new to the
// plan as well: it takes a place in fields.go, or here among the silent ones.
func TestEveryField(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	n := 0
	for _, path := range leaves(reflect.TypeFor[plan.Plan](), nil) {
		name := nameOf(path)
		if _, ok := silent[name]; ok || strings.HasSuffix(name, "Pos") {
			used[name] = true
			continue
		}
		n++
		told := false
		for _, kind := range []string{plan.Sealed, plan.External} {
			told = told || compare(filled(kind, nil), filled(kind, path)).Any()
		}
		if !told {
			t.Errorf("a change of %s is not told: give it a field in fields.go", name)
		}
	}
	if n < 120 {
		t.Errorf("there are but %d fields: is the plan filled?", n)
	}
	for name := range silent {
		if !used[name] {
			t.Errorf("%s is no field", name)
		}
	}
	if c := compare(filled(plan.Sealed, nil), filled(plan.Sealed, nil)); c.Any() {
		t.Errorf("nothing differs, and there is %v", c)
	}
}

// TestTrustFields: what gives a value to others is under trust.
func TestTrustFields(t *testing.T) {
	t.Parallel()
	trusted := regexp.MustCompile(`^Sources\.(Kind|Prefix|File|Dir|ProcessEnv|Region|KMSKey|Vault|Project|Location|Address|Namespace|CABundle|Mount|Version|Store\.(Name|Existing|Role|MountPath|ServiceAccount\.AWSRole))$` +
		`|^Inputs\.(Source|Remote\.\w+|Class|Generate\.Child\.Of)$|^Secrets\.(Name|Namespace|Type|Labels|Annotations|Keys\.(Name|Input|Template\.Text)|Delivery\.(Kind|Certificate|Scope|Controller\.\w+))$` +
		`|^Readers\.\w+$|^Rules\.(Kind|Inputs)$|^Alerts\.(AlertLabels|Rules\.Severity)$|^ArgoCD\.(RepoURL|Server|Path|Revision|Project)$`)
	n := 0
	for _, path := range leaves(reflect.TypeFor[plan.Plan](), nil) {
		if !trusted.MatchString(nameOf(path)) {
			continue
		}
		n++
		told := false
		for _, kind := range []string{plan.Sealed, plan.External} {
			c := compare(filled(kind, nil), filled(kind, path))
			told = told || len(c.Trust) > 0
		}
		if !told {
			t.Errorf("a change of %s is not under trust", nameOf(path))
		}
	}
	if n < 45 {
		t.Errorf("there are but %d", n)
	}
}

func compare(old, new *plan.Plan) *review.Changes {
	side := func(p *plan.Plan) review.Side {
		return review.Side{Plan: p, Path: func(file string) string { return file }, Certificate: func(string) *sealing.Certificate { return nil }, Digest: func(string) string { return "" }}
	}
	c := review.Compare(side(old), side(new))
	return &c
}

// step leads from a value to one in it: a field, or the element of what has some.
type step struct {
	name  string // of a field
	index int
}

// leaves returns the paths to all that a type can say.
func leaves(t reflect.Type, path []step) (all [][]step) {
	path = slices.Clip(path)
	switch {
	case isLeaf(t):
		return [][]step{path}
	case t.Kind() == reflect.Struct:
		for i := range t.NumField() {
			all = append(all, leaves(t.Field(i).Type, append(path, step{t.Field(i).Name, i}))...)
		}
		return all
	}
	return leaves(t.Elem(), append(path, step{}))
}

func isLeaf(t reflect.Type) bool {
	switch t {
	case reflect.TypeFor[[]plan.Pos](), reflect.TypeFor[*plan.Plan](), reflect.TypeFor[*regexp.Regexp](), reflect.TypeFor[map[string]string](), reflect.TypeFor[[]string](), reflect.TypeFor[time.Time]():
		return true
	}
	_, isTable := reflect.Zero(t).Interface().(interface{ Len() int })
	return isTable || t.Kind() != reflect.Struct && t.Kind() != reflect.Pointer && t.Kind() != reflect.Slice && t.Kind() != reflect.Array &&
		(t.Kind() != reflect.Map || t.Elem().Kind() == reflect.Slice)
}

func nameOf(path []step) string {
	var names []string
	for _, s := range path {
		if s.name != "" {
			names = append(names, s.name)
		}
	}
	return strings.Join(names, ".")
}

// filled returns a plan that says something in each field, and something else at a
// path.
func filled(delivery string, other []step) *plan.Plan {
	p := new(plan.Plan)
	v := reflect.ValueOf(p).Elem()
	for i, path := range leaves(v.Type(), nil) {
		set(v, path, func(leaf reflect.Value) { say(leaf, i, false) })
	}
	p.Secrets[0].Delivery.Kind = delivery
	if other != nil {
		set(v, other, func(leaf reflect.Value) { say(leaf, 0, true) })
	}
	return p
}

// set goes to a path, and makes what is not there yet.
func set(v reflect.Value, path []step, do func(reflect.Value)) {
	if len(path) == 0 {
		do(v)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		set(v.Field(path[0].index), path[1:], do)
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		set(v.Elem(), path[1:], do)
	case reflect.Slice:
		if v.Len() == 0 {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		}
		set(v.Index(0), path[1:], do)
	case reflect.Array:
		set(v.Index(0), path[1:], do)
	case reflect.Map:
		key := reflect.ValueOf("key")
		element := reflect.New(v.Type().Elem()).Elem()
		if v.IsNil() {
			v.Set(reflect.MakeMap(v.Type()))
		} else if had := v.MapIndex(key); had.IsValid() {
			element.Set(had)
		}
		set(element, path[1:], do)
		v.SetMapIndex(key, element)
	}
}

// say puts something into a leaf: by its number, or something else.
func say(v reflect.Value, i int, other bool) {
	text := fmt.Sprintf("v%d", i)
	if other {
		text = "other"
	}
	switch {
	case v.Type() == reflect.TypeFor[*regexp.Regexp]():
		v.Set(reflect.ValueOf(regexp.MustCompile(text)))
	case v.Type() == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Date(2030, 1, 1+i, 0, 0, 0, 0, time.UTC)))
		if other {
			v.Set(reflect.ValueOf(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)))
		}
	case v.Type() == reflect.TypeFor[map[string]string]():
		v.Set(reflect.ValueOf(map[string]string{"key": text}))
	case v.Type() == reflect.TypeFor[[]string]():
		v.Set(reflect.ValueOf([]string{text}))
	case v.Type() == reflect.TypeFor[time.Duration]():
		v.SetInt(int64(time.Hour))
		if other {
			v.SetInt(int64(2 * time.Hour))
		}
	case v.Kind() == reflect.String:
		v.SetString(text)
	case v.Kind() == reflect.Int:
		v.SetInt(int64(1000 + i))
	case v.Kind() == reflect.Float64:
		v.SetFloat(float64(1000 + i))
	case v.Kind() == reflect.Bool:
		v.SetBool(other)
	}
}
