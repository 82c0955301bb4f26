package observe

import (
	"cmp"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/internal/lazy"
)

// IsCompose reports whether text is a Compose file.
func IsCompose(name string, text []byte) bool {
	ext := strings.ToLower(filepath.Ext(name))
	if ext != ".yaml" && ext != ".yml" {
		return false
	}
	var f struct {
		Services map[string]yaml.Node `yaml:"services"`
	}
	return yaml.Unmarshal(text, &f) == nil && len(f.Services) > 0
}

// Compose reads the environment of the services of a Compose file, a Secret a
// service. variables are those of the dotenv files next to it, by which it is
// interpolated (https://docs.docker.com/reference/compose-file/interpolation/).
// Those that a service takes by env_file become keys of its Secret, too.
func Compose(name string, text []byte, variables []Variable) ([]Secret, plan.Diagnostics) {
	var ds plan.Diagnostics
	var f struct {
		Services map[string]struct {
			Environment yaml.Node `yaml:"environment"`
			EnvFile     yaml.Node `yaml:"env_file"`
		} `yaml:"services"`
	}
	if yaml.Unmarshal(text, &f) != nil { // its error may quote the file
		ds.Errorf(plan.CodeImportRead, []plan.Pos{{File: name, Line: 1, Column: 1}}, "`docker compose config` says what is wrong", "%s is not a valid Compose file", filepath.Base(name))
		return nil, ds
	}
	known := map[string]Variable{}
	for _, v := range variables {
		known[v.Name] = v
	}
	var secrets []Secret
	for _, service := range slices.Sorted(maps.Keys(f.Services)) {
		s := f.Services[service]
		secret := Secret{Name: ObjectName(service), From: "service", Pos: plan.Pos{File: name, Line: cmp.Or(s.Environment.Line, s.EnvFile.Line, 1), Column: 1}}
		keys := map[string]Key{}
		if s.EnvFile.Kind != 0 {
			for _, v := range variables {
				keys[v.Name] = Key{Name: v.Name, State: v.State, Value: v.Value, Notes: v.Notes, Variable: v.Name}
			}
		}
		bad := func(n *yaml.Node, hint, what string, args ...any) {
			ds.Errorf(plan.CodeImportRead, []plan.Pos{{File: name, Line: n.Line, Column: n.Column}}, hint, "service %s: "+what, append([]any{service}, args...)...)
		}
		var take func(n *yaml.Node, depth int)
		take = func(n *yaml.Node, depth int) {
			if n.Kind == yaml.AliasNode {
				n = n.Alias
			}
			if depth > 20 {
				return
			}
			switch n.Kind {
			case yaml.MappingNode:
				for i := 0; i+1 < len(n.Content); i += 2 {
					if n.Content[i].Value == "<<" || n.Content[i].Tag == "!!merge" {
						take(n.Content[i+1], depth+1) // what follows overwrites it
					}
				}
				for i := 0; i+1 < len(n.Content); i += 2 {
					k, v := n.Content[i], n.Content[i+1]
					if v.Kind == yaml.AliasNode {
						v = v.Alias
					}
					switch {
					case k.Value == "<<" || k.Tag == "!!merge":
					case v.Kind != yaml.ScalarNode:
						bad(v, "write a text, a number or nothing", "%s is not text", k.Value)
					case v.Tag == "!!null":
						keys[k.Value] = inherited(k.Value, known)
					default:
						keys[k.Value] = interpolated(k.Value, v.Value, known)
					}
				}
			case yaml.SequenceNode:
				for _, v := range n.Content {
					if v.Kind == yaml.AliasNode {
						v = v.Alias
					}
					if v.Kind != yaml.ScalarNode {
						take(v, depth+1) // of merged lists
						continue
					}
					k, val, ok := strings.Cut(v.Value, "=")
					if !ok {
						keys[k] = inherited(k, known)
					} else {
						keys[k] = interpolated(k, val, known)
					}
				}
			}
		}
		take(&s.Environment, 0)
		for _, k := range slices.Sorted(maps.Keys(keys)) {
			secret.Keys = append(secret.Keys, keys[k])
		}
		if len(secret.Keys) > 0 {
			secrets = append(secrets, secret)
		}
	}
	if len(secrets) == 0 && !ds.HasErrors() {
		ds.Errorf(plan.CodeImportRead, []plan.Pos{{File: name, Line: 1, Column: 1}}, "name a file whose services have environment or env_file", "no service in %s has an environment", filepath.Base(name))
	}
	return secrets, ds
}

// inherited is a key that comes from the variable of its name.
func inherited(name string, known map[string]Variable) Key {
	v := known[name]
	return Key{Name: name, State: v.State, Value: v.Value, Notes: v.Notes, Variable: name}
}

// reference is ${NAME}, with a default or without, or $NAME; $$ is a $.
var reference = lazy.MustCompile(`\$(?:\$|\{([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-?+])([^{}]*(?:\{[^{}]*\}[^{}]*)*))?\}|([A-Za-z_][A-Za-z0-9_]*))`)

// interpolated is a key whose value may refer to variables.
func interpolated(name, text string, known map[string]Variable) Key {
	k := Key{Name: name, State: Given}
	var out strings.Builder
	unknown := false
	at := 0
	found := reference.FindAllStringSubmatchIndex(text, -1)
	group := func(m []int, i int) string {
		if m[2*i] < 0 {
			return ""
		}
		return text[m[2*i]:m[2*i+1]]
	}
	for _, m := range found {
		out.WriteString(text[at:m[0]])
		at = m[1]
		ref := cmp.Or(group(m, 1), group(m, 4))
		op, alt := group(m, 2), group(m, 3)
		if ref == "" {
			out.WriteByte('$')
			continue
		}
		v := known[ref]
		k.Refers = append(k.Refers, ref)
		whole := m[0] == 0 && m[1] == len(text)
		if whole {
			k.Variable, k.Notes = ref, v.Notes
			if n, ok := strings.CutSuffix(op, "?"); ok && (n == "" || n == ":") {
				yes := true
				k.Required = &yes
			}
		}
		has := v.State == Given || v.State == Empty && !strings.HasPrefix(op, ":")
		switch {
		case strings.HasSuffix(op, "+"):
			if has {
				out.WriteString(alt)
			}
		case has:
			out.Write(v.Value.Reveal())
		case strings.HasSuffix(op, "-"):
			out.WriteString(string(interpolated("", alt, known).Value.Reveal()))
		case v.State == Empty:
		default:
			unknown = true
			if whole && v.Sample == "" && alt != "" && !Secretive(alt) && k.Description == "" {
				k.Description = clean(alt)
			}
		}
	}
	out.WriteString(text[at:])
	switch {
	case unknown:
		k.State = Unknown
	case out.Len() == 0:
		k.State = Empty
	default:
		k.Value = value.New([]byte(out.String()))
	}
	return k
}

var notName = lazy.MustCompile(`[^a-z0-9]+`)

// ObjectName makes the name of a Kubernetes object of what people call something.
func ObjectName(s string) string {
	s = strings.Trim(notName.ReplaceAllString(strings.ToLower(s), "-"), "-")
	if len(s) > 63 {
		s = strings.Trim(s[:63], "-")
	}
	return cmp.Or(s, "app")
}
