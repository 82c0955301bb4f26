package plan

// Example is why something is an error, or a warning, and how it looks before it is put
// right and after.
type Example struct {
	Why, Before, After string
}

// ExampleOf returns the example of a code.
func ExampleOf(c Code) (Example, bool) {
	e, ok := examples[c]
	return e, ok
}

var examples = map[Code]Example{
	CodeSyntax:     {"CUE can't parse the file, so nothing can be compiled.", `inputs: API_KEY: schema.#Required & {`, `inputs: API_KEY: schema.#Required & {description: "Key of the API"}`},
	CodeNotAModule: {"Imports and paths are relative to a module, and without one the schema is not found.", "envs/dev/env.cue, and no cue.mod above", "cue.mod/module.cue\nenvs/dev/env.cue"},
	CodeNoEnvironment: {"Without the schema it is not known which fields there must be.", `// contract.cue
package shop
// envs/dev/env.cue
package shop

environment: "dev"`, `// contract.cue
package shop

import "github.com/victor-ai/victorgen/schema"

schema.#Environment
// envs/dev/env.cue
package shop

environment: "dev"
namespace:   "shop"`},
	CodeReference: {"What does not exist has no value, and a guess could deploy the wrong thing.", `inputs: DB_HOST: schema.#Seting & {default: "db"}`, `inputs: DB_HOST: schema.#Setting & {default: "db"}`},
	CodeConflict: {"A field has one value, and CUE never chooses between two.", `inputs: API_KEY: schema.#Required & {minLength: 20}
inputs: API_KEY: minLength: 30`, `inputs: API_KEY: schema.#Required & {minLength: 30}`},
	CodeIncomplete: {"A tree can only be written for what is decided.", `namespace: string`, `namespace: "shop"`},
	CodeUnknownField: {"A field that nothing reads would be silently ignored.", `inputs: API_KEY: schema.#Required
secrets: shop: keys: "api-key": imput: "API_KEY"`, `inputs: API_KEY: schema.#Required
secrets: shop: keys: "api-key": input: "API_KEY"`},
	CodeLoosened: {"What a contract requires holds in each environment; otherwise a reviewer of the contract could not rely on it.", `// contract.cue
inputs: API_KEY: schema.#Required
// envs/dev/env.cue
inputs: API_KEY: class: "optional"`, `// contract.cue
inputs: API_KEY: schema.#Optional
// envs/dev/env.cue
inputs: API_KEY: class: "required"`},
	CodeNotOneOf:    {"The values of such a field are a closed list, and each does something else.", `delivery: scope: "loose"`, `delivery: scope: "namespace-wide"`},
	CodeSchemaStale: {"Editors and cue vet would check a different language than the one that is compiled.", "cue.mod/pkg/github.com/victor-ai/victorgen/schema/mine.cue", "$ victorgen init\nremoved cue.mod/pkg/github.com/victor-ai/victorgen/schema/mine.cue"},
	CodeNotCUE:      {"A link could make messages quote any file that the builder may read.", "contract.cue -> /etc/passwd", "contract.cue, a regular file"},
	CodeAttribute: {"The meaning of a contract would depend on files and variables of the machine that compiles it.", `secrets: shop: keys: environ: value: string @embed(file=/proc/self/environ)`, `inputs: API_KEY: schema.#Required
secrets: shop: keys: "api-key": input: "API_KEY"`},
	CodeLimit:     {"A proposed contract could keep CI busy for hours, or use all its memory.", "[for a in list.Range(0, 3000, 1) for b in list.Range(0, 3000, 1) {a * b}]", "a list of what there is"},
	CodeUnbounded: {"One expression could take all memory.", `inputs: API_KEY: schema.#Required & {description: strings.Repeat("x", 1000000000)}`, `inputs: API_KEY: schema.#Required & {description: "Key of the API"}`},
	CodeName: {"The API server rejects such a name.", `inputs: API_KEY: schema.#Required
secrets: "Shop_Secrets": keys: "api-key": input: "API_KEY"`, `inputs: API_KEY: schema.#Required
secrets: "shop-secrets": keys: "api-key": input: "API_KEY"`},
	CodeSameSecret: {"One would overwrite the other in the cluster.", `inputs: API_KEY: schema.#Required
secrets: {
	a: {name: "shop", keys: a: input: "API_KEY"}
	b: {name: "shop", keys: b: input: "API_KEY"}
}`, `inputs: API_KEY: schema.#Required
secrets: {
	a: {name: "shop", keys: a: input: "API_KEY"}
	b: {name: "shop-db", keys: b: input: "API_KEY"}
}`},
	CodeTypeKeys: {"The API server rejects a Secret without the keys of its type.", `inputs: {TLS_CERT: schema.#Required, TLS_KEY: schema.#Required}
secrets: "shop-tls": {
	type: "kubernetes.io/tls"
	keys: {"cert.pem": input: "TLS_CERT", "tls.key": input: "TLS_KEY"}
}`, `inputs: {TLS_CERT: schema.#Required, TLS_KEY: schema.#Required}
secrets: "shop-tls": {
	type: "kubernetes.io/tls"
	keys: {"tls.crt": input: "TLS_CERT", "tls.key": input: "TLS_KEY"}
}`},
	CodeTooBig: {"Kubernetes stores no Secret of more than 1 MiB.", `inputs: BUNDLE: schema.#Required & {minLength: 2000000}
secrets: shop: keys: bundle: input: "BUNDLE"`, `inputs: {PART1: schema.#Required & {minLength: 1000000}, PART2: schema.#Required & {minLength: 1000000}}
secrets: {
	part1: keys: part: input: "PART1"
	part2: keys: part: input: "PART2"
}`},
	CodeKeyMadeFrom: {"A key with two origins has no single value, and one without any has none.", `inputs: API_KEY: schema.#Required
secrets: shop: keys: "api-key": {input: "API_KEY", value: "x"}`, `inputs: API_KEY: schema.#Required
secrets: shop: keys: "api-key": input: "API_KEY"`},
	CodeNoKeys: {"A Secret without keys is useless, and usually a forgotten line.", `secrets: shop: {}`, `inputs: API_KEY: schema.#Required
secrets: shop: keys: "api-key": input: "API_KEY"`},
	CodeNoCertificate: {"A value is sealed with the public key in it.", `// contract.cue
inputs: API_KEY: schema.#Required
secrets: shop: keys: "api-key": input: "API_KEY"
// envs/dev/env.cue
package shop

environment: "dev"
namespace:   "shop"
delivery: kind: "sealed"`, `// contract.cue
inputs: API_KEY: schema.#Required
secrets: shop: keys: "api-key": input: "API_KEY"
// envs/dev/env.cue
package shop

environment: "dev"
namespace:   "shop"
delivery: {kind: "sealed", certificate: "sealing-cert.pem"}`},
	CodeControl: {"A name could look like another, or command the terminal that shows it.", `sources: default: {kind: "aws-ssm", region: "us-east-1"}
inputs: API_KEY: schema.#Required & {remote: "api\u202e-key"}`, `sources: default: {kind: "aws-ssm", region: "us-east-1"}
inputs: API_KEY: schema.#Required & {remote: "api-key"}`},

	CodeUnknownInput: {"There is no value for the key.", `inputs: API_KEY: schema.#Required
secrets: shop: keys: "api-key": input: "APIKEY"`, `inputs: API_KEY: schema.#Required
secrets: shop: keys: "api-key": input: "API_KEY"`},
	CodeUnknownSource: {"Nothing says where to ask.", `sources: shared: {kind: "aws-ssm", region: "us-east-1"}
inputs: API_KEY: schema.#Required & {source: "shraed"}`, `sources: shared: {kind: "aws-ssm", region: "us-east-1"}
inputs: API_KEY: schema.#Required & {source: "shared"}`},
	CodeTemplate: {"A part that only one delivery has would give another Secret under the other.", `inputs: DB_PASSWORD: schema.#Required
secrets: shop: keys: "config": template: "{{define \"x\"}}{{.DB_PASSWORD}}{{end}}"`, `inputs: DB_PASSWORD: schema.#Required
secrets: shop: keys: "config": template: "shop:{{.DB_PASSWORD}}"`},
	CodeUnknownFunc: {"Only functions that both deliveries have give the same Secret under either.", `inputs: DB_PASSWORD: schema.#Required
secrets: shop: keys: "config": template: "{{.DB_PASSWORD | env}}"`, `inputs: DB_PASSWORD: schema.#Required
secrets: shop: keys: "config": template: "{{.DB_PASSWORD | urlquery}}"`},
	CodeUnguarded: {"While the input is absent, the text would be broken: a URL without a password, say.", `inputs: REDIS_PASSWORD: schema.#Optional
secrets: shop: keys: "redis-url": template: "redis://:{{.REDIS_PASSWORD}}@redis"`, `inputs: REDIS_PASSWORD: schema.#Optional
secrets: shop: keys: "redis-url": template: "redis://{{with .REDIS_PASSWORD}}:{{.}}@{{end}}redis"`},
	CodeUnusedInput: {"A value must be provided that is not used.", `inputs: OLD_KEY: schema.#Required`, `inputs: OLD_KEY: schema.#Required
secrets: shop: keys: "old-key": input: "OLD_KEY"`},
	CodeDeprecated: {"The input should be removed, and can't be while it has a value.", "OLD_KEY=... in .secrets.dev", "no such line in .secrets.dev"},
	CodeContent: {"Anyone who proposes templates could find out a value, one question at a time.", `inputs: API_KEY: schema.#Optional
secrets: shop: keys: "config": template: "{{if hasPrefix \"a\" .API_KEY}}x{{end}}"`, `inputs: API_KEY: schema.#Optional
secrets: shop: keys: "config": template: "{{if .API_KEY}}x{{end}}"`},
	CodeQuestions: {"Many small answers about one value amount to the value.", `inputs: API_KEY: schema.#Required
secrets: shop: keys: {
	for n in [1, 2, 3, 4, 5, 6, 7, 8, 9] {"first-\(n)": template: "{{trunc \(n) .API_KEY}}"}
}`, `inputs: API_KEY: schema.#Required
secrets: shop: keys: "api-key": input: "API_KEY"`},
	CodeTemplateBig: {"A template of that size can't be checked in reasonable time.", "a template of 2 MiB", "a template for each file"},
	CodeSamePlace: {"Different constraints on one value are questions about it.", `sources: default: {kind: "aws-ssm", region: "us-east-1"}
inputs: {
	A: schema.#Required & {remote: "/shop/key", minLength: 20}
	B: schema.#Required & {remote: "/shop/key", minLength: 30}
}`, `sources: default: {kind: "aws-ssm", region: "us-east-1"}
inputs: {
	A: schema.#Required & {remote: "/shop/key", minLength: 30}
	B: schema.#Required & {remote: "/shop/key", minLength: 30}
}`},
	CodeExternalTemplate: {"The operator would write something wrong into the Secret and report no error.", `sources: default: {kind: "aws-secretsmanager", region: "us-east-1"}
delivery: {kind: "external", esoVersion: "v0.19"}
inputs: DB: schema.#Required
secrets: shop: keys: password: template: "{{(fromJson .DB).password}}"`, `sources: default: {kind: "aws-secretsmanager", region: "us-east-1"}
delivery: {kind: "external", esoVersion: "v0.19"}
inputs: DB_PASSWORD: schema.#Required & {remote: "db#password"}
secrets: shop: keys: password: input: "DB_PASSWORD"`},
	CodePresenceUnknown: {"The operator fails the whole secret if one of its inputs is missing.", `sources: default: {kind: "aws-secretsmanager", region: "us-east-1"}
delivery: {kind: "external", esoVersion: "v0.19"}
inputs: TOKEN: schema.#Optional & {remote: "shop#token"}
secrets: shop: keys: token: input: "TOKEN"`, `sources: default: {kind: "aws-secretsmanager", region: "us-east-1"}
delivery: {kind: "external", esoVersion: "v0.19"}
inputs: TOKEN: schema.#Optional & {remote: "shop#token", present: true}
secrets: shop: keys: token: input: "TOKEN"`},
	CodePrintsNothing: {"Its key would never be in the Secret.", `inputs: API_KEY: schema.#Required
secrets: shop: keys: "config": template: "{{/* later */}}"`, `inputs: API_KEY: schema.#Required
secrets: shop: keys: "config": template: "{{.API_KEY}}"`},
	CodePrevious: {"There is no previous value, or no name by which the operator could fetch it.", `inputs: JWT_KEY: schema.#Generated & {generate: kind: "bytes"}
secrets: shop: keys: {
	key: input: "JWT_KEY"
	previous: {input: "JWT_KEY", previous: true}
}`, `inputs: JWT_KEY: schema.#Generated & {generate: {kind: "bytes", keepPrevious: "24h"}}
secrets: shop: keys: {
	key: input: "JWT_KEY"
	previous: {input: "JWT_KEY", previous: true}
}`},

	CodeRule: {"No build of this environment could ever succeed.", `inputs: {A_KEY: schema.#Required, B_KEY: schema.#Required}
rules: one: {kind: "exactlyOne", inputs: ["A_KEY", "B_KEY"]}`, `inputs: {A_KEY: schema.#Optional, B_KEY: schema.#Optional}
rules: one: {kind: "exactlyOne", inputs: ["A_KEY", "B_KEY"]}`},
	CodeConstraint: {"No value could satisfy it.", `inputs: API_KEY: schema.#Required & {minLength: 40, maxLength: 20}`, `inputs: API_KEY: schema.#Required & {minLength: 20, maxLength: 40}`},
	CodeGenerate:   {"The value would be generated, stored, and refused by the next build.", `inputs: DB_PASSWORD: schema.#Generated & {generate: {kind: "password", length: 16}, minLength: 20}`, `inputs: DB_PASSWORD: schema.#Generated & {generate: {kind: "password", length: 32}, minLength: 20}`},
	CodeLiteralSecret: {"Everyone with a clone has the value, permanently.", `secrets: shop: keys: "stripe-key": value: "sk_live_9fHq27LmZx4TbVr81KcWpYd3"`, `inputs: STRIPE_KEY: schema.#Required
secrets: shop: keys: "stripe-key": input: "STRIPE_KEY"`},
	CodeMisplaced: {"It would have no effect, and look as if it had.", `inputs: API_HOST: schema.#Required & {default: "api"}`, `inputs: API_HOST: schema.#Setting & {default: "api"}`},
	CodeSourceCannot: {"The source has no such thing, so a build would always fail.", `sources: default: kind: "env"
inputs: KEY_FILE: schema.#Required & {encoding: "binary"}`, `sources: default: kind: "env"
inputs: KEY_FILE: schema.#Required & {encoding: "base64"}`},
	CodeExternal: {"The operator would refuse the object, or never fill the Secret.", `sources: default: kind: "env"
delivery: {kind: "external", esoVersion: "v0.19"}
inputs: API_KEY: schema.#Required
secrets: shop: keys: "api-key": input: "API_KEY"`, `sources: default: {kind: "aws-ssm", region: "us-east-1"}
delivery: {kind: "external", esoVersion: "v0.19"}
inputs: API_KEY: schema.#Required
secrets: shop: keys: "api-key": input: "API_KEY"`},

	CodeAddress: {"The server that gets a token could belong to the author of the change.", `// contract.cue
sources: default: {kind: "vault", address: "https://vault.example"}
$ victorgen vet envs/dev`, `// contract.cue
sources: default: {kind: "vault", address: "https://vault.example"}
$ VAULT_ADDR=https://vault.example victorgen vet envs/dev`},
	CodePlainHTTP: {"Anyone on the network path can read the credential and the values.", `sources: default: {kind: "vault", address: "http://vault.example"}`, `sources: default: {kind: "vault", address: "https://vault.example"}`},
	CodeOutside:   {"A contract could have any file of this machine sealed and published.", `sources: default: file: "../../home/me/.netrc"`, `sources: default: file: ".secrets.dev"`},
	CodeInTree:    {"What is generated would be committed in plain text.", `sources: default: file: "deploy/dev/values"`, `sources: default: file: ".secrets.dev"`},
	CodeTreeLink:  {"A build would replace what the link leads to.", "deploy/dev -> /srv/www", "deploy/dev, a directory"},
	CodePolicy: {"The owners of the environment have forbidden it.", `// policy/policy.cue
package policy

secrets: [string]: namespace: "shop"
// contract.cue
inputs: API_KEY: schema.#Required
secrets: api: {namespace: "web", keys: "api-key": input: "API_KEY"}
$ victorgen vet envs/dev --policy policy`, `// policy/policy.cue
package policy

secrets: [string]: namespace: "shop"
// contract.cue
inputs: API_KEY: schema.#Required
secrets: api: {namespace: "shop", keys: "api-key": input: "API_KEY"}
$ victorgen vet envs/dev --policy policy`},
	CodePolicyRead: {"Without the policy it is not known what is allowed.", `// policy/policy.cue
package policy

secrets: [string]: namespace: "shop"
$ victorgen vet envs/dev --policy polcy`, `// policy/policy.cue
package policy

secrets: [string]: namespace: "shop"
$ victorgen vet envs/dev --policy policy`},
	CodeAuthority: {"Anyone with the key of that authority could impersonate the server.", `caBundle: "attacker.pem"`, "$ VAULT_CACERT=company-ca.pem victorgen build envs/production"},
	CodeCommand: {"A program runs with your rights, and anyone may propose a contract.", `// contract.cue
sources: default: {kind: "exec", command: ["victorgen-source-pass"]}
$ victorgen vet envs/dev`, `// contract.cue
sources: default: {kind: "exec", command: ["victorgen-source-pass"]}
$ victorgen vet envs/dev --allow exec:victorgen-source-pass`},
	CodeEverybody:     {"Everyone in the cluster could read the secrets.", `access: readers: [{kind: "Group", name: "system:authenticated"}]`, `access: readers: [{kind: "Group", name: "oidc:sre"}]`},
	CodeForeignReader: {"Anyone who may create Pods in that namespace can read the secrets.", `access: readers: [{kind: "ServiceAccount", name: "ci", namespace: "build"}]`, `access: readers: [{kind: "ServiceAccount", name: "api"}]`},
	CodeCopied: {"The secret would be in namespaces that the contract does not name.", `inputs: API_KEY: schema.#Required
secrets: shop: {
	annotations: "reflector.v1.k8s.emberstack.com/reflection-allowed": "true"
	keys: "api-key": input: "API_KEY"
}`, `inputs: API_KEY: schema.#Required
secrets: {
	shop: keys: "api-key": input: "API_KEY"
	"shop-web": {name: "shop", namespace: "web", keys: "api-key": input: "API_KEY"}
}`},
	CodeClusterWide: {"Anyone who may create a SealedSecret anywhere could open it.", `inputs: API_KEY: schema.#Required
secrets: shop: {delivery: scope: "cluster-wide", keys: "api-key": input: "API_KEY"}`, `inputs: API_KEY: schema.#Required
secrets: shop: {delivery: scope: "strict", keys: "api-key": input: "API_KEY"}`},
	CodeSystemNamespace: {"A Secret there can have an effect on the whole cluster.", `inputs: API_KEY: schema.#Required
secrets: shop: {namespace: "kube-system", keys: "api-key": input: "API_KEY"}`, `inputs: API_KEY: schema.#Required
secrets: shop: {namespace: "shop", keys: "api-key": input: "API_KEY"}`},
	CodeTaken: {"Another program would act on it.", `inputs: API_KEY: schema.#Required
secrets: shop: {
	labels: "argocd.argoproj.io/secret-type": "cluster"
	keys: "api-key": input: "API_KEY"
}`, `inputs: API_KEY: schema.#Required
secrets: shop: {
	labels: team: "shop"
	keys: "api-key": input: "API_KEY"
}`},
	CodeRunner: {"The job's own credential would be sealed as a value of the application.", `inputs: GITHUB_TOKEN: schema.#Required
secrets: shop: keys: token: input: "GITHUB_TOKEN"`, `inputs: SHOP_GITHUB_TOKEN: schema.#Required
secrets: shop: keys: token: input: "SHOP_GITHUB_TOKEN"`},

	CodeCrash: {"The program can't know what was left undone.", "$ victorgen build envs/dev", "a bug report, and the same command with a fixed version"},
	CodeVaultPath: {"victorgen adds the path of the engine itself, so the name would be doubled.", `sources: default: kind: "vault"
inputs: API_KEY: schema.#Required & {remote: "data/shop/api"}`, `sources: default: kind: "vault"
inputs: API_KEY: schema.#Required & {remote: "shop/api"}`},
	CodeESOVersion: {"The defaults that the operator fills in differ, and Argo CD would always show a difference.", `sources: default: {kind: "aws-ssm", region: "us-east-1"}
delivery: {kind: "external", esoVersion: "v0.9.0"}
inputs: API_KEY: schema.#Required
secrets: shop: keys: "api-key": input: "API_KEY"`, `sources: default: {kind: "aws-ssm", region: "us-east-1"}
delivery: {kind: "external", esoVersion: "v0.19.2"}
inputs: API_KEY: schema.#Required
secrets: shop: keys: "api-key": input: "API_KEY"`},
	CodeElsewhere: {"The operator would look for the values in a different place than the build.", `AWS_REGION=eu-west-1, and no region in the contract`, `sources: default: {kind: "aws-ssm", region: "eu-west-1"}`},

	CodeNoSecret: {"The pod waits for a Secret that will never come.", `// contract.cue
workloads: paths: ["k8s"]
inputs: API_KEY: schema.#Required
secrets: shop: keys: "api-key": input: "API_KEY"
# k8s/api.yaml
apiVersion: v1
kind: Pod
metadata: {name: api}
spec:
  containers:
  - name: api
    env: [{name: KEY, valueFrom: {secretKeyRef: {name: shop-secret, key: api-key}}}]`, `// contract.cue
workloads: paths: ["k8s"]
inputs: API_KEY: schema.#Required
secrets: shop: keys: "api-key": input: "API_KEY"
# k8s/api.yaml
apiVersion: v1
kind: Pod
metadata: {name: api}
spec:
  containers:
  - name: api
    env: [{name: KEY, valueFrom: {secretKeyRef: {name: shop, key: api-key}}}]`},
	CodeNoKey: {"The container does not start.", `// contract.cue
workloads: paths: ["k8s"]
inputs: API_KEY: schema.#Required
secrets: shop: keys: "api-key": input: "API_KEY"
# k8s/api.yaml
apiVersion: v1
kind: Pod
metadata: {name: api}
spec:
  containers:
  - name: api
    env: [{name: KEY, valueFrom: {secretKeyRef: {name: shop, key: apikey}}}]`, `// contract.cue
workloads: paths: ["k8s"]
inputs: API_KEY: schema.#Required
secrets: shop: keys: "api-key": input: "API_KEY"
# k8s/api.yaml
apiVersion: v1
kind: Pod
metadata: {name: api}
spec:
  containers:
  - name: api
    env: [{name: KEY, valueFrom: {secretKeyRef: {name: shop, key: api-key}}}]`},
	CodeMayBeAbsent: {"Where the input is absent, the pod does not start.", `// contract.cue
workloads: paths: ["k8s"]
inputs: API_KEY: schema.#Optional
secrets: shop: keys: "api-key": input: "API_KEY"
# k8s/api.yaml
apiVersion: v1
kind: Pod
metadata: {name: api}
spec:
  containers:
  - name: api
    env: [{name: KEY, valueFrom: {secretKeyRef: {name: shop, key: api-key}}}]`, `// contract.cue
workloads: paths: ["k8s"]
inputs: API_KEY: schema.#Optional
secrets: shop: keys: "api-key": input: "API_KEY"
# k8s/api.yaml
apiVersion: v1
kind: Pod
metadata: {name: api}
spec:
  containers:
  - name: api
    env: [{name: KEY, valueFrom: {secretKeyRef: {name: shop, key: api-key, optional: true}}}]`},
	CodeWrongType: {"Kubernetes ignores a Secret of another type there.", `// contract.cue
workloads: paths: ["k8s"]
inputs: LOGIN: schema.#Required
secrets: regcred: keys: ".dockerconfigjson": input: "LOGIN"
# k8s/api.yaml
apiVersion: v1
kind: Pod
metadata: {name: api}
spec: {imagePullSecrets: [{name: regcred}], containers: [{name: api}]}`, `// contract.cue
workloads: paths: ["k8s"]
inputs: LOGIN: schema.#Required
secrets: regcred: {type: "kubernetes.io/dockerconfigjson", keys: ".dockerconfigjson": input: "LOGIN"}
# k8s/api.yaml
apiVersion: v1
kind: Pod
metadata: {name: api}
spec: {imagePullSecrets: [{name: regcred}], containers: [{name: api}]}`},
	CodeOtherNamespace: {"A pod can't read Secrets of another namespace.", `// contract.cue
workloads: paths: ["k8s"]
inputs: API_KEY: schema.#Required
secrets: shop: {namespace: "shop", keys: "api-key": input: "API_KEY"}
# k8s/api.yaml
apiVersion: v1
kind: Pod
metadata: {name: api, namespace: web}
spec:
  containers:
  - name: api
    env: [{name: KEY, valueFrom: {secretKeyRef: {name: shop, key: api-key}}}]`, `// contract.cue
workloads: paths: ["k8s"]
inputs: API_KEY: schema.#Required
secrets: shop: {namespace: "web", keys: "api-key": input: "API_KEY"}
# k8s/api.yaml
apiVersion: v1
kind: Pod
metadata: {name: api, namespace: web}
spec:
  containers:
  - name: api
    env: [{name: KEY, valueFrom: {secretKeyRef: {name: shop, key: api-key}}}]`},
	CodeVariableName: {"Before Kubernetes 1.34 the variable is silently left out.", `// contract.cue
workloads: paths: ["k8s"]
inputs: API_KEY: schema.#Required
secrets: shop: keys: "2fa-key": input: "API_KEY"
# k8s/api.yaml
apiVersion: v1
kind: Pod
metadata: {name: api}
spec:
  containers:
  - name: api
    envFrom: [{secretRef: {name: shop}}]`, `// contract.cue
workloads: paths: ["k8s"]
inputs: API_KEY: schema.#Required
secrets: shop: keys: TWO_FA_KEY: input: "API_KEY"
# k8s/api.yaml
apiVersion: v1
kind: Pod
metadata: {name: api}
spec:
  containers:
  - name: api
    envFrom: [{secretRef: {name: shop}}]`},
	CodeSubPath: {"A rotation never reaches the running pod.", `// contract.cue
workloads: paths: ["k8s"]
inputs: API_KEY: schema.#Required
secrets: shop: keys: "api-key": input: "API_KEY"
# k8s/api.yaml
apiVersion: v1
kind: Pod
metadata: {name: api}
spec:
  volumes: [{name: shop, secret: {secretName: shop}}]
  containers:
  - name: api
    volumeMounts: [{name: shop, mountPath: /etc/shop/api-key, subPath: api-key}]`, `// contract.cue
workloads: paths: ["k8s"]
inputs: API_KEY: schema.#Required
secrets: shop: keys: "api-key": input: "API_KEY"
# k8s/api.yaml
apiVersion: v1
kind: Pod
metadata: {name: api}
spec:
  volumes: [{name: shop, secret: {secretName: shop}}]
  containers:
  - name: api
    volumeMounts: [{name: shop, mountPath: /etc/shop}]`},
	CodeImmutableUsed: {"A rotation has to give the Secret another name, and this one still names the old.", `// contract.cue
workloads: paths: ["k8s"]
inputs: API_KEY: schema.#Required
secrets: shop: immutable: true
secrets: shop: keys: "api-key": input: "API_KEY"
# k8s/api.yaml
apiVersion: v1
kind: Pod
metadata: {name: api}
spec:
  containers:
  - name: api
    env: [{name: KEY, valueFrom: {secretKeyRef: {name: shop, key: api-key}}}]`, `// contract.cue
workloads: paths: ["k8s"]
inputs: API_KEY: schema.#Required
secrets: shop: keys: "api-key": input: "API_KEY"
# k8s/api.yaml
apiVersion: v1
kind: Pod
metadata: {name: api}
spec:
  containers:
  - name: api
    env: [{name: KEY, valueFrom: {secretKeyRef: {name: shop, key: api-key}}}]`},
	CodeNotConsumed: {"It is a secret that is kept without need.", `// contract.cue
workloads: paths: ["k8s"]
inputs: API_KEY: schema.#Required
secrets: shop: keys: "api-key": input: "API_KEY"
secrets: shop: keys: "old-key": input: "API_KEY"
# k8s/api.yaml
apiVersion: v1
kind: Pod
metadata: {name: api}
spec:
  containers:
  - name: api
    env: [{name: KEY, valueFrom: {secretKeyRef: {name: shop, key: api-key}}}]`, `// contract.cue
workloads: paths: ["k8s"]
inputs: API_KEY: schema.#Required
secrets: shop: keys: "api-key": input: "API_KEY"
# k8s/api.yaml
apiVersion: v1
kind: Pod
metadata: {name: api}
spec:
  containers:
  - name: api
    env: [{name: KEY, valueFrom: {secretKeyRef: {name: shop, key: api-key}}}]`},
	CodeWorkloadRead: {"It is not known whether these workloads find their Secrets.", `// contract.cue
workloads: paths: ["charts/shop"]
# charts/shop/api.yaml
apiVersion: v1
kind: Pod
metadata: {name: {{ .Release.Name }}}`, `// contract.cue
workloads: paths: ["k8s"]
# k8s/api.yaml
apiVersion: v1
kind: Pod
metadata: {name: api}`},
	CodeWorkloads: {"No field could be found by it.", `// contract.cue
workloads: {paths: ["k8s"], watched: ["shp"]}
inputs: API_KEY: schema.#Required
secrets: shop: keys: "api-key": input: "API_KEY"
# k8s/api.yaml
{apiVersion: v1, kind: Pod, metadata: {name: api}}`, `// contract.cue
workloads: {paths: ["k8s"], watched: ["shop"]}
inputs: API_KEY: schema.#Required
secrets: shop: keys: "api-key": input: "API_KEY"
# k8s/api.yaml
{apiVersion: v1, kind: Pod, metadata: {name: api}}`},

	CodeMissing:          {"The application would not start, or start without it.", "STRIPE_KEY=", "$ victorgen set envs/production STRIPE_KEY"},
	CodeMissingGenerated: {"A value may be in use that is not at the source.", "$ victorgen build envs/dev --no-generate", "$ victorgen generate envs/dev"},
	CodeRuleBroken:       {"The application works with all of them or none, as the contract says.", "SMTP_USER=shop", "SMTP_USER=shop\nSMTP_PASSWORD=..."},
	CodePlaceholder:      {"It opens nothing, or opens everything to those who know the sample.", "API_KEY=changeme", "API_KEY=..., a real one"},
	CodeWeak:             {"It can be guessed.", "DB_PASSWORD=summer2024", "$ openssl rand -base64 24 | victorgen set envs/dev DB_PASSWORD --stdin"},
	CodeValuePattern:     {"It is not what the contract describes, so it is probably the wrong one.", "STRIPE_KEY=pk_live_..., and pattern: \"^sk_live_\"", "STRIPE_KEY=sk_live_..."},
	CodeValueFormat:      {"The application can't parse it.", "SENTRY_DSN=sentry.io/1", "SENTRY_DSN=https://key@sentry.example/1"},
	CodeValueLength:      {"It was truncated, or is something else.", "ENCRYPTION_KEY of 16 bytes, and minLength: 32", "ENCRYPTION_KEY of 32 bytes"},
	CodeValueOneOf:       {"The application supports no other.", "LOG_LEVEL=verbose", "LOG_LEVEL=debug"},
	CodeValueEncoding:    {"What would reach the Secret is not the value.", "KEY=not base64!, and encoding: \"base64\"", "$ base64 -w0 key.bin | victorgen set envs/dev KEY --stdin"},
	CodeStale:            {"The longer a value is in use, the more have seen it.", "maxAge: \"2160h\", and a value of 120 days", "$ victorgen rotate envs/production DB_PASSWORD"},
	CodeUnfit:            {"A hash of another password locks everyone out; a token of another key is refused.", "a new DB_PASSWORD, and the old DB_HASH", "$ victorgen build envs/dev   # regenerates DB_HASH"},
	CodeExpires:          {"After that moment what checks it refuses it.", "expires: \"2026-01-31\", and today is 2026-01-20", "a new value, and a new date in expires"},
	CodeTypeContent:      {"The kubelet, or whatever reads such a Secret, fails with it.", "type: \"kubernetes.io/dockerconfigjson\", and a value that is not JSON", "secrets: regcred: kit.#DockerConfigJSON & {...}"},
	CodeKeyPair:          {"TLS fails at the first connection.", "tls.crt of last year's key, and tls.key of this year's", "both of one pair"},
	CodeSourceRead:       {"What can't be read is not absent, and must not be generated again.", "AccessDeniedException for ssm:GetParameters", "$ victorgen explain --permissions envs/production   # the rights that are needed"},
	CodeSourceWrite:      {"A value that is generated and not stored would be lost.", "a generated input, and a role that may only read", "the right to write, or the value set by hand"},
	CodeFileMode:         {"Every user of the machine can read the values.", "-rw-r--r-- .secrets.dev", "$ chmod 600 .secrets.dev"},
	CodeFileSyntax:       {"Programs that read such files would disagree on the value.", "PASSWORD=it's", "PASSWORD=\"it's\""},
	CodeUnknownName:      {"It is a misspelled name, and the right one is missing.", "DB_PASWORD=...", "DB_PASSWORD=..."},
	CodeLockKey:          {"Without the key it is not known whether a value has changed, so everything would be sealed again each time.", "no VICTORGEN_LOCK_KEY at a source that can't be written", "$ victorgen generate envs/dev, with the right to write"},
	CodeLost:             {"A new value would replace one that a database or a user still has.", "a fresh clone without .secrets.dev", "$ victorgen recover envs/dev, or --renew DB_PASSWORD"},
	CodeUnrecoverable:    {"The cluster has it in no key from which it could be restored.", "a password that is only a part of a URL", "the value from a backup: victorgen set envs/dev DB_PASSWORD"},
	CodeHasAnother:       {"One of the two is the right value, and only you know which.", "$ victorgen recover envs/dev", "$ victorgen recover envs/dev --replace"},
	CodeNeverRotate:      {"What was encrypted with the old value could no longer be read.", "$ victorgen rotate envs/production ENCRYPTION_KEY", "a migration of the data first, and then another rotate: in the contract"},
	CodeDotenvDiffers:    {"Another program that reads the file would take another value.", "PASSWORD=a$b", "PASSWORD='a$b'"},
	CodeStrayEnds:        {"Hardly any application expects it, and it is easy to miss.", "$ echo tok | victorgen set ...   # ends with a line break", "$ printf %s tok | victorgen set ..."},
	CodeInGit:            {"What is once in Git is in every clone.", ".secrets.dev, tracked", "$ echo '.secrets*' >> .gitignore; git rm --cached .secrets.dev"},
	CodeTwoPlaces:        {"A forgotten variable would decide what is deployed.", "DB_PASSWORD in the shell and in .secrets.dev", "$ unset DB_PASSWORD"},
	CodeSameValue:        {"Anyone who learns it in one environment has it in the others.", "dev and production with one DB_PASSWORD", "$ victorgen rotate envs/dev DB_PASSWORD"},
	CodeSharedFile:       {"Environments would share their values.", ".secrets", ".secrets.dev, .secrets.production"},
	CodeNotSet:           {"The source is not where this input gets its value.", "$ victorgen set envs/dev DB_HOST   # has a default", "inputs: DB_HOST: default: \"db.internal\""},
	CodeValueRead:        {"There is nothing to store.", "$ victorgen set envs/dev KEY --from-file missing.txt", "$ victorgen set envs/dev KEY --from-file key.txt"},
	CodePreviousOver:     {"What was signed with it is still accepted, longer than the contract says.", "keepPrevious: \"24h\", and a rotation of last week", "$ victorgen rotate ./envs/... --due && victorgen build ./envs/..."},
	CodePreviousDropped:  {"What the previous value has signed is refused from now on.", "$ victorgen rotate envs/production JWT   # twice in a day", "the second rotation after keepPrevious has passed, unless the key is known to others"},
	CodePending:          {"Two values count until it is known which one the other side has.", "$ victorgen rotate envs/production DB_PASSWORD -- ./tell-postgres   # killed", "$ victorgen rotate envs/production --resume -- ./tell-postgres"},
	CodeNotTold:          {"The other side may have the old value or the new one, and a build with the wrong one would lock the application out.", "$ victorgen rotate envs/production DB_PASSWORD -- ./tell-postgres   # exits with 1", "$ victorgen rotate envs/production --resume -- ./tell-postgres"},
	CodeAgeless:          {"It would only be rotated by name, and rotate --due would never do it.", "DB_PASSWORD: {source: \"dotenv\", maxAge: \"720h\"}   # and rotate --due", "$ victorgen rotate envs/dev DB_PASSWORD"},
	CodePlainText:        {"Anyone who reads the repository would have the value.", "unencrypted_suffix: _key in .sops.yaml, and the name api_key", "a name that the rules of the file encrypt"},

	CodeCertificateRead:    {"There is no key to seal with.", "certificate: \"sealing-cert.pem\", and no such file", "$ victorgen cert fetch envs/dev"},
	CodeCertificateExpired: {"The controller renewed its key long ago, so the file is outdated.", "a certificate that ended in May", "$ victorgen cert fetch envs/dev"},
	CodeCertificateKey:     {"The controller unseals with RSA, and shorter keys can be broken.", "a certificate with an elliptic key", "$ victorgen cert fetch envs/dev"},
	CodeCertificateMany:    {"It is not clear which of them to seal for.", "two certificates in sealing-cert.pem", "one"},
	CodeCertificateEnds:    {"Soon nothing can be sealed.", "a certificate that ends next week", "$ victorgen cert fetch envs/dev"},
	CodeCertificateSwapped: {"Anyone with the key of a certificate can read everything sealed for it.", "another sealing-cert.pem in a pull request", "$ victorgen cert fetch envs/production, against the cluster itself"},
	CodeCertificateDemo:    {"No cluster can open what is deployed.", "$ victorgen init shop --demo-certificate", "$ victorgen cert fetch envs/dev && victorgen build envs/dev"},

	CodeRender:         {"The key would be wrong or empty.", "{{(fromJson .CONFIG).user}}, and CONFIG without user", "{{(fromJson .CONFIG).user | default \"shop\"}}"},
	CodeSecretTooBig:   {"The API server refuses it.", "a keystore of 1.2 MiB", "a secret for each part, or a volume"},
	CodeCannotSeal:     {"Sealing needs the value, which is not known.", "$ victorgen build envs/dev --offline   # after the template was changed", "$ victorgen build envs/dev"},
	CodeLeftOut:        {"A tree without a Secret is probably not intended.", "all inputs are optional, and none is there", "$ victorgen set envs/dev API_KEY"},
	CodeEdited:         {"What is in the tree is not what was sealed for it.", "a ciphertext that a merge has taken from another branch", "$ victorgen build envs/dev"},
	CodeKept:           {"It was not checked whether they have changed.", "a source that is not reachable", "the same build where the source can be read"},
	CodePresence:       {"A key of what is absent would fail the whole ExternalSecret.", "no right to ask, and a new optional input", "present: true, or the right to prove"},
	CodeRendersNothing: {"An empty key breaks what reads it.", "a value of white space, and {{.KEY | trim}}", "a real value"},
	CodeRenderLimit:    {"A small contract could take all memory.", "{{range}} within {{range}} within {{range}}", "one range"},
	CodeLargeObject:    {"kubectl apply fails with it.", "$ kubectl apply -k deploy/dev", "$ kubectl apply --server-side -k deploy/dev"},

	CodeLockRead:     {"Without the lock it is not known what was sealed.", "victorgen.lock with conflict markers", "$ git checkout HEAD -- deploy/dev"},
	CodeTreeRead:     {"What can't be read can't be kept.", "deploy/dev without the right to read it", "$ chmod -R u+rX deploy/dev"},
	CodeTreeWrite:    {"The tree would be half old and half new.", "a full disk", "the same build with room on the disk"},
	CodeTreeForeign:  {"A build would overwrite what is not its own.", "deploy/dev/secrets/shop.yaml, written by hand", "that file elsewhere, and the same build"},
	CodeKustomize:    {"Argo CD and kubectl could not build it either.", "a kustomization of your own in the tree that names a missing file", "the file, or no such line"},
	CodeTreeDiffers:  {"What is committed is not what the contract says.", "a changed contract, and the old tree", "$ victorgen build envs/dev && git add deploy"},
	CodeOverlay:      {"The controller can't unseal what has a different name than it was sealed for.", "namePrefix: eu-", "secrets: shop: delivery: scope: \"namespace-wide\""},
	CodeLockTimes:    {"Changing such a time would hide that a value is old.", "changed: 2027-01-01 in victorgen.lock", "$ git checkout HEAD -- deploy/dev/victorgen.lock"},
	CodeLockOld:      {"Version 1 does not authenticate times.", "version: 1 in victorgen.lock", "$ victorgen build envs/dev"},
	CodeLockKeyMoved: {"Anyone who can read the new place could test guesses of each value.", "VICTORGEN_LOCK_KEY: source: \"shared\"", "the source that it had"},
	CodeOrphan:       {"It is still deployed, and not rotated.", "deploy/staging, and no envs/staging", "$ victorgen build ./envs/... --prune"},
	CodeMadeTwice:    {"Two controllers overwrite the same Secret.", "k8s/secret.yaml, with the name of a secret of the tree", "no k8s/secret.yaml"},
	CodeNotRendered:  {"It is not known whether it breaks what is sealed.", "resources: [https://example.com/base]", "the base in the repository"},

	CodeMerge:          {"Ciphertexts can't be merged line by line.", "<<<<<<< HEAD in deploy/dev", "$ git checkout --ours deploy/dev && victorgen build envs/dev"},
	CodeRevision:       {"There is nothing to compare with.", "a clone of depth 1", "fetch-depth: 0"},
	CodeRevisionBroken: {"What it said is not known, so everything counts as new.", "a contract of last year that does not compile", "a revision that compiles"},

	CodeFound:      {"Anyone who reads the file has the value.", "password: hunter2 in k8s/db.yaml", "the line removed, and victorgen rotate envs/dev DB_PASSWORD"},
	CodeNotScanned: {"It may or may not contain a value.", "a file without the right to read it", "the right to read it"},

	CodeClusterRead:        {"What can't be read can't be checked.", "Forbidden: get secrets in shop", "access: readers: [{kind: \"ServiceAccount\", name: \"verify\"}]"},
	CodeClusterWrite:       {"The Secret is not what the contract says.", "Forbidden: patch secrets in shop", "the right to patch secrets there"},
	CodeOwned:              {"Its owner would put its own values back.", "$ victorgen apply envs/dev, and a SealedSecret of that name", "the tree for that environment, or no SealedSecret"},
	CodeFieldConflict:      {"Two managers would overwrite the same field.", "$ victorgen apply envs/dev", "$ victorgen apply envs/dev --force-conflicts"},
	CodeUnchangeable:       {"Kubernetes does not allow changing it.", "type: \"Opaque\", now type: \"kubernetes.io/tls\"", "$ kubectl delete secret shop-tls && victorgen apply envs/dev"},
	CodeNoNamespace:        {"There is no place for the Secret.", "$ victorgen apply envs/dev", "$ victorgen apply envs/dev --create-namespace"},
	CodeNotRestarted:       {"It runs with the old value.", "a Deployment that is paused", "$ kubectl rollout resume deployment/api"},
	CodeNotTheLocks:        {"It is not known which of the two is right.", "a Secret that was edited by hand", "$ kubectl apply -k deploy/dev, and then victorgen recover envs/dev"},
	CodeNoController:       {"There is no controller to get the certificate from.", "delivery: kind: \"sealed\", and a controller in another namespace", "delivery: controller: {namespace: \"sealed-secrets\", name: \"sealed-secrets\"}"},
	CodeCertificateUseless: {"What is sealed for it could not be unsealed.", "a controller with a certificate that has expired", "a renewed key of the controller"},
	CodeCertificateWrite:   {"The next build would seal for the old one.", "certificate: \"contract.cue\"", "certificate: \"sealing-cert.pem\""},
	CodeTwoControllers:     {"One of the two could not unseal its secrets.", "two delivery.controller, and one certificate", "a certificate each"},

	CodeSecretAbsent:    {"Pods that need it do not start.", "Secret shop/shop-secrets: not found", "$ kubectl apply -k deploy/dev"},
	CodeKeyAbsent:       {"What reads the key fails.", "Secret shop without api-key", "the tree of today, applied"},
	CodeKeyUndeclared:   {"It is not rotated, and not documented.", "debug-token, added with kubectl edit", "the key in the contract, or removed"},
	CodeKeyDiffers:      {"The application gets something other than what is in Git.", "log-level: debug, edited by hand", "$ kubectl apply -k deploy/dev"},
	CodeTypeDiffers:     {"What needs the type ignores the Secret.", "Opaque in the cluster, kubernetes.io/tls in the contract", "$ kubectl delete secret shop-tls   # it is recreated"},
	CodeMetadataDiffers: {"What selects by the label does not find it.", "no label app.kubernetes.io/part-of", "$ kubectl apply -k deploy/dev"},
	CodeNotDelivered:    {"The Secret has the old values, or is not there.", "no key could decrypt secret (api-key)", "$ victorgen cert fetch envs/dev && victorgen build envs/dev"},
	CodeNotReconciled:   {"The Secret does not follow its object.", "a controller that does not run", "a controller that runs, and watches the namespace"},
	CodeStoreNotReady:   {"No value comes from there.", "SecretStore aws-ssm: could not get provider client", "the role of its service account"},
	CodeScopeDiffers:    {"It can be opened under other names, or no longer under its own.", "cluster-wide in the cluster, strict in the contract", "the tree of today, applied"},
	CodeNotNewest:       {"What is sealed now is lost with the old key.", "a certificate of two months ago", "$ victorgen cert fetch envs/dev && victorgen build envs/dev"},
	CodeNewestUnknown:   {"It is not known whether the certificate is still the right one.", "no right to get services/proxy", "the right to get services/proxy of the controller"},
	CodeReused:          {"Anyone who learns one has them all.", "DB_PASSWORD and REDIS_PASSWORD with one value", "$ victorgen rotate envs/dev REDIS_PASSWORD"},
	CodeKindUnknown:     {"Nothing makes Secrets from the tree's objects.", "a cluster without the CustomResourceDefinitions", "the controller, installed"},
	CodeForeignKey:      {"Someone else may have the key, and could read everything that is sealed.", "a certificate that was never the cluster's", "$ victorgen cert fetch envs/dev && victorgen build envs/dev, and all values rotated"},

	CodeImportRead:    {"An import of half of it would lose the other half.", "a manifest that is not YAML", "the manifest, corrected, or not named"},
	CodeImportLeft:    {"It is not in the contract, but may be needed.", "dataFrom: find", "the keys by name"},
	CodeImportDiffers: {"The application would get something other than today.", "a value whose line breaks were changed", "a source that keeps them, or another encoding"},
	CodeImportExists:  {"The current content would be lost.", "$ victorgen import env .env --into envs/dev   # again, with another file", "$ victorgen import env .env --into envs/staging"},
	CodeImportUnfit:   {"The next build refuses it.", "API_KEY=changeme in .env", "$ victorgen set envs/dev API_KEY --replace"},
}
