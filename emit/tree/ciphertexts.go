package tree

import (
	"bytes"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/victor-ai/victorgen/internal/shape"
)

// Splice puts the ciphertexts into a manifest that has empty ones, below the
// header. They are nearly all of its bytes, and there is nothing to quote in
// them: to let the encoder look would take a tenth of the time of sealing.
func Splice(manifest []byte, ciphertexts map[string]string) []byte {
	const field, empty = "\n  encryptedData:\n", `: ""`
	before, rest, _ := bytes.Cut(manifest, []byte(field)) // only labels come before
	out := slices.Concat([]byte(Header), before, []byte(field))
	for range ciphertexts {
		key, after, _ := bytes.Cut(rest, []byte(empty))
		// The encoder quotes a key like "true", and writes one of over 128
		// characters as "? key"; no key has any of these characters in it.
		name := bytes.Trim(key, " ?\n\"'")
		out = append(append(append(out, key...), ": "...), ciphertexts[string(name)]...)
		rest = after
	}
	return append(out, rest...)
}

// Ciphertexts returns the ciphertexts in the manifest of a SealedSecret, but
// for those that are none because someone has broken them.
func Ciphertexts(manifest []byte) map[string]string {
	rest, taken := unsplice(manifest)
	var ss shape.SealedSecret
	if err := yaml.Unmarshal(rest, &ss); err != nil {
		return nil
	}
	all := ss.Spec.EncryptedData
	for key, text := range taken {
		if was, ok := all[key]; !ok || was != "" || len(all) != len(taken) {
			return readCiphertexts(manifest)
		}
		all[key] = text
	}
	return intact(all)
}

// readCiphertexts is Ciphertexts of a manifest that someone has edited.
func readCiphertexts(manifest []byte) map[string]string {
	var ss shape.SealedSecret
	if err := yaml.Unmarshal(manifest, &ss); err != nil {
		return nil
	}
	return intact(ss.Spec.EncryptedData)
}

func intact(ciphertexts map[string]string) map[string]string {
	for key, text := range ciphertexts {
		if strings.Trim(text, base64Alphabet) != "" {
			delete(ciphertexts, key)
		}
	}
	return ciphertexts
}

// unsplice is the opposite of splice: it takes the ciphertexts out of a manifest, each
// of which stands at the end of a line of its own, and leaves empty ones. They are
// nearly all of its bytes, and a decoder of YAML looks at each of these. Of a manifest
// that splice has not written, it takes nothing.
func unsplice(manifest []byte) (rest []byte, ciphertexts map[string]string) {
	const field = "\n  encryptedData:\n"
	before, data, ok := bytes.Cut(manifest, []byte(field))
	if !ok || !bytes.HasPrefix(manifest, []byte(Header)) {
		return manifest, nil
	}
	rest = append(slices.Clone(before), field...)
	ciphertexts = map[string]string{}
	for {
		line, after, _ := bytes.Cut(data, []byte("\n"))
		key, text, ok := strings.Cut(string(line), ": ")
		if name, indented := strings.CutPrefix(key, "    "); !ok || !indented || !isCiphertext(text) || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != "" {
			break
		} else if _, twice := ciphertexts[name]; twice {
			return manifest, nil
		} else {
			ciphertexts[name] = text
		}
		rest = append(append(rest, key...), ": \"\"\n"...)
		data = after
	}
	if !bytes.HasPrefix(data, []byte("  template:\n")) {
		return manifest, nil
	}
	return append(rest, data...), ciphertexts
}

// isCiphertext reports whether text is what [Sealer]s make, and nothing else to any
// reader of YAML: it begins with the length of an encrypted key, which no number does.
func isCiphertext(text string) bool {
	return len(text) >= 100 && text[0] == 'A' && strings.Trim(text, base64Alphabet) == ""
}

// base64Alphabet is that of RFC 4648, section 4.
const base64Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
