package source_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/source"
	"github.com/victor-ai/victorgen/compiler/value"
)

// answered is an answer in a few words.
func answered(a source.Answer) string {
	var f *source.Failure
	switch {
	case errors.As(a.Err, &f):
		return f.Reason
	case a.Err != nil:
		return a.Err.Error()
	}
	return string(a.Value.Reveal())
}

func TestSelect(t *testing.T) {
	t.Parallel()
	noObject := func(property string) string {
		return "what is stored there is not a JSON object, so it has no property " + property
	}
	noInteger := "its property a is a number that is not a plain integer, which JSON readers print in different ways"
	twice := "the value there is JSON with a duplicate property, so it is not clear what its property "
	twoWays := "the value there has a property a.b and one of that name inside another, and readers differ in which one they take"
	for name, test := range map[string]struct{ value, property, want string }{
		"all of it":              {`{"a": 1}`, "", `{"a": 1}`},
		"all of what is none":    {"plain", "", "plain"},
		"string":                 {`{"a": "x"}`, "a", "x"},
		"zero":                   {`{"a": 0}`, "a", "0"},
		"nine":                   {`{"a": 9}`, "a", "9"},
		"zero and more":          {`{"a": 0.0}`, "a", noInteger},
		"escapes":                {`{"a": "\"\\\u00e9\n\ud83d\udd11"}`, "a", "\"\\é\n🔑"},
		"no UTF-8":               {"{\"a\": \"c4nary\xff\"}", "a", "its property a is not text in UTF-8"},
		"half a character":       {`{"a": "c4nary\ud800"}`, "a", "its property a is not text in UTF-8"},
		"a replacement":          {`{"a": "\ufffd"}`, "a", "\ufffd"},
		"empty string":           {`{"a": ""}`, "a", ""},
		"number as it stands":    {`{"a": 1.50}`, "a", noInteger},
		"number past a float":    {`{"a": 12345678901234567890.10}`, "a", noInteger},
		"integer past a float":   {`{"a": -12345678901234567890}`, "a", "-12345678901234567890"},
		"number with exponent":   {`{"a":-1E+2 }`, "a", noInteger},
		"true":                   {`{"a": true}`, "a", "true"},
		"object as it stands":    {`{"a": {"b" : [1,  2.0]} }`, "a", `{"b" : [1,  2.0]}`},
		"array":                  {`{"a": ["x", null]}`, "a", `["x", null]`},
		"null":                   {`{"a": null}`, "a", "absent"},
		"not there":              {`{"a": 1}`, "b", "absent"},
		"other case":             {`{"a": 1}`, "A", "absent"},
		"last of two":            {`{"a": 1, "a": 2}`, "a", twice + "a is"},
		"another twice":          {`{"a": 1, "b": {"c": 1, "c": 1}}`, "a", twice + "a is"},
		"no name":                {`{"": 1}`, ".", "absent"},
		"nested":                 {`{"a": {"b": "x"}}`, "a.b", "x"},
		"nested deep":            {`{"a": {"b": {"c": "x"}}}`, "a.b.c", "x"},
		"nested, not there":      {`{"a": {"b": "x"}}`, "a.c", "absent"},
		"nested in nothing":      {`{"a": {"b": "x"}}`, "c.b", "absent"},
		"nested in null":         {`{"a": null}`, "a.b", "absent"},
		"nested in a string":     {`{"a": "{\"b\": 1}"}`, "a.b", "absent"},
		"nested in an array":     {`{"a": [{"b": 1}]}`, "a.b", "absent"},
		"nested null":            {`{"a": {"b": null}}`, "a.b", "absent"},
		"dotted name":            {`{"a.b": "x"}`, "a.b", "x"},
		"dotted name and nested": {`{"a": {"b": "y"}, "a.b": "x"}`, "a.b", twoWays},
		"even if it is null":     {`{"a": {"b": "y"}, "a.b": null}`, "a.b", twoWays},
		"dotted name, nested":    {`{"a": {"b.c": "x"}}`, "a.b.c", "absent"}, // the operator does not find it either
		"in a list":              {`{"l": [{"a": "x"}]}`, "l.0.a", "x"},
		"past a list":            {`{"l": ["x"]}`, "l.1", "absent"},
		"no index":               {`{"l": ["x"]}`, "l.00", "absent"},
		"no JSON":                {"c4nary", "a", noObject("a")},
		"broken JSON":            {`{"a": "c4nary"`, "a", noObject("a")},
		"JSON and more":          {`{"a": "c4nary"} x`, "a", noObject("a")},
		"broken elsewhere":       {`{"a": 1, "b": c4nary}`, "a", noObject("a")},
		"array of all":           {`["c4nary"]`, "a", noObject("a")},
		"string of all":          {`"c4nary"`, "a", noObject("a")},
		"null of all":            {"null", "a", noObject("a")},
		"nothing":                {"", "a", ""}, // absent, as every empty value is
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changed := time.Unix(1, 0)
			a := source.Select(source.Answer{Value: value.New([]byte(test.value)), Origin: "there", Changed: changed}, test.property)
			if diff := cmp.Diff(test.want, answered(a)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if a.Origin != "there" || !a.Changed.Equal(changed) {
				t.Errorf("it was in %q, changed %v", a.Origin, a.Changed)
			}
			if a.Err != nil && a.Value.Len() > 0 {
				t.Error("a value comes with the error")
			}
		})
	}
	failed := source.Answer{Err: errors.New("no"), Origin: "there"}
	if got := source.Select(failed, "a"); got.Err != failed.Err {
		t.Errorf("of a failure: %v", got.Err)
	}
}

// remembering holds what is at Name, or at the Input's name, and remembers what
// it was asked.
type remembering struct {
	values map[string]string
	asked  [][]source.Ref
}

func (s *remembering) Read(_ context.Context, refs []source.Ref) []source.Answer {
	s.asked = append(s.asked, refs)
	answers := make([]source.Answer, len(refs))
	for i, ref := range refs {
		at := ref.Remote.Name + ref.Remote.Version
		if at == "" {
			at = ref.Input
		}
		if v, ok := s.values[at]; ok {
			answers[i].Value = value.New([]byte(v))
		} else {
			answers[i].Err = source.ErrAbsent
		}
	}
	return answers
}

func (s *remembering) Prove(ctx context.Context, refs []source.Ref) []source.Answer {
	answers := s.Read(ctx, refs)
	for i := range answers {
		answers[i].Value = value.Value{}
	}
	return answers
}

// TestRead: each name and version is asked for once, and answered to each ref.
func TestRead(t *testing.T) {
	t.Parallel()
	at := func(input, name, version, property string) source.Ref {
		return source.Ref{Input: input, Remote: plan.Remote{Name: name, Version: version, Property: property}}
	}
	refs := []source.Ref{
		at("A", "db", "", "user"), at("B", "key", "", ""), at("C", "db", "", "password"), at("D", "db", "1", "user"),
		at("E", "", "", ""), at("F", "", "", ""), at("G", "key", "", ""), at("H", "none", "", "x"), at("I", "key", "", "x"),
		at("E", "", "", ""),
	}
	s := &remembering{values: map[string]string{
		"db": `{"user": "u", "password": "p"}`, "db1": `{"user": "old"}`, "key": "k", "E": "e", "F": "f",
	}}
	var got []string
	for _, a := range source.Read(t.Context(), s, refs) {
		got = append(got, answered(a))
	}
	want := []string{"u", "k", "p", "old", "e", "f", "k", "absent", "what is stored there is not a JSON object, so it has no property x", "e"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answers (-want +got)\n%s", diff)
	}
	asked := [][]source.Ref{{
		at("A", "db", "", ""), at("B", "key", "", ""), at("D", "db", "1", ""), at("E", "", "", ""), at("F", "", "", ""), at("H", "none", "", ""),
	}}
	if diff := cmp.Diff(asked, s.asked); diff != "" {
		t.Errorf("asked (-want +got)\n%s", diff)
	}

	got, s.asked = nil, nil
	for _, a := range source.Prove(t.Context(), s, refs) {
		got = append(got, answered(a))
	}
	want = []string{"", "", "", "", "", "", "", "absent", "", ""} // a property can't be proved
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("proofs (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(asked, s.asked); diff != "" {
		t.Errorf("asked to prove (-want +got)\n%s", diff)
	}

	s.asked = nil
	if got := source.Read(t.Context(), s, nil); len(got) > 0 || len(s.asked) > 0 {
		t.Errorf("no refs: asked %v, answered %v", s.asked, got)
	}
}

func numbered(n int) []source.Ref {
	refs := make([]source.Ref, n)
	for i := range refs {
		refs[i].Input = fmt.Sprint(i)
	}
	return refs
}

// TestBatches: every ref is in one batch, none of which is too large, and is
// answered in its place.
func TestBatches(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		refs, size int
		want       []int // the sizes of the batches
	}{
		{0, 3, nil}, {1, 3, []int{1}}, {3, 3, []int{3}}, {4, 3, []int{3, 1}}, {7, 3, []int{3, 3, 1}}, {3, 1, []int{1, 1, 1}},
	} {
		refs := numbered(test.refs)
		sizes := make([]int, len(test.want))
		answers := source.Batches(t.Context(), refs, test.size, func(_ context.Context, batch []source.Ref) []source.Answer {
			var first int
			fmt.Sscan(batch[0].Input, &first)
			sizes[first/test.size] = len(batch)
			answers := make([]source.Answer, len(batch))
			for i, ref := range batch {
				answers[i].Value = value.New([]byte(ref.Input))
			}
			return answers
		})
		if diff := cmp.Diff(test.want, sizes); test.want != nil && diff != "" {
			t.Errorf("%d by %d: sizes (-want +got)\n%s", test.refs, test.size, diff)
		}
		if len(answers) != len(refs) {
			t.Fatalf("%d by %d: %d answers", test.refs, test.size, len(answers))
		}
		for i, a := range answers {
			if answered(a) != refs[i].Input {
				t.Errorf("%d by %d: %s is answered %q", test.refs, test.size, refs[i].Input, answered(a))
			}
		}
	}
}

// TestBatchesAtATime: as many as Parallel run at once, and no more; those that
// have not begun when the context ends don't.
func TestBatchesAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var begun atomic.Int32
		release, answers := make(chan struct{}), make(chan []source.Answer)
		go func() {
			answers <- source.Batches(ctx, numbered(3*source.Parallel), 1, func(context.Context, []source.Ref) []source.Answer {
				begun.Add(1)
				<-release
				return []source.Answer{{Value: value.New([]byte("v"))}}
			})
		}()
		synctest.Wait() // until all are stuck
		if n := begun.Load(); n != source.Parallel {
			t.Errorf("%d run at a time", n)
		}
		cancel()
		close(release)
		got := map[string]int{}
		for _, a := range <-answers {
			got[answered(a)]++
			if a.Err != nil && !errors.Is(a.Err, source.ErrUnreadable) {
				t.Errorf("%v is not unreadable", a.Err)
			}
		}
		if diff := cmp.Diff(map[string]int{"v": source.Parallel, "it was interrupted": 2 * source.Parallel}, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

// TestNetwork: what goes wrong on real connections, none of which leaves this
// machine.
func TestNetwork(t *testing.T) {
	t.Parallel()
	const look = "check the network, a proxy, or the address"
	get := func(ctx context.Context, client *http.Client, url string) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	quiet := func(s *httptest.Server) *httptest.Server {
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		return s
	}
	for name, test := range map[string]struct {
		fail func(t *testing.T) error
		want *source.Failure
	}{
		"no such host": {
			func(t *testing.T) error {
				resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, "udp", noNames(t))
				}}
				client := &http.Client{Transport: &http.Transport{DialContext: (&net.Dialer{Resolver: resolver}).DialContext}}
				return get(t.Context(), client, "https://vault.example.")
			},
			&source.Failure{Reason: "the name vault.example. cannot be resolved", Remedy: look, Unreadable: true},
		},
		"refused": {
			func(t *testing.T) error {
				s := httptest.NewServer(nil)
				s.Close()
				return get(t.Context(), http.DefaultClient, s.URL)
			},
			&source.Failure{Reason: "connection refused", Remedy: look, Unreadable: true},
		},
		"untrusted": {
			func(t *testing.T) error {
				s := quiet(httptest.NewUnstartedServer(nil))
				s.StartTLS()
				defer s.Close()
				return get(t.Context(), http.DefaultClient, s.URL)
			},
			&source.Failure{Reason: "its TLS certificate is not trusted", Remedy: "trust its authority, as with SSL_CERT_FILE", Unreadable: true},
		},
		"no TLS": {
			func(t *testing.T) error {
				_, err := tls.Dial("tcp", accept(t, func(c net.Conn) { io.WriteString(c, "220 mail.example ESMTP\r\n") }), nil)
				return err
			},
			&source.Failure{Reason: "it does not speak TLS", Remedy: "check the address", Unreadable: true},
		},
		"HTTP for HTTPS": {
			func(t *testing.T) error {
				s := quiet(httptest.NewServer(nil))
				defer s.Close()
				return get(t.Context(), http.DefaultClient, strings.Replace(s.URL, "http:", "https:", 1))
			},
			&source.Failure{Reason: "the network failed: http: server gave HTTP response to HTTPS client", Remedy: look, Unreadable: true},
		},
		"closed": {
			func(t *testing.T) error {
				s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
				defer s.Close()
				return get(t.Context(), http.DefaultClient, s.URL)
			},
			&source.Failure{Reason: "the network failed: EOF", Remedy: look, Unreadable: true},
		},
		"reset": {
			func(t *testing.T) error {
				c, err := net.Dial("tcp", accept(t, func(c net.Conn) {
					c.Read(make([]byte, 1))
					c.(*net.TCPConn).SetLinger(0)
				}))
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				io.WriteString(c, "?")
				_, err = c.Read(make([]byte, 1))
				return err
			},
			&source.Failure{Reason: "the network failed: read: connection reset by peer", Remedy: look, Unreadable: true},
		},
		"deadline": {
			func(t *testing.T) error {
				ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
				defer cancel()
				return get(ctx, http.DefaultClient, hangs(t, func() {}))
			},
			&source.Failure{Reason: "there was no answer in time", Remedy: look + "; raise --timeout", Unreadable: true},
		},
		"cancelled": {
			func(t *testing.T) error {
				ctx, cancel := context.WithCancel(t.Context())
				return get(ctx, http.DefaultClient, hangs(t, cancel))
			},
			&source.Failure{Reason: "it was interrupted", Unreadable: true},
		},
		"an answer": {func(*testing.T) error { return errors.New("access is denied") }, nil},
		"no error":  {func(*testing.T) error { return nil }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := test.fail(t)
			if diff := cmp.Diff(test.want, source.Network(err)); diff != "" {
				t.Errorf("%v (-want +got)\n%s", err, diff)
			}
			if wrapped := fmt.Errorf("calling: %w", err); err != nil && !cmp.Equal(test.want, source.Network(wrapped)) {
				t.Errorf("wrapped: %+v", source.Network(wrapped))
			}
		})
	}
}

// noNames returns the address of a name server that knows no name.
func noNames(t *testing.T) string {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		query := make([]byte, 512)
		for {
			n, from, err := c.ReadFrom(query)
			if err != nil {
				return
			}
			query[2], query[3] = 0x81, 0x83 // a response: NXDOMAIN (RFC 1035, 4.1.1)
			c.WriteTo(query[:n], from)
		}
	}()
	return c.LocalAddr().String()
}

// accept returns the address of someone who takes one connection, does
// something to it and closes it.
func accept(t *testing.T, do func(net.Conn)) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		do(c)
		c.Close()
	}()
	return l.Addr().String()
}

// hangs returns the URL of a server that never answers, and does something when
// it is asked.
func hangs(t *testing.T, asked func()) string {
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked()
		<-r.Context().Done()
	}))
	t.Cleanup(s.Close)
	return s.URL
}
