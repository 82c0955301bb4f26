package compiler

import (
	"fmt"
	"math"
	"math/rand/v2"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
)

// DefaultMinStrength is how many bits of entropy a secret needs where the
// contract does not say: ten random letters and digits, and a little more.
const DefaultMinStrength = 60

// input checks one input and returns it as the plan has it.
func (c *compilation) input(name string, s *spec) plan.Input {
	spec := s.Inputs[name]
	var at []plan.Pos // none of the lock key, if it is the schema that declares it
	if name != plan.LockKey || len(c.ix.labels([]string{"inputs", name})) > 0 {
		at = c.ix.declared("inputs", name)
	}
	in := plan.Input{
		Name:        name,
		Class:       spec.Class,
		Description: spec.Description,
		Docs:        spec.Docs,
		Example:     spec.Example,
		Deprecated:  spec.Deprecated,
		Source:      spec.Source,
		Encoding:    spec.Encoding,
		Trim:        spec.Trim,
		Present:     spec.Present,
		Default:     spec.Default,
		Pos:         at,
		Constraints: plan.Constraints{
			Format:    spec.Format,
			MinLength: spec.MinLength,
			MaxLength: spec.MaxLength,
			OneOf:     spec.OneOf,
		},
	}
	field := func(f string) []plan.Pos { return last(c.ix.set("inputs", name, f)) }

	if !isInputName(name) {
		c.ds.Errorf(plan.CodeName, last(at), "use letters, digits and underscores, as in DB_PASSWORD",
			"input name %q is not the name of an environment variable", name)
	} else if plan.Reserved(name) {
		c.ds.Errorf(plan.CodeName, last(at), "give it another name",
			"input name %q is reserved: names with this prefix hold previous values in a file of values", name)
	} else if len(name) > maxInputName {
		c.ds.Errorf(plan.CodeName, last(at), "give it a shorter name, and set its name at the source as remote",
			"input name %q has %d characters; objects that are named after it may have %d of it", name, len(name), maxInputName)
	}
	if in.Source == "" || in.Source == "default" {
		in.Source = c.defaultSource
	} else if _, ok := s.Sources[in.Source]; !ok {
		c.ds.Errorf(plan.CodeUnknownSource, field("source"),
			plan.DidYouMean(in.Source, sortedKeys(s.Sources), "declare it under sources"),
			"input %s lives at unknown source %q", name, in.Source)
	}
	in.Remote = c.remote(in, spec, c.sources[in.Source], s.Sources[in.Source])
	if spec.MaxAge != "" {
		d, err := parseDuration(spec.MaxAge)
		if err != nil || d <= 0 {
			c.ds.Errorf(plan.CodeConstraint, field("maxAge"), durationHint,
				"maxAge of %s is %q, which is not a positive duration", name, spec.MaxAge)
		}
		in.MaxAge = d
	}
	c.checkDates(&in, spec)
	if len(spec.Pattern) > maxPattern {
		c.ds.Errorf(plan.CodeConstraint, field("pattern"), "write a shorter one, and leave the rest to minLength, oneOf or format",
			"pattern of %s has %d bytes; %d are allowed", name, len(spec.Pattern), maxPattern)
	} else if spec.Pattern != "" {
		re, size, err := c.options.Shared.pattern(spec.Pattern)
		if err != nil {
			c.ds.Errorf(plan.CodeConstraint, field("pattern"), "see https://github.com/google/re2/wiki/Syntax",
				"pattern of %s is not a valid regular expression: %s", name, strings.TrimPrefix(err.Error(), "error parsing regexp: "))
		}
		if size > maxProgram {
			c.ds.Errorf(plan.CodeConstraint, field("pattern"), "write smaller counts, and use minLength and maxLength",
				"pattern of %s compiles to a program of %d steps; %d are allowed", name, size, maxProgram)
		}
		in.Constraints.Pattern = re
	}
	if spec.MaxLength > 0 && spec.MinLength > spec.MaxLength {
		c.ds.Errorf(plan.CodeConstraint, field("minLength"), "no value can satisfy both",
			"input %s has minLength %d above maxLength %d", name, spec.MinLength, spec.MaxLength)
	}
	c.strength(&in, spec)

	if knownSecret.MatchString(in.Example) {
		c.literalSecret(field("example"), "the example of input "+name, "has the form of a well-known credential")
	}
	if in.Trim {
		why := ""
		switch {
		case in.Encoding != "":
			why = "has an encoding: trim is for text"
		case in.Class == plan.Generated:
			why = "is generated, so there is nothing to trim"
		case in.Default != nil:
			why = "has a default, and no source is asked for it"
		}
		if why != "" {
			c.ds.Errorf(plan.CodeMisplaced, field("trim"), "remove trim", "input %s has trim and %s", name, why)
		}
	}
	c.checkDefault(in, spec)
	c.checkGenerate(&in, spec)
	c.checkRotate(&in, spec)
	return in
}

// checkDates reads when a value is due to be rotated or ends, apart from maxAge.
func (c *compilation) checkDates(in *plan.Input, spec inputSpec) {
	at := func(f string) []plan.Pos { return last(c.ix.set("inputs", in.Name, f)) }
	in.Owner = spec.Owner
	if spec.RotateAfter != "" {
		d, err := parseDuration(spec.RotateAfter)
		in.RotateAfter = d
		switch {
		case err != nil || d <= 0:
			c.ds.Errorf(plan.CodeConstraint, at("rotateAfter"), durationHint,
				"rotateAfter of %s is %q, which is not a positive duration", in.Name, spec.RotateAfter)
		case in.Class != plan.Generated:
			c.ds.Errorf(plan.CodeMisplaced, at("rotateAfter"), "use maxAge alone; or expires, if its last day is known",
				"input %s has rotateAfter and is %s: victorgen only rotates what it generates", in.Name, in.Class)
		case spec.MaxAge == "":
			c.ds.Errorf(plan.CodeMisplaced, at("rotateAfter"), "add maxAge, the age at which it is reported",
				"input %s has rotateAfter without maxAge: nothing would report that it was not rotated", in.Name)
		case in.MaxAge > 0 && d >= in.MaxAge:
			c.ds.Errorf(plan.CodeConstraint, at("rotateAfter"), "leave time in between for a run of `victorgen rotate --due`, a build and a deployment",
				"rotateAfter of %s is %s, which is not less than its maxAge, %s", in.Name, spec.RotateAfter, spec.MaxAge)
		}
	}
	if spec.Expires == "" {
		return
	}
	day, err := time.Parse(time.DateOnly, spec.Expires)
	in.Expires = day
	switch {
	case err != nil:
		c.ds.Errorf(plan.CodeConstraint, at("expires"), `write a valid date, as in "2027-03-31"`, "expires of %s is %q, which is not a valid date", in.Name, spec.Expires)
	case in.Class == plan.Generated:
		c.ds.Errorf(plan.CodeMisplaced, at("expires"), "use maxAge and rotateAfter",
			"input %s has expires and is generated: expires is for values that are provided", in.Name)
	case in.Default != nil:
		c.ds.Errorf(plan.CodeMisplaced, at("expires"), "remove expires", "input %s has expires and a default, which is not renewed at a source", in.Name)
	}
}

// keepPrevious reads how long a value counts that another one has replaced.
func (c *compilation) keepPrevious(in plan.Input, spec inputSpec) time.Duration {
	d := c.lasting(in, "keepPrevious", spec.Generate.Keep)
	if d <= 0 {
		return 0
	}
	why, hint := "", "remove one of them"
	switch kind, ok := plan.KindOf(c.sources[in.Source].Kind); {
	case ok && kind.Previous == "":
		why, hint = fmt.Sprintf("lives at source %s, which has no previous values", c.sources[in.Source]), "use another source, or remove keepPrevious"
	case spec.Generate.InCluster:
		why, hint = "is generated in the cluster, where nothing rotates it", "remove keepPrevious"
	case in.Name == plan.LockKey:
		why, hint = "is victorgen's own", "remove keepPrevious"
	case spec.Rotate == "never":
		why = "has rotate: \"never\""
	case in.MaxAge > 0 && d >= in.MaxAge || in.RotateAfter > 0 && d >= in.RotateAfter:
		why, hint = "would be rotated again within that time, and only one previous value is kept", "keep it for a shorter time, or rotate less often"
	default:
		return d
	}
	c.ds.Errorf(plan.CodeMisplaced, c.generatePos(in, "keepPrevious"), hint, "input %s has keepPrevious and %s", in.Name, why)
	return 0
}

// checkRotate refuses what would rotate an input that never is.
func (c *compilation) checkRotate(in *plan.Input, spec inputSpec) {
	in.NeverRotate = spec.Rotate == "never"
	if spec.Rotate == "" {
		return
	}
	why, hint := "", "remove one of them"
	switch {
	case !in.NeverRotate:
		return // the schema tells
	case spec.MaxAge != "":
		why = "has a maxAge, at which its rotation is due"
	case spec.Expires != "":
		why = "has a date on which it expires, after which another value must replace it"
	case in.Generate != nil && in.Generate.Child != nil:
		why, hint = "is made from other inputs, and regenerated when they change", "set it on those, and remove it here"
	case in.Default != nil:
		why, hint = "has a default, and nothing rotates it", "remove rotate"
	default:
		return
	}
	c.ds.Errorf(plan.CodeMisplaced, last(c.ix.set("inputs", in.Name, "rotate")), hint, "input %s has rotate: \"never\" and %s", in.Name, why)
}

// strength sets how strong the value must be. Where the contract is silent, a
// secret needs the default strength, and an environment cannot take that back:
// not by a lower number, nor by a constraint that waives it.
func (c *compilation) strength(in *plan.Input, spec inputSpec) {
	contract := c.inContract(in.Pos)
	loosens := func(field string) bool {
		return len(contract) > 0 && len(c.inContract(c.ix.set("inputs", in.Name, field))) == 0
	}
	waived := len(spec.OneOf) > 0 && !loosens("oneOf") || spec.Encoding == plan.Binary && !loosens("encoding") ||
		(spec.Format == "hostname" || spec.Format == "port" || spec.Format == "email") && !loosens("format")
	switch {
	case spec.MinStrength != nil:
		in.Constraints.MinStrength = *spec.MinStrength
		if in.Secret() && !waived && *spec.MinStrength < DefaultMinStrength && loosens("minStrength") {
			at := last(c.ix.set("inputs", in.Name, "minStrength"))
			c.ds.Errorf(plan.CodeLoosened, append(slices.Clone(at), contract...),
				"set minStrength in the contract, and leave it open there: minStrength: *60 | >=40",
				"the environment loosens the contract on %s: minStrength is %v here, and %d by default",
				in.Name, *spec.MinStrength, DefaultMinStrength)
		}
	case spec.Generate != nil && (spec.Generate.Of != "" || spec.Generate.Password != ""):
		// It is as strong as what it is made from.
	case in.Secret() && !waived:
		in.Constraints.MinStrength = DefaultMinStrength
	}
}

// The size of the largest pattern, in bytes and in instructions of its program:
// matching takes time by the latter times the length of the value, and a count as
// in {1000} makes many out of few bytes.
const (
	maxPattern = 1000
	maxProgram = 10000
)

// programSize is the number of instructions that a pattern becomes, or 0 if it
// is not valid.
func programSize(pattern string) int {
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0
	}
	prog, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return 0
	}
	return len(prog.Inst)
}

// maxInputName is what partOf, a label, leaves of the 253 characters that the name
// of an object has.
const maxInputName = 253 - 63 - 1

// isInputName reports whether s is letters, digits and underscores, the first no digit.
func isInputName(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c == '_', c >= '0' && c <= '9' && i > 0:
		default:
			return false
		}
	}
	return s != ""
}

func (c *compilation) checkDefault(in plan.Input, spec inputSpec) {
	if in.Default == nil || in.Class == "" {
		return
	}
	at := last(c.ix.set("inputs", in.Name, "default"))
	if in.Class != plan.Setting {
		c.ds = append(c.ds, plan.Diagnostic{
			Code: plan.CodeMisplaced, Severity: plan.Error, Pos: at, Mask: true,
			Message: "input " + in.Name + " is " + string(in.Class) + " and has a default: only a setting may, because it is in Git",
			Hint:    "remove the default, or make it a schema.#Setting if it is not secret",
		})
		return
	}
	if in.Encoding != "" {
		c.ds.Errorf(plan.CodeMisplaced, last(c.ix.set("inputs", in.Name, "encoding")), "leave encoding out",
			"setting %s has a default and an encoding: it is not at a source that could hold it encoded", in.Name)
	}
	why := looksLikeSecret(*in.Default)
	if why == "" && *in.Default != "" && secretName.MatchString(in.Name) {
		why = "has a name that suggests a secret"
	}
	if why != "" {
		c.literalSecret(at, "the default of setting "+in.Name, why)
		return
	}
	if looksRandom(*in.Default) {
		c.ds = append(c.ds, plan.Diagnostic{
			Code: plan.CodeLiteralSecret, Severity: plan.Warning, Pos: at, Mask: true,
			Message: "the default of setting " + in.Name + " looks random, as secrets do",
			Hint:    "make it a schema.#Required input if it is one",
		})
	}
	for _, d := range value.Judge(in, value.New([]byte(*in.Default))) {
		d.Code, d.Pos = plan.CodeConstraint, at
		d.Message = "the contract's own default: " + d.Message
		c.ds = append(c.ds, d)
	}
}

func (c *compilation) literalSecret(at []plan.Pos, what, why string) {
	c.ds = append(c.ds, plan.Diagnostic{
		Code: plan.CodeLiteralSecret, Severity: plan.Error, Pos: at, Mask: true,
		Message: what + " " + why,
		Hint:    "make it an input, put the value into its source, and replace it: it has been in Git",
	})
}

// entropy is how many bits of chance there are in what g makes.
func entropy(g plan.Generate) float64 {
	switch g.Kind {
	case plan.Password:
		// No character stands twice in it. Those that lack what is required are never drawn.
		return float64(g.Length)*math.Log2(float64(utf8.RuneCountInString(g.Alphabet))) + math.Log2(value.Share(g))
	case plan.Bytes:
		return float64(g.Bits)
	case plan.UUID:
		return 122 // of 128; https://www.rfc-editor.org/rfc/rfc9562#section-5.4
	}
	return math.Inf(1) // keys, of which none is weak; and what others make
}

// minShare is how many passwords must have what is required, out of 1: the others
// are drawn in vain.
const minShare = 0.01

// cannotHave says why a password can't have the characters that it must have, and
// what to do; nothing if it can.
func cannotHave(g plan.Generate) (why, hint string) {
	kinds := slices.Compact(slices.Sorted(slices.Values(g.Require)))
	switch lacks := value.Lacks(g); {
	case len(lacks) > 0:
		return "must have characters of the kind " + plan.And(lacks) + ", and its alphabet has none", "add some to the alphabet, or require less"
	case len(kinds) > g.Length:
		return fmt.Sprintf("must have characters of %d kinds, but is only %d long", len(kinds), g.Length), "make it longer, or require less"
	case value.Share(g) < minShare:
		return "is so unlikely to have what is required that generating it would not succeed", "make it longer, add more of what is required to its alphabet, or require less"
	}
	return "", ""
}

// number writes a number as a contract does.
func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// samples is how many values are generated on trial; draws is how often resolution
// draws again when a value misses its constraints by chance (a pattern wants a
// digit, say). So many misses in a row are an error.
const (
	samples = 32
	draws   = 10
)

// checkGenerate tries whether a generated input could satisfy its own
// constraints, on values that are drawn from a fixed seed and thrown away.
func (c *compilation) checkGenerate(in *plan.Input, spec inputSpec) {
	g := spec.Generate
	if g == nil {
		return
	}
	at := last(c.ix.set("inputs", in.Name, "generate"))
	if in.Class != plan.Generated {
		if in.Class != "" {
			c.ds.Errorf(plan.CodeMisplaced, at, "make it a schema.#Generated, or remove generate",
				"input %s is %s and has generate: only a generated input may", in.Name, in.Class)
		}
		return
	}
	in.Generate = &plan.Generate{
		Kind: g.Kind, Length: g.Length, Alphabet: g.Alphabet, Require: g.Require, Bits: g.Bits, Curve: g.Curve, Encoding: g.Encoding, Padding: g.Padding, InCluster: g.InCluster,
	}
	in.Generate.KeepPrevious = c.keepPrevious(*in, spec)
	if in.Generate.Child = c.child(*in, g); in.Generate.Child != nil {
		return // what comes of it depends on its parents
	}
	switch g.Kind {
	case plan.Password:
		if g.Length == 0 || g.Alphabet == "" && c.ds.HasErrors() {
			return // CUE has complained of it
		}
		distinct := map[rune]bool{}
		for _, r := range g.Alphabet {
			if distinct[r] {
				c.ds.Errorf(plan.CodeGenerate, last(c.ix.set("inputs", in.Name, "generate", "alphabet")),
					"name each character once", "the alphabet of %s has %q more than once, which would make it more likely", in.Name, r)
				return
			}
			distinct[r] = true
		}
		if len(distinct) < 2 || !utf8.ValidString(g.Alphabet) {
			c.ds.Errorf(plan.CodeGenerate, last(c.ix.set("inputs", in.Name, "generate", "alphabet")),
				"give it two characters or more", "the alphabet of %s is too small", in.Name)
			return
		}
		if why, hint := cannotHave(*in.Generate); why != "" {
			c.ds.Errorf(plan.CodeGenerate, last(c.ix.set("inputs", in.Name, "generate", "require")), hint, "password %s %s", in.Name, why)
			return
		}
	case plan.Bytes:
		if g.Bits%8 != 0 {
			c.ds.Errorf(plan.CodeGenerate, last(c.ix.set("inputs", in.Name, "generate", "bits")),
				"use a multiple of 8", "input %s asks for %d bits, which is not a whole number of bytes", in.Name, g.Bits)
			return
		}
	}
	// An estimate of one value knows nothing of what it was drawn from: ten
	// letters of an alphabet of four look like ten of a keyboard.
	if need := in.Constraints.MinStrength; entropy(*in.Generate) < need {
		c.ds.Errorf(plan.CodeGenerate, at, "make it longer or use more characters; or, if what reads it accepts no more, set minStrength in the contract",
			"what %s generates has %s bits of entropy, and the input needs %s", in.Name, number(math.Floor(entropy(*in.Generate)*10)/10), number(need))
		return
	}
	trial, n := *in.Generate, samples
	judge := func(v value.Value) plan.Diagnostics { return value.Judge(*in, v) }
	switch con := in.Constraints; {
	case trial.Kind != plan.RSA && in.Encoding == "" && demandsNothing(con) && entropy(trial) >= max(2*con.MinStrength, 2*DefaultMinStrength):
		// There is nothing to break, and it is far too random to be taken for a
		// placeholder: what remains is its size.
		n, judge = 1, func(value.Value) plan.Diagnostics { return nil }
	case trial.Kind == plan.RSA && demandsNothing(con):
		// An RSA key takes long to make, and an Ed25519 key has the same format.
		trial, n = plan.Generate{Kind: plan.Ed25519, Encoding: g.Encoding}, 1
	case trial.Kind == plan.RSA || trial.Kind == plan.Ed25519 || trial.Kind == plan.ECDSA:
		n = 1
	}
	kind, _ := plan.KindOf(c.sources[in.Source].Kind)
	limit := kind.MaxValue
	asked := trialKey(*in, trial, n, limit)
	if c.options.Shared != nil {
		if _, good := c.options.Shared.good.Load(asked); good {
			return
		}
	}
	rnd := rand.NewChaCha8([32]byte{})
	var values []value.Value
	var failed func() // what is wrong with the value after these
	for len(values) < n && failed == nil {
		v, err := value.Generate(trial, rnd)
		switch {
		case err != nil:
			failed = func() {
				if !c.ds.HasErrors() {
					c.ds.Errorf(plan.CodeGenerate, at, "", "input %s can't be generated: %v", in.Name, err)
				}
			}
		case limit > 0 && v.Len() > limit:
			failed = func() {
				c.ds.Errorf(plan.CodeSourceCannot, at, "make it smaller, or use another source",
					"input %s is generated with %d bytes, but source %s holds no more than %d", in.Name, v.Len(), c.sources[in.Source], limit)
			}
		default:
			values = append(values, v)
		}
	}
	if why := missed(values, min(n, draws), judge); why != nil {
		c.ds.Errorf(plan.CodeGenerate, at, "change generate or the constraint until they agree",
			"what %s generates breaks its own constraints: %s", in.Name, why[0].Message)
	} else if failed != nil {
		failed()
	} else if c.options.Shared != nil {
		c.options.Shared.good.Store(asked, true)
	}
}

// demandsNothing reports whether no value breaks c by its form.
func demandsNothing(c plan.Constraints) bool {
	return c.Pattern == nil && c.Format == "" && c.MinLength == 0 && c.MaxLength == 0 && len(c.OneOf) == 0
}

// trialKey is all that a trial of in goes by, which is what [value.Judge] asks of an
// input, and what is generated.
func trialKey(in plan.Input, trial plan.Generate, n, limit int) string {
	pattern := ""
	if in.Constraints.Pattern != nil {
		pattern = in.Constraints.Pattern.String()
		in.Constraints.Pattern = nil
	}
	return fmt.Sprintf("%t %t %q %q %q %+q %+q %d %d", in.Name == plan.LockKey, in.Secret(), in.Encoding, in.Example, pattern, fmt.Sprintf("%+v", in.Constraints), fmt.Sprintf("%+v", trial), n, limit)
}

// missed returns what is wrong with the last of the first run values in a row that
// are all bad; nil if there is no such row. One that is good ends all the rows that
// it is in, so it judges backwards, and few of them.
func missed(values []value.Value, run int, judge func(value.Value) plan.Diagnostics) plan.Diagnostics {
	for start := 0; start+run <= len(values); {
		var why plan.Diagnostics
		next := start
		for i := start + run - 1; i >= start; i-- {
			bad := judge(values[i])
			if len(bad) == 0 {
				next = i + 1
				break
			}
			if why == nil {
				why = bad
			}
		}
		if next == start {
			return why
		}
		start = next
	}
	return nil
}
