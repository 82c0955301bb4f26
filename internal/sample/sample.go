// Package sample says of how much a test tries a part only, which would take long
// under the race detector or at each run. All of it is tried where VICTORGEN_ALL is
// set, as CI does once.
package sample

import "os"

// Every returns n, for a test that tries each n-th of its cases, or 1 where all
// are tried.
func Every(n int) int {
	if os.Getenv("VICTORGEN_ALL") != "" {
		return 1
	}
	return n
}
