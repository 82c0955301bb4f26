package cluster

import (
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	jsonserializer "k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// collection is the objects of one kind in a namespace, or in none, as those of the whole
// cluster are. What is sent, and what becomes of an answer, is as in client-go's package
// dynamic, of which little is needed here.
type collection struct {
	api       rest.Interface
	kind      schema.GroupVersionResource
	namespace string
}

func (c *Client) collection(kind schema.GroupVersionResource, namespace string) collection {
	return collection{c.api, kind, namespace}
}

// inJSON returns config for objects of any kind, as JSON. The one type that is known is
// Status, which says why there is no object.
func inJSON(config *rest.Config) *rest.Config {
	known := runtime.NewScheme()
	known.AddUnversionedTypes(metav1.Unversioned, &metav1.Status{})
	config = rest.CopyConfig(config)
	config.ContentType, config.AcceptContentTypes = runtime.ContentTypeJSON, runtime.ContentTypeJSON
	config.NegotiatedSerializer = runtime.NewSimpleNegotiatedSerializer(runtime.SerializerInfo{
		MediaType: runtime.ContentTypeJSON, EncodesAsText: true,
		Serializer: jsonserializer.NewSerializerWithOptions(jsonserializer.DefaultMetaFactory, known, known, jsonserializer.SerializerOptions{}),
	})
	return config
}

// ask sends a request about all of c, or about the object of that name, with options as its
// query, and reads the answer. Without options there is no query, and without answer none
// is read but an error.
func (c collection) ask(ctx context.Context, r *rest.Request, options, answer runtime.Object, name ...string) error {
	path := []string{"api", c.kind.Version}
	if c.kind.Group != "" {
		path = []string{"apis", c.kind.Group, c.kind.Version}
	}
	if c.namespace != "" {
		path = append(path, "namespaces", c.namespace)
	}
	path = append(append(path, c.kind.Resource), name...)
	for _, segment := range path { // none may lead elsewhere
		if wrong := rest.IsValidPathSegmentName(segment); segment == "" || len(wrong) > 0 {
			return fmt.Errorf("nothing in a cluster is called %q", segment)
		}
	}
	if r.AbsPath(path...); options != nil {
		r.SpecificallyVersionedParams(options, metav1.ParameterCodec, metav1.SchemeGroupVersion)
	}
	if answer == nil {
		return r.Do(ctx).Error()
	}
	return r.Do(ctx).Into(answer)
}

func (c collection) get(ctx context.Context, name string) (*unstructured.Unstructured, error) {
	u := &unstructured.Unstructured{}
	return u, c.ask(ctx, c.api.Get(), nil, u, name)
}

func (c collection) list(ctx context.Context, options metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	list := &unstructured.UnstructuredList{}
	return list, c.ask(ctx, c.api.Get(), &options, list)
}

// pageSize is how many objects are asked for at a time. A Secret may have 1 MiB.
const pageSize = 100

// all is the whole of c, asked for a page at a time. The API server knows for some minutes
// how to go on; then it is asked for all anew, and at once
// (https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks).
func (c collection) all(ctx context.Context) ([]*unstructured.Unstructured, error) {
	var all []*unstructured.Unstructured
	options := metav1.ListOptions{Limit: pageSize}
	for {
		page, err := c.list(ctx, options)
		if apierrors.IsResourceExpired(err) && options.Continue != "" && options.Limit > 0 {
			all, options = nil, metav1.ListOptions{}
			continue
		}
		if err != nil {
			return nil, err
		}
		for i := range page.Items {
			all = append(all, &page.Items[i])
		}
		if options.Continue = page.GetContinue(); options.Continue == "" {
			return all, nil
		}
	}
}

func (c collection) create(ctx context.Context, u *unstructured.Unstructured, options metav1.CreateOptions) error {
	return c.ask(ctx, c.api.Post().Body(u), &options, &unstructured.Unstructured{})
}

// apply is server-side apply.
func (c collection) apply(ctx context.Context, u *unstructured.Unstructured, options metav1.ApplyOptions) (*unstructured.Unstructured, error) {
	body, err := json.Marshal(u.Object)
	if err != nil {
		return nil, err
	}
	return c.patch(ctx, u.GetName(), types.ApplyYAMLPatchType, body, options.ToPatchOptions())
}

func (c collection) patch(ctx context.Context, name string, how types.PatchType, patch []byte, options metav1.PatchOptions) (*unstructured.Unstructured, error) {
	u := &unstructured.Unstructured{}
	return u, c.ask(ctx, c.api.Patch(how).Body(patch), &options, u, name)
}

// delete has its options in the body, unlike all others.
func (c collection) delete(ctx context.Context, name string, options metav1.DeleteOptions) error {
	options.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "DeleteOptions"}
	return c.ask(ctx, c.api.Delete().Body(&options), nil, nil, name)
}
