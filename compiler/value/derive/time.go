package derive

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// timeLayout is RFC 3339 with nanoseconds, in UTC.
const timeLayout = "2006-01-02T15:04:05.000000000Z"

// makeTime writes when its parent came to be. The seconds are those of the clock;
// the nanoseconds, which no one needs, are a digest of the parent, by which check
// knows that it is still the same. They tell nothing of a password: the compiler
// lets the parent be a hash and the like alone.
func makeTime(f *Family) ([]byte, error) {
	// A second ago, so that it is past whatever the nanoseconds are.
	return timeAt(f, f.Now.Add(-time.Second)), nil
}

func timeAt(f *Family, t time.Time) []byte {
	t = t.UTC().Truncate(time.Second)
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s", t.Unix(), f.of()))
	nanos := binary.BigEndian.Uint64(sum[:]) % uint64(time.Second)
	return t.Add(time.Duration(nanos)).AppendFormat(nil, timeLayout)
}

func checkTime(f *Family, child []byte) error {
	t, err := time.Parse(timeLayout, string(child))
	switch {
	case err != nil:
		return errForm(f)
	case t.After(f.Now.Add(clockSkew)):
		return errors.New("is in the future")
	case !bytes.Equal(child, timeAt(f, t)):
		return unfit(f)
	}
	return nil
}
