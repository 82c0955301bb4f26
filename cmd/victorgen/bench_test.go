package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/internal/bench"
	"github.com/victor-ai/victorgen/schema"
)

// The benchmarks measure whole processes. They need the programs that `make bench`
// builds, and each reports a row of its table.

// cold gives the processes of a benchmark a cache, and returns what empties it.
func cold(b *testing.B) (empty func()) {
	b.Helper()
	cache := filepath.Join(b.TempDir(), "cache")
	b.Setenv(cacheVariable, cache)
	return func() {
		if err := os.RemoveAll(cache); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVersion is a process that does nothing.
func BenchmarkVersion(b *testing.B) {
	vg, kubeseal := bench.Program(b, "victorgen"), bench.Program(b, "kubeseal")
	bench.Turns(b, bench.Row{What: "`version`", Peer: "`kubeseal --version`", Most: 1.5},
		func() time.Duration { return bench.Run(b, "", nil, vg, "version").CPU },
		func() time.Duration { return bench.Run(b, "", nil, kubeseal, "--version").CPU })
}

// BenchmarkVet compiles contracts of many inputs.
func BenchmarkVet(b *testing.B) {
	for _, n := range []int{30, 300, 3000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			vg, cue := bench.Program(b, "victorgen"), bench.Program(b, "cue")
			dir, empty := bigContract(b, n), cold(b)
			bench.Turns(b, bench.Row{What: fmt.Sprintf("`vet` of a contract of %d inputs", n), Peer: "`cue export`", Most: 1},
				func() time.Duration { empty(); return bench.Run(b, dir, nil, vg, "vet", "envs/test").CPU },
				func() time.Duration { return bench.Run(b, dir, nil, cue, "export", "./envs/test").CPU })
		})
	}
}

// BenchmarkDiff compares the example with what is committed of it, and with a change
// of each environment.
func BenchmarkDiff(b *testing.B) {
	vg := bench.Program(b, "victorgen")
	dir := b.TempDir()
	if err := os.CopyFS(dir, os.DirFS(example)); err != nil {
		b.Fatal(err)
	}
	for _, args := range [][]string{{"init", "-q"}, {"add", "."}, {"-c", "user.name=x", "-c", "user.email=x@x.test", "commit", "-q", "-m", "x"}} {
		bench.Run(b, dir, nil, "git", args...)
	}
	change := "package victor\n\naccess: readers: [{kind: \"ServiceAccount\", name: \"api\"}]\n"
	if err := os.WriteFile(filepath.Join(dir, "change.cue"), []byte(change), 0o644); err != nil {
		b.Fatal(err)
	}
	empty := cold(b)
	bench.Turns(b, bench.Row{What: "`diff` of the example", Peer: "`vet`", Most: 3},
		func() time.Duration { empty(); return bench.Run(b, dir, nil, vg, "diff", "./envs/...").CPU },
		func() time.Duration { empty(); return bench.Run(b, dir, nil, vg, "vet", "./envs/...").CPU })
}

// exampleModule is a copy of the example with the schema, as `victorgen init` puts
// it there, and the values of its environments.
func exampleModule(b *testing.B) string {
	b.Helper()
	dir := b.TempDir()
	if err := os.CopyFS(dir, os.DirFS(example)); err != nil {
		b.Fatal(err)
	}
	for name, content := range schema.Files() {
		benchFile(b, filepath.Join(dir, schema.Dir, name), content)
	}
	writeValues(b, dir)
	return dir
}

func benchFile(b *testing.B, name string, content []byte) {
	b.Helper()
	err := os.MkdirAll(filepath.Dir(name), 0o755)
	if err == nil {
		err = os.WriteFile(name, content, 0o600)
	}
	if err != nil {
		b.Fatal(err)
	}
}

// byHand returns what does by hand what a build of production does: it exports the
// contract, seals each of its secrets, and builds the tree.
func byHand(b *testing.B) func() time.Duration {
	b.Helper()
	cue, kubeseal, kustomize := bench.Program(b, "cue"), bench.Program(b, "kubeseal"), bench.Program(b, "kustomize")
	dir := exampleModule(b)
	p, ds := compiler.Compile(filepath.Join(dir, "envs/production"), compiler.Options{})
	if ds.HasErrors() {
		b.Fatal(ds)
	}
	var secrets [][]byte
	for _, s := range p.Secrets {
		data := map[string][]byte{}
		for _, k := range s.Keys {
			data[k.Name] = []byte("bench-7f3k29dk20sk3-" + k.Name)
		}
		js, err := json.Marshal(map[string]any{
			"apiVersion": "v1", "kind": "Secret", "metadata": map[string]string{"name": s.Name, "namespace": s.Namespace}, "data": data,
		})
		if err != nil {
			b.Fatal(err)
		}
		secrets = append(secrets, js)
	}
	return func() time.Duration {
		cpu := bench.Run(b, dir, nil, cue, "export", "./envs/production").CPU
		for _, s := range secrets {
			cpu += bench.Run(b, dir, s, kubeseal, "--cert", "demo-sealing-cert.pem", "--format", "yaml").CPU
		}
		return cpu + bench.Run(b, dir, nil, kustomize, "build", "deploy/production").CPU
	}
}

const hand = "by hand: `cue export`, `kubeseal` a secret, `kustomize build`"

// BenchmarkProcess measures the verbs on one environment of the example.
func BenchmarkProcess(b *testing.B) {
	b.Run("vet", func(b *testing.B) {
		vg, cue := bench.Program(b, "victorgen"), bench.Program(b, "cue")
		dir, empty := exampleModule(b), cold(b)
		bench.Turns(b, bench.Row{What: "`vet` of an environment of the example", Peer: "`cue vet`, the schema vendored", Most: 1.4},
			func() time.Duration { empty(); return bench.Run(b, dir, nil, vg, "vet", "envs/production").CPU },
			func() time.Duration { return bench.Run(b, dir, nil, cue, "vet", "./envs/production").CPU })
	})
	b.Run("unchanged", func(b *testing.B) {
		vg, dir, peer := bench.Program(b, "victorgen"), exampleModule(b), byHand(b)
		cold(b)
		for range 2 { // from which on the plan is kept
			bench.Run(b, dir, nil, vg, "build", "envs/production")
		}
		bench.Turns(b, bench.Row{What: "`build` of an environment in which nothing has changed", Peer: hand, Most: 0.35},
			func() time.Duration { return bench.Run(b, dir, nil, vg, "build", "envs/production").CPU }, peer)
	})
	b.Run("cold", func(b *testing.B) {
		vg, dir, peer := bench.Program(b, "victorgen"), exampleModule(b), byHand(b)
		empty := cold(b)
		bench.Turns(b, bench.Row{What: "`build` of an environment that has no tree", Peer: hand, Most: 0.5},
			func() time.Duration {
				empty()
				if err := os.RemoveAll(filepath.Join(dir, "deploy")); err != nil {
					b.Fatal(err)
				}
				return bench.Run(b, dir, nil, vg, "build", "envs/production").CPU
			}, peer)
	})
}

// BenchmarkFleet builds many environments like production in which nothing has
// changed.
func BenchmarkFleet(b *testing.B) {
	vg, peer := bench.Program(b, "victorgen"), byHand(b)
	dir := exampleModule(b)
	cold(b)
	if err := errors.Join(os.RemoveAll(filepath.Join(dir, "deploy")), os.RemoveAll(filepath.Join(dir, "envs"))); err != nil {
		b.Fatal(err)
	}
	contract, err := os.ReadFile(filepath.Join(example, "envs/production/env.cue"))
	if err != nil {
		b.Fatal(err)
	}
	const given = "ANTHROPIC_API_KEY=sk-ant-3f9c1e7a-Quartz7-lantern-Brine-%[1]d\nSENTRY_DSN=https://3f9c1e7a52d84b06%[1]d@sentry.victor.example/1\n"
	built := 0
	grow := func(n int) {
		for ; built < n; built++ {
			env := fmt.Sprintf("fleet-%04d", built)
			benchFile(b, filepath.Join(dir, "envs", env, "env.cue"), bytes.ReplaceAll(contract, []byte(`"production"`), []byte(strconv.Quote(env))))
			benchFile(b, filepath.Join(dir, ".secrets."+env), fmt.Appendf(nil, given, built))
		}
		for range 2 { // from which on the plans are kept
			bench.Run(b, dir, nil, vg, "build", "./envs/...")
		}
	}
	most := map[int]float64{}
	for _, n := range []int{1000, 4000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			grow(n)
			each := func(b *testing.B, what, verb string, limit float64) (memory uint64) {
				bench.Turns(b, bench.Row{What: fmt.Sprintf(what, n), Peer: hand, Most: limit}, func() time.Duration {
					c := bench.Run(b, dir, nil, vg, verb, "./envs/...")
					memory = max(memory, c.Memory)
					return c.CPU / time.Duration(n)
				}, func() (mean time.Duration) {
					for range 10 { // one takes a hundredth of what it is compared with
						mean += peer() / 10
					}
					return mean
				})
				return memory
			}
			b.Run("build", func(b *testing.B) {
				most[n] = float64(each(b, "`build` of %d environments in which nothing has changed, each", "build", 0.08)) / 1e6
			})
			b.Run("vet", func(b *testing.B) {
				for range 2 {
					bench.Run(b, dir, nil, vg, "vet", "./envs/...")
				}
				each(b, "`vet` of %d environments, each", "vet", 0.25)
			})
		})
	}
	bench.Report(b, bench.Row{What: "memory for 1000 environments, at the most", Unit: "MB", Now: most[1000], Most: 256})
	bench.Report(b, bench.Row{What: "memory for 4000 environments, at the most", Unit: "MB", Now: most[4000], Peer: "1000 environments", Other: most[1000], Most: 1.2})
}

// bigContract writes a module with n inputs, thirty to a secret.
func bigContract(b *testing.B, n int) string {
	b.Helper()
	dir := b.TempDir()
	var c strings.Builder
	fmt.Fprintf(&c, "package app\n\nimport %q\n\nschema.#Environment\n\ninputs: {\n", schema.ImportPath)
	for i := range n {
		fmt.Fprintf(&c, "\tINPUT_%d: schema.#Optional & {description: \"Input %d\", pattern: \"^x\"}\n", i, i)
	}
	c.WriteString("}\n")
	for i := range n {
		fmt.Fprintf(&c, "secrets: \"app-%d\": keys: \"key-%d\": input: \"INPUT_%d\"\n", i/30, i, i)
	}
	files := map[string]string{
		"cue.mod/module.cue": "module: \"test.example/secrets@v0\"\nlanguage: version: \"v0.15.0\"\n",
		"contract.cue":       c.String(),
		"envs/test/env.cue":  "package app\n\nenvironment: \"test\"\nnamespace: \"apps\"\ndelivery: certificate: \"cert.pem\"\n",
	}
	for name, content := range schema.Files() {
		files[schema.Dir+"/"+name] = string(content)
	}
	for name, content := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	return dir
}

// BenchmarkReadParameters verifies 1,000 inputs at a Parameter Store that takes
// 20 ms for each call, and reads the same names one by one: with vals eval, if
// make bench could install it, and with one GetParameter after the other.
func BenchmarkReadParameters(b *testing.B) {
	const n = 1000
	vg, vals := bench.Program(b, "victorgen"), bench.Program(b, "vals")
	p := parameterStore(b)
	p.Delay = 20 * time.Millisecond
	dir := bigContract(b, n)
	env := filepath.Join(dir, "envs", "test", "env.cue")
	text, err := os.ReadFile(env)
	if err == nil {
		err = os.WriteFile(env, append(text, "sources: default: {kind: \"aws-ssm\", prefix: \"/app\"}\n"...), 0o644)
	}
	var refs strings.Builder
	for i := range n {
		p.Put(fmt.Sprint("/app/input-", i), fmt.Sprint("x-7f3k29dk20sk3-", i))
		fmt.Fprintf(&refs, "INPUT_%d: ref+awsssm://app/input-%d?region=us-east-1\n", i, i)
	}
	p.Put("/app/victorgen-lock-key", "rq4hUyvbbSDaWlBrwAofeMpGC3Kpi0zcRNXvHvI5AqE=")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "vals.yaml"), []byte(refs.String()), 0o644)
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Run("vals", func(b *testing.B) {
		if _, err := os.Stat(vals); err != nil {
			b.Skip("without vals")
		}
		bench.Turns(b, bench.Row{What: "`verify --source` of 1000 parameters, by the clock", Peer: "`vals eval`", Most: 0.05},
			func() time.Duration { return bench.Run(b, dir, nil, vg, "verify", "--source", "envs/test").Clock },
			func() time.Duration { return bench.Run(b, dir, nil, vals, "eval", "-f", "vals.yaml").Clock })
	})
	b.Run("single", func(b *testing.B) {
		bench.Turns(b, bench.Row{What: "`verify --source` of 1000 parameters, by the clock", Peer: "one call of the SDK after the other", Most: 0.05},
			func() time.Duration { return bench.Run(b, dir, nil, vg, "verify", "--source", "envs/test").Clock },
			func() time.Duration {
				return bench.Clock(func() {
					cfg, err := config.LoadDefaultConfig(b.Context())
					if err != nil {
						b.Fatal(err)
					}
					client := ssm.NewFromConfig(cfg)
					for i := range n {
						_, err := client.GetParameter(b.Context(), &ssm.GetParameterInput{Name: aws.String(fmt.Sprint("/app/input-", i)), WithDecryption: aws.Bool(true)})
						if err != nil {
							b.Fatal(err)
						}
					}
				})
			})
	})
}
