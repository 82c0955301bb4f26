// Package bench measures programs against each other, in turns, and collects what
// comes of it as the rows of one table. It is for benchmarks alone.
package bench

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// Row is a line of the table: what something takes, and how much it may.
type Row struct {
	What  string  // what is measured
	Unit  string  // of Now and Other
	Now   float64 // what it takes
	Peer  string  // what it is measured against, in the same run; empty if nothing
	Other float64 // what that takes
	Most  float64 // what it may take: of what the peer takes, or without a peer in the unit; 0 if there is no limit
}

// Ratio is how many times as much it takes as the peer; 0 without one.
func (r Row) Ratio() float64 {
	if r.Other == 0 {
		return 0
	}
	return r.Now / r.Other
}

// Missed reports whether it takes more than it may.
func (r Row) Missed() bool {
	if r.Peer == "" {
		return r.Most > 0 && r.Now > r.Most
	}
	return r.Most > 0 && r.Ratio() > r.Most
}

// Report adds a row to the table, and to what the benchmark prints. The file that
// VICTORGEN_BENCH_ROWS names collects the rows, a line of JSON each; `make bench`
// makes the table of it.
func Report(b *testing.B, r Row) {
	b.Helper()
	b.ReportMetric(r.Now, "now-"+r.Unit)
	if r.Peer != "" {
		b.ReportMetric(r.Other, "peer-"+r.Unit)
		b.ReportMetric(r.Ratio(), "ratio")
	}
	b.ReportMetric(0, "ns/op")
	file := os.Getenv("VICTORGEN_BENCH_ROWS")
	if file == "" {
		return
	}
	line, err := json.Marshal(r)
	if err != nil {
		b.Fatal(err)
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err == nil {
		_, err = f.Write(append(line, '\n'))
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		b.Fatal(err)
	}
}

// Turns does ours and theirs in turns, as often as the benchmark says, and reports
// the medians of what they return as a row of what one turn takes: a machine has other
// things to do now and then.
func Turns(b *testing.B, r Row, ours, theirs func() time.Duration) {
	b.Helper()
	var a, p []time.Duration
	for b.Loop() {
		a, p = append(a, ours()), append(p, theirs())
	}
	r.Unit = "ms"
	r.Now, r.Other = median(a), median(p)
	Report(b, r)
}

// Alone is Turns without a peer.
func Alone(b *testing.B, r Row, ours func() time.Duration) {
	b.Helper()
	Turns(b, r, ours, func() time.Duration { return 0 })
}

// median returns the one in the middle, in milliseconds.
func median(all []time.Duration) float64 {
	slices.Sort(all)
	n := len(all)
	return (all[(n-1)/2] + all[n/2]).Seconds() * 1000 / 2
}

// Clock returns what f takes by the clock.
func Clock(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

// CPU returns what f takes of the CPU, in user and system mode, and whatever else the
// process does at the time.
func CPU(b *testing.B, f func()) time.Duration {
	b.Helper()
	start, err := used()
	if err != nil {
		b.Fatal(err)
	}
	f()
	end, err := used()
	if err != nil {
		b.Fatal(err)
	}
	return end - start
}

// Program returns the path of a program that make bench has built.
func Program(b *testing.B, name string) string {
	b.Helper()
	dir := os.Getenv("VICTORGEN_BENCH_BIN")
	if dir == "" {
		b.Skip("VICTORGEN_BENCH_BIN is not set: run make bench")
	}
	return filepath.Join(dir, name)
}

// Cost is what a program took.
type Cost struct {
	Clock  time.Duration
	CPU    time.Duration // of its own and of those that it has run, in user and system mode
	Memory uint64        // the most that was resident of any of them, in bytes
}

// Run runs a program in dir to its end.
func Run(b *testing.B, dir string, stdin []byte, name string, args ...string) Cost {
	b.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Stdin = bytes.NewReader(stdin)
	start := time.Now()
	out, err := cmd.CombinedOutput()
	c := Cost{Clock: time.Since(start)}
	if err != nil {
		b.Fatalf("%s %v: %v\n%s", filepath.Base(name), args, err, out)
	}
	c.CPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	c.Memory = resident(cmd.ProcessState)
	return c
}
