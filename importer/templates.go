package importer

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/importer/observe"
	"github.com/victor-ai/victorgen/internal/lazy"
)

// templates makes of each value that holds others what it is made from: by the kit
// where it gives the same bytes, or else by a template.
func (d *Draft) templates() {
	d.parts()
	for _, s := range d.Secrets {
		for _, k := range s.Keys {
			if k.fixed || k.in == nil || !k.in.secret || !k.in.Known || k.in.child != nil || d.plain[s.String()+"/"+k.Name] || k.observed.Remote != nil {
				continue
			}
			d.compose(s, k)
		}
	}
	for _, s := range d.Secrets {
		d.basicAuth(s)
	}
	used := map[*Input]bool{}
	for _, s := range d.Secrets {
		for _, k := range s.Keys {
			used[k.in] = true
		}
	}
	var names strings.Builder // what templates and children say, for the names in it
	for _, s := range d.Secrets {
		for _, k := range s.Keys {
			names.WriteString(k.Template + k.Kit)
		}
	}
	for _, in := range d.Inputs {
		names.WriteString(in.Generate)
	}
	d.Inputs = slices.DeleteFunc(d.Inputs, func(in *Input) bool {
		return in.base == nil && !used[in] && !regexp.MustCompile(`\b`+regexp.QuoteMeta(in.Name)+`\b`).MatchString(names.String())
	})
}

// service is what the password in a URL of a scheme is called.
func service(scheme string) string {
	switch base, _, _ := strings.Cut(scheme, "+"); base {
	case "postgres", "postgresql":
		return "POSTGRES"
	case "mysql", "mysql2", "mariadb":
		return "MYSQL"
	case "redis", "rediss", "valkey":
		return "REDIS"
	case "amqp", "amqps":
		return "RABBITMQ"
	case "mongodb":
		return "MONGO"
	case "smtp", "smtps":
		return "SMTP"
	}
	return upper(scheme)
}

// parts makes inputs of what is in several values and in none alone, the
// password in two URLs, and of the passwords of pull secrets.
func (d *Draft) parts() {
	type part struct {
		v    value.Value
		name string
		in   []*Input
		at   int
		must bool
	}
	var parts []*part
	note := func(in *Input, at int, password, name string, must bool) {
		v := value.New([]byte(password))
		if len(password) < 6 || slices.ContainsFunc(d.Inputs, func(o *Input) bool { return o.secret && o.Known && o.Value.Equal(v) }) {
			return
		}
		for _, p := range parts {
			if p.v.Equal(v) {
				if !slices.Contains(p.in, in) {
					p.in = append(p.in, in)
				}
				p.must = p.must || must
				return
			}
		}
		parts = append(parts, &part{v: v, name: name, in: []*Input{in}, at: at, must: must})
	}
	for i, in := range d.Inputs {
		if !in.secret || !in.Known || in.base != nil {
			continue
		}
		if u, err := url.Parse(string(in.Value.Reveal())); err == nil && u.User != nil && u.Host != "" {
			if p, ok := u.User.Password(); ok {
				note(in, i, p, service(u.Scheme)+"_PASSWORD", false)
			}
		}
		if c, ok := dockerConfig(in.Value); ok {
			for _, l := range c {
				name := strings.TrimSuffix(in.Name, "_PULL_SECRET") + "_PASSWORD"
				if len(c) > 1 {
					name = upper(l.host) + "_PASSWORD"
				}
				note(in, i, l.password, name, true)
			}
		}
	}
	taken := map[string]bool{plan.LockKey: true}
	for _, in := range d.Inputs {
		taken[in.Name] = true
	}
	slices.SortStableFunc(parts, func(a, b *part) int { return b.at - a.at })
	for _, p := range parts {
		if (len(p.in) < 2 || !strong(p.v, 40)) && !p.must {
			continue
		}
		in := &Input{Name: p.name, Class: plan.Required, Known: true, Value: p.v, secret: true}
		for i := 2; taken[in.Name]; i++ {
			in.Name = fmt.Sprintf("%s_%d", p.name, i)
		}
		taken[in.Name] = true
		in.Notes.Group = p.in[0].Group
		if spec, why := generated(in.Name, "", p.v, true, observe.Notes{}); spec != "" && !p.must {
			in.Class, in.Generate, in.Why = plan.Generated, spec, why
		}
		d.Inputs = slices.Insert(d.Inputs, p.at, in)
	}
}

// hit is a place of a value where another stands.
type hit struct {
	start, end int
	text       string // the action of a template
	in         *Input
}

// compose makes a template of k, or a kit, if its value holds others.
func (d *Draft) compose(s *Secret, k *Key) {
	text := string(k.in.Value.Reveal())
	if expr, ok := d.pullSecret(s, k); ok {
		s.Kit = expr
		return
	}
	isURL := urlText.MatchString(text)
	isJSON := strings.HasPrefix(strings.TrimSpace(text), "{") && json.Valid([]byte(text))
	var hits []hit
	for _, p := range d.Inputs {
		if p == k.in || !p.secret || !p.Known || p.Class == plan.Optional || p.Encoding != "" || p.Value.Len() < 6 {
			continue
		}
		if p.Value.Len() < 8 && !isURL {
			continue
		}
		if found := find(text, p, isURL, isJSON); len(found) > 0 && p.atLeast(24) {
			hits = append(hits, found...)
		}
	}
	if len(hits) == 0 {
		return
	}
	slices.SortStableFunc(hits, func(a, b hit) int { return cmp.Or(a.start-b.start, b.end-a.end) })
	var chosen []hit
	at := 0
	for _, h := range hits {
		if h.start >= at {
			chosen = append(chosen, h)
			at = h.end
		}
	}
	if isURL && len(chosen) == 1 {
		if expr, ok := d.kitURL(text, chosen[0].in); ok {
			k.Kit, k.in = expr, nil
			return
		}
	}
	var template, rest strings.Builder
	at = 0
	for _, h := range chosen {
		literal := text[at:h.start]
		template.WriteString(verbatim(literal) + h.text)
		rest.WriteString(literal + "{{}}")
		at = h.end
	}
	template.WriteString(verbatim(text[at:]))
	rest.WriteString(text[at:])
	// What is left stands in Git.
	if observe.Leaks(rest.String()) {
		return
	}
	k.Template, k.in = template.String(), nil
}

func verbatim(s string) string {
	if strings.HasSuffix(s, "{") || strings.Contains(s, "{{") {
		return plan.Verbatim(s)
	}
	return s
}

// find returns the places of text where p stands: as it is, or escaped for a URL or
// for JSON, or in base64, alone or with a user before it.
func find(text string, p *Input, isURL, isJSON bool) (hits []hit) {
	v := string(p.Value.Reveal())
	ref := "{{." + p.Name
	quoted, _ := json.Marshal(v)
	escaped := strings.ReplaceAll(url.QueryEscape(v), "+", "%20")
	type form struct{ text, action string }
	plain := form{v, ref + "}}"}
	asURL := form{escaped, ref + ` | urlquery | replace "+" "%20"}}`}
	forms := []form{plain, asURL, {string(quoted), ref + " | toJson}}"}, {base64.StdEncoding.EncodeToString([]byte(v)), ref + " | b64enc}}"}}
	if isURL {
		forms[0], forms[1] = asURL, plain
	}
	seen := map[string]bool{}
	for _, f := range forms {
		if seen[f.text] || f.text == string(quoted) && !isJSON || len(f.text) > len(text) {
			continue
		}
		seen[f.text] = true
		for at := 0; ; {
			i := strings.Index(text[at:], f.text)
			if i < 0 {
				break
			}
			hits = append(hits, hit{at + i, at + i + len(f.text), f.action, p})
			at += i + len(f.text)
		}
	}
	for _, m := range base64Word.FindAllStringIndex(text, -1) {
		b, err := base64.StdEncoding.Strict().DecodeString(text[m[0]:m[1]])
		user, ok := strings.CutSuffix(string(b), ":"+v)
		if err == nil && ok && user != "" && open(value.New([]byte(user))) {
			hits = append(hits, hit{m[0], m[1], fmt.Sprintf(`{{printf "%%s:%%s" %s .%s | b64enc}}`, jsonText(user), p.Name), p})
		}
	}
	return hits
}

var base64Word = lazy.MustCompile(`[A-Za-z0-9+/]{8,}={0,2}`)

func jsonText(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

var urlParts = lazy.MustCompile(`^([a-z][a-z0-9+.-]*)://(?:([^:@/?#]*)(?::([^@/?#]*))?@)([^:/?#@,\[\]]*)(?::(\d+))?(?:(/)([^?#]*))?(?:\?([^#]*))?$`)

// kitURL writes a URL whose password is p by the kit, if that gives the same text.
func (d *Draft) kitURL(text string, p *Input) (expr string, ok bool) {
	m := urlParts.FindStringSubmatch(text)
	if m == nil {
		return "", false
	}
	scheme, user, password, host, port, slash, path, query := m[1], m[2], m[3], m[4], m[5], m[6], m[7], m[8]
	part := func(raw string) (string, bool) {
		s, err := url.PathUnescape(raw)
		return s, err == nil && strings.ReplaceAll(url.QueryEscape(s), "+", "%20") == raw
	}
	if got, ok := part(password); !ok || got != string(p.Value.Reveal()) || observe.Leaks(host+" "+path+" "+query) {
		return "", false
	}
	prefix := p.Name[:strings.LastIndex(p.Name, "_")+1]
	// ref is a setting of the same value next to the password, or the literal.
	ref := func(s string, names *lazy.Regexp) string {
		for _, in := range d.Inputs {
			if in.Class == plan.Setting && in.Default != nil && *in.Default == s && prefix != "" && strings.HasPrefix(in.Name, prefix) && names.MatchString(in.Name) {
				return compiler.Quote(in.Name, 0)
			}
		}
		return "{value: " + compiler.Quote(s, 0) + "}"
	}
	var fields []string
	def, base := "#URL", scheme
	base, _, _ = strings.Cut(base, "+")
	hasPath := slash != "" && path != ""
	switch {
	case (base == "postgres" || base == "postgresql") && port != "" && hasPath:
		def = "#PostgreSQL"
		if scheme != "postgresql" {
			fields = append(fields, "#scheme: "+compiler.Quote(scheme, 0))
		}
	case (base == "mysql" || base == "mysql2" || base == "mariadb") && port != "" && hasPath:
		def = "#MySQL"
		if scheme != "mysql" {
			fields = append(fields, "#scheme: "+compiler.Quote(scheme, 0))
		}
	case (scheme == "redis" || scheme == "rediss") && port != "" && hasPath:
		def = "#Redis"
		if scheme != "redis" {
			fields = append(fields, "#scheme: "+compiler.Quote(scheme, 0))
		}
	case (scheme == "amqp" || scheme == "amqps") && port != "" && (hasPath || slash == ""):
		def = "#AMQP"
		if scheme != "amqp" {
			fields = append(fields, "#scheme: "+compiler.Quote(scheme, 0))
		}
	case (scheme == "mongodb" || scheme == "mongodb+srv") && slash != "":
		def = "#MongoDB"
		if scheme != "mongodb" {
			fields = append(fields, "#scheme: "+compiler.Quote(scheme, 0))
		}
	case (scheme == "smtp" || scheme == "smtps") && port != "" && slash == "":
		def = "#SMTP"
		if scheme != "smtp" {
			fields = append(fields, "#scheme: "+compiler.Quote(scheme, 0))
		}
	default:
		fields = append(fields, "#scheme: "+compiler.Quote(scheme, 0))
	}
	if u, ok := part(user); !ok {
		return "", false
	} else if u != "" {
		fields = append(fields, "#user: "+ref(u, userWord))
	}
	fields = append(fields, "#password: "+compiler.Quote(p.Name, 0), "#host: "+ref(host, hostWord))
	usual := map[string]string{"#PostgreSQL": "5432", "#MySQL": "3306", "#Redis": "6379", "#AMQP": "5672", "#SMTP": "587"}[def]
	if r := ref(port, portWord); port != "" && (port != usual || r[0] == '"') {
		fields = append(fields, "#port: "+r)
	}
	if db, ok := part(path); !ok {
		return "", false
	} else if slash != "" {
		name := map[string]string{"#URL": "#path", "#AMQP": "#vhost", "#SMTP": "#path"}[def]
		if r := ref(db, databaseWord); def != "#Redis" || db != "0" {
			if db != "" || def != "#MongoDB" {
				fields = append(fields, cmp.Or(name, "#database")+": "+r)
			}
		}
	}
	if query != "" {
		var pairs []string
		seen := map[string]bool{}
		for _, pair := range strings.Split(query, "&") {
			k, v, ok := strings.Cut(pair, "=")
			name, ok2 := part(k)
			val, ok3 := part(v)
			if !ok || !ok2 || !ok3 || seen[name] {
				return "", false
			}
			seen[name] = true
			pairs = append(pairs, compiler.Label(name)+": {value: "+compiler.Quote(val, 0)+"}")
		}
		fields = append(fields, "#query: {"+strings.Join(pairs, "\n")+"}")
	}
	return "kit." + def + " & {\n" + strings.Join(fields, "\n") + "\n}", true
}

// What the settings next to a password are called.
var (
	hostWord     = lazy.MustCompile(`(^|_)(HOST|HOSTNAME|SERVER)$`)
	portWord     = lazy.MustCompile(`(^|_)PORT$`)
	databaseWord = lazy.MustCompile(`(^|_)(DBNAME|DB_NAME|DB|DATABASE|VHOST|[A-Z]*(DB|PG|POSTGRES|MYSQL|MARIADB)_NAME)$`)
)

// login is one of a dockerconfigjson.
type login struct{ host, user, password string }

// dockerConfig reads the logins of a pull secret, in their order.
func dockerConfig(v value.Value) (logins []login, ok bool) {
	text := v.Reveal()
	if !strings.Contains(string(text), `"auths"`) {
		return nil, false
	}
	var c struct {
		Auths map[string]struct{ Username, Password, Auth string } `json:"auths"`
	}
	if json.Unmarshal(text, &c) != nil || len(c.Auths) == 0 {
		return nil, false
	}
	for _, host := range sorted(c.Auths) {
		l := c.Auths[host]
		if l.Password == "" {
			b, err := base64.StdEncoding.DecodeString(l.Auth)
			user, password, ok := strings.Cut(string(b), ":")
			if err != nil || !ok {
				return nil, false
			}
			l.Username, l.Password = user, password
		}
		if l.Username == "" || l.Password == "" || observe.Secretive(host) {
			return nil, false
		}
		logins = append(logins, login{host, l.Username, l.Password})
	}
	slices.SortStableFunc(logins, func(a, b login) int {
		return strings.Index(string(text), jsonText(a.host)) - strings.Index(string(text), jsonText(b.host))
	})
	return logins, true
}

// pullSecret writes a dockerconfigjson by the kit, if that gives the same text.
func (d *Draft) pullSecret(s *Secret, k *Key) (expr string, ok bool) {
	if s.base != nil || s.Type != "kubernetes.io/dockerconfigjson" || len(s.Keys) != 1 || k.Name != ".dockerconfigjson" {
		return "", false
	}
	logins, ok := dockerConfig(k.in.Value)
	if !ok {
		return "", false
	}
	var want, fields []string
	var made strings.Builder
	for _, l := range logins {
		var p *Input
		for _, in := range d.Inputs {
			if in != k.in && in.secret && in.Known && string(in.Value.Reveal()) == l.password {
				p = in
			}
		}
		if p == nil || !open(value.New([]byte(l.user))) {
			return "", false
		}
		want = append(want, jsonText(l.host)+`:{"username":`+jsonText(l.user)+`,"password":`+jsonText(l.password)+`,"auth":"`+base64.StdEncoding.EncodeToString([]byte(l.user+":"+l.password))+`"}`)
		fields = append(fields, compiler.Label(l.host)+": {user: {value: "+compiler.Quote(l.user, 0)+"}, password: "+compiler.Quote(p.Name, 0)+"}")
	}
	made.WriteString(`{"auths":{` + strings.Join(want, ",") + "}}")
	if made.String() != string(k.in.Value.Reveal()) {
		return "", false
	}
	k.in, k.Kit = nil, "of the secret"
	return "kit.#DockerConfigJSON & {#registries: {" + strings.Join(fields, "\n") + "}}", true
}

// basicAuth writes a Secret of that type by the kit.
func (d *Draft) basicAuth(s *Secret) {
	if s.base != nil || s.Type != "kubernetes.io/basic-auth" || len(s.Keys) != 2 || s.Keys[0].Name != "password" || s.Keys[1].Name != "username" {
		return
	}
	p, u := s.Keys[0].in, s.Keys[1].in
	if p == nil || u == nil || p.Class == plan.Optional || u.Class == plan.Optional {
		return
	}
	s.Kit = fmt.Sprintf("kit.#BasicAuth & {#login: {user: %q, password: %q}}", u.Name, p.Name)
}
