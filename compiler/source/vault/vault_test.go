package vault

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/source/sourcetest"
)

func TestMain(m *testing.M) {
	os.Exit(func() int {
		for _, variable := range os.Environ() {
			if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "VAULT_") {
				os.Unsetenv(name)
			}
		}
		home, err := os.MkdirTemp("", "home")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(home)
		os.Setenv("HOME", home) // where ~/.vault-token would be
		os.Setenv("VAULT_TOKEN", token)
		return m.Run()
	}())
}

func TestSource(t *testing.T) {
	t.Parallel()
	for mount, version := range map[string]string{"kv": "v1", "secret": "v2", "team/kv": "v2"} {
		t.Run(mount, func(t *testing.T) {
			t.Parallel()
			sourcetest.Run(t, func(t *testing.T) *sourcetest.Store {
				t.Parallel()
				s := newServer(t)
				name := func(input string) string { return "app/" + strings.ToLower(input) }
				store := &sourcetest.Store{
					Open: func() source.Source {
						return New(plan.Source{Address: s.URL, Mount: mount, Version: version})
					},
					Put: func(input string, v []byte) {
						b, err := json.Marshal(map[string]string{"value": string(v), "user": "somebody"})
						if err != nil {
							t.Fatal(err)
						}
						s.put(mount, name(input), string(b))
					},
					Remote: func(input string) plan.Remote { return plan.Remote{Name: name(input), Property: "value"} },
					Batch:  1, Ages: version == "v2", Empty: true, MaxValue: 1 << 20, Unlimited: true, ReadOnly: version == "v1",
				}
				data := mount + "/"
				if version == "v2" {
					data += "data/"
				}
				store.Wire = &sourcetest.Wire{
					Calls:    func() int { return s.count(&s.reads) },
					Throttle: func(calls int) { s.set(func() { s.throttle = calls }) },
					Deny:     func(input string) { s.set(func() { s.denied["GET "+data+name(input)] = true }) },
					Forbid:   func() { s.set(func() { s.forbidden = true }) },
					Expire:   func() { s.set(func() { s.revoked = true }) },
					Hang: func() <-chan struct{} {
						arrived := make(chan struct{}, 1)
						s.set(func() { s.hang = arrived })
						return arrived
					},
					Down: s.Close,
				}
				if version == "v2" {
					store.Wire.Retire = func(input string) {
						s.at(mount, name(input), 1, func(v *stored) { v.deleted = time.Now() })
					}
				}
				return store
			})
		})
	}
}
