package compiler

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

const durationHint = `write it as in "90s", "15m", "1h30m" or "30d"`

// parseDuration reads a duration in the one syntax that all fields have: as
// Prometheus writes it, with days, or as Go does.
func parseDuration(text string) (time.Duration, error) {
	if d, ok := parsePrometheus(text); ok {
		return d, nil
	}
	return time.ParseDuration(text)
}

// unit is one of those in which Prometheus counts time.
type unit struct {
	name string
	of   time.Duration
}

// prometheusUnits are in the order in which they follow each other in a duration. A year
// is one of 365 days.
var prometheusUnits = []unit{
	{"y", 365 * 24 * time.Hour}, {"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour},
	{"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond},
}

// parsePrometheus reads a duration as Prometheus does, each unit at most once
// (https://github.com/prometheus/common/blob/v0.73.1/model/time.go).
func parsePrometheus(text string) (time.Duration, bool) {
	const digits = "0123456789"
	var sum uint64
	units := prometheusUnits // which may still come
	for rest := text; rest != ""; {
		after := strings.TrimLeft(rest, digits)
		n, err := strconv.ParseUint(rest[:len(rest)-len(after)], 10, 64)
		name := after
		if i := strings.IndexAny(after, digits); i >= 0 {
			name = after[:i]
		}
		i := slices.IndexFunc(units, func(u unit) bool { return u.name == name })
		if err != nil || i < 0 || n > math.MaxInt64/uint64(units[i].of) {
			return 0, false
		}
		if sum += n * uint64(units[i].of); sum > math.MaxInt64 {
			return 0, false
		}
		rest, units = after[len(name):], units[i+1:]
	}
	return time.Duration(sum), text != ""
}
