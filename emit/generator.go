package emit

import (
	"encoding/json"
	"strings"
	"time"

	esv1 "github.com/external-secrets/external-secrets/apis/externalsecrets/v1"
	esv1alpha1 "github.com/external-secrets/external-secrets/apis/externalsecrets/v1alpha1"
	genv1alpha1 "github.com/external-secrets/external-secrets/apis/generators/v1alpha1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// pushInterval is how often the operator looks whether the value is still at
// its source.
const pushInterval = time.Hour

// generatorName is the name of what generates in.
func generatorName(in plan.Input, p *plan.Plan) string {
	return strings.Trim(strings.ReplaceAll(strings.ToLower(p.PartOf+"-"+in.Name), "_", "-"), "-.")
}

// generator returns the generator that generates in, and the PushSecret that writes
// its value to the source if there is none, and only then: so the value is born
// in the cluster and lives at the source
// (https://external-secrets.io/latest/api/pushsecret/).
func generator(in plan.Input, p *plan.Plan, namespace string) ([]document, error) {
	src, _ := p.Source(in.Source)
	meta := metav1.ObjectMeta{Name: generatorName(in, p), Namespace: namespace, Labels: ownLabels(p, nil), Annotations: wave(waveGenerators)}
	var gen any
	kind, key := uuidKind, "uuid" // the key under which the generator answers
	if in.Generate.Kind == plan.Password {
		kind, key = passwordKind, "password"
		gen = password(*in.Generate, meta)
	} else {
		gen = genv1alpha1.UUID{TypeMeta: metav1.TypeMeta{APIVersion: generatorVersion, Kind: uuidKind}, ObjectMeta: meta}
	}
	store := storeRef(src.Store)
	metadata, err := pushMetadata(src)
	if err != nil {
		return nil, err
	}
	push := esv1alpha1.PushSecret{
		TypeMeta:   metav1.TypeMeta{APIVersion: pushSecretVersion, Kind: pushSecretKind},
		ObjectMeta: meta,
		Spec: esv1alpha1.PushSecretSpec{
			RefreshInterval: &metav1.Duration{Duration: pushInterval},
			SecretStoreRefs: []esv1alpha1.PushSecretStoreRef{{Name: store.Name, Kind: store.Kind}},
			UpdatePolicy:    esv1alpha1.PushSecretUpdatePolicyIfNotExists,
			DeletionPolicy:  esv1alpha1.PushSecretDeletionPolicyNone,
			Selector: esv1alpha1.PushSecretSelector{
				GeneratorRef: &esv1.GeneratorRef{APIVersion: generatorVersion, Kind: kind, Name: meta.Name},
			},
			Data: []esv1alpha1.PushSecretData{{
				Match: esv1alpha1.PushSecretMatch{
					SecretKey: key,
					RemoteRef: esv1alpha1.PushSecretRemoteRef{RemoteKey: remoteKey(in, src), Property: in.Remote.Property},
				},
				Metadata:           metadata,
				ConversionStrategy: esv1alpha1.PushSecretConversionNone,
			}},
		},
	}
	var documents []document
	for _, object := range []any{gen, push} {
		d, err := documentOf(object)
		if err != nil {
			return nil, err
		}
		addDefaults(d, p.ESOVersion)
		documents = append(documents, d)
	}
	return documents, nil
}

// password returns a generator of passwords. Characters may repeat: forbidding
// it makes guessing easier, and bounds the length.
func password(g plan.Generate, meta metav1.ObjectMeta) genv1alpha1.Password {
	o, _ := g.OperatorPassword() // the compiler has seen to it that there is one
	p := genv1alpha1.Password{
		TypeMeta:   metav1.TypeMeta{APIVersion: generatorVersion, Kind: passwordKind},
		ObjectMeta: meta,
		Spec:       genv1alpha1.PasswordSpec{Length: o.Length, Digits: &o.Digits, Symbols: &o.Symbols, NoUpper: o.NoUpper, AllowRepeat: true},
	}
	if o.Charset != "" {
		p.Spec.SymbolCharacters = &o.Charset
	}
	return p
}

// pushMetadata says what else a provider would not do: Parameter Store would
// keep the value as a String in clear text, and Secrets Manager as bytes
// (https://external-secrets.io/latest/provider/aws-parameter-store/#additional-metadata-for-pushsecret,
// https://external-secrets.io/latest/provider/aws-secrets-manager/#additional-metadata-for-pushsecret).
func pushMetadata(src plan.Source) (*apiextensionsv1.JSON, error) {
	var spec map[string]string
	kmsKey := "kmsKeyID"
	switch src.Kind {
	case plan.AWSSSM:
		spec = map[string]string{"secretType": "SecureString"}
	case plan.AWSSecretsManager:
		spec, kmsKey = map[string]string{"secretPushFormat": "string"}, "kmsKeyId"
	default:
		return nil, nil
	}
	if src.KMSKey != "" {
		spec[kmsKey] = src.KMSKey
	}
	raw, err := json.Marshal(map[string]any{
		"apiVersion": "kubernetes.external-secrets.io/v1alpha1", "kind": "PushSecretMetadata", "spec": spec,
	})
	return &apiextensionsv1.JSON{Raw: raw}, err
}
