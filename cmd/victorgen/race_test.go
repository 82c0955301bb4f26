//go:build race

package main

// raceDetector is whether the tests run under the race detector, which makes
// them several times slower.
const raceDetector = true
