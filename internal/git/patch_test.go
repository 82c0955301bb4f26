package git

import (
	"bufio"
	"bytes"
	"testing"
)

// FuzzPatch: whatever Git prints, reading it ends, and what it tells is in order: no
// line without a hunk, no hunk without a file.
func FuzzPatch(f *testing.F) {
	f.Add([]byte("\x00abc def\nmessage\n\x00\ndiff --git a/x b/x\n--- a/x\n+++ \"b/\\303\\244 \\\"\"\n@@ -1 +1,2 @@\n-a\n+b\n+@@ c\n\\ No newline at end of file\n"))
	f.Add([]byte("+++ b/x\t\n@@ -0,0 +1 @@\n+a"))
	f.Add([]byte("@@ -1,99999999999 +1 @@\n\n@@\n@@ - + @@\n+++ \"b/\\"))
	f.Fuzz(func(t *testing.T, b []byte) {
		hunks, lines := 0, 0
		Patch{
			Commit: func(string, int, []byte) { hunks = 0 },
			File:   func(string) { hunks = 0 },
			Hunk: func(line int) {
				if hunks++; line < 1 {
					t.Fatalf("line %d", line)
				}
			},
			Text: func(b []byte, added bool) {
				if lines += len(b); hunks == 0 {
					t.Fatal("a line in no hunk")
				}
			},
		}.parse(bufio.NewReader(bytes.NewReader(b)))
		if lines > len(b) {
			t.Fatal("more than there is")
		}
	})
}
