package importer_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/emit"
	"github.com/victor-ai/victorgen/importer"
	"github.com/victor-ai/victorgen/importer/observe"
)

// some are three environments of one application, by chance: what they have in common,
// and what one alone has, empty, weak, of another form, shared or within another value.
func some(r *rand.Rand, manifests bool) map[string]string {
	word := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"[r.IntN(56)]
		}
		return string(b)
	}
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	chance := func(n int) bool { return r.IntN(n) > 0 }
	all := map[string]string{}
	for _, env := range []string{"dev", "staging", "prod"} {
		password, shared := word(20), word(24)
		values := map[string]string{
			"LOG_LEVEL": pick("debug", "info"), "DB_HOST": env + ".db.internal", "DB_PASSWORD": password,
			"DATABASE_URL": "postgres://shop:" + password + "@" + pick("db", env+".db.internal") + ":5432/shop",
			"A_TOKEN":      shared, "B_TOKEN": pick(shared, word(24)),
			"STRIPE_KEY": pick("sk_live_", "sk_test_", "rk_live_") + word(24), "SENTRY_DSN": pick("https://"+word(20)+"@o1.ingest.sentry.io/4", ""),
			"SMTP_PASSWORD": pick(word(18), "winter2021", strings.Repeat("z", 4)+word(12)), "FEATURE_X": pick("true", "false", word(30)), "PORT": pick("80", "8080"),
		}
		var text strings.Builder
		if manifests {
			for _, part := range []string{"A", "D", "S", "F"} {
				if !chance(5) {
					continue
				}
				fmt.Fprintf(&text, "---\napiVersion: v1\nkind: Secret\nmetadata: {name: shop-%s, labels: {tier: %s}}\nimmutable: %s\nstringData:\n  always: %s\n", strings.ToLower(part), pick("web", "back"), pick("true", "false"), word(22))
				for _, name := range slices.Sorted(maps.Keys(values)) {
					if strings.HasPrefix(name, part) && chance(5) {
						fmt.Fprintf(&text, "  %s: '%s'\n", name, values[name])
					}
				}
			}
			fmt.Fprintf(&text, "---\napiVersion: v1\nkind: Secret\nmetadata: {name: all}\nstringData:\n  key: %s\n", word(26))
		} else {
			for _, name := range slices.Sorted(maps.Keys(values)) {
				if chance(5) {
					fmt.Fprintf(&text, "%s='%s'\n", name, values[name])
				}
			}
		}
		all[env] = text.String()
	}
	return all
}

// TestOrder imports three environments in any order: each builds what was read of it,
// and nothing else, whichever came first.
func TestOrder(t *testing.T) {
	t.Parallel()
	orders := [][]string{{"dev", "staging", "prod"}, {"dev", "prod", "staging"}, {"staging", "dev", "prod"}, {"staging", "prod", "dev"}, {"prod", "dev", "staging"}, {"prod", "staging", "dev"}}
	for seed := range uint64(orderSeeds) {
		for _, manifests := range []bool{false, true} {
			all := some(rand.New(rand.NewPCG(seed, 7)), manifests)
			for _, order := range orders {
				t.Run(fmt.Sprintf("%d/%v/%s", seed, manifests, strings.Join(order, ",")), func(t *testing.T) {
					t.Parallel()
					dir := t.TempDir()
					m := module(t, filepath.Join(dir, "module"))
					o := optionsOf(m)
					read := map[string]*observe.Observed{}
					for _, env := range order {
						file, reader := filepath.Join(dir, env, ".env"), func(f string) (*observe.Observed, error) {
							o, ds := observe.EnvFiles([]string{f}, nil)
							return o, errorOf(ds)
						}
						if manifests {
							file, reader = filepath.Join(dir, env, "all.yaml"), func(f string) (*observe.Observed, error) {
								o, ds := observe.Manifests(t.Context(), []string{f}, observe.Options{})
								return o, errorOf(ds)
							}
						}
						write(t, file, []byte(all[env]))
						observed, err := reader(file)
						if err != nil {
							t.Fatal(err)
						}
						o.Environment = env
						r, ds := importer.Run(t.Context(), observed, o)
						if ds.HasErrors() {
							t.Fatalf("%s: %v", env, ds)
						}
						canaries(t, observed, r, ds, m)
						read[env] = observed
					}
					for env, observed := range read {
						same(t, m, env, observed)
						o.Environment = env
						again, ds := importer.Run(t.Context(), observed, o)
						if ds.HasErrors() || slices.ContainsFunc(again.Files, func(f importer.File) bool { return f.State != "unchanged" }) {
							t.Errorf("%s once more: %v %+v", env, ds, again.Files)
						}
					}
				})
			}
		}
	}
}

// orderSeeds is how many applications there are: each is imported twelve times over.
const orderSeeds = 1

func errorOf(ds interface {
	HasErrors() bool
	Error() string
}) error {
	if ds.HasErrors() {
		return fmt.Errorf("%s", ds.Error())
	}
	return nil
}

// same compares what an environment makes with what was read of it.
func same(t *testing.T, dir, env string, observed *observe.Observed) {
	t.Helper()
	p, ds := compiler.Compile(filepath.Join(dir, "envs", env), compiler.Options{Direct: true})
	if ds.HasErrors() {
		t.Fatalf("%s: %v", env, ds)
	}
	set, ds := source.Peek(t.Context(), p, open(p), p.Inputs, source.Options{})
	if ds.HasErrors() {
		t.Fatalf("%s: %v", env, ds)
	}
	rendered, ds := emit.Render(p, set)
	if ds.HasErrors() {
		t.Fatalf("%s: %v", env, ds)
	}
	type secret struct {
		data      map[string]string
		tier      string
		immutable bool
	}
	got, want := map[string]secret{}, map[string]secret{}
	for _, r := range rendered {
		s := secret{map[string]string{}, r.Labels["tier"], r.Immutable}
		for k, v := range r.Data {
			s.data[k] = string(v.Reveal())
		}
		got[r.Name] = s
	}
	secrets := observed.Secrets
	if len(secrets) == 0 {
		only := observe.Secret{Name: "shop"}
		for _, v := range observed.Variables {
			if v.State == observe.Given { // what is empty has no value yet
				only.Keys = append(only.Keys, observe.Key{Name: v.Name, Value: v.Value})
			}
		}
		secrets = []observe.Secret{only}
	}
	for _, o := range secrets {
		s := secret{map[string]string{}, o.Labels["tier"], o.Immutable}
		for _, k := range o.Keys {
			s.data[k.Name] = string(k.Value.Reveal())
		}
		want[o.Name] = s
	}
	for name := range maps.Keys(want) {
		g, w := got[name], want[name]
		if g.tier != w.tier || g.immutable != w.immutable {
			t.Errorf("%s: secret %s has tier %q, immutable %v, and had %q, %v", env, name, g.tier, g.immutable, w.tier, w.immutable)
		}
		for _, k := range slices.Sorted(maps.Keys(w.data)) {
			if g.data[k] != w.data[k] {
				t.Errorf("%s: key %s of secret %s is another", env, k, name)
			}
		}
		for k := range g.data {
			if _, ok := w.data[k]; !ok {
				t.Errorf("%s: key %s of secret %s was not there", env, k, name)
			}
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s: secret %s was not there", env, name)
		}
	}
}
