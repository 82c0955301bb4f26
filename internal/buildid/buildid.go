// Package buildid tells a build of the running program from each other one.
package buildid

import (
	"bytes"
	"encoding/binary"
	"os"
)

// heads are how much of a program is looked at: the linker writes the ID near the start,
// for ELF in the first page or two.
var heads = []int64{8 << 10, 64 << 10}

// Own returns the build ID that Go's linker has written into the running program, a
// digest of all that it is made of and of the result (see cmd/internal/buildid); empty
// if there is none to be found.
func Own() string {
	name, err := os.Executable()
	if err != nil {
		return ""
	}
	f, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	for _, n := range heads {
		start := make([]byte, n)
		read, _ := f.ReadAt(start, 0)
		if id := in(start[:read]); id != "" {
			return id
		}
	}
	return ""
}

// in finds the ID in the start of a program.
func in(start []byte) string {
	// An ELF file has it in a note of the type 4, whose name is "Go": the sizes of name
	// and content and the type stand before them, four bytes each.
	const name = "Go\x00\x00"
	if bytes.HasPrefix(start, []byte("\x7fELF")) {
		for rest := start; ; {
			i := bytes.Index(rest, []byte(name))
			if i < 0 {
				return ""
			}
			for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
				if content := rest[i+len(name):]; i >= 12 && order.Uint32(rest[i-12:]) == uint32(len(name)) && order.Uint32(rest[i-4:]) == 4 {
					if size := order.Uint32(rest[i-8:]); uint64(size) <= uint64(len(content)) {
						return string(content[:size])
					}
				}
			}
			rest = rest[i+len(name):]
		}
	}
	// Any other has it as the first text of its code.
	_, after, _ := bytes.Cut(start, []byte("\xff Go build ID: \""))
	id, _, ok := bytes.Cut(after, []byte("\"\n \xff"))
	if !ok {
		return ""
	}
	return string(id)
}
