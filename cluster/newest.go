package cluster

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// sealingCertificate returns the controller's newest certificate, PEM, through
// the service proxy of the API server.
func (c *Client) sealingCertificate(ctx context.Context, controller plan.Controller) ([]byte, error) {
	config := rest.CopyConfig(c.config)
	core := secrets.GroupVersion()
	config.GroupVersion, config.NegotiatedSerializer = &core, serializer.WithoutConversionCodecFactory{CodecFactory: scheme.Codecs}
	client, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, err
	}
	return client.Get().AbsPath("/api/v1/namespaces", controller.Namespace, "services", "http:"+controller.Name+":", "proxy/v1/cert.pem").DoRaw(ctx)
}
