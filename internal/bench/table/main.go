// Command table makes docs/performance.md of the rows that benchmarks have
// collected, and prints the table. It fails if something takes more than it may.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/victor-ai/victorgen/internal/bench"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: table ROWS FILE")
		os.Exit(2)
	}
	missed, err := run(os.Args[1], os.Args[2], os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(2)
	}
	if missed > 0 {
		fmt.Fprintf(os.Stderr, "%d of the limits are not met\n", missed)
		os.Exit(1)
	}
}

func run(from, to string, out io.Writer) (missed int, err error) {
	rows, err := read(from)
	if err != nil {
		return 0, err
	}
	for _, r := range rows {
		if r.Missed() {
			missed++
		}
	}
	text := table(rows)
	fmt.Fprint(out, text)
	return missed, os.WriteFile(to, []byte(fmt.Sprintf(page, machine(), text)), 0o644)
}

const page = `# Performance

This is written by ` + "`make bench`" + `. What processes take is CPU, in user and system mode, of them and of those that they run, unless
a row says otherwise; a peer is measured in turns with it, in the same run. The ratios hold elsewhere, the times are
those of one machine: %s.

A process finds no plan in its cache ([build.md](build.md)), unless nothing has changed in what it is about.

%s`

// read returns the rows in the order in which they came; of two about the same, the later.
func read(name string) ([]bench.Row, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var rows []bench.Row
	at := map[[2]string]int{}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		var r bench.Row
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		key := [2]string{r.What, r.Peer}
		if i, ok := at[key]; ok {
			rows[i] = r
			continue
		}
		at[key] = len(rows)
		rows = append(rows, r)
	}
	return rows, nil
}

// table writes rows as a table in Markdown.
func table(rows []bench.Row) string {
	var b strings.Builder
	b.WriteString("| what | now | peer | ratio | at most | |\n|---|---:|---|---:|---:|---|\n")
	for _, r := range rows {
		peer, ratio, most, verdict := "", "", "", ""
		if r.Peer != "" {
			peer = r.Peer + ": " + number(r.Other) + " " + r.Unit
			ratio = fmt.Sprintf("%.2f", r.Ratio())
		}
		switch {
		case r.Most == 0:
		case r.Peer != "":
			most = fmt.Sprintf("%.2f", r.Most)
		default:
			most = number(r.Most) + " " + r.Unit
		}
		if r.Missed() {
			verdict = "missed"
		}
		fmt.Fprintf(&b, "| %s | %s %s | %s | %s | %s | %s |\n", r.What, number(r.Now), r.Unit, peer, ratio, most, verdict)
	}
	return b.String()
}

// number writes a number with three digits that count, or all before the point.
func number(f float64) string {
	switch {
	case f >= 100:
		return strconv.FormatFloat(f, 'f', 0, 64)
	case f >= 10:
		return strconv.FormatFloat(f, 'f', 1, 64)
	}
	return strconv.FormatFloat(f, 'f', 2, 64)
}

// machine describes what this runs on.
func machine() string {
	all := []string{runtime.GOOS + "/" + runtime.GOARCH, fmt.Sprintf("%d cores", runtime.NumCPU())}
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		var kilobytes int
		if _, err := fmt.Sscanf(string(text), "MemTotal: %d kB", &kilobytes); err == nil {
			all = append(all, fmt.Sprintf("%d GiB of memory", (kilobytes+1<<19)>>20))
		}
	}
	return strings.Join(append(all, runtime.Version()), ", ")
}
