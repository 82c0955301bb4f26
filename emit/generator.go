package emit

import (
	"encoding/json"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/emit/tree"
	"github.com/victor-ai/victorgen/internal/shape"
)

// pushInterval is how often the operator checks whether the value is still at
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
func generator(in plan.Input, p *plan.Plan, namespace string) ([]tree.Document, error) {
	src, _ := p.Source(in.Source)
	meta := metav1.ObjectMeta{Name: generatorName(in, p), Namespace: namespace, Labels: tree.Labels(p, nil), Annotations: tree.Wave(tree.WaveGenerators)}
	var gen any
	kind, key := shape.UUIDKind, "uuid" // the key under which the generator answers
	if in.Generate.Kind == plan.Password {
		kind, key = shape.PasswordKind, "password"
		gen = password(*in.Generate, meta)
	} else {
		gen = shape.UUID{TypeMeta: metav1.TypeMeta{APIVersion: shape.GeneratorVersion, Kind: shape.UUIDKind}, ObjectMeta: meta}
	}
	store := storeRef(src.Store)
	metadata, err := pushMetadata(src)
	if err != nil {
		return nil, err
	}
	push := shape.PushSecret{
		TypeMeta:   metav1.TypeMeta{APIVersion: shape.PushSecretVersion, Kind: shape.PushSecretKind},
		ObjectMeta: meta,
		Spec: shape.PushSecretSpec{
			RefreshInterval: &metav1.Duration{Duration: pushInterval},
			SecretStoreRefs: []shape.Reference{{Name: store.Name, Kind: store.Kind}},
			UpdatePolicy:    "IfNotExists",
			DeletionPolicy:  "None",
			Selector: shape.PushSecretSelector{
				GeneratorRef: &shape.Reference{APIVersion: shape.GeneratorVersion, Kind: kind, Name: meta.Name},
			},
			Data: []shape.PushSecretData{{
				Match: shape.PushSecretMatch{
					SecretKey: key,
					RemoteRef: shape.PushRemote{RemoteKey: remoteKey(in, src), Property: in.Remote.Property},
				},
				Metadata:           metadata,
				ConversionStrategy: "None",
			}},
		},
	}
	var documents []tree.Document
	for _, object := range []any{gen, push} {
		d, err := tree.NewDocument(object)
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
func password(g plan.Generate, meta metav1.ObjectMeta) shape.Password {
	o, _ := g.OperatorPassword() // the compiler has seen to it that there is one
	return shape.Password{
		TypeMeta:   metav1.TypeMeta{APIVersion: shape.GeneratorVersion, Kind: shape.PasswordKind},
		ObjectMeta: meta,
		Spec:       shape.PasswordSpec{Length: o.Length, Digits: o.Digits, Symbols: o.Symbols, SymbolCharacters: o.Charset, NoUpper: o.NoUpper, AllowRepeat: true},
	}
}

// pushMetadata says what else a provider would not do: Parameter Store would
// keep the value as a String in clear text, and Secrets Manager as bytes
// (https://external-secrets.io/latest/provider/aws-parameter-store/#additional-metadata-for-pushsecret,
// https://external-secrets.io/latest/provider/aws-secrets-manager/#additional-metadata-for-pushsecret).
func pushMetadata(src plan.Source) (json.RawMessage, error) {
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
	return json.Marshal(map[string]any{
		"apiVersion": "kubernetes.external-secrets.io/v1alpha1", "kind": "PushSecretMetadata", "spec": spec,
	})
}
