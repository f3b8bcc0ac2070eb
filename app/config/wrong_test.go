package config

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

// TestWrongValues: every mistake is found, is named by its key and value, and comes with the way out.
func TestWrongValues(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	empty := write(t, filepath.Join(dir, "empty"), "\n")
	two := write(t, filepath.Join(dir, "two"), "a\nb\n")
	large := write(t, filepath.Join(dir, "large"), strings.Repeat("x", maxSecretFile+1))
	account := "freshmarketer: {domain: acme, api_key: k3y}\n"
	source := "sources: [{name: website, write_keys: [wk_4fd1]}]\n"
	testWrongValues(t, []wrongValue{
		{"short encryption key", good + "nats: {encryption_key: hunter2}", nil, []string{"nats.encryption_key = [set]", "7 characters", "openssl rand"}},
		{
			"old encryption key alone", good + "nats: {encryption_old_key: 0123456789abcdef0123456789abcdef}", nil,
			[]string{"nats.encryption_old_key = [set]", "without a new key"},
		},
		{"replicas without servers", good + "nats: {replicas: 3}", nil, []string{"nats.replicas = \"3\"", "set nats.url too"}},
		{"durability without servers", good + "nats: {durability: fsync}", nil, []string{"nats.durability", "set nats.url too"}},
		{"no address of a server", good + "nats: {url: 'http://nats', durability: fsync}", nil, []string{"nats.url = [set]", "nats://nats-1.example.com:4222"}},
		{"user in the address", good + "nats: {url: 'nats://u:secret@nats', durability: fsync}", nil, []string{"nats.url = [set]", "credentials_file"}},
		{"durability not declared", good + "nats: {url: 'nats://nats'}", nil, []string{"nats.durability", "is missing", "sync_interval: always"}},
		{"replicated by one", good + "nats: {url: 'nats://nats', durability: replicated}", nil, []string{"nats.durability", "nats.replicas is 1"}},
		{"two replicas", good + "nats: {url: 'nats://nats', durability: fsync, replicas: 2}", nil, []string{"nats.replicas", "use 3, or 1"}},
		{"no credentials", good + "nats: {url: 'nats://nats', durability: fsync, credentials_file: /nowhere}", nil, []string{"nats.credentials_file", "cannot be read"}},
		{"half a certificate", good + "nats: {url: 'nats://nats', durability: fsync, tls: {cert_file: " + two + "}}", nil, []string{"nats.tls.cert_file", "goes with nats.tls.key_file"}},
		{"calls longer than a lease", good + "nats: {url: 'nats://nats', durability: fsync}", []string{"FRESHRELAY_FRESHMARKETER_TIMEOUT=20s"}, []string{"freshmarketer.timeout", "at most 15s"}},
		{"unknown key", good + "lisen: :1", nil, []string{"lisen: unknown key", "did you mean listen?"}},
		{"unknown group", good + "admn: {listen: x}", nil, []string{"admn: unknown key", "did you mean admin?"}},
		{"unknown key in a group", good + "retry: {max_aeg: 1m}", nil, []string{"retry.max_aeg: unknown", "did you mean retry.max_age?"}},
		{"key in the wrong place", good + "api_key: x", nil, []string{"api_key: unknown", "did you mean freshmarketer.api_key?"}},
		{
			"unknown key in a source", account + "sources: [{name: a, writekey: x}]", nil,
			[]string{"sources[0].writekey: unknown", "did you mean sources[0].write_keys?"},
		},
		{
			"unknown variable", good,
			[]string{"FRESHRELAY_RETRY_MAXAGE=1m"},
			[]string{"FRESHRELAY_RETRY_MAXAGE: unknown environment variable", "did you mean FRESHRELAY_RETRY_MAX_AGE?"},
		},
		{
			"unknown variable of a source", good,
			[]string{"FRESHRELAY_SOURCES_0_KEYS=1m"},
			[]string{"FRESHRELAY_SOURCES_0_KEYS", "did you mean FRESHRELAY_SOURCES_0_"},
		},
		{"value of a variable", good, []string{"FRESHRELAY_RETRY_MAX=soon"}, []string{`retry.max = "soon" (from FRESHRELAY_RETRY_MAX)`, "is not a duration"}},
		{"group that is a value", good + "admin: yes", nil, []string{"admin: is", "write the keys below it"}},
		{"text that is a number", good + "data_dir: 12", nil, []string{`data_dir = "12"`, "quotes"}},
		{"text that is a list", good + "log: {level: [info]}", nil, []string{"log.level", "is a list where text is needed"}},
		{"empty data directory", good + `data_dir: ""`, nil, []string{`data_dir = "": is empty`, "name a directory"}},
		{"data directory is a file", good + "data_dir: " + empty, nil, []string{"data_dir", "is a file"}},
		{"listen without port", good + "listen: localhost", nil, []string{`listen = "localhost"`, "host and port"}},
		{"listen with a wrong port", good + "listen: :99999", nil, []string{`listen = ":99999"`, "is not an address"}},
		{"admin.listen with a named port", good + "admin: {listen: ':http-alt'}", nil, []string{"admin.listen", "is not an address"}},
		{"both listeners on one address", good + "listen: 127.0.0.1:8081", nil, []string{"listen", "same address as admin.listen"}},
		{"prefix", good + "nats: {prefix: Fresh.Relay}", nil, []string{`nats.prefix = "Fresh.Relay"`, "letter first"}},
		{"size in words", good + "nats: {max_bytes: lots}", nil, []string{`nats.max_bytes = "lots"`, "10GiB"}},
		{"negative size", good + "nats: {max_bytes: -5}", nil, []string{`nats.max_bytes = "-5"`, "is not a size"}},
		{"size too small", good + "nats: {max_bytes: 1MiB}", nil, []string{`nats.max_bytes = "1MiB"`, "at least 64MiB"}},
		{"all in reserve", good, []string{"FRESHRELAY_FRESHMARKETER_QUOTA_RESERVE=1"}, []string{`freshmarketer.quota.reserve = "1"`, "0 to below 1"}},
		{"quota below 0", good, []string{"FRESHRELAY_FRESHMARKETER_QUOTA_PER_HOUR=-1"}, []string{`freshmarketer.quota.per_hour = "-1"`, "or 0 for no limit"}},
		{"quota too small", good, []string{"FRESHRELAY_FRESHMARKETER_QUOTA_PER_MINUTE=11"}, []string{`freshmarketer.quota.per_minute = "11"`, "leaves us 9 calls"}},
		{"mode", good + "delivery: {mode: dry}", nil, []string{`delivery.mode = "dry"`, "live, canary, observe"}},
		{"canary without users", good + "delivery: {mode: canary}", nil, []string{"delivery.canary = []: is empty", "list the userIds"}},
		{"observe for no time", good + "delivery: {observe_for: 0s}", nil, []string{"delivery.observe_for", "above 0"}},
		{"no sources", account, nil, []string{"sources: is empty", "add one"}},
		{"sources as a group", account + "sources: {website: {}}", nil, []string{"sources: is a group of keys where a list is needed"}},
		{"sources as a word", account + "sources: website", nil, []string{"sources: is something else where a list is needed"}},
		{"a source that is a word", account + "sources: [wk_secret_here]", nil, []string{"sources[0]: is not a group of keys"}},
		{"name of a source", account + "sources: [{name: My Site, write_keys: [x]}]", nil, []string{`sources[0].name = "My Site"`, "a-z, 0-9 and -"}},
		{"source without name", account + "sources: [{write_keys: [x]}]", nil, []string{`sources[0].name = ""`}},
		{
			"two sources of one name", account + "sources: [{name: a, write_keys: [x]}, {name: a, write_keys: [y]}]", nil,
			[]string{"sources[1].name", "earlier source"},
		},
		{
			"two sources with one key", account + "sources: [{name: a, write_keys: [x]}, {name: b, write_keys: [x]}]", nil,
			[]string{"sources[1].write_keys = [set]", "sources[0].write_keys"},
		},
		{"source nobody can use", account + "sources: [{name: a}]", nil, []string{"sources[0]: has neither a write key nor a webhook secret"}},
		{"known write key", account + "sources: [{name: a, write_keys: [wk_website]}]", nil, []string{"sources[0].write_keys = [set]", "everybody knows"}},
		{
			"known webhook secret", account + "sources: [{name: a, webhook_secrets: [sandbox-secret]}]", nil,
			[]string{"sources[0].webhook_secrets = [set]", "everybody knows"},
		},
		{"empty write key", account + `sources: [{name: a, write_keys: [""]}]`, nil, []string{"sources[0].write_keys = [set]", "empty entry"}},
		{"write key as number", account + "sources: [{name: a, write_keys: [0123]}]", nil, []string{"sources[0].write_keys = [set]", "quotes"}},
		{"write key with a space", account + `sources: [{name: a, write_keys: ["a b"]}]`, nil, []string{"sources[0].write_keys = [set]", "spaces"}},
		{"write keys as group", account + "sources: [{name: a, write_keys: {a: b}}]", nil, []string{"sources[0].write_keys = [set]", "where a list is needed"}},
		{"write key file missing", account + "sources: [{name: a, write_keys_file: /no/such}]", nil, []string{"sources[0].write_keys_file", "no such file"}},
		{"secret file empty", account + "sources: [{name: a, webhook_secrets_file: " + empty + "}]", nil, []string{"webhook_secrets_file", "is empty"}},
		{
			"batch token required and missing", account + "sources: [{name: a, webhook_secrets: [x], require_batch_token: yes}]", nil,
			[]string{"sources[0].require_batch_token", "batch_token_file"},
		},
		{
			"batch token without a secret", account + "sources: [{name: a, write_keys: [x], batch_token: hunter2hunter2hunter2}]", nil,
			[]string{"sources[0].batch_token = [set]", "webhook_secrets"},
		},
		{
			"short batch token", account + "sources: [{name: a, webhook_secrets: [x], batch_token: hunter2}]", nil,
			[]string{"sources[0].batch_token = [set]", "16 to 128"},
		},
		{
			"batch token that cannot be in a path", account + "sources: [{name: a, webhook_secrets: [x], batch_token: 'hunter2/hunter2/hunter2'}]", nil,
			[]string{"sources[0].batch_token = [set]", "16 to 128"},
		},
		{
			"batch token and its file", account + "sources: [{name: a, webhook_secrets: [x], batch_token: hunter2hunter2hunter2, batch_token_file: " + two + "}]", nil,
			[]string{"sources[0].batch_token_file", "together with sources[0].batch_token"},
		},
		{
			"batch token file with two lines", account + "sources: [{name: a, webhook_secrets: [x], batch_token_file: " + two + ", require_batch_token: true}]", nil,
			[]string{"sources[0].batch_token_file", "more than one line"},
		},
		{"rate in words", account + "sources: [{name: a, write_keys: [x], rate_per_second: fast}]", nil, []string{`sources[0].rate_per_second = "fast"`, "not a number"}},
		{"rate without end", account + "sources: [{name: a, write_keys: [x], rate_per_second: .inf}]", nil, []string{"sources[0].rate_per_second", "not a number"}},
		{"negative rate", account + "sources: [{name: a, write_keys: [x], rate_per_second: -1}]", nil, []string{"sources[0].rate_per_second", "below 0"}},
		{"a proxy in words", good + "trusted_proxies: [proxy]", nil, []string{`trusted_proxies = "[proxy]"`, `no network: "proxy"`, "10.0.0.0/8"}},
		{"a proxy that is a number", good + "trusted_proxies: [10]", nil, []string{`trusted_proxies = "[10]"`, "not text", "quotes"}},
		{"a proxy with a port", good + "trusted_proxies: ['10.0.0.1:80']", nil, []string{"trusted_proxies", "no network", "192.0.2.7"}},
		{"a proxy with a zone", good + "trusted_proxies: ['fe80::1%eth0']", nil, []string{"trusted_proxies", "no network"}},
		{"proxies as group", good + "trusted_proxies: {a: b}", nil, []string{"trusted_proxies", "where a list is needed"}},
		{
			"a proxy's network too small", good,
			[]string{"FRESHRELAY_TRUSTED_PROXIES=192.0.2.7,10.0.0.0/33"},
			[]string{`trusted_proxies = "192.0.2.7,10.0.0.0/33" (from FRESHRELAY_TRUSTED_PROXIES)`, `no network: "10.0.0.0/33"`},
		},
		{
			"a proxy's address and its network", good + "trusted_proxies: [10.1.2.3/8]", nil,
			[]string{`trusted_proxies = "[10.1.2.3/8]"`, "write 10.0.0.0/8 for all of it, or 10.1.2.3 for"},
		},
		{"a mapped network", good + "trusted_proxies: ['::ffff:10.0.0.0/104']", nil, []string{"trusted_proxies", "IPv4 network in IPv6 form", "10.0.0.0/8"}},
		{"everybody is a proxy", good + "trusted_proxies: [10.0.0.0/8, 0.0.0.0/0]", nil, []string{`trusted_proxies = "0.0.0.0/0"`, "everybody", "alone"}},
		{"everybody is a proxy, IPv6", good + "trusted_proxies: ['::/0']", nil, []string{`trusted_proxies = "::/0"`, "everybody", "alone"}},
		{
			"integration names as group", account + "sources: [{name: a, write_keys: [x], integration_names: {a: b}}]", nil,
			[]string{"sources[0].integration_names", "where a list is needed"},
		},
		{
			"integration name that is a number", account + "sources: [{name: a, write_keys: [x], integration_names: [Relay, 7]}]", nil,
			[]string{`sources[0].integration_names = "[Relay 7]"`, "not text", "quotes"},
		},
		{
			"empty integration name", good,
			[]string{"FRESHRELAY_SOURCES_0_INTEGRATION_NAMES=Relay,"},
			[]string{"sources[0].integration_names", "from FRESHRELAY_SOURCES_0_INTEGRATION_NAMES", "empty entry"},
		},
		{
			"every integration", account + "sources: [{name: a, write_keys: [x], integration_names: [Relay, ALL]}]", nil,
			[]string{`sources[0].integration_names = "Relay, ALL"`, "every destination", "as Segment shows it"},
		},
		{"key file is a directory", source + "freshmarketer: {domain: acme, api_key_file: " + dir + "}", nil, []string{"api_key_file", "is a directory"}},
		{"key file with two lines", source + "freshmarketer: {domain: acme, api_key_file: " + two + "}", nil, []string{"api_key_file", "more than one line"}},
		{"key file too large", source + "freshmarketer: {domain: acme, api_key_file: " + large + "}", nil, []string{"api_key_file", "too large"}},
		{
			"key and key file", source + "freshmarketer: {domain: acme, api_key: k, api_key_file: " + two + "}", nil,
			[]string{"api_key_file", "together with freshmarketer.api_key"},
		},
		{"no domain", source + "freshmarketer: {api_key: k}", nil, []string{"freshmarketer.domain: is missing", "API Settings"}},
		{"no key", source + "freshmarketer: {domain: acme}", nil, []string{"freshmarketer.api_key: is missing", "api_key_file"}},
		{"key of the sandbox", source + "freshmarketer: {domain: acme, api_key: sandbox-api-key}", nil, []string{"api_key = [set]", "everybody knows"}},
		{"key with a line break", source + "freshmarketer: {domain: acme, api_key: \"a\\nb\"}", nil, []string{"api_key = [set]", "control characters"}},
		{
			"proxy without a scheme", source + "freshmarketer: {domain: acme, api_key: k, proxy: 'user:pass@proxy:3128'}", nil,
			[]string{"freshmarketer.proxy = [set]", "http://proxy.example.com:3128"},
		},
		{"authority missing", source + "freshmarketer: {domain: acme, api_key: k, ca_file: /no/such}", nil, []string{"freshmarketer.ca_file", "no such file"}},
		{"authority is no certificate", source + "freshmarketer: {domain: acme, api_key: k, ca_file: " + two + "}", nil, []string{"freshmarketer.ca_file", "no certificate"}},
		{"timeout of nothing", source + "freshmarketer: {domain: acme, api_key: k, timeout: 0s}", nil, []string{"freshmarketer.timeout", "above 0"}},
		{"domain with spaces", source + "freshmarketer: {domain: a c m e, api_key: k}", nil, []string{`domain = "a c m e"`, "bundle alias"}},
		{"domain without encryption", source + "freshmarketer: {domain: 'http://acme.myfreshworks.com', api_key: k}", nil, []string{"domain", "https://"}},
		{"domain of the old product", source + "freshmarketer: {domain: acme.freshmarketer.com, api_key: k}", nil, []string{"domain", "old Freshmarketer"}},
		{"domain of somebody else", source + "freshmarketer: {domain: crm.example.com, api_key: k}", nil, []string{"domain", "base_url for any other host"}},
		{"domain with a user", source + "freshmarketer: {domain: 'https://me:pw@acme.myfreshworks.com', api_key: k}", nil, []string{"domain = [set]"}},
		{"base_url without scheme", source + "freshmarketer: {base_url: 'localhost:80', api_key: k}", nil, []string{`base_url = "localhost:80"`, "scheme and host"}},
		{"no concurrency", good + "delivery: {concurrency: 0}", nil, []string{`delivery.concurrency = "0"`, "1 to 256"}},
		{"too much concurrency", good + "delivery: {concurrency: 1000}", nil, []string{"delivery.concurrency", "out of range"}},
		{"concurrency with a fraction", good + "delivery: {concurrency: 1.5}", nil, []string{"delivery.concurrency", "whole number"}},
		{"missing_traits", good + "mapping: {missing_traits: blank}", nil, []string{`mapping.missing_traits = "blank"`, "clear, keep"}},
		{"strict_labels", good + "mapping: {strict_labels: maybe}", nil, []string{"mapping.strict_labels", "true or false"}},
		{"resend_after zero", good + "mapping: {resend_after: 0s}", nil, []string{`mapping.resend_after = "0s"`, "above 0"}},
		{"without_user_id", good + "identity: {without_user_id: guess}", nil, []string{`identity.without_user_id = "guess"`, "discard, by_email"}},
		{"on_create without value", good + "contacts: {on_create: {owner: ''}}", nil, []string{"contacts.on_create", "field and its value"}},
		{"match", good + "mapping: {match: {label: perhaps}}", nil, []string{"mapping.match.label", "true or false"}},
		{"traits as list", good + "mapping: {traits: [plan]}", nil, []string{"mapping.traits", "Plan tier"}},
		{"trait without field", good + "mapping: {traits: {plan: ''}}", nil, []string{"mapping.traits", "one side empty"}},
		{"trait with a number", good + "mapping: {traits: {plan: 3}}", nil, []string{"mapping.traits", `"plan"`, "quotes"}},
		{"traits in a variable", good, []string{"FRESHRELAY_MAPPING_TRAITS=plan"}, []string{"mapping.traits", "FRESHRELAY_MAPPING_TRAITS"}},
		{"retry.initial zero", good + "retry: {initial: 0s}", nil, []string{`retry.initial = "0s"`, "is not a time to wait"}},
		{"retry.initial negative", good + "retry: {initial: -2s}", nil, []string{`retry.initial = "-2s"`}},
		{"retry.max below initial", good + "retry: {max: 1s}", nil, []string{`retry.max = "1s"`, "shorter than retry.initial", "at least 2s"}},
		{"retry.max_age below initial", good + "retry: {max_age: 1s}", nil, []string{`retry.max_age = "1s"`, "before the first retry"}},
		{"duration without unit", good + "retry: {max: 120}", nil, []string{`retry.max = "120"`, "say the unit"}},
		{"duration in words", good + "retry: {max: two minutes}", nil, []string{`retry.max = "two minutes"`, "is not a duration"}},
		{"log.level", good + "log: {level: loud}", nil, []string{`log.level = "loud"`, "debug, info, warn, error"}},
		{"log.format", good + "log: {format: xml}", nil, []string{`log.format = "xml"`, "auto, console, json"}},
		{"indentation", good + "log:\n  level: info\n format: json", nil, []string{"is not YAML", "line"}},
		{"key twice", good + "listen: :1\nlisten: :2", nil, []string{"is not YAML", "listen", "already defined"}},
		{"not a mapping at all", "secret-word-alone", nil, []string{"is not YAML as we need it", "at the top"}},
	})
}

type wrongValue struct {
	name, file string
	environ    []string
	want       []string // parts of the problem's line
}

// testWrongValues wants for each configuration one problem, with its mend and without a secret.
func testWrongValues(t *testing.T, tests []wrongValue) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := load(t, tt.file, tt.environ...)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("err = %v, want an *Error", err)
			}
			if len(e.Problems) != 1 {
				t.Errorf("%d problems, want 1:\n%v", len(e.Problems), err)
			}
			line := e.Problems[0].String()
			for _, part := range tt.want {
				if !strings.Contains(line, part) {
					t.Errorf("%q is not in: %s", part, line)
				}
			}
			if e.Problems[0].Mend == "" || e.Problems[0].What == "" {
				t.Errorf("a problem without a mend: %+v", e.Problems[0])
			}
			if strings.Contains(line, "k3y") || strings.Contains(line, "hunter2") || strings.Contains(line, "wk_4fd1") {
				t.Errorf("a secret is shown: %s", line)
			}
		})
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := load(t, "lisen: :1\nretry: {max: soon, initial: -1s}\nfreshmarketer: {domain: acme}\n", "FRESHRELAY_LOG_LEVEL=loud")
	var e *Error
	if !errors.As(err, &e) {
		t.Fatal(err)
	}
	var keys []string
	for _, p := range e.Problems {
		keys = append(keys, p.Key)
	}
	want := "freshmarketer.api_key lisen log.level retry.initial retry.max sources"
	if got := strings.Join(keys, " "); got != want {
		t.Errorf("problems with %s\nwant          %s", got, want)
	}
	if !strings.Contains(err.Error(), "has 6 problems:\n  freshmarketer.api_key: is missing") {
		t.Errorf("text: %v", err)
	}
}

// TestNoSecretInMessages puts a secret in every place where a mistake may put one.
func TestNoSecretInMessages(t *testing.T) {
	t.Parallel()
	const s = "hunter2secret"
	for _, file := range []string{
		"freshmarketer: " + s, "freshmarketer: {apikey: " + s + "}", "api-key: " + s, "freshmarketer: {api_key: [" + s + "]}",
		"freshmarketer: {api_key: {key: " + s + "}}", "sources: " + s, "sources: [" + s + "]", "sources: [{write_key: " + s + "}]",
		"sources: [{write_keys: {" + s + ": 1}}]", "sources: [{webhook_secrets: [[" + s + "]]}]", s, "- " + s,
		"freshmarketer: {domain: 'https://" + s + "@acme.myfreshworks.com'}", "freshmarketer: {base_url: 'https://x:" + s + "@y'}",
		"a: b\n" + s, "x: !!int " + s, "x: *" + "alias",
	} {
		_, err := load(t, file, "FRESHRELAY_FRESHMARKETER_APIKEY="+s)
		if err == nil {
			t.Errorf("%q is taken", file)
		} else if strings.Contains(err.Error(), s) || strings.Contains(err.Error(), s[:7]) {
			t.Errorf("%q is shown: %v", file, err)
		}
	}
}
