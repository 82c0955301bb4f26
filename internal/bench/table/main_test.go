package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTable: of two rows about the same the later counts, and a limit that is not met
// is told, with a peer and without.
func TestTable(t *testing.T) {
	dir := t.TempDir()
	rows, page := filepath.Join(dir, "rows"), filepath.Join(dir, "performance.md")
	if err := os.WriteFile(rows, []byte(`{"What":"a","Unit":"ms","Now":300,"Peer":"p","Other":100,"Most":1.5}
{"What":"a","Unit":"ms","Now":120,"Peer":"p","Other":100,"Most":1.5}
{"What":"b","Unit":"MB","Now":257,"Most":256}
{"What":"c","Unit":"ms","Now":3,"Peer":"p","Other":1,"Most":2}
{"What":"d","Unit":"ms","Now":0.1234}
`), 0o644); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if missed, err := run(rows, page, &out); err != nil || missed != 2 {
		t.Errorf("%d missed, %v", missed, err)
	}
	const want = `| what | now | peer | ratio | at most | |
|---|---:|---|---:|---:|---|
| a | 120 ms | p: 100 ms | 1.20 | 1.50 |  |
| b | 257 MB |  |  | 256 MB | missed |
| c | 3.00 ms | p: 1.00 ms | 3.00 | 2.00 | missed |
| d | 0.12 ms |  |  |  |  |
`
	if out.String() != want {
		t.Errorf("the table is\n%s", out.String())
	}
	text, err := os.ReadFile(page)
	if err != nil || !strings.HasSuffix(string(text), want) || !strings.Contains(string(text), "cores") {
		t.Errorf("the page is\n%s%v", text, err)
	}
}
