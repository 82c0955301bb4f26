package value

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/victor-ai/victorgen/compiler/plan"
)

// pair makes a certificate and its key.
func pair(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pemOf("CERTIFICATE", der), pemOf("PRIVATE KEY", pkcs8)
}

func pemOf(kind string, b []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
}

func TestJudgeTyped(t *testing.T) {
	t.Parallel()
	cert, key := pair(t)
	other, otherKey := pair(t)
	public, private, _ := ed25519.GenerateKey(rand.Reader)
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	locked, err := ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte("c4nary"))
	if err != nil {
		t.Fatal(err)
	}
	sshKey, sshLocked := string(pem.EncodeToMemory(block)), string(pem.EncodeToMemory(locked))
	sshPublic, _ := ssh.NewPublicKey(public)
	crlf := func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }
	docker := `{"auths": {"ghcr.io": {"auth": "` + base64.StdEncoding.EncodeToString([]byte("u:c4nary")) + `"}}}`

	for name, test := range map[string]struct {
		kind string
		data map[string]string
		want string // of the only error, or none
	}{
		"tls":                  {typeTLS, map[string]string{"tls.crt": cert, "tls.key": key}, ""},
		"tls with a chain":     {typeTLS, map[string]string{"tls.crt": cert + other, "tls.key": key}, ""},
		"tls of another":       {typeTLS, map[string]string{"tls.crt": cert, "tls.key": otherKey}, "VG2014 tls.key does not belong"},
		"tls, chain upside":    {typeTLS, map[string]string{"tls.crt": other + cert, "tls.key": key}, "VG2014 tls.key does not belong"},
		"tls swapped":          {typeTLS, map[string]string{"tls.crt": key, "tls.key": cert}, "VG2013 tls.key they are swapped"},
		"tls with two keys":    {typeTLS, map[string]string{"tls.crt": key, "tls.key": key}, "VG2013 tls.crt holds a private key"},
		"tls with two certs":   {typeTLS, map[string]string{"tls.crt": cert, "tls.key": cert}, "VG2013 tls.key holds a certificate"},
		"tls, both in one":     {typeTLS, map[string]string{"tls.crt": cert + key, "tls.key": key}, "VG2013 tls.crt holds something other than"},
		"tls not PEM":          {typeTLS, map[string]string{"tls.crt": cert, "tls.key": "c4nary"}, "VG2013 tls.key is not a private key in PEM"},
		"tls, cert not PEM":    {typeTLS, map[string]string{"tls.crt": "c4nary", "tls.key": key}, "VG2013 tls.crt is not a certificate in PEM"},
		"tls, broken cert":     {typeTLS, map[string]string{"tls.crt": pemOf("CERTIFICATE", []byte("c4nary")), "tls.key": key}, "VG2013 tls.crt has a PEM block that is not"},
		"tls empty":            {typeTLS, map[string]string{"tls.crt": cert, "tls.key": ""}, "VG2013 tls.key is not a private key"},
		"tls encrypted":        {typeTLS, map[string]string{"tls.crt": cert, "tls.key": pemOf("ENCRYPTED PRIVATE KEY", []byte("c4nary"))}, "VG2013 tls.key is encrypted"},
		"tls, Windows":         {typeTLS, map[string]string{"tls.crt": cert, "tls.key": strings.TrimSuffix(crlf(key), "\n")}, "VG2013 tls.key has Windows line endings"},
		"tls, one line":        {typeTLS, map[string]string{"tls.crt": cert, "tls.key": strings.ReplaceAll(key, "\n", " ")}, "VG2013 tls.key has lost its line breaks"},
		"tls, written out":     {typeTLS, map[string]string{"tls.crt": cert, "tls.key": strings.ReplaceAll(key, "\n", `\n`)}, `VG2013 tls.key has \n written out`},
		"tls, key not known":   {typeTLS, map[string]string{"tls.crt": cert}, ""},
		"opaque":               {"Opaque", map[string]string{"tls.crt": "c4nary", "tls.key": "c4nary"}, ""},
		"ssh":                  {typeSSH, map[string]string{"ssh-privatekey": sshKey}, ""},
		"ssh in PKCS #8":       {typeSSH, map[string]string{"ssh-privatekey": key}, ""},
		"ssh with passphrase":  {typeSSH, map[string]string{"ssh-privatekey": sshLocked}, ""},
		"ssh public":           {typeSSH, map[string]string{"ssh-privatekey": string(ssh.MarshalAuthorizedKey(sshPublic))}, "VG2013 ssh-privatekey holds a public key"},
		"ssh not one":          {typeSSH, map[string]string{"ssh-privatekey": "c4nary"}, "VG2013 ssh-privatekey is not a private key"},
		"ssh certificate":      {typeSSH, map[string]string{"ssh-privatekey": cert}, "VG2013 ssh-privatekey is not a private key"},
		"ssh of PuTTY":         {typeSSH, map[string]string{"ssh-privatekey": "PuTTY-User-Key-File-3: c4nary"}, "VG2013 ssh-privatekey is a key in PuTTY's own form"},
		"ssh, Windows":         {typeSSH, map[string]string{"ssh-privatekey": crlf(sshKey)}, "VG2013 ssh-privatekey has Windows line endings"},
		"basic":                {typeBasic, map[string]string{"username": "app", "password": "c4:nary"}, ""},
		"basic, colon":         {typeBasic, map[string]string{"username": "a:b"}, "VG2013 username has a colon"},
		"basic, line break":    {typeBasic, map[string]string{"password": "c4nary\n"}, "VG2013 password has a line break"},
		"docker":               {typeDockerJSON, map[string]string{".dockerconfigjson": docker}, ""},
		"docker with password": {typeDockerJSON, map[string]string{".dockerconfigjson": `{"auths": {"h": {"username": "u", "password": "c4nary"}}}`}, ""},
		"docker not JSON":      {typeDockerJSON, map[string]string{".dockerconfigjson": "c4nary"}, "VG2013 .dockerconfigjson is not JSON of the form"},
		"docker without auths": {typeDockerJSON, map[string]string{".dockerconfigjson": `{"ghcr.io": {"auth": "c4nary"}}`}, "VG2013 .dockerconfigjson is not JSON of the form"},
		"docker, auths empty":  {typeDockerJSON, map[string]string{".dockerconfigjson": `{"auths": {}}`}, "VG2013 .dockerconfigjson is not JSON of the form"},
		"docker, a list":       {typeDockerJSON, map[string]string{".dockerconfigjson": `{"auths": ["c4nary"]}`}, "VG2013 .dockerconfigjson is not JSON of the form"},
		"docker, null":         {typeDockerJSON, map[string]string{".dockerconfigjson": `{"auths": {"h": null}}`}, "VG2013 .dockerconfigjson is not JSON of the form"},
		"docker in base64":     {typeDockerJSON, map[string]string{".dockerconfigjson": base64.StdEncoding.EncodeToString([]byte(docker))}, "VG2013 .dockerconfigjson is base64"},
		"docker, bad auth":     {typeDockerJSON, map[string]string{".dockerconfigjson": `{"auths": {"h": {"auth": "c4nary"}}}`}, "VG2013 .dockerconfigjson has an auth that is not"},
		"docker, credsStore":   {typeDockerJSON, map[string]string{".dockerconfigjson": `{"auths": {"h": {}}, "credsStore": "desktop"}`}, "VG2013 .dockerconfigjson has a registry without a login"},
		"dockercfg":            {typeDockercfg, map[string]string{".dockercfg": `{"h": {"username": "u", "password": "c4nary"}}`}, ""},
		"dockercfg of the new": {typeDockercfg, map[string]string{".dockercfg": docker}, "VG2013 .dockercfg has the form of .dockerconfigjson"},
		"dockercfg not JSON":   {typeDockercfg, map[string]string{".dockercfg": "c4nary"}, "VG2013 .dockercfg is not JSON of the form"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := map[string]Value{}
			s := plan.Secret{Type: test.kind}
			for k, v := range test.data {
				data[k] = New([]byte(v))
				s.Keys = append(s.Keys, plan.Key{Name: k})
			}
			ds := JudgeTyped(s, "secret apps/app", data)
			if test.want == "" {
				if len(ds) > 0 {
					t.Errorf("refused: %s", ds[0].Message)
				}
				return
			}
			if len(ds) != 1 {
				t.Fatalf("%d errors, want 1: %v", len(ds), ds)
			}
			code, rest, _ := strings.Cut(test.want, " ")
			k, what, _ := strings.Cut(rest, " ")
			if d := ds[0]; string(d.Code) != code || !strings.Contains(d.Message, `"`+k+`"`) || !strings.Contains(d.Message, what) || d.Hint == "" {
				t.Errorf("it says %s %s (%s), want %s", d.Code, d.Message, d.Hint, test.want)
			} else if strings.Contains(d.Message+d.Hint, "c4nary") {
				t.Error("it shows a value")
			}
		})
	}
}

// TestFormatPEM says why PEM is refused whose line ends are not its own.
func TestFormatPEM(t *testing.T) {
	t.Parallel()
	_, key := pair(t)
	in := plan.Input{Name: "KEY", Class: plan.Required, Constraints: plan.Constraints{Format: "pem"}}
	for s, want := range map[string]string{
		key:                                   "",
		strings.ReplaceAll(key, "\n", "\r\n"): "Windows line endings",
		strings.TrimSuffix(strings.ReplaceAll(key, "\n", "\r\n"), "\n"): "Windows line endings",
		strings.ReplaceAll(key, "\n", `\n`):                             `\n written out`,
		strings.ReplaceAll(key, "\n", " "):                              "lost its line breaks",
		"nothing":                                                       "not in the format pem",
	} {
		ds := Judge(in, New([]byte(s)))
		if want == "" && len(ds) > 0 || want != "" && (len(ds) != 1 || !strings.Contains(ds[0].Message, want)) {
			t.Errorf("it says %v, want %q", ds, want)
		}
	}
}
