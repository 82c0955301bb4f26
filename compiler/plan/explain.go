package plan

import (
	"maps"
	"slices"
	"strings"
)

// Explain returns what there is to know about a code: a title, and what to do.
func Explain(c Code) (string, bool) {
	if c == CodeUnknownFunc {
		return explanations[c] + strings.Join(slices.Sorted(maps.Keys(Functions)), ", ") + ".", true
	}
	text, ok := explanations[c]
	return text, ok
}

// Codes returns all codes, sorted.
func Codes() []Code { return slices.Sorted(maps.Keys(explanations)) }

var explanations = map[Code]string{
	CodeSyntax: `a CUE file does not parse, or does not belong to the package.
The message is CUE's own. See https://cuelang.org/docs/reference/spec/.`,
	CodeNotAModule: `the directory is not in a CUE module.
An environment is part of a module: a directory with cue.mod/module.cue. ` + "`victorgen init`" + ` starts one.`,
	CodeNoEnvironment: `the directory is not an environment.
Its package must embed schema.#Environment, in the contract or in the environment itself.`,
	CodeReference: `a name or a package that a CUE file refers to does not exist.
Packages are read from the module and from cue.mod/pkg; registries are not used, so a compilation never uses the
network.`,
	CodeConflict: `two values for one field can't be unified, or a value breaks a bound of the schema.`,
	CodeIncomplete: `a field that an environment must have is missing or has no concrete value.
A contract may leave a field open (string); the environment must then close it ("production").`,
	CodeUnknownField: `the schema has no such field, or a definition of its kit no such parameter.
It is usually misspelled. A field of your own must be hidden (_name) or a definition (#Name). CUE lets a definition of
the kit get parameters of any name; here that is an error, because kit.#Redis with a #pasword would make a URL without a
password. A definition of your own may have more of them, which it reads.`,
	CodeLoosened: `an environment contradicts its contract.
An environment is unified with the contract, so it can add and narrow, never remove. What environments may choose, the
contract leaves open: schema.#Optional may become required; default: *"a" | string may become "b"; minLength: *12 |
>=12 may become 20.`,
	CodeNotOneOf: `a field has a value that is not one of those that the schema lists for it.`,
	CodeSchemaStale: `the copy of the schema in the module is not the schema of this victorgen.
CUE unifies all files of a package: another file next to the schema in cue.mod/pkg, or below cue.mod/gen or
cue.mod/usr, would change the language for editors and cue vet. victorgen itself only uses the schema that it was
built with. ` + "`victorgen init`" + ` in the module renews the copy, and removes what is not part of it. Where
cue.mod/module.cue says custom: "github.com/victor-ai/victorgen": language: N, the module needs version N of the
language, and a victorgen that only knows an earlier one refuses it at once.`,
	CodeNotCUE: `a file whose name ends in .cue is not a file of the module that can be read as CUE.
Only the .cue files of a module are read: regular files, and links to .cue files in the module. A link to anything
else, a FIFO, a device and an unreadable file are refused, and their content is never shown. Names that begin with .
or _ are ignored, as in CUE.`,
	CodeAttribute: `an attribute or an import would make CUE read or do more than the contract says.
@extern and @embed read files, @if and @ignore leave a file out, @tag takes a value from the command line of cue, and
the packages tool/... read files and run programs. None of this is supported: the .cue files mean the same for
everyone who compiles them. Other attributes have no meaning here.`,
	CodeLimit: `compiling the contract takes more time, memory or steps than any contract needs.
CUE is a language, and a comprehension over 3,000 by 3,000 elements takes minutes. So compiling is limited to two
minutes (or victorgen vet --timeout, or a longer --timeout of another verb) and 4 GiB of memory, and checking rules to
two million steps. A contract of ten thousand inputs needs a small part of that. Nothing is built when one of the
environments reaches a limit.`,
	CodeUnbounded: `a CUE builtin is used that can make a value of any size at once.
These are strings.Repeat, list.Repeat, bits.Lsh and bits.SetBit; a text times a number is an error for the same
reason. The process would run out of memory, and not say where. A contract needs none of them. strings.Replace,
strings.Join and path.Join are available where they are called directly, for texts of up to 262,144 bytes, lists of up
to 16,384, and up to 1,024 bytes to insert.`,
	CodeName: `a name is not one that Kubernetes accepts.
The rules are Kubernetes' own: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/. An input has
the name of an environment variable, and a label of an alert one of Prometheus'
(https://prometheus.io/docs/concepts/data_model/#metric-names-and-labels).`,
	CodeSameSecret: `two secrets have the same name and namespace.
One would overwrite the other in the cluster.`,
	CodeTypeKeys: `a secret lacks a key that its type requires.
The API server then rejects it: https://kubernetes.io/docs/concepts/configuration/secret/#secret-types. A key made
from an optional input may be left out, so it does not count.`,
	CodeTooBig: `a secret is over 1 MiB by its literals and minimum lengths alone, or its annotations are over 256 KiB together.
Kubernetes stores no more: https://kubernetes.io/docs/concepts/configuration/secret/#restriction-data-size.`,
	CodeKeyMadeFrom: `a key must be made from exactly one of input, template and value.`,
	CodeControl: `a name or a path has an invisible character: a control character, or one that turns the direction of text.
Such names are never intended, and can mislead the reader or the program that prints them.`,
	CodeNoKeys: `a secret is declared without keys.`,
	CodeNoCertificate: `sealed delivery needs delivery.certificate, a PEM file.
The sealed-secrets controller of the cluster provides it: ` + "`victorgen cert fetch ENV`" + ` writes it to the file that
delivery.certificate names, ` + "`kubeseal --fetch-cert`" + ` prints it.`,
	CodeUnknownInput:  `a key, a template or a rule names an input that is not declared under inputs.`,
	CodeUnknownSource: `an input names a source that is not declared under sources.`,
	CodeTemplate: `a template does not parse, or uses a part of text/template that is not available.
There are if, with, range, variables and comments, but no define, block and template. An input is {{.NAME}}; inside
with and range it is {{$.NAME}}. What fromJson, urlParse, split and dict return has fields: {{(fromJson .NAME).user}}.`,
	CodeUnknownFunc: `a template calls a function that is not available.
Available are the pure functions that every delivery has:
`,
	CodeUnguarded: `a template prints an input that may be absent.
Test it first, with {{with .NAME}}...{{end}} or {{if .NAME}}...{{end}}, or give a default, with {{.NAME | default
"..."}}. Or make the input required in the environment.`,
	CodeUnusedInput: `no secret has a key that is made from the input (warning).`,
	CodeDeprecated:  `an input that the contract calls deprecated still has a value (warning).`,
	CodeContent: `a template tests the value of a secret.
Anyone who can propose a change to a contract sees which keys a build leaves out, where a template fails and how long
each ciphertext is. So a template may only depend on the contract, and on which inputs are there: {{if .NAME}}, {{with
.NAME}}, and, or, not, default, coalesce, empty and ternary of inputs themselves, or of the results of lower, upper,
title, toString, b64enc, b32enc, html, js and urlquery on them; {{eq .NAME ""}}. The same holds for properties of the
JSON that an input is: hasKey (fromJson .NAME) "user", (fromJson .NAME).port | default "5432". A property that is null
or the empty text counts as absent. Everything else that compares, matches or counts is only for settings with a
default. The arguments that select part of a value (trunc, substr, slice, index, printf "%.3s") must be literals, and
only punctuation, white space and escapes like \n and %20 can be replaced or split at.`,
	CodeQuestions: `templates do too many different things to one value.
Wherever a value is cut, replaced, split or decoded, the length of the ciphertext, or a failure of the template,
reveals a little of it. There may be 8 such calls for one value in an environment; the same call in several templates
counts once, and printing or escaping a whole value does not count. Inputs with the same remote are one value.`,
	CodeTemplateBig: `a template is larger than what can be analyzed safely: 1 MiB, or 10,000 actions or parentheses.`,
	CodeSamePlace: `two inputs that are the same value at a source have different constraints.
Each constraint is a question about the value that every build answers. Give both the same pattern, format, lengths,
strength, list, encoding and example, or make one input of them. All versions of a name count as one value, and so
does the same name in another region, project or vault.`,
	CodeExternalTemplate: `a template of an external secret does something that the operator would do differently.
The External Secrets Operator renders it, and reports no error where something is wrong: it prints <no value> for a
property or a part that is missing, rounds large JSON numbers, and prints the text of an error, or 0, where b64dec and
b32dec fail. Let the input be the property itself (remote: "NAME#PROPERTY"), let encoding: "base64" decode it, or seal
the secret.`,
	CodePresenceUnknown: `whether an optional input is there can't be known without reading it.
A build proves that the inputs of external secrets are there without reading them, and it can prove a name, but not a
property or a version. The operator fails the whole secret if one is missing. "present: true" or "present: false" at
the input decides it; so does a remote of its own.`,
	CodePrevious: `a key uses the previous value of an input, but can't have it.
An input sets how long the value that a rotation replaced still counts: generate: keepPrevious: "24h". For an external
secret the operator fetches it by a name that stays the same, which only AWS Secrets Manager has: AWSPREVIOUS. The
other services number their versions, so there the secret must be sealed, or the input live elsewhere.`,
	CodePrintsNothing: `a template never prints anything, so its key would always be left out.`,
	CodeRule: `a rule can't be met, whatever values there are.
Required and generated inputs and settings with a default are always present; the others may be present or absent.`,
	CodeConstraint: `a constraint of an input can't be satisfied, or the contract's own default breaks it.`,
	CodeGenerate: `the value that a generated input would get breaks the input's own constraints, or can't be made.
The compiler tries it with throw-away values. What is made from other inputs needs parents that are always there, of
the right kind, long or short enough, and not made from it; a certificate needs its own key, and an authority that
outlives it.`,
	CodeLiteralSecret: `a literal in the contract looks like a secret.
Contracts are in Git. Make it an input, put the value into its source, and replace it: it is no longer secret.
Literals that merely look random are a warning.`,
	CodeMisplaced: `a field has no meaning here, or is reserved for victorgen.
default is for settings, generate for generated inputs, each field of a source for some of its kinds; the labels and
annotations that victorgen sets are its own.`,
	CodeSourceCannot: `the contract needs more than a source can do.
A name, a version or a property that can't exist, binary values where there is only text, or a generated input where
writing could overwrite something.`,
	CodeAddress: `a credential would go to an address that is only in the contract.
Anyone may propose a contract, so that is not enough. The process environment must name the same address (VAULT_ADDR,
AZURE_KEY_VAULT), or --allow ADDRESS, or a policy under allow: addresses. That also holds for the addresses that an
encrypted file gives for its keys, to which sops would go. ` + "`vet`" + ` connects to nothing, and warns.`,
	CodeCommand: `a contract says to run a program, and only the contract allows it.
A source of kind exec is a program that runs with your rights. Anyone may propose a contract, so it is only run if
` + "`--allow 'exec:COMMAND'`" + ` or a policy (allow: commands) has the same words. Verbs that use no source only warn.`,
	CodeAuthority: `a certificate that is only in the contract would vouch for the server that a credential goes to.
Anyone with its key and access to the network path could read the credential and the values. VAULT_CACERT,
VAULT_CACERT_BYTES or VAULT_CAPATH of the process environment must have the same certificate, or this machine must
trust it, or a policy must allow its SHA-256 under allow: certificates. ` + "`vet`" + ` connects to nothing, and warns.`,
	CodePlainHTTP: `an address in the contract has plain http, and is not on this machine.
Anyone on the network path could read the credential and the values. Use https. On a private network, allow it by
name: --allow http://HOST, or in a policy.`,
	CodeOutside: `a file that the contract names is outside of the repository, possibly through links.
Files of sources and certificates must be in the Git work tree, or in the module where there is no Git; a certificate
that ` + "`cert fetch`" + ` writes must be in the module. --allow PATH, or a policy under allow: files, allows another place.`,
	CodeInTree: `a source's file, or a certificate to write, is in a tree, in .git or in cue.mod, or has a name that ends in .cue.
What is generated would be committed in plain text, or Git or CUE would read it. Keep it elsewhere.`,
	CodePolicy: `an environment violates a policy.
A policy, which --policy or VICTORGEN_POLICY names, is CUE that the plan of each environment must unify with; the
message is the policy's own. ` + "`victorgen explain ENV -o json`" + ` prints the plan. Nothing was contacted.`,
	CodePolicyRead: `a policy can't be read or is not one, and nothing is done without it.
A policy is a .cue file, or a directory of them, that begins with ` + "`package policy`" + `. It has no attributes, and imports
only the schema and the packages of CUE.`,
	CodeEverybody: `a reader of the secrets is everyone, or every service account.
Access lets readers get the secrets from the cluster. Name service accounts, or a group of your own.`,
	CodeForeignReader: `a reader of the secrets is a service account of another namespace.
Anyone who may create Pods in that namespace can read the secrets.`,
	CodeCopied: `a label or an annotation has a program copy the secret to other namespaces.
Reflector, replicator, config-syncer (kubed), ClusterSecret and secretgen do. Anyone who can read secrets there can
read it.`,
	CodeClusterWide: `a secret is sealed cluster-wide.
Anyone who may create a SealedSecret in any namespace can have it opened there, with the ciphertext that is in Git.
With scope strict, the default, it only opens under its own name in its own namespace.`,
	CodeSystemNamespace: `a secret is in a namespace of the cluster's own.
Secrets in kube-system and the like can hold keys that open all others, and some have an effect on the cluster.`,
	CodeTaken: `a label, an annotation or the type of a secret makes another program act on it.
Argo CD treats it as a cluster to deploy to, the sealed-secrets controller as its own key, Kubernetes as a token with
which nodes join. If that is intended, keep it.`,
	CodeRunner: `an input has the name of a credential of the job that runs victorgen.
Source env reads the variables of the process before the file. In CI, GITHUB_TOKEN and the like would be sealed as a
value of the application. Give the input another name, or write processEnv: false in its source.`,
	CodeTreeLink: `the directory of a tree is a symbolic link.
What it leads to is not victorgen's, and a build would replace it. Remove the link, or name the directory with
--output.`,
	CodeExternal: `an external secret needs more than the External Secrets Operator can do.
It can't reach env and sops; it has no variables to take a region, a vault, a project or an address from; its webhook
refuses some policies together and an ExternalSecret that takes nothing from a source; and it generates passwords and
UUIDs alone. Use another delivery, or another source.`,
	CodeNoSecret: `a workload refers to a Secret that nothing creates.
Its pods wait in CreateContainerConfigError, or for a volume. workloads.otherSecrets names Secrets that are made
elsewhere; those that the same manifests make (a Secret, a SealedSecret, an ExternalSecret, a Certificate) are known.`,
	CodeNoKey: `a workload refers to a key that its Secret does not have.
The pod does not start.`,
	CodeMayBeAbsent: `a workload needs a key, or a Secret, that is left out while an optional input is absent.
optional: true next to the name lets the pod start without it.`,
	CodeWrongType: `a workload uses a Secret that is not of the type it needs.
A pull secret is of type kubernetes.io/dockerconfigjson (or dockercfg); the certificate of an Ingress or a Gateway has
tls.crt and tls.key.`,
	CodeOtherNamespace: `a workload refers to a Secret that the contract makes in another namespace.
A pod only gets Secrets of its own namespace. Manifests without a namespace count as deployed to that of the
environment.`,
	CodeVariableName: `envFrom takes a key whose name is not a valid name of an environment variable.
Kubernetes leaves it out and reports that in an event; since 1.34 it accepts it.`,
	CodeSubPath: `a Secret is mounted by subPath.
The kubelet brings new values into volumes, but not into what is mounted by subPath
(https://kubernetes.io/docs/concepts/storage/volumes/#using-subpath).`,
	CodeImmutableUsed: `an immutable Secret is used by its name.
It can't be changed: a rotation makes a new one with another name, and what uses it must name that one.`,
	CodeNotConsumed: `no workload that was read refers to a secret, or a key of it.
It may be unused, or what uses it was not read.`,
	CodeWorkloadRead: `manifests of workloads can't be read.
The rest is checked anyway. Nothing is fetched, and no program is run: a kustomization with a remote base, and
templates of Helm, must be rendered first and given with --workloads -. A name is text: what YAML 1.1 reads as a
boolean or a number, such as yes or 123, needs quotes. If there is no object at all, the command that writes it may
have failed.`,
	CodeWorkloads: `the workloads field of the contract is not valid.
otherSecrets has names of Secrets, in which a * stands for any characters. watched has secrets of the contract, and
restart needs workloads to restart: annotation those of sealed secrets, reloader also those of external ones.`,
	CodeMissing:          `a required input is in none of the places where it could be.`,
	CodeMissingGenerated: `a generated input is missing and --no-generate forbids generating it.`,
	CodeRuleBroken:       `the values that are present break a rule of the contract.`,
	CodePlaceholder: `a value is a placeholder that was not replaced.
Examples are changeme, your-key-here, xxx, <key>, ${KEY}, TODO, or the input's own example. Where the input needs
strength, also what public sample files print: the words of such files, a repeated or keyboard pattern, a key that is
known to be public; the message says which. If the value is right, allow it with oneOf, or with minStrength: 0.`,
	CodeWeak: `a value is too easy to guess.
Strength is estimated from the length and the kinds of characters, in bits; values made from common words are refused
at any length. minStrength in the contract sets the limit, 60 by default; 0 accepts any.`,
	CodeValuePattern: `a value does not match the pattern of its input.`,
	CodeValueFormat:  `a value does not have the format of its input.`,
	CodeValueLength:  `a value is shorter than minLength or longer than maxLength, in characters.`,
	CodeValueOneOf:   `a value is not one of those that oneOf lists.`,
	CodeValueEncoding: `a value does not have its encoding.
Without encoding it must be UTF-8 text; with base64 it must be valid base64; and only a JSON object has properties to
select.`,
	CodeStale: `a value is older than maxAge: its rotation is due.
It is only known for sources that report when a value last changed. ` + "`victorgen rotate`" + ` replaces generated ones.`,
	CodeExpires: `a value expires soon, or has expired, by the date in the contract: expires.
It is an error from that date on, and a warning before it, for as long as expiryNotice of alerts says, by default 30
days. Get a new value, store it at its source, and write the new date into the contract; then build and deploy.`,
	CodeAgeless: `whether a value is due is not known: its source does not report when it changed.
Files of kind env and sops keep no times, and neither does a program that reports none. So ` + "`rotate --due`" + ` leaves these
inputs unchanged, whatever maxAge and rotateAfter say. Rotate them by name.`,
	CodeUnfit: `a value does not match the values that it is made from.
A hash, token, certificate, public key or keystore is checked against its parents. One that does not match them, is
not what the contract says now, or ends soon, is regenerated by a build, and stored. That is an error where nothing
may be generated, and where its parents can't be used; for external secrets, whose values are not read, it is a
warning by the dates of the source. ` + "`victorgen verify`" + ` checks what the Secrets of the cluster hold, as far as inputs
can be read back from them.`,
	CodeTypeContent: `the content of a key is not what the type of its Secret requires.
The API server hardly checks it, and what mounts the Secret fails: kubernetes.io/tls has a certificate and its private
key in PEM, dockerconfigjson {"auths": {HOST: {...}}} with a login for each host, dockercfg the hosts themselves,
ssh-auth a private key that OpenSSH reads, and basic-auth a name without a colon and no control characters. Build and
apply check what they make, and verify what is in the cluster. No part of a value is shown.`,
	CodeKeyPair: `the private key in tls.key does not belong to the certificate in tls.crt.
A server with such a pair does not start. The certificate of the server comes first, before those that signed it.`,
	CodeSourceRead: `a source can't be read.
If it is unreachable or refuses (warning), sealed values are kept. A source that fails never leads to a new value:
absent and unreachable are different things.`,
	CodeSourceWrite: `a generated input is missing, and a new value can't be stored at its source.
A value that is not stored would be lost with the cluster, so it is not used.`,
	CodeUnrecoverable: `a value can't be restored from the cluster.
It is only known from keys that are an input byte for byte, or in base64; what a template makes of several can't be
split again. A property or a version of something larger is not written. VICTORGEN_LOCK_KEY is in no Secret: ask a
colleague, or look in a backup.`,
	CodeNeverRotate: `an input that never rotates would get another value.
The contract has rotate: "never" for a key that encrypts stored data: with another key, that data can't be read. Add
an input for the new key, let the application re-encrypt everything, and then remove the old one.`,
	CodeHasAnother: `a source has a different value than the one to be stored.
It is left alone. If the new one is right, --replace of recover, set or copy overwrites the one at the source.`,
	CodeNotSet: `an input can't be stored at a source.
The contract has its value, or says that it is absent, or it is a part or a version of something larger, which is not
written.`,
	CodePreviousOver: `a previous value has expired, and is still where it was kept.
keepPrevious sets how long the value that a rotation replaced counts. After that a build drops it from the tree, and a
build or "victorgen rotate --due" from the source, if victorgen keeps it: in dotenv files, files and SOPS. The old
versions in a service are never destroyed.`,
	CodePreviousDropped: `an input is rotated while its previous value still counts.
One previous value is kept, so the older one is dropped early, and what was signed with it is refused from then on.
That is how to retire a leaked key: rotate it twice.`,
	CodePending: `a rotation is not finished: a new value is pending at its source, next to the current one.
"victorgen rotate ENV INPUT -- COMMAND" stores the new value as pending, lets the command tell the other side, such as
a database, and only then makes it current. If it was killed in between, the source still has both values and the
progress. "victorgen rotate ENV --resume -- COMMAND" runs the command again and makes the new value current; "--abort
-- COMMAND" runs it with the old value and the new one swapped, and takes the new one back. --told says that the other
side has been told already, and no command is needed. Until then a build uses the current value, whatever the other
side has by now.`,
	CodeNotTold: `the command that tells the other side a new value has failed, or took too long, or was interrupted.
It may still have done its work, so the new value is neither dropped nor made current: it is pending (victorgen
explain VG2130). The command must be safe to run twice.`,
	CodeValueRead: `a value to be stored can't be read: from a file, from standard input, or from the terminal.
Nothing was stored. A terminal passes on no more than a line of 4095 characters (fewer on macOS): use --from-file or
--stdin.`,
	CodeFileMode: `the dotenv file can be read or changed by users other than its owner.`,
	CodeFileSyntax: `a line of the dotenv file can't be read, or different programs would read it differently.
A value is what POSIX sh, Docker Compose, Node's dotenv and python-dotenv agree on; single quotes around it usually
help. The line is not shown, because it may hold a secret.`,
	CodeUnknownName: `the dotenv file sets a name that nothing reads (warning).
It is not an input but similar to one that is absent, or it is a setting whose default in the contract wins.`,
	CodeLockKey: `VICTORGEN_LOCK_KEY is missing and can't be stored (warning).
Without it a build can't tell which values are unchanged, and seals all of them again each time.`,
	CodeLost: `an input is not at its source, though a value of it is known.
victorgen.lock has it sealed, or a Secret in the cluster has it, so it was generated before: in another clone, by a CI
job, in another account, region or prefix. A build or an apply never generates a lost value again: the application
would get another password than its database has, and encrypted data would become unreadable. Its sealed copies are
kept (warning), and what must be sealed again is an error.

Restore the value: ` + "`victorgen recover ENV`" + ` reads it from the cluster; a colleague or a backup may have it; the
contract may name another file, account, region or prefix than before. To generate a new one on purpose, and pass it
on to what knows the old one: ` + "`victorgen generate ENV --renew INPUT`" + `.

An optional input that was there is not left out either. To remove it on purpose, write present: false at the input in
the environment; after a build has left it out, that line can be removed.

A renamed environment still has its values under the old name: rename its file too.`,
	CodeDotenvDiffers: `programs that read dotenv files would read different values (warning).
victorgen takes each character literally: it expands neither $ nor a command in backticks, and splits nothing. Put the
values in single quotes, and sh, Docker Compose, Node's dotenv and python-dotenv all read the same.`,
	CodeStrayEnds: `a value begins or ends with white space or a line break, or is enclosed in quotes (warning).
It is easy to miss, and hardly any application expects it: ` + "`echo`" + ` ends with a line break, and a paste may include
quotes. It is kept unchanged. Remove it at the source; or write ` + "`trim: true`" + ` at the input, which removes white space
at the ends. The line break that ends PEM is part of it.`,
	CodeInGit: `a file that holds values in plain text is tracked by Git, or no ignore rule covers it.
What is once in Git is in every clone. It is a warning, and an error before a value is generated into it. Add the file
to .gitignore; if it was committed, replace everything it holds. Without git in PATH this is not checked.`,
	CodeSameValue: `several environments have the same value of a generated input (warning).
Anyone who learns it in one, such as development, has it in all. Usually they read one file, or one is a copy of the
other: give each environment its own, which ` + "`.secrets.ENVIRONMENT`" + ` is by default, and rotate the input in all but one.
Inputs that name the same remote at the same service are shared on purpose.`,
	CodeSharedFile: `values are read from .secrets, which all environments once shared (warning).
The default dotenv file is the environment's own, ` + "`.secrets.ENVIRONMENT`" + `. As long as an environment has none, .secrets
is read and written instead. Once there is one, only that is read: an input that only .secrets has is reported, and is
not generated again before its line is removed from there, or ` + "`generate --renew`" + ` asks for it. To move: ` + "`cp .secrets\n.secrets.production`" + `, for example; remove from each what is for others; rotate what several have; remove .secrets.`,
	CodeTwoPlaces: `an input is in the process environment and in the dotenv file, with different values (warning).
The process environment wins, in every environment of the run. ` + "`environment: false`" + ` at the source uses only the file;
names that every shell sets, such as USER or HOME, are only used with ` + "`environment: true`" + `.`,
	CodeCertificateRead: `the sealing certificate can't be read, or is not a PEM certificate.
` + "`victorgen cert fetch ENV`" + ` gets it from the cluster, as ` + "`kubeseal --fetch-cert`" + ` does.`,
	CodeCertificateExpired: `the sealing certificate has expired, or is not valid yet.`,
	CodeCertificateKey:     `the sealing certificate has no RSA key of 2048 bits or more.`,
	CodeCertificateMany:    `the file of the sealing certificate holds more than one.`,
	CodeCertificateEnds: `the sealing certificate ends within 30 days (warning).
The controller renews its certificate every 30 days and keeps the old keys; fetch the new one.`,
	CodeCertificateDemo: `the sealing certificate is the one of victorgen init --demo-certificate (warning).
It lets a first build run without a cluster. Its private key was thrown away when it was made, so nothing that is
sealed for it can ever be opened, by a cluster or anyone else. ` + "`victorgen cert fetch ENV`" + ` gets that of the cluster,
and the next build seals everything for it.`,
	CodeCertificateSwapped: `the sealing certificate is not the one that the tree is sealed for.
Anyone who has the key of a certificate can read everything sealed for it, so another one is not accepted silently: it
may come with a proposed change. The lock keeps the fingerprint of each certificate in use. A renewed one is accepted
when ` + "`victorgen cert fetch ENV`" + ` fetches it from the cluster, which records its fingerprint in the lock, for a reviewer
to see; or with ` + "`victorgen build ENV --accept-certificate SHA256`" + `. ` + "`victorgen verify ENV`" + ` shows whether it is the
cluster's newest.`,
	CodeRender: `a template fails for the given values.
A value is not JSON, base64 or a number where the template needs that, a JSON property or a part of a list is missing
(hasKey and default allow that), or something is not text: a list, an object, null. Other messages of text/template
are not shown, because they can quote a value.`,
	CodeSecretTooBig: `a secret is over 1 MiB with the given values, or its manifest over the 1.5 MiB that etcd accepts in a request.`,
	CodeLargeObject: `an object of the tree is larger than client-side apply can store (warning).
It keeps what it applied in an annotation, and the annotations of an object may have 256 KiB together:
"metadata.annotations: Too long". ` + "`kubectl apply --server-side`" + ` does not. The Application that victorgen writes then
has ServerSideApply=true.`,
	CodeCannotSeal: `a key must be sealed again, but its value or VICTORGEN_LOCK_KEY is not known.
Offline, and where a source can't be read, only what is unchanged in definition, certificate, scope and name keeps its
sealed copy.`,
	CodeLeftOut: `all keys of all secrets are left out: there is nothing to deploy.`,
	CodeEdited: `a ciphertext in the tree is not the one that was written (warning).
It is sealed again.`,
	CodeKept: `some keys keep their sealed copy because their values can't be read (warning).`,
	CodePresence: `it is not known whether an input of an external secret is at its source.
A key of an absent optional input must be left out, because the operator would fail the whole secret. The lock
remembers what the source said, for builds that can't ask; "present: true" or "present: false" at the input decides
it.`,
	CodeRendersNothing: `a template renders to nothing although what it prints is there.
A key is left out only if the contract says so: the input that it is made from is absent, or an if, with or default of
the template turns out that way. A value of white space that is trimmed, or an empty part of a list or of JSON, is an
error.`,
	CodeRenderLimit: `a template does more than is allowed.
Intermediate results may have 4 MiB, and all steps together may handle 64 MiB. A Secret has at most 1 MiB.`,
	CodeLockRead: `victorgen.lock can't be read.
Restore it from Git. If it is lost, remove the tree with it: everything is then sealed again.`,
	CodeTreeRead: `the directory of the tree can't be read.`,
	CodeTreeWrite: `the tree can't be written.
The old one is unchanged.`,
	CodeTreeForeign: `the directory holds the tree of another environment, or a file of your own where one of the tree must go.`,
	CodeKustomize:   `the kustomize API can't build the tree.`,
	CodeTreeDiffers: `the tree is not what a build would write (--check).`,
	CodeOverlay: `a kustomization that includes a tree changes what must not change (warning).
A secret of scope strict only unseals under its own name in its own namespace, one of scope namespace-wide in its own
namespace, and none under annotations of another scope. An ExternalSecret refers to its stores by name, the Role and
the alerts name Secrets, and kustomize does not know that. ` + "`victorgen vet`" + ` has kustomize render each kustomization of
the Git work tree that includes the tree, directly or not, and compares, so it sees name prefixes, namespaces,
patches, components, transformers, replacements and annotations.`,
	CodeMadeTwice: `something else makes a Secret that the tree makes (warning).
It is a Secret, SealedSecret or ExternalSecret of that name, in a kustomization that includes the tree or in a
manifest of the module. Its controller and that of the tree would overwrite each other, or one refuses a Secret that
it does not own. Remove it once its values are inputs. Manifests in a directory or file named after another
environment are ignored.`,
	CodeMerge: `a file of the contract or of a tree has conflict markers of an unfinished merge.
Both sides have built the tree, and each ciphertext is new, so lines can't be merged. Take either side of all files of
the tree, as with git checkout --ours -- deploy/ENV, merge the contract by hand, and build: this seals what the other
side has changed.`,
	CodeRevision: `the revision, or the directory, to compare with cannot be read.
A CI job often has a shallow clone with a single commit: with actions/checkout use fetch-depth: 0, with GitLab
GIT_DEPTH: 0. victorgen fetches nothing. --from also takes a directory: --from ./DIR.`,
	CodeRevisionBroken: `what diff compares with is incomplete: its contract does not compile, or its tree or lock cannot be read (warning).
An old contract may not compile with this victorgen. What it said is then not known, so everything in the contract
counts as new.`,
	CodeNotRendered: `what a kustomization makes of a tree is not known, or not all of it (warning).
It can't be read or rendered, needs the network, a Helm chart or files outside of the Git work tree, or is too large:
` + "`victorgen vet`" + ` uses no network and runs no plugin. What is remote is left out, and the rest is rendered.`,
	CodeLockTimes: `a time in victorgen.lock is not the one that was written, or is in the future.
Each entry of the lock is authenticated with VICTORGEN_LOCK_KEY, including the times at which its value was sealed and
changed: changing them would hide that a rotation is due. Restore the file from Git. If the file is right and the
value should count as new, ` + "`victorgen rotate`" + ` makes one.`,
	CodeLockOld: `victorgen.lock is of version 1 (warning of --check).
It is valid, and nothing is sealed again because of it. The next build that can read VICTORGEN_LOCK_KEY writes version
2, which also authenticates times and knows which generated inputs have a value, and where.`,
	CodeOrphan: `a tree belongs to an environment that the module does not have.
The environment was removed or renamed, and what applies trees still applies this one. A build and a vet of a pattern
report it, a build --check as an error; ` + "`victorgen build ./envs/... --prune`" + ` removes the files that victorgen has
written, and leaves others in place.`,
	CodeLockKeyMoved: `VICTORGEN_LOCK_KEY is in another place than the one the tree was built with (warning).
Anyone with the lock key can test guesses of each sealed value against the tags in victorgen.lock. If the contract
moves it to another source, everyone who can read that source can do so: is that intended?`,
	CodeClusterRead: `an object could not be read from the cluster.
The message says what the API server said. A missing permission is named; ` + "`victorgen explain --permissions`" + ` is about
sources, and ` + "`access: readers`" + ` in a contract gives the right to get the Secrets of an environment.`,
	CodeClusterWrite: `an object could not be written to the cluster.
The message only says why the API server refused: its own message can quote values of the request.`,
	CodeOwned: `an existing Secret belongs to another owner.
A controller has made it from a SealedSecret, an ExternalSecret or the like and would put its own values back, or it
belongs to another environment. --force-conflicts writes it anyway (warning).`,
	CodeFieldConflict: `another field manager has set fields of a Secret to other values.
With server-side apply each field belongs to those that have set it:
https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts. --force-conflicts takes the fields over.`,
	CodeUnchangeable: `a Secret can't become what the contract says while it is there.
The type of a Secret never changes, and an immutable one keeps its data. Delete it first; what consumes it keeps what
it has in the meantime.`,
	CodeNoNamespace: `a namespace does not exist, or is being deleted.
--create-namespace creates what is missing.`,
	CodeNotRestarted: `a workload that consumes a changed Secret was not restarted.
A paused Deployment can't be restarted (warning); after an interruption, restart the listed workloads with kubectl.`,
	CodeNotTheLocks: `the cluster holds a different value than the one that the tree was built with, by its tag in victorgen.lock.
Or two Secrets hold two values of one input. It is not restored: either the tree is not applied, or the Secret was
changed by hand. If it is the right one, set it at its source.`,
	CodeNoController: `there is no sealed-secrets controller where the contract says, or it does not answer.
delivery.controller in a contract names its Service: sealed-secrets-controller in kube-system by default, which are
kubeseal's defaults too. The Helm chart calls it sealed-secrets. Is it the right cluster? ` + "`--context`" + ` names another.`,
	CodeCertificateUseless: `the controller's certificate can't be used for sealing.
Nothing is written. It must be one certificate, valid now, with an RSA key of 2048 bits or more:
https://github.com/bitnami-labs/sealed-secrets#sealing-key-renewal.`,
	CodeCertificateWrite: `the file of the sealing certificate can't be written.
It is unchanged. A file that holds anything other than certificates is never replaced: delivery.certificate may name
the wrong one.`,
	CodeTwoControllers: `one file would have to hold the certificates of two controllers.
Secrets for different controllers need a delivery.certificate each.`,
	CodeSecretAbsent: `a Secret of the contract is not in the cluster.
The message says why, if the object that delivers it does. A secret whose keys may all be left out need not exist.`,
	CodeKeyAbsent: `a Secret lacks a key, or has it without a value.
A key may be absent only if its input may be, or if its template may render to nothing. victorgen.lock of the tree, if
it exists, knows which keys were sealed: these must exist.`,
	CodeKeyUndeclared: `a Secret has a key that the contract does not declare.
It was added by hand, or is left over. Where an ExternalSecret merges its keys into a Secret of another owner
(creationPolicy: "Merge"), other keys are ignored.`,
	CodeKeyDiffers: `a key does not hold the literal, or the default of the setting, that the contract has for it.`,
	CodeTypeDiffers: `a Secret is of another type than the contract says.
Kubernetes can't change the type: delete the Secret first.`,
	CodeMetadataDiffers: `a Secret lacks labels or annotations of the contract, or is not immutable though it should be.
Labels and annotations that others have added are ignored.`,
	CodeNotDelivered: `a SealedSecret or ExternalSecret is not in the cluster, or its controller could not make the Secret of it.
The message is the controller's own, without parts that could quote a value. What can't be decrypted was sealed for
another certificate, or for another name, namespace or scope.`,
	CodeNotReconciled: `no controller has reconciled a SealedSecret or ExternalSecret, or its last change, or not recently enough.
Either the controller does not run, or it does not watch this namespace.`,
	CodeStoreNotReady: `a SecretStore or ClusterSecretStore that an ExternalSecret refers to is missing or can't be used.`,
	CodeScopeDiffers: `a SealedSecret in the cluster has another scope than the contract says.
What it was sealed for no longer holds.`,
	CodeNotNewest: `the environment seals for a certificate that is not the newest of its controller (warning).
The controller still unseals what was sealed for an older one, as long as that key is not deleted.`,
	CodeNewestUnknown: `the controller's newest certificate can't be asked for (warning).
That takes the right to get services/proxy, and an API server that reaches the controller. All else is judged without.`,
	CodeForeignKey: `the controller can't unseal what is sealed for a certificate of the environment, or of its lock: it does not have the key.
Someone else may have it, and could read everything sealed for it. The controller is asked through the API server, as
by kubeseal --validate, with a SealedSecret that is not stored: of random bytes, or one of the tree.`,
	CodeReused: `several secret inputs have the same value, in one environment or across environments.
Anyone who learns one has them all. Inputs that name the same remote at the same source are shared on purpose. Values
of less than 8 bytes and those of a fixed list are not compared.`,
	CodeVaultPath: `the name of a secret at Vault begins with data/ or with the mount.
The paths of Vault's HTTP API have both before each name, and so do those that other tools take. victorgen adds them
itself, so such a name is usually a mistake: nothing is there, and what is generated is written to a place of its own.`,
	CodeESOVersion: `delivery.esoVersion is older than v0.19, is not known to victorgen, or is missing where Argo CD compares.
Older operators do not know external-secrets.io/v1 as it is written. Later ones fill in defaults that the tree must
spell out, or Argo CD shows the objects as OutOfSync permanently.`,
	CodeElsewhere: `a variable of this process decides where a source of external secrets is read, and the operator does not have it.
The operator would look in another place than the build: in another region, namespace or project, or at a server that
is not trusted. Write the field that the hint names into the contract: it counts for both.`,
	CodePlainText: `a secret is in plain text at its source: a parameter of type String or StringList, or what sops leaves unencrypted.
Anyone who may list the parameters, or read the repository, can read it. Store a SecureString; or check
unencrypted_suffix, encrypted_regex and the like in .sops.yaml. Then replace the value.`,
	CodeFound: `a value of a source is in a file, in what is staged, or in a commit.
It is there byte for byte, but for white space and NUL: as plain text, in base64, hex, URL-escaped or JSON-escaped, or
some lines of a private key. Remove it and replace the value: everyone who has read the file has it, and everyone with
the repository has all of its commits.`,
	CodeNotScanned: `a file was not searched for values, or a search was stopped.
The file may or may not contain values. Make it readable; or name what to search after --.`,
	CodeCrash: `victorgen itself has a bug.
The message has the place in its source and the version, for a bug report; it never contains values. The exit code is
3. A value that was written to its source, and a complete tree, are kept.`,
	CodeKindUnknown: `the cluster does not know SealedSecrets, ExternalSecrets or their stores, in the version that victorgen writes.
The CustomResourceDefinitions of the controller are not installed, or too old.`,
	CodeImportRead: `something to be imported can't be read, or is not valid.
What could be read is not written either: an import is all or nothing. Fix it, or leave it out of what is named.`,
	CodeImportLeft: `something that was read does not become part of the contract (warning).
A contract can't express it, or it belongs to another tool: what kubectl, Helm, Flux and Argo CD keep about an object,
a sample that looks like a real secret, keys that are only known at a source.`,
	CodeImportDiffers: `what the contract makes is not what was read, byte for byte.
The contract was compiled and rendered with the values as they were read, or as they are stored now. If this is
reported before anything is written, nothing was written.`,
	CodeImportExists: `an import would overwrite something: a contract, an environment, or a value at its source.
Nothing was written. --force overwrites it; --into takes another environment. What is already as it would be written
does not matter, so an interrupted import is resumed by the same command.`,
	CodeImportUnfit: `a value was imported unchanged, and a build will refuse it, or warn of it (warning).
A placeholder is refused until it is replaced; for a weak value the contract says minStrength: 0, which should be
removed. What has no value yet must be filled in: ` + "`victorgen template ENV`" + ` lists it.`,
}
