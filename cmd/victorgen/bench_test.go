package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/victor-ai/victorgen/schema"
)

// The benchmarks measure whole processes, as people wait for them. They need
// the programs that `make bench` builds.

// program returns the path of a program that make bench has built.
func program(b *testing.B, name string) string {
	b.Helper()
	dir := os.Getenv("VICTORGEN_BENCH_BIN")
	if dir == "" {
		b.Skip("VICTORGEN_BENCH_BIN is not set: run make bench")
	}
	return filepath.Join(dir, name)
}

// spend runs a program and returns what it took: by the clock, and of the CPU.
func spend(b *testing.B, dir, name string, args ...string) (clock, cpu time.Duration) {
	b.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	start := time.Now()
	out, err := cmd.CombinedOutput()
	clock = time.Since(start)
	if err != nil {
		b.Fatalf("%s %v: %v\n%s", filepath.Base(name), args, err, out)
	}
	return clock, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

// BenchmarkVetAgainstCue compiles contracts of 30, 300 and 3,000 inputs with
// victorgen and with cue export, in turns. x/cue is the ratio of their times;
// the target is at most 1.
func BenchmarkVetAgainstCue(b *testing.B) {
	for _, n := range []int{30, 300, 3000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			vg, cue := program(b, "victorgen"), program(b, "cue")
			dir := bigContract(b, n)
			var ours, theirs time.Duration
			for b.Loop() {
				d, _ := spend(b, dir, vg, "vet", "envs/test")
				ours += d
				d, _ = spend(b, dir, cue, "export", "./envs/test")
				theirs += d
			}
			b.ReportMetric(ours.Seconds()/theirs.Seconds(), "x/cue")
			b.ReportMetric(float64(ours.Milliseconds())/float64(b.N), "vet-ms")
			b.ReportMetric(float64(theirs.Milliseconds())/float64(b.N), "cue-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkDiffAgainstVet compares the example with what is committed of it, and with
// a change of each environment, and checks it, in turns. x/vet is the ratio of their
// times; the target is at most 3.
func BenchmarkDiffAgainstVet(b *testing.B) {
	vg := program(b, "victorgen")
	dir := b.TempDir()
	if err := os.CopyFS(dir, os.DirFS(example)); err != nil {
		b.Fatal(err)
	}
	for _, args := range [][]string{{"init", "-q"}, {"add", "."}, {"-c", "user.name=x", "-c", "user.email=x@x.test", "commit", "-q", "-m", "x"}} {
		spend(b, dir, "git", args...)
	}
	change := "package victor\n\naccess: readers: [{kind: \"ServiceAccount\", name: \"api\"}]\n"
	if err := os.WriteFile(filepath.Join(dir, "change.cue"), []byte(change), 0o644); err != nil {
		b.Fatal(err)
	}
	var diff, vet time.Duration
	for b.Loop() {
		d, _ := spend(b, dir, vg, "diff", "./envs/...")
		diff += d
		d, _ = spend(b, dir, vg, "vet", "./envs/...")
		vet += d
	}
	b.ReportMetric(diff.Seconds()/vet.Seconds(), "x/vet")
	b.ReportMetric(float64(diff.Milliseconds())/float64(b.N), "diff-ms")
	b.ReportMetric(float64(vet.Milliseconds())/float64(b.N), "vet-ms")
	b.ReportMetric(0, "ns/op")
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

// BenchmarkProcess measures the verbs on the example, against the process that
// does nothing: version. The target of version is 25 ms of CPU.
func BenchmarkProcess(b *testing.B) {
	vg := program(b, "victorgen")
	dir := b.TempDir()
	if err := os.CopyFS(dir, os.DirFS(example)); err != nil {
		b.Fatal(err)
	}
	writeValues(b, dir)
	for name, args := range map[string][]string{
		"version": {"version"}, "vet": {"vet", "./envs/..."}, "build-unchanged": append([]string{"build", "--check", "--source", "env"}, sealedEnvironments("envs")...),
	} {
		b.Run(name, func(b *testing.B) {
			var clock, cpu, base time.Duration
			for b.Loop() {
				d, c := spend(b, dir, vg, args...)
				clock, cpu = clock+d, cpu+c
				d, _ = spend(b, dir, vg, "version")
				base += d
			}
			b.ReportMetric(float64(clock.Microseconds())/1000/float64(b.N), "ms")
			b.ReportMetric(float64(cpu.Microseconds())/1000/float64(b.N), "cpu-ms")
			b.ReportMetric(clock.Seconds()/base.Seconds(), "x/version")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkReadParameters verifies 1,000 inputs at a Parameter Store that takes
// 20 ms for each call, and reads the same names one by one: with vals eval, if
// make bench could install it, and with one GetParameter after the other. x/vals
// and x/one-by-one are how many times as long those take; the target is 20.
func BenchmarkReadParameters(b *testing.B) {
	const n = 1000
	vg, vals := program(b, "victorgen"), program(b, "vals")
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
	var ours, theirs, single time.Duration
	for b.Loop() {
		d, _ := spend(b, dir, vg, "verify", "--source", "envs/test")
		ours += d
		if _, err := os.Stat(vals); err == nil {
			d, _ = spend(b, dir, vals, "eval", "-f", "vals.yaml")
			theirs += d
		}
		start := time.Now()
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
		single += time.Since(start)
	}
	b.ReportMetric(float64(ours.Milliseconds())/float64(b.N), "verify-ms")
	b.ReportMetric(single.Seconds()/ours.Seconds(), "x/one-by-one")
	if theirs > 0 {
		b.ReportMetric(theirs.Seconds()/ours.Seconds(), "x/vals")
	}
	b.ReportMetric(0, "ns/op")
}
