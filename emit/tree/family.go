package tree

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
)

// Belonging returns what vouches, by the lock of a tree, that an input belongs to
// those that it is made from: the build that wrote the lock found it so, and
// neither has changed since. A lock that cannot be read vouches for nothing.
func Belonging(t *Tree) func(lockKey value.Value, in plan.Input, child value.Value, parents map[string]value.Value) bool {
	l, _ := t.Lock()
	return func(lockKey value.Value, in plan.Input, child value.Value, parents map[string]value.Value) bool {
		if l == nil || lockKey.Len() == 0 {
			return false
		}
		tag := l.Inputs[in.Name].Family
		return tag != "" && hmac.Equal([]byte(tag), []byte(FamilyTag(lockKey.Reveal(), in, child, parents)))
	}
}

// FamilyTag authenticates with the lock key that an input belongs to those that it
// is made from: HMAC-SHA-256 over how it is made, and all their values.
func FamilyTag(lockKey []byte, in plan.Input, child value.Value, parents map[string]value.Value) string {
	definition, err := json.Marshal(in.Generate)
	if err != nil {
		return "" // it has no such fields
	}
	parts := []string{"family", in.Name, string(definition), string(child.Reveal())}
	for _, name := range in.Parents() {
		parts = append(parts, name, string(parents[name].Reveal()))
	}
	return digest(hmac.New(sha256.New, lockKey), parts...)
}
