package compiler

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/shape"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// The kinds of name, each with Kubernetes' own validation.
var (
	dnsLabel      = validation.IsDNS1123Label
	dnsSubdomain  = validation.IsDNS1123Subdomain
	dataKey       = validation.IsConfigMapKey // Secrets use the same rule
	qualifiedName = validation.IsQualifiedName
	labelValue    = validation.IsValidLabelValue
)

// checkName reports a name that Kubernetes would refuse. An empty name is one
// that CUE has complained of.
func (c *compilation) checkName(what, name string, valid func(string) []string, path ...string) {
	if name == "" {
		return
	}
	at := last(c.ix.set(path...))
	if len(at) == 0 {
		at = last(c.ix.declared(path...))
	}
	c.checkNameAt(at, what, name, valid)
}

func (c *compilation) checkNameAt(at []plan.Pos, what, name string, valid func(string) []string) {
	if problems := valid(name); len(problems) > 0 {
		c.ds.Errorf(plan.CodeName, at, briefly(problems[0]), "%s %q is not a name that Kubernetes accepts", what, name)
	}
}

// isHandle reports whether s has the form of the names that a contract gives to what is
// its own, a source, a rule, a secret that has another name in Kubernetes: at most 253
// letters, digits, hyphens, underscores and dots, at both ends a letter or a digit.
func isHandle(s string) bool {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	return s != "" && len(s) <= 253 && strings.Trim(s, letters+"._-") == "" && strings.Trim(s, "._-") == s
}

// checkHandle reports a name of that kind which could be taken for something
// else where it is printed or put into a file.
func (c *compilation) checkHandle(what, name string, path ...string) {
	if !isHandle(name) {
		c.ds.Errorf(plan.CodeName, last(c.ix.declared(path...)), "use letters, digits, hyphens, underscores and dots, as in model-provider",
			"%s %q is not a valid name", what, name)
	}
}

// checkPrintable reports a character that a name of something elsewhere can't
// have, and that would do something else than show itself where it is printed.
func (c *compilation) checkPrintable(what, text string, path ...string) {
	i := strings.IndexFunc(text, func(r rune) bool {
		return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) || r == utf8.RuneError
	})
	if i < 0 {
		return
	}
	r, _ := utf8.DecodeRuneInString(text[i:])
	c.ds.Errorf(plan.CodeControl, last(c.ix.set(path...)), "remove it; an editor may not show it", "%s holds the character %U", what, r)
}

// briefly cuts the examples and the regular expression off a problem that
// apimachinery reports.
func briefly(problem string) string {
	problem, _, _ = strings.Cut(problem, " (e.g.")
	return problem
}

// typeKeys are the keys that the API server demands of a Secret of each type
// (https://kubernetes.io/docs/concepts/configuration/secret/#secret-types).
// One of each list must be there.
var typeKeys = map[string][][]string{
	shape.SecretTypeTLS:              {{shape.TLSCertKey}, {shape.TLSPrivateKeyKey}},
	shape.SecretTypeDockerConfigJSON: {{shape.DockerConfigJSONKey}},
	shape.SecretTypeDockercfg:        {{shape.DockerConfigKey}},
	shape.SecretTypeBasicAuth:        {{shape.BasicAuthUsernameKey, shape.BasicAuthPasswordKey}},
	shape.SecretTypeSSHAuth:          {{shape.SSHAuthPrivateKey}},
}

func (c *compilation) secret(id string, s *spec) plan.Secret {
	spec := s.Secrets[id]
	sec := plan.Secret{
		Name:        cmp.Or(spec.Name, id),
		Namespace:   cmp.Or(c.options.Namespace, spec.Namespace, s.Namespace),
		Type:        cmp.Or(spec.Type, shape.SecretTypeOpaque),
		Labels:      spec.Labels,
		Annotations: spec.Annotations,
		Immutable:   spec.Immutable,
		Pos:         c.ix.declared("secrets", id),
	}
	namePath := []string{"secrets", id}
	if spec.Name != "" {
		namePath = append(namePath, "name")
	}
	c.checkLabelled(namePath, "secret name", sec.Name, dnsSubdomain)
	if spec.Name != "" {
		c.checkHandle("secret", id, "secrets", id)
	}
	if spec.Namespace != "" {
		c.checkName("namespace", spec.Namespace, dnsLabel, "secrets", id, "namespace")
	}
	c.checkLabels(fmt.Sprintf("secret %q", id), spec.Labels, "secrets", id, "labels")
	for _, k := range sortedKeys(spec.Annotations) {
		c.checkLabelled([]string{"secrets", id, "annotations", k}, "annotation", k, func(k string) []string {
			return qualifiedName(strings.ToLower(k)) // as apimachinery's ValidateAnnotations does
		})
		if k == "sealedsecrets.bitnami.com/cluster-wide" || k == "sealedsecrets.bitnami.com/namespace-wide" {
			c.ds.Errorf(plan.CodeMisplaced, last(c.ix.declared("secrets", id, "annotations", k)),
				"write `delivery: scope:` instead", "annotation %s of secret %q is victorgen's own", k, id)
		}
	}

	c.checkAnnotations(id, spec.Annotations)

	sec.Delivery = c.delivery(id, s, spec)
	for _, name := range sortedKeys(spec.Keys) {
		sec.Keys = append(sec.Keys, c.key(id, name, spec.Keys[name], sec.Delivery.Fetches()))
	}
	switch {
	case len(spec.Keys) == 0:
		c.ds.Errorf(plan.CodeNoKeys, last(sec.Pos), `give it keys, as in keys: "api-key": input: "API_KEY"`, "secret %q has no keys", id)
	case sec.Type == shape.SecretTypeServiceAccountToken:
		c.ds.Errorf(plan.CodeTypeKeys, last(c.ix.set("secrets", id, "type")),
			"let the token controller fill it, or use a TokenRequest", "secret %q has type %s, which only the cluster can fill", id, sec.Type)
	default:
		c.checkTypeKeys(id, sec)
	}
	c.checkSize(id, sec)
	c.exposedSecret(id, sec)
	return sec
}

// ownAnnotations is what victorgen and the operator add to the annotations of an
// object, in bytes, and a little more.
const ownAnnotations = 512

// checkAnnotations reports annotations that are too much together.
func (c *compilation) checkAnnotations(id string, annotations map[string]string) {
	size := 0
	for name, text := range annotations {
		size += len(name) + len(text)
	}
	if limit := plan.MaxAnnotations - ownAnnotations; size > limit {
		c.ds.Errorf(plan.CodeTooBig, last(c.ix.declared("secrets", id, "annotations")), "make them shorter",
			"the annotations of secret %q have %d bytes together; Kubernetes stores %d, and some are needed for others", id, size, plan.MaxAnnotations)
	}
}

// checkLabelled is checkName for what the contract gives as the name of a
// field.
func (c *compilation) checkLabelled(path []string, what, name string, valid func(string) []string) {
	c.checkNameAt(last(c.ix.declared(path...)), what, name, valid)
}

// checkLabels checks the labels that a contract gives an object, in the field
// at path.
func (c *compilation) checkLabels(object string, labels map[string]string, path ...string) {
	for _, k := range sortedKeys(labels) {
		at := append(path[:len(path):len(path)], k)
		c.checkLabelled(at, "label", k, qualifiedName)
		c.checkName("label value", labels[k], labelValue, at...)
		if k == "app.kubernetes.io/managed-by" || k == "app.kubernetes.io/part-of" || k == "victorgen/environment" {
			c.ds.Errorf(plan.CodeMisplaced, last(c.ix.declared(at...)),
				"remove it; partOf sets app.kubernetes.io/part-of", "label %s of %s is victorgen's own", k, object)
		}
	}
}

// delivery is that of the environment with what the secret says laid over it.
func (c *compilation) delivery(id string, s *spec, spec secretSpec) plan.Delivery {
	d := plan.Delivery{Kind: cmp.Or(spec.Delivery.Kind, s.Delivery.Kind, plan.Sealed)}
	if c.options.Direct {
		d.Kind = plan.Direct
	}
	switch {
	case d.Fetches():
		c.externalDelivery(&d, id, s.Delivery, spec.Delivery)
	case d.Seals():
		c.sealedDelivery(&d, id, s, spec)
	}
	return d
}

// sealedDelivery is that of a secret which is sealed.
func (c *compilation) sealedDelivery(d *plan.Delivery, id string, s *spec, spec secretSpec) {
	d.Scope = cmp.Or(spec.Delivery.Scope, s.Delivery.Scope)
	d.Controller = plan.Controller{
		Name:      cmp.Or(spec.Delivery.Controller.Name, s.Delivery.Controller.Name, "sealed-secrets-controller"),
		Namespace: cmp.Or(spec.Delivery.Controller.Namespace, s.Delivery.Controller.Namespace, "kube-system"),
	}
	for field, given := range map[string][2]string{
		"name":      {spec.Delivery.Controller.Name, s.Delivery.Controller.Name},
		"namespace": {spec.Delivery.Controller.Namespace, s.Delivery.Controller.Namespace},
	} {
		where := []string{"secrets", id, "delivery", "controller", field}
		if given[0] == "" {
			where = where[2:]
		}
		// It becomes a part of the path that the API server is asked for.
		c.checkName("controller "+field, cmp.Or(given[0], given[1]), dnsLabel, where...)
	}
	switch where := []string{"secrets", id, "delivery", "certificate"}; {
	case spec.Delivery.Certificate != "":
		c.checkPrintable("the path of the certificate", spec.Delivery.Certificate, where...)
		d.Certificate, d.Pos = c.pathIn(spec.Delivery.Certificate, where...), last(c.ix.set(where...))
	case s.Delivery.Certificate != "":
		c.checkPrintable("the path of the certificate", s.Delivery.Certificate, where[2:]...)
		d.Certificate, d.Pos = c.pathIn(s.Delivery.Certificate, where[2:]...), last(c.ix.set(where[2:]...))
	default:
		at := last(c.ix.declared("delivery"))
		if len(at) == 0 {
			at = c.whereMissing([]string{"delivery"})
		}
		c.ds.Errorf(plan.CodeNoCertificate, at,
			"write `delivery: certificate: \"sealing-cert.pem\"`, then `victorgen cert fetch ENV`, or `kubeseal --fetch-cert > sealing-cert.pem`",
			"sealed delivery needs the certificate of the cluster's sealed-secrets controller")
	}
}

func (c *compilation) key(id, name string, spec keySpec, external bool) plan.Key {
	path := []string{"secrets", id, "keys", name}
	c.checkLabelled(path, "key", name, dataKey)
	k := plan.Key{Name: name, Pos: c.ix.declared(path...)}
	given := 0
	at := func(field string) []plan.Pos {
		given++
		k.Pos = latestFirst(c.ix.set(append(path, field)...))
		return k.Pos[:min(1, len(k.Pos))]
	}
	if spec.Input != nil {
		pos := at("input")
		k.Input = *spec.Input
		if !c.knows(k.Input) {
			c.ds.Errorf(plan.CodeUnknownInput, pos, plan.DidYouMean(k.Input, c.names, "declare it under inputs"),
				"key %q of secret %q is made from unknown input %q", name, id, k.Input)
		}
	}
	if spec.Previous {
		at := last(c.ix.set(append(path, "previous")...))
		switch in, ok := c.inputs[k.Input]; {
		case spec.Input == nil:
			c.ds.Errorf(plan.CodePrevious, at, "write it next to an input; in a template it is {{with .NAME.previous}}{{.}}{{end}}",
				"key %q of secret %q has previous, but is not made from an input", name, id)
		case ok && in.KeepsPrevious() == 0:
			c.ds.Errorf(plan.CodePrevious, at, plan.HintKeep(in), "key %q of secret %q takes the previous value of %s, which does not keep one", name, id, k.Input)
		case ok:
			k.Input += plan.PreviousSuffix
		}
	}
	if spec.Template != nil {
		pos := at("template")
		var problems []plan.TemplateProblem
		k.Template, problems = plan.ParseTemplate(*spec.Template, func(n string) (plan.Input, bool) {
			return c.inputs[n], c.knows(n)
		}, c.names, external)
		for _, p := range problems {
			c.ds.Errorf(p.Code, c.inTemplate(pos, *spec.Template, p), p.Hint, "key %q of secret %q: %s", name, id, p.Message)
		}
		if text := withoutActions(*spec.Template); len(k.Template.Inputs) == 0 && len(problems) == 0 {
			c.checkLiteral(pos, id, name, text) // it is a literal in disguise
		} else if why := looksLikeSecret(text); why != "" {
			c.literalSecret(pos, fmt.Sprintf("the template of key %q of secret %q", name, id), why)
		}
	}
	if spec.Value != nil {
		pos := at("value")
		k.Value = spec.Value
		c.checkLiteral(pos, id, name, *spec.Value)
	}
	if slices.Contains(k.Inputs(), plan.LockKey) {
		c.ds.Errorf(plan.CodeMisplaced, k.Pos[:min(1, len(k.Pos))], "use an input of your own",
			"key %q of secret %q is made from %s: anyone who reads it can test guesses against victorgen.lock", name, id, plan.LockKey)
	}
	if given != 1 && !c.broken(path) {
		what := "nothing"
		if given > 1 {
			what = "several things at once"
		}
		c.ds.Errorf(plan.CodeKeyMadeFrom, last(c.ix.declared(path...)), "set exactly one of input, template and value",
			"key %q of secret %q is made from %s", name, id, what)
	}
	return k
}

// broken reports whether CUE has an error at path or below it.
func (c *compilation) broken(path []string) bool {
	at := pathKey(path)
	for key := range c.cueBroken {
		if key == at || strings.HasPrefix(key, at+"\x00") {
			return true
		}
	}
	return false
}

func (c *compilation) checkLiteral(pos []plan.Pos, id, name, literal string) {
	what := fmt.Sprintf("the literal of key %q of secret %q", name, id)
	switch why := looksLikeSecret(literal); {
	case why != "":
		c.literalSecret(pos, what, why)
	case literal != "" && secretName.MatchString(name):
		c.literalSecret(pos, what, "has a name that suggests a secret")
	case looksRandom(literal):
		c.ds = append(c.ds, plan.Diagnostic{
			Code: plan.CodeLiteralSecret, Severity: plan.Warning, Pos: pos, Mask: true,
			Message: what + " looks random, as secrets do", Hint: "make it an input if it is one",
		})
	}
}

// inTemplate refines the position of a template's literal to the token in it
// that a problem is about, where the source shows it.
func (c *compilation) inTemplate(pos []plan.Pos, text string, p plan.TemplateProblem) []plan.Pos {
	if len(pos) == 0 {
		return pos
	}
	at, offset := pos[0], min(p.Offset, len(text))
	if strings.HasPrefix(strings.TrimLeft(c.textAt(at), "#"), `"""`) {
		// The text of a multiline literal starts on the line after its quotes.
		at = c.module.at(at.File, at.Line+1+strings.Count(text[:offset], "\n"), 1)
		start := strings.LastIndex(text[:offset], "\n") + 1
		text, offset = text[start:], offset-start
		if line := at.Text; p.Token == "" && line != "" {
			at.Column = 1 + len(line) - len(strings.TrimLeft(line, " \t"))
			return append([]plan.Pos{at}, pos[1:]...)
		}
	}
	if p.Token == "" {
		return pos
	}
	// The token's nth occurrence in the text is its nth occurrence in the literal.
	nth := strings.Count(text[:offset], p.Token)
	line, off := c.textAt(at), 0
	for ; ; nth-- {
		i := strings.Index(line[off:], p.Token)
		if i < 0 {
			return pos
		}
		off += i
		if nth == 0 {
			break
		}
		off += len(p.Token)
	}
	at.Column += off
	return append([]plan.Pos{at}, pos[1:]...)
}

func (c *compilation) checkTypeKeys(id string, sec plan.Secret) {
	for _, alternatives := range typeKeys[sec.Type] {
		var found *plan.Key
		for i, k := range sec.Keys {
			if slices.Contains(alternatives, k.Name) && (found == nil || c.mayBeLeftOut(*found)) {
				found = &sec.Keys[i]
			}
		}
		want := strings.Join(alternatives, " or ")
		switch {
		case found == nil:
			c.ds.Errorf(plan.CodeTypeKeys, last(c.ix.set("secrets", id, "type")), "add the key, or use another type",
				"secret %q of type %s has no key %s, which Kubernetes requires", id, sec.Type, want)
		case c.mayBeLeftOut(*found):
			c.ds.Errorf(plan.CodeTypeKeys, found.Pos, "make the input required here",
				"key %q of secret %q may be left out, but Kubernetes requires it for type %s", found.Name, id, sec.Type)
		}
	}
}

// mayBeLeftOut reports whether the key is made from an input that may be
// absent, or from a template that may render to nothing.
func (c *compilation) mayBeLeftOut(k plan.Key) bool {
	if k.Template != nil {
		return k.Template.MayBeEmpty
	}
	in, ok := c.lookup(k.Input)
	return ok && in.MayBeAbsent()
}

// checkSize reports a secret whose contract alone says that it is too big: its
// literals, and the shortest values that its inputs may have.
func (c *compilation) checkSize(id string, sec plan.Secret) {
	size := 0
	for _, k := range sec.Keys {
		switch {
		case k.Value != nil:
			size += len(*k.Value)
		case k.Template != nil && len(k.Template.Inputs) == 0:
			size += len(withoutActions(k.Template.Text))
		case k.Input != "":
			in, ok := c.lookup(k.Input)
			switch {
			case !ok || in.MayBeAbsent():
			case in.Default != nil:
				size += len(*in.Default)
			case in.Generate != nil:
				size += max(in.Generate.Length, in.Constraints.MinLength)
			default:
				size += in.Constraints.MinLength
			}
		}
	}
	if size > shape.MaxSecretSize {
		c.ds.Errorf(plan.CodeTooBig, last(sec.Pos), "split it, or keep what is not secret in a ConfigMap",
			"secret %q is at least %d bytes, more than the %d that Kubernetes stores", id, size, shape.MaxSecretSize)
	}
}

// checkSecrets reports what only all secrets together show.
func (c *compilation) checkSecrets(p *plan.Plan) {
	for i, s := range p.Secrets {
		if i > 0 && p.Secrets[i-1].Name == s.Name && p.Secrets[i-1].Namespace == s.Namespace {
			hint := "give one of them another name"
			if c.options.Namespace != "" {
				hint += ", or leave each in its own namespace"
			}
			c.ds.Errorf(plan.CodeSameSecret, append(last(s.Pos), p.Secrets[i-1].Pos...), hint,
				"two secrets are both %s/%s", s.Namespace, s.Name)
		}
	}
	if c.ds.HasErrors() {
		return // a misspelled name makes an input look unused
	}
	used := map[string]bool{plan.LockKey: true}
	for _, s := range p.Secrets {
		for _, k := range s.Keys {
			for _, in := range k.Inputs() {
				used[strings.TrimSuffix(in, plan.PreviousSuffix)] = true
			}
		}
	}
	for _, in := range p.Inputs {
		for _, parent := range in.Parents() {
			used[parent] = true
		}
	}
	for _, in := range p.Inputs {
		if in.KeepsPrevious() > 0 && !p.TakesPrevious(in.Name) {
			c.ds.Warnf(plan.CodeUnusedInput, c.generatePos(in, "keepPrevious"), "use it with previous: true in a key, or with .NAME.previous in a template; or remove keepPrevious",
				"no secret uses the previous value of %s", in.Name)
		}
		if !used[in.Name] {
			others := slices.DeleteFunc(slices.Clone(c.names), func(n string) bool { return n == in.Name })
			hint := "use it in a key, or remove it from the contract"
			if near := plan.Nearest(in.Name, others); near != "" {
				hint += fmt.Sprintf("; or did you mean %q?", near)
			}
			c.ds.Warnf(plan.CodeUnusedInput, in.Pos[:min(1, len(in.Pos))], hint, "no secret uses input %s", in.Name)
		}
	}
}
