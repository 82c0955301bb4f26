// Command compose reads dotenv files as Docker Compose does, for the tests. Each
// line of its standard input is the base64 of a file in JSON; for each it
// prints an object of base64 in JSON, or null if it cannot read it.
package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log"
	"os"

	"github.com/compose-spec/compose-go/v2/dotenv"
)

func main() {
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var text []byte
		if err := in.Decode(&text); err == io.EOF {
			return
		} else if err != nil {
			log.Fatal(err)
		}
		values, err := dotenv.ParseWithLookup(bytes.NewReader(text), func(string) (string, bool) { return "", false })
		var answer map[string][]byte
		if err == nil {
			answer = map[string][]byte{}
			for name, val := range values {
				answer[name] = []byte(val)
			}
		}
		if err := out.Encode(answer); err != nil {
			log.Fatal(err)
		}
	}
}
