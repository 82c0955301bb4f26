package buildid

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestOwn compares the ID with what Go's own tool says of the same program.
func TestOwn(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := Own(), buildID(t, self); got != want || want == "" {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestIn finds IDs as the linker writes them for other systems.
func TestIn(t *testing.T) {
	t.Parallel()
	const elf, text = "\x7fELF\x02\x01", "\xff Go build ID: \"a/b\"\n \xff"
	for name, test := range map[string]struct{ start, want string }{
		"ELF":                 {elf + "Go\x00\x00" + strings.Repeat("x", 20) + "\x04\x00\x00\x00\x03\x00\x00\x00\x04\x00\x00\x00Go\x00\x00a/b\x00", "a/b"},
		"ELF, big-endian":     {elf + "\x00\x00\x00\x04\x00\x00\x00\x03\x00\x00\x00\x04Go\x00\x00a/b\x00", "a/b"},
		"ELF, an empty ID":    {elf + "\x04\x00\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00Go\x00\x00", ""},
		"ELF, cut off":        {elf + "\x04\x00\x00\x00\x09\x00\x00\x00\x04\x00\x00\x00Go\x00\x00a/b", ""},
		"ELF, another note":   {elf + "\x04\x00\x00\x00\x03\x00\x00\x00\x03\x00\x00\x00Go\x00\x00a/b\x00", ""},
		"ELF, only its name":  {elf + "Go\x00\x00", ""},
		"ELF, text":           {elf + text, ""},
		"Mach-O or PE":        {"\xcf\xfa\xed\xfe...." + text + "....", "a/b"},
		"Mach-O or PE, cut":   {"\xcf\xfa\xed\xfe....\xff Go build ID: \"a/b", ""},
		"Mach-O or PE, no ID": {"\xcf\xfa\xed\xfe....", ""},
		"nothing":             {"", ""},
	} {
		if got := in([]byte(test.start)); got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

func buildID(t *testing.T, file string) string {
	t.Helper()
	out, err := exec.Command("go", "tool", "buildid", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
