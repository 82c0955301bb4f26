// Package importer writes the contract that a person would have written of what a
// team has: classes, shared values, templates, kinds. It is what [observe] read that
// goes in; out come CUE, values at their source, and the proof that both together
// make what was read, byte for byte.
//
// A secret value is never written into CUE, and no diagnostic holds one. What is
// taken for a setting stands in Git, and the report names it.
package importer

import (
	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/compiler/value"
	"github.com/victor-ai/victorgen/importer/observe"
	"github.com/victor-ai/victorgen/internal/lazy"
)

// Draft is a contract with one environment, and the values of its inputs.
type Draft struct {
	Inputs  []*Input  // in the order in which they stand
	Secrets []*Secret // likewise
	Sources []observe.Source
	PartOf  string
	// Diagnostics are warnings of what is not taken over, or not as it was.
	Diagnostics plan.Diagnostics

	observed *observe.Observed
	source   string          // the kind of the source; empty is env
	base     *plan.Plan      // the contract that is there; nil if there is none
	split    []move          // what of the contract can't be so here
	plain    map[string]bool // keys that are not made a template of, by SECRET/KEY: it does not give them
}

// Input is an input of the contract.
type Input struct {
	Name  string
	Class plan.Class
	Known bool        // whether Value is the value
	Value value.Value // as it is in the Secret
	observe.Notes
	Default  *string // of a setting
	Generate string  // CUE: {kind: "password", length: 32}
	Encoding string
	Never    bool // rotate: "never"
	Weak     bool // minStrength: 0
	Remote   *observe.Remote
	Why      string // what was a guess, for a comment

	base   *plan.Input // as the contract that is there has it; nil if it is new
	child  *plan.Generate
	secret bool
	strong map[float64]bool // see atLeast
	source string           // of one that has a Remote: its name in the contract
}

// Secret is a secret of the contract.
type Secret struct {
	ID   string // its name under secrets
	Keys []*Key
	Kit  string // CUE that the keys are made by, all of them: kit.#BasicAuth & {...}
	*observe.Secret
	base                *plan.Secret // as the contract that is there has it; nil if it is new
	labels, annotations map[string]string
}

// Key is a key of a secret. One of its fields is set.
type Key struct {
	Name     string
	Template string
	Literal  *string
	Kit      string // CUE: kit.#PostgreSQL & {...}

	in       *Input   // if nothing else is set, or else nil
	fixed    bool     // the contract that is there says what it is made from
	parts    []*Input // of a template of an external secret
	observed *observe.Key
}

// word and kin tell names apart by their words.
var (
	secretWord = lazy.MustCompile(`(?i)(^|[_.-])(password|passwd|passphrase|pass|pwd|pw|secret|secrets|token|key|keys|apikey|accesskey|secretkey|credential|credentials|creds|dsn|salt|pepper|auth|signature|mnemonic|phrase|pin|seed|cookie|jwt|license|otp)([_.-]?(base|hash|base64|b64|pem|old|prev|previous|next|primary|secondary|id_rsa|data|json|value|string|key|salt|\d+))*$|(password|passwd|secret|token|apikey|privatekey)$|(^|_)access_?key_?id$`)
	publicWord = lazy.MustCompile(`(?i)(^|[_.-])(public|publishable|pub|site|anon_public|cache|routing|next_public|vite|react_app|nuxt_public)[_.-]?key[s]?$|^(NEXT_PUBLIC|VITE|REACT_APP|NUXT_PUBLIC|PUBLIC|EXPO_PUBLIC)_`)
	pathWord   = lazy.MustCompile(`(?i)(_file|_path|_dir|_name|_header|_prefix|_ttl|_length|_id)$`)
	// What is made by someone else, who alone knows it.
	foreignWord = lazy.MustCompile(`(?i)(^|[_.-])(aws|s3|amazon|gcp|google|azure|github|gitlab|bitbucket|slack|discord|telegram|stripe|paypal|twilio|sendgrid|mailgun|mailchimp|postmark|resend|ses|smtp|mail|email|openai|anthropic|cohere|mistral|groq|gemini|huggingface|hf|replicate|deepseek|perplexity|tavily|serper|pinecone|sentry|datadog|newrelic|new_relic|honeycomb|algolia|cloudflare|cf|cloudinary|digitalocean|hetzner|linode|vercel|netlify|supabase|firebase|auth0|okta|clerk|oauth|oidc|sso|facebook|twitter|linkedin|apple|microsoft|spotify|shopify|plaid|segment|mixpanel|posthog|intercom|hubspot|salesforce|zendesk|jira|notion|airtable|mapbox|ldap|registry|npm|pypi|docker|dockerhub|ghcr|quay|backblaze|b2|wasabi|restic|tailscale|cloudflared|vault|hcloud|route53|acme|deepl|elevenlabs|assemblyai|deepgram|langfuse|langsmith|es|warehouse|lake)([_.-]|$)|api[_.-]?(key|token)|access[_.-]?key|client[_.-]?secret|access[_.-]?token|bot[_.-]?token|license|dsn$`)
	ownWord     = lazy.MustCompile(`(?i)webhook[_.-]?secret|secret[_.-]?key[_.-]?base|session|cookie|nextauth|encryption|encrypt|jwt[_.-]?(secret|key)?|signing|fernet|csrf|salt|pepper|internal|(^|_)(admin|root|superuser|replication|db|database|postgres|postgresql|pg|mysql|mariadb|mongo|mongodb|redis|valkey|rabbitmq|rabbit|amqp|minio|clickhouse|grafana|elastic|keycloak|app|user)[_.-]?(root|admin)?[_.-]?(pass|password|passwd|pwd|secret|key)$|^(app|application|secret|master|auth)[_.-]?(secret|key|password)([_.-]key)?$|(^|_)erlang_cookie$|vapid`)
	stripeHook  = lazy.MustCompile(`(?i)stripe|paypal|clerk|svix|shopify`)
	// What another key makes unreadable.
	keepWord = lazy.MustCompile(`(?i)encrypt|fernet|cipher|at[_.-]?rest|(^|_)(master|vault|data)[_.-]?key$|^app_key$|field[_.-]?key`)
	userWord = lazy.MustCompile(`(?i)(^|[_.-])(user|username|login|uid|user[_.-]?name)$`)
	// What is a setting among the keys of a Secret.
	settingWord = lazy.MustCompile(`(?i)(^|[_.-])(user|username|login|host|hostname|hosts|port|name|dbname|database|db|schema|region|zone|bucket|endpoint|url|uri|address|addr|email|mail|from|to|sender|type|mode|env|environment|level|enabled|enable|disabled|ssl|tls|sslmode|timeout|ttl|size|count|max|min|domain|path|prefix|server|servers|instance|cluster|namespace|project|tenant|org|organization|account|version|driver|scheme|protocol|locale|timezone|tz|client[_.-]?id|tenant[_.-]?id|project[_.-]?id|account[_.-]?id|app[_.-]?id|realm|issuer|audience|scope|scopes|callback|insecure|debug|log[_.-]?level)$|(?i)(host|port|user|username|dbname|endpoint|region|bucket)$`)
)

// vendors are the prefixes of well-known credentials. The forms are those that
// their issuers document; GitHub collects them
// (https://docs.github.com/en/code-security/reference/secret-security/supported-secret-scanning-patterns).
var vendors = []struct{ pattern, docs string }{
	{"^sk-ant-", "https://console.anthropic.com/settings/keys"},
	{"^sk-proj-", "https://platform.openai.com/api-keys"},
	{"^sk-or-", "https://openrouter.ai/keys"},
	{"^sk_(live|test)_", "https://dashboard.stripe.com/apikeys"},
	{"^rk_(live|test)_", "https://dashboard.stripe.com/apikeys"},
	{"^whsec_", ""},
	{"^gh[pousr]_", "https://github.com/settings/tokens"},
	{"^github_pat_", "https://github.com/settings/tokens"},
	{"^glpat-", "https://docs.gitlab.com/user/profile/personal_access_tokens/"},
	{"^xoxb-", "https://api.slack.com/apps"},
	{"^xapp-", "https://api.slack.com/apps"},
	{"^(AKIA|ASIA)[A-Z0-9]{16}$", ""},
	{"^AIza", "https://console.cloud.google.com/apis/credentials"},
	{"^GOCSPX-", "https://console.cloud.google.com/apis/credentials"},
	{"^hf_", "https://huggingface.co/settings/tokens"},
	{"^npm_", ""},
	{"^pypi-", ""},
	{`^SG\.`, "https://app.sendgrid.com/settings/api_keys"},
	{"^re_", "https://resend.com/api-keys"},
	{"^dop_v1_", "https://cloud.digitalocean.com/account/api/tokens"},
	{"^r8_", "https://replicate.com/account/api-tokens"},
	{"^gsk_", "https://console.groq.com/keys"},
	{"^xai-", "https://console.x.ai"},
	{"^pplx-", ""},
	{"^tvly-", "https://app.tavily.com"},
	{"^hvs\\.", ""},
	{"^lin_api_", ""},
	{"^dckr_pat_", "https://app.docker.com/settings/personal-access-tokens"},
	{"^shpat_", ""},
	{"^phc_", ""},
	{"^tskey-", "https://login.tailscale.com/admin/settings/keys"},
	{"^https://hooks\\.slack\\.com/", "https://api.slack.com/messaging/webhooks"},
}

var vendorPatterns = func() (all []*lazy.Regexp) {
	for _, v := range vendors {
		all = append(all, lazy.MustCompile(v.pattern))
	}
	return all
}()
