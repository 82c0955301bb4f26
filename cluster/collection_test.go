package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/victor-ai/victorgen/internal/kubetest"
)

// recorder gives one answer to each request, and keeps what was sent.
type recorder struct {
	status      int
	contentType string
	body        string
	sent        []string
}

func (r *recorder) RoundTrip(q *http.Request) (*http.Response, error) {
	var b bytes.Buffer
	fmt.Fprintln(&b, q.Method, q.URL)
	q.Header.Write(&b)
	if q.Body != nil {
		io.Copy(&b, q.Body)
	}
	r.sent = append(r.sent, b.String())
	return &http.Response{StatusCode: r.status, Header: http.Header{"Content-Type": {r.contentType}}, Body: io.NopCloser(strings.NewReader(r.body)), Request: q}, nil
}

func (r *recorder) config() *rest.Config {
	quiet()
	return &rest.Config{Host: "https://cluster.example/below", Transport: r, QPS: -1, WarningHandler: rest.NoWarnings{}, UserAgent: "victorgen"}
}

// own and dynamic are collections whose requests r gets.
func (r *recorder) own(t *testing.T, kind schema.GroupVersionResource, namespace string) collection {
	t.Helper()
	api, err := rest.UnversionedRESTClientFor(inJSON(r.config()))
	if err != nil {
		t.Fatal(err)
	}
	return collection{api, kind, namespace}
}

func (r *recorder) dynamic(t *testing.T, kind schema.GroupVersionResource, namespace string) dynamic.ResourceInterface {
	t.Helper()
	client, err := dynamic.NewForConfig(r.config())
	if err != nil {
		t.Fatal(err)
	}
	return client.Resource(kind).Namespace(namespace)
}

// asked is each request that a collection makes, next to that of client-go's dynamic client.
var asked = func() map[string]struct {
	own     func(context.Context, collection, string) (any, error)
	dynamic func(context.Context, dynamic.ResourceInterface, string) (any, error)
} {
	type own = func(context.Context, collection, string) (any, error)
	type theirs = func(context.Context, dynamic.ResourceInterface, string) (any, error)
	type both = struct {
		own     own
		dynamic theirs
	}
	named := func(name string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": name, "generation": int64(1)}, "data": map[string]any{"a": "<&>"},
		}}
	}
	var (
		uid    = types.UID("1")
		dryRun = []string{metav1.DryRunAll}
		some   = metav1.ListOptions{LabelSelector: "a=b,c", Limit: 3, Continue: "=&"}
		create = metav1.CreateOptions{FieldManager: "me", DryRun: dryRun}
		apply  = metav1.ApplyOptions{FieldManager: "me", DryRun: dryRun}
		force  = metav1.ApplyOptions{FieldManager: "me", Force: true}
		patch  = metav1.PatchOptions{FieldManager: "me", DryRun: dryRun}
		remove = metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}, DryRun: dryRun}
		merge  = []byte(`{"a":"<&>"}`)
	)
	return map[string]both{
		"get": {
			func(ctx context.Context, c collection, name string) (any, error) { return c.get(ctx, name) },
			func(ctx context.Context, d dynamic.ResourceInterface, name string) (any, error) {
				return d.Get(ctx, name, metav1.GetOptions{})
			},
		},
		"list": {
			func(ctx context.Context, c collection, _ string) (any, error) { return c.list(ctx, some) },
			func(ctx context.Context, d dynamic.ResourceInterface, _ string) (any, error) {
				return d.List(ctx, some)
			},
		},
		"create": {
			func(ctx context.Context, c collection, name string) (any, error) {
				return nil, c.create(ctx, named(name), create)
			},
			func(ctx context.Context, d dynamic.ResourceInterface, name string) (any, error) {
				_, err := d.Create(ctx, named(name), create)
				return nil, err
			},
		},
		"apply": {
			func(ctx context.Context, c collection, name string) (any, error) {
				return c.apply(ctx, named(name), apply)
			},
			func(ctx context.Context, d dynamic.ResourceInterface, name string) (any, error) {
				return d.Apply(ctx, name, named(name), apply)
			},
		},
		"apply with force": {
			func(ctx context.Context, c collection, name string) (any, error) {
				return c.apply(ctx, named(name), force)
			},
			func(ctx context.Context, d dynamic.ResourceInterface, name string) (any, error) {
				return d.Apply(ctx, name, named(name), force)
			},
		},
		"patch": {
			func(ctx context.Context, c collection, name string) (any, error) {
				return c.patch(ctx, name, types.MergePatchType, merge, patch)
			},
			func(ctx context.Context, d dynamic.ResourceInterface, name string) (any, error) {
				return d.Patch(ctx, name, types.MergePatchType, merge, patch)
			},
		},
		"delete": {
			func(ctx context.Context, c collection, name string) (any, error) {
				return nil, c.delete(ctx, name, remove)
			},
			func(ctx context.Context, d dynamic.ResourceInterface, name string) (any, error) {
				return nil, d.Delete(ctx, name, remove)
			},
		},
	}
}()

// TestCollectionSends: what is sent is, to the byte, what the dynamic client sends; and
// where that sends nothing, for a name would lead elsewhere, nothing is sent.
func TestCollectionSends(t *testing.T) {
	t.Parallel()
	for what, r := range asked {
		for _, kind := range []schema.GroupVersionResource{secrets, deployments} {
			for _, namespace := range []string{"apps", "", ".", "..", "a/b", "a%b"} {
				for _, name := range []string{"app", "A?b=c#d e", "", ".", "..", "a/b", "a%b"} {
					answer := recorder{status: 200, contentType: "application/json", body: `{"kind": "Secret", "apiVersion": "v1"}`}
					own, theirs := answer, answer
					_, err := r.own(t.Context(), own.own(t, kind, namespace), name)
					_, wanted := r.dynamic(t.Context(), theirs.dynamic(t, kind, namespace), name)
					if diff := cmp.Diff(theirs.sent, own.sent); diff != "" || (err == nil) != (wanted == nil) {
						t.Errorf("%s %q in %q: %v, and the dynamic client: %v (-dynamic +own)\n%s", what, name, namespace, err, wanted, diff)
					}
				}
			}
		}
	}
}

// TestCollectionReads: what becomes of an answer, an error or an object with its numbers,
// is what the dynamic client makes of it.
func TestCollectionReads(t *testing.T) {
	t.Parallel()
	const failure = `{"kind": "Status", "apiVersion": %q, "status": "Failure", "reason": "Expired", "message": "m", "code": 410, "details": {"kind": "secrets", "causes": [{"reason": "r"}]}}`
	for what, r := range asked {
		for _, body := range []string{
			"", "{}", "null", "[]", "x", `{"kind": "Status"}`, fmt.Sprintf(failure, "v1"), fmt.Sprintf(failure, "apps/v1"), fmt.Sprintf(failure, ""),
			`{"kind": "Status", "apiVersion": "v1", "status": "Success"}`, `{"kind": "Other", "apiVersion": "example.com/v1"}`,
			`{"kind": "Secret", "apiVersion": "v1", "metadata": {"generation": 3}, "whole": 9007199254740993, "part": 1.0, "big": 1e30, "none": null}`,
			`{"kind": "SecretList", "apiVersion": "v1", "metadata": {"continue": "c"}, "items": [{"metadata": {"name": "a"}, "n": 1}, {"kind": "Other", "apiVersion": "v2"}]}`,
			`{"kind": "SecretList", "apiVersion": "v1", "items": null}`, `{"kind": "SecretList", "apiVersion": "v1", "items": [null, 1]}`,
		} {
			for _, status := range []int{200, 201, 204, 302, 400, 401, 403, 404, 409, 410, 422, 500, 502} {
				for _, contentType := range []string{"application/json", "application/json;charset=utf-8", "text/plain", "application/yaml", "/", ""} {
					own := recorder{status: status, contentType: contentType, body: body}
					theirs := own
					got, err := r.own(t.Context(), own.own(t, secrets, "apps"), "app")
					want, wanted := r.dynamic(t.Context(), theirs.dynamic(t, secrets, "apps"), "app")
					if diff := cmp.Diff(wanted, err, cmp.Comparer(sameError)); diff != "" {
						t.Errorf("%s, %d %s %s (-dynamic +own)\n%s", what, status, contentType, body, diff)
					}
					if diff := cmp.Diff(want, got); err == nil && diff != "" {
						t.Errorf("%s, %d %s %s (-dynamic +own)\n%s", what, status, contentType, body, diff)
					}
				}
			}
		}
	}
}

// sameError compares errors, and all that the API server has said.
func sameError(a, b error) bool {
	if a == nil || b == nil {
		return a == b
	}
	said, ok := a.(apierrors.APIStatus)
	too, also := b.(apierrors.APIStatus)
	return a.Error() == b.Error() && ok == also && (!ok || reflect.DeepEqual(said.Status(), too.Status()))
}

// TestCollectionAll: all of a collection is read in pages; anew and at once if the API
// server has forgotten how to go on; and not at all if it fails or no one waits.
func TestCollectionAll(t *testing.T) {
	t.Parallel()
	const many = 2*pageSize + 1
	page := func(start string) string { return "list secrets apps from " + start }
	for name, test := range map[string]struct {
		refuse func(r kubetest.Request, cancel func()) error
		want   []string // the pages that are asked for
		count  int
		failed func(error) bool
	}{
		"all is well": {want: []string{page(""), page("100"), page("200")}, count: many},
		"it has expired": {
			refuse: func(r kubetest.Request, _ func()) error {
				if r.Continue == "200" {
					return apierrors.NewResourceExpired("the provided continue parameter is too old")
				}
				return nil
			},
			want: []string{page(""), page("100"), page("200"), page("")}, count: many,
		},
		"it expires at once": {
			refuse: func(kubetest.Request, func()) error { return apierrors.NewResourceExpired("x") },
			want:   []string{page("")}, failed: apierrors.IsResourceExpired,
		},
		"it expires again": {
			refuse: func() func(r kubetest.Request, _ func()) error {
				asked := 0
				return func(kubetest.Request, func()) error {
					if asked++; asked > 1 {
						return apierrors.NewResourceExpired("x")
					}
					return nil
				}
			}(),
			want: []string{page(""), page("100"), page("")}, failed: apierrors.IsResourceExpired,
		},
		"it may not": {
			refuse: func(r kubetest.Request, _ func()) error {
				if r.Continue == "100" {
					return r.Forbidden("me")
				}
				return nil
			},
			want: []string{page(""), page("100")}, failed: apierrors.IsForbidden,
		},
		"no one waits": {
			refuse: func(r kubetest.Request, cancel func()) error {
				if r.Continue == "100" {
					cancel()
				}
				return nil
			},
			want: []string{page(""), page("100")}, failed: func(err error) bool { return errors.Is(err, context.Canceled) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			s, c := applyServer(t)
			var want, got, asked []string
			for i := range many {
				want = append(want, fmt.Sprintf("s%03d", i))
				s.Replace("secrets", &corev1.Secret{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, ObjectMeta: metav1.ObjectMeta{Namespace: "apps", Name: want[i]}})
			}
			s.Refuse = func(r kubetest.Request) error {
				asked = append(asked, page(r.Continue))
				if test.refuse == nil {
					return nil
				}
				return test.refuse(r, cancel)
			}
			all, err := c.collection(secrets, "apps").all(ctx)
			for _, u := range all {
				got = append(got, u.GetName())
			}
			if test.failed != nil && !test.failed(err) || test.failed == nil && err != nil {
				t.Error(err)
			}
			expect(t, "the requests", test.want, asked)
			if !slices.Equal(got, want[:test.count]) {
				t.Errorf("%d objects are read, not %d: %v", len(got), test.count, got)
			}
		})
	}
}

// TestCollectionAllEnds: to begin anew is tried once, whatever there is that answers.
func TestCollectionAllEnds(t *testing.T) {
	t.Parallel()
	s, c := applyServer(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	asked := 0
	s.Handle("/api/v1/namespaces/apps/secrets", func(w http.ResponseWriter, r *http.Request) {
		if asked++; asked > 10 {
			cancel()
		}
		if r.URL.Query().Get("continue") != "" {
			kubetest.Error(w, apierrors.NewResourceExpired("x"))
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"kind": "SecretList", "apiVersion": "v1", "metadata": {"continue": "more"}}`)
	})
	if all, err := c.collection(secrets, "apps").all(ctx); !apierrors.IsResourceExpired(err) || asked != 4 {
		t.Errorf("%d objects after %d requests: %v", len(all), asked, err)
	}
}
