package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// testCert: a team has no certificate yet. It fetches that of its controller
// through the API server, builds and applies, and the application gets what it
// needs. Then the controller makes a new key: the next fetch finds it, and the
// next build seals again. Someone without rights is told which one is missing.
func testCert(t *testing.T, c *cluster) {
	const namespace = "cert"
	c.namespace(t, namespace)

	dir := t.TempDir()
	for file, content := range map[string]string{
		"cue.mod/module.cue": "module: \"test.example/secrets@v0\"\nlanguage: version: \"v0.15.0\"\n",
		"contract.cue": `package app

import "github.com/victor-ai/victorgen/schema"

schema.#Environment

inputs: PASSWORD: schema.#Generated & {generate: kind: "password"}
secrets: app: keys: password: input: "PASSWORD"
`,
		"envs/test/env.cue": `package app

environment: "test"
namespace:   "cert"
delivery: {certificate: "sealing-cert.pem", controller: {name: "sealed-secrets", namespace: "cert"}}
`,
	} {
		file = filepath.Join(dir, file)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	fetch := func(token string) (out string, code int) {
		t.Helper()
		stdout, stderr, code := victorgen(t, dir, nil, "cert", "fetch", "envs/test", "--kubeconfig", c.kubeconfig(t, token))
		return stdout + stderr, code
	}
	file := filepath.Join(dir, "envs", "test", "sealing-cert.pem")
	has := func(want []byte) {
		t.Helper()
		if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%s has %q, not %q: %v", file, got, want, err)
		}
	}

	t.Run("no controller", func(t *testing.T) {
		refused := func(want string) {
			t.Helper()
			if out, code := fetch(c.admin.BearerToken); code != 3 || !strings.Contains(out, "VG5201") || !strings.Contains(out, want) {
				t.Errorf("exit %d, without %q:\n%s", code, want, out)
			}
		}
		refused("has no Service sealed-secrets in cert")
		service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "sealed-secrets"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "web", Port: 8080}}}}
		if _, err := c.core.CoreV1().Services(namespace).Create(t.Context(), service, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		refused("Service sealed-secrets in cert has no endpoints")
		c.pod(t, namespace, "sealed-secrets", ownAddress(t))
		nobody, err := strconv.Atoi(freePort(t))
		if err != nil {
			t.Fatal(err)
		}
		c.endpoints(t, namespace, "sealed-secrets", nobody, false)
		refused("Service sealed-secrets in cert does not answer, is a Pod of the controller ready?")
		c.endpoints(t, namespace, "sealed-secrets", nobody, true)
		refused("Service sealed-secrets in cert does not answer")
	})
	c.endpoints(t, namespace, "sealed-secrets", forwarded(t, c.sealedSecrets.address), true)
	t.Run("rights", func(t *testing.T) {
		token := c.account(t, namespace, "ci")
		for _, right := range []struct{ resource, name string }{{"services", "sealed-secrets"}, {"services/proxy", "http:sealed-secrets:web"}} {
			out, code := fetch(token)
			if want := "you may not get " + strings.TrimSuffix(right.resource, "s") + " " + right.name + " in namespace cert"; code != 3 || !strings.Contains(out, want) {
				t.Errorf("exit %d, without %q:\n%s", code, want, out)
			}
			if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
				t.Error("there is a file")
			}
			c.allow(t, namespace, "ci", rbacv1.PolicyRule{APIGroups: []string{""}, Verbs: []string{"get"},
				Resources: []string{right.resource}, ResourceNames: []string{right.name}})
		}
		if out, code := fetch(token); code != 0 {
			t.Errorf("exit %d\n%s", code, out)
		}
		has(c.certificate)
	})

	if out, code := fetch(c.admin.BearerToken); code != 0 || !strings.Contains(out, "unchanged") {
		t.Errorf("exit %d\n%s", code, out)
	}
	deliver := func() {
		t.Helper()
		if out, errs, code := victorgen(t, dir, nil, "build", "envs/test"); code != 0 {
			t.Fatalf("exit %d\n%s%s", code, out, errs)
		}
		tree := kustomized(t, filepath.Join(dir, "deploy", "test"))
		c.apply(t, tree)
		for _, o := range tree {
			c.condition(t, o, "Synced")
		}
		secret := c.secret(t, namespace, "app", "")
		if source, err := os.ReadFile(filepath.Join(dir, ".secrets.test")); err != nil || len(secret.Data["password"]) == 0 || !bytes.Contains(source, secret.Data["password"]) {
			t.Errorf("the Secret is not what the source holds: %v", err)
		}
	}
	deliver()

	if err := c.sealedSecrets.process.Signal(syscall.SIGUSR1); err != nil { // make a new key
		t.Fatal(err)
	}
	var renewed []byte
	await(t, "the new certificate", func() error {
		resp, err := http.Get("http://" + c.sealedSecrets.address + "/v1/cert.pem")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if renewed, err = io.ReadAll(resp.Body); err == nil && bytes.Equal(renewed, c.certificate) {
			err = errors.New("it is the old one")
		}
		return err
	})
	out, code := fetch(c.admin.BearerToken)
	if code != 0 || !strings.Contains(out, "wrote envs/test/sealing-cert.pem") || !strings.Contains(out, "seals again what was sealed for another: 1 secret") {
		t.Errorf("exit %d\n%s", code, out)
	}
	has(renewed)
	manifest := filepath.Join(dir, "deploy", "test", "secrets", "app.yaml")
	before, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	deliver()
	if after, err := os.ReadFile(manifest); err != nil || bytes.Equal(before, after) {
		t.Errorf("nothing was sealed anew: %v", err)
	}
	if out, errs, code := victorgen(t, dir, nil, "cert", "inspect", "envs/test"); code != 0 || !strings.Contains(out, "sealed for it  cert/app: password") || strings.Contains(out, "replaced") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
}

// forwarded returns a port of ownAddress that leads to address. The API server,
// as a proxy, goes to no loopback address.
func forwarded(t *testing.T, address string) int {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(ownAddress(t), "0"))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: address})}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	return listener.Addr().(*net.TCPAddr).Port
}

// pod makes a Pod that has an address, as if it ran.
func (c *cluster) pod(t *testing.T, namespace, name, ip string) {
	t.Helper()
	c.account(t, namespace, name)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PodSpec{ServiceAccountName: name, Containers: []corev1.Container{{Name: name, Image: "none"}}}}
	pod, err := c.core.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pod.Status.PodIP, pod.Status.PodIPs = ip, []corev1.PodIP{{IP: ip}}
	if _, err := c.core.CoreV1().Pods(namespace).UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// endpoints says that the port web of the Service name is this port of the Pod
// of that name. It takes Endpoints: the API server, as a proxy, does not read
// EndpointSlices, and goes nowhere but to Pods.
func (c *cluster) endpoints(t *testing.T, namespace, name string, port int, ready bool) {
	t.Helper()
	at := "addresses"
	if !ready {
		at = "notReadyAddresses"
	}
	c.apply(t, objects(t, fmt.Sprintf(`{apiVersion: v1, kind: Endpoints, metadata: {name: %[1]s, namespace: %[2]s}, subsets: [{
		%[3]s: [{ip: %[4]s, targetRef: {kind: Pod, name: %[1]s, namespace: %[2]s}}], ports: [{name: web, port: %[5]d}]}]}`,
		name, namespace, at, ownAddress(t), port)))
}

// ownAddress returns an address of this machine that is no loopback address.
func ownAddress(t *testing.T) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if a, ok := a.(*net.IPNet); ok && a.IP.To4() != nil && a.IP.IsGlobalUnicast() {
			return a.IP.String()
		}
	}
	t.Fatal("this machine has only loopback addresses, which the API server refuses; give it another: ip address add 192.0.2.1/32 dev lo")
	return ""
}

// account makes a service account, and returns a token of it.
func (c *cluster) account(t *testing.T, namespace, name string) string {
	t.Helper()
	accounts := c.core.CoreV1().ServiceAccounts(namespace)
	_, err := accounts.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	request, err := accounts.CreateToken(t.Context(), name, new(authenticationv1.TokenRequest), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return request.Status.Token
}

// allow gives a service account a right in its namespace.
func (c *cluster) allow(t *testing.T, namespace, account string, rule rbacv1.PolicyRule) {
	t.Helper()
	meta := metav1.ObjectMeta{GenerateName: account + "-"}
	role, err := c.core.RbacV1().Roles(namespace).Create(t.Context(), &rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{rule}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.core.RbacV1().RoleBindings(namespace).Create(t.Context(), &rbacv1.RoleBinding{ObjectMeta: meta,
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: account, Namespace: namespace}}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}
