package value

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/ssh"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// The types of Secrets whose content Kubernetes says something of
// (https://kubernetes.io/docs/concepts/configuration/secret/#secret-types), and their keys.
const (
	typeTLS        = "kubernetes.io/tls"
	typeSSH        = "kubernetes.io/ssh-auth"
	typeBasic      = "kubernetes.io/basic-auth"
	typeDockerJSON = "kubernetes.io/dockerconfigjson"
	typeDockercfg  = "kubernetes.io/dockercfg"

	keyCertificate = "tls.crt"
	keyPrivate     = "tls.key"
	keySSH         = "ssh-privatekey"
	keyUsername    = "username"
	keyPassword    = "password"
	keyDockerJSON  = ".dockerconfigjson"
	keyDockercfg   = ".dockercfg"
)

// JudgeTyped compares the content of the Secret s, which messages call of, with
// what its type demands. The API server looks little or not at all at it, and
// anyone who mounts the Secret fails. Keys that are not in data are not judged, nor
// are other types. What it says holds no part of a value.
func JudgeTyped(s plan.Secret, of string, data map[string]Value) plan.Diagnostics {
	t := typed{s, of, data, nil}
	switch s.Type {
	case typeTLS:
		t.tls()
	case typeSSH:
		t.each(keySSH, sshKeyProblem)
	case typeBasic:
		t.each(keyUsername, func(b []byte) (string, string) {
			if bytes.IndexByte(b, ':') >= 0 {
				return "has a colon, which ends the user name in basic authentication", "use a name without a colon, or another type"
			}
			return control(b)
		})
		t.each(keyPassword, control)
	case typeDockerJSON:
		t.each(keyDockerJSON, func(b []byte) (string, string) {
			var config struct {
				Auths json.RawMessage `json:"auths"`
			}
			if json.Unmarshal(b, &config) != nil || config.Auths == nil {
				return notDocker(b, `is not JSON of the form {"auths": {"HOST": {...}}}`)
			}
			return registries(config.Auths, `is not JSON of the form {"auths": {"HOST": {...}}}`)
		})
	case typeDockercfg:
		t.each(keyDockercfg, func(b []byte) (string, string) {
			var config map[string]json.RawMessage
			if json.Unmarshal(b, &config) == nil && config["auths"] != nil {
				return "has the form of " + keyDockerJSON, "use the type " + typeDockerJSON + " with the key " + keyDockerJSON
			}
			return registries(b, `is not JSON of the form {"HOST": {...}}`)
		})
	}
	return t.ds
}

// typed is one call of JudgeTyped.
type typed struct {
	plan.Secret
	of   string
	data map[string]Value
	ds   plan.Diagnostics
}

// each judges one key, if it is there.
func (t *typed) each(key string, judge func([]byte) (problem, hint string)) {
	if v, ok := t.data[key]; ok {
		if problem, hint := judge(v.Reveal()); problem != "" {
			t.tell(plan.CodeTypeContent, key, problem, hint)
		}
	}
}

func (t *typed) tell(code plan.Code, key, problem, hint string) {
	pos := t.Pos
	for _, k := range t.Keys {
		if k.Name == key {
			pos = k.Pos
		}
	}
	t.ds.Errorf(code, pos, hint, "key %q of %s, which is of type %s, %s", key, t.of, t.Type, problem)
}

// tls judges a certificate and its key, each alone and then both together.
func (t *typed) tls() {
	cert, hasCert := t.data[keyCertificate]
	key, hasKey := t.data[keyPrivate]
	certIs, keyIs := holds(cert.Reveal()), holds(key.Reveal())
	if hasCert && hasKey && certIs == "key" && keyIs == "certificate" {
		t.tell(plan.CodeTypeContent, keyPrivate, "holds the certificate, and "+keyCertificate+" the private key: they are swapped", "swap the two")
		return
	}
	before := len(t.ds)
	t.each(keyCertificate, func(b []byte) (string, string) {
		const hint = "store the certificate in PEM there, followed by the intermediate certificates"
		switch certIs {
		case "certificate":
		case "key":
			return "holds a private key, where the certificate belongs", hint
		default:
			if problem, hint := pemProblem(b); problem != "" {
				return problem, hint
			}
			return "is not a certificate in PEM", hint
		}
		for rest := b; ; {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil {
				return "", ""
			}
			if block.Type != "CERTIFICATE" {
				return "holds something other than certificates", "keep only certificates there: it is sent to everyone who connects"
			}
			if _, err := x509.ParseCertificate(block.Bytes); err != nil {
				return "has a PEM block that is not a valid certificate", hint
			}
		}
	})
	t.each(keyPrivate, func(b []byte) (string, string) {
		const hint = "store the private key of the certificate in PEM there"
		switch keyIs {
		case "key":
			return "", ""
		case "encrypted":
			return "is encrypted with a passphrase, which the reader of the Secret can't ask for", "decrypt it: `openssl pkey -in KEY.pem -out PLAIN.pem`"
		case "certificate":
			return "holds a certificate, where the private key belongs", hint
		}
		if problem, hint := pemProblem(b); problem != "" {
			return problem, hint
		}
		return "is not a private key in PEM", hint
	})
	if !hasCert || !hasKey || len(t.ds) > before {
		return
	}
	if _, err := tls.X509KeyPair(cert.Reveal(), key.Reveal()); err != nil { // it may quote a value
		t.tell(plan.CodeKeyPair, keyPrivate, "does not belong to the certificate in "+keyCertificate+", or is of a kind that TLS does not use",
			"store the key that the certificate was requested with, and the certificate itself before those that signed it; "+
				"`openssl x509 -in CERT.pem -noout -pubkey` and `openssl pkey -in KEY.pem -pubout` must print the same")
	}
}

// holds says what the first PEM block in b is that tells.
func holds(b []byte) string {
	for {
		block, rest := pem.Decode(b)
		switch {
		case block == nil:
			return ""
		case block.Type == "CERTIFICATE":
			return "certificate"
		case block.Type == "ENCRYPTED PRIVATE KEY", strings.HasSuffix(block.Type, "PRIVATE KEY") && block.Headers["DEK-Info"] != "":
			return "encrypted"
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			return "key"
		}
		b = rest
	}
}

// pemProblem says why b, which is not what it should be, may not be whole PEM.
func pemProblem(b []byte) (problem, hint string) {
	switch {
	case !bytes.Contains(b, []byte("-----BEGIN ")):
	case bytes.IndexByte(b, '\r') >= 0:
		return "has Windows line endings (CR), which not all PEM readers accept", "remove them, as with `tr -d '\\r' < FILE` does"
	case bytes.Contains(b, []byte(`\n`)):
		return `has \n written out instead of line breaks`, "store it with real line breaks"
	case bytes.Count(bytes.TrimSpace(b), []byte("\n")) == 0:
		return "has lost its line breaks", "store it with its line breaks; in a dotenv file, a quoted value may have several lines"
	}
	return "", ""
}

// sshKeyProblem judges a private key for SSH. One with a passphrase is a key.
func sshKeyProblem(b []byte) (problem, hint string) {
	if problem, hint := pemProblem(b); problem != "" {
		return problem, hint
	}
	var passphrase *ssh.PassphraseMissingError
	if _, err := ssh.ParseRawPrivateKey(b); err == nil || errors.As(err, &passphrase) || holds(b) == "encrypted" {
		return "", ""
	}
	if _, _, _, _, err := ssh.ParseAuthorizedKey(b); err == nil {
		return "holds a public key, where the private one belongs", "store the file without .pub"
	}
	if bytes.HasPrefix(b, []byte("PuTTY-User-Key-File")) {
		return "is a key in PuTTY's own form, which OpenSSH does not read", "convert it: `puttygen KEY.ppk -O private-openssh -o KEY`"
	}
	return "is not a private key that OpenSSH reads", "store the whole file, as `ssh-keygen` writes it"
}

// control finds what basic authentication can't carry
// (https://www.rfc-editor.org/rfc/rfc7617#section-2).
func control(b []byte) (problem, hint string) {
	if bytes.ContainsFunc(b, unicode.IsControl) || !utf8.Valid(b) {
		return "has a line break, another control character or something that is not text, which basic authentication can't carry",
			"remove it at the source (trim: true does so at the ends), or use another type"
	}
	return "", ""
}

// registries judges the logins of b by registry
// (https://kubernetes.io/docs/tasks/configure-pod-container/pull-image-private-registry/).
func registries(b []byte, form string) (problem, hint string) {
	var hosts map[string]*struct {
		Auth, Username, Password, IdentityToken, RegistryToken string
	}
	if json.Unmarshal(b, &hosts) != nil || len(hosts) == 0 {
		return notDocker(b, form)
	}
	for host, login := range hosts {
		switch {
		case host == "" || login == nil:
			return notDocker(b, form)
		case login.Auth != "":
			pair, err := base64.StdEncoding.DecodeString(login.Auth)
			if name, password, ok := strings.Cut(strings.Trim(string(pair), "\x00"), ":"); err != nil || !ok || name == "" || password == "" {
				return "has an auth that is not base64 of USER:PASSWORD", "make it with `kubectl create secret docker-registry --dry-run=client -o yaml`"
			}
		case login.IdentityToken == "" && login.RegistryToken == "" && (login.Username == "" || login.Password == ""):
			return "has a registry without a login", "give each registry an auth, or a username and a password; where `docker login` uses a credsStore, the login is not in the file"
		}
	}
	return "", ""
}

func notDocker(b []byte, form string) (problem, hint string) {
	if utf8.Valid(b) && isBase64(unwrap(string(b))) && len(b) > 0 {
		return "is base64, where the JSON itself belongs", `decode it; with encoding: "base64" at the input victorgen does`
	}
	return form, "make it with `kubectl create secret docker-registry --dry-run=client -o yaml`, which shows it as base64"
}
