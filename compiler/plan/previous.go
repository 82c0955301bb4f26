package plan

import "strings"

// What a source without versions keeps beside the value of an input stands under
// the input's name with one of these before it, which no input may have: it is a
// name to all that read dotenv files, too.
const (
	PreviousPrefix = "VICTORGEN_PREVIOUS_" // the value before, and when it was replaced
	pendingPrefix  = "VICTORGEN_PENDING_"  // one that is to come
)

// Reserved reports whether name, or its last part, is for what is kept beside an
// input.
func Reserved(name string) bool {
	name = strings.ToUpper(name[strings.LastIndexAny(name, "./")+1:])
	return strings.HasPrefix(name, PreviousPrefix) || strings.HasPrefix(name, pendingPrefix)
}
