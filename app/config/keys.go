package config

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// key is one thing that can be configured.
type key[T any] struct {
	name   string // dotted path inside T's part of the file
	secret bool   // its value is not shown
	set    func(*T, any) error
}

// badValue is the error of key.set: what is wrong and how to mend it. It never contains the value.
type badValue struct{ what, mend string }

func (e *badValue) Error() string { return e.what + "; " + e.mend }

// topKeys lists everything but the keys of a source.
func topKeys() []key[Config] {
	return []key[Config]{
		text("data_dir", func(c *Config) *string { return &c.DataDir }),
		text("listen", func(c *Config) *string { return &c.Listen }),
		text("public_url", func(c *Config) *string { return &c.PublicURL }),
		networks("trusted_proxies", func(c *Config) *[]netip.Prefix { return &c.TrustedProxies }),
		text("tls.cert_file", func(c *Config) *string { return &c.TLS.CertFile }),
		text("tls.key_file", func(c *Config) *string { return &c.TLS.KeyFile }),
		text("tls.acme_domain", func(c *Config) *string { return &c.TLS.ACMEDomain }),
		text("tls.acme_email", func(c *Config) *string { return &c.TLS.ACMEEmail }),
		text("tls.acme_directory", func(c *Config) *string { return &c.TLS.ACMEDirectory }),
		text("admin.listen", func(c *Config) *string { return &c.Admin.Listen }),
		text("admin.token_file", func(c *Config) *string { return &c.Admin.TokenFile }),
		text("nats.url", func(c *Config) *string { return &c.NATS.URL }),
		text("nats.credentials_file", func(c *Config) *string { return &c.NATS.CredentialsFile }),
		text("nats.tls.ca_file", func(c *Config) *string { return &c.NATS.TLS.CAFile }),
		text("nats.tls.cert_file", func(c *Config) *string { return &c.NATS.TLS.CertFile }),
		text("nats.tls.key_file", func(c *Config) *string { return &c.NATS.TLS.KeyFile }),
		integer("nats.replicas", func(c *Config) *int { return &c.NATS.Replicas }),
		integer("nats.partitions", func(c *Config) *int { return &c.NATS.Partitions }),
		text("nats.durability", func(c *Config) *string { return &c.NATS.Durability }),
		text("nats.prefix", func(c *Config) *string { return &c.NATS.Prefix }),
		size("nats.max_bytes", func(c *Config) *Size { return &c.NATS.MaxBytes }),
		secret("nats.encryption_key", func(c *Config) *Secret { return &c.NATS.EncryptionKey }),
		text("nats.encryption_key_file", func(c *Config) *string { return &c.NATS.EncryptionKeyFile }),
		secret("nats.encryption_old_key", func(c *Config) *Secret { return &c.NATS.EncryptionOldKey }),
		text("nats.encryption_old_key_file", func(c *Config) *string { return &c.NATS.EncryptionOldKeyFile }),
		text("freshmarketer.domain", func(c *Config) *string { return &c.Freshmarketer.Domain }),
		secret("freshmarketer.api_key", func(c *Config) *Secret { return &c.Freshmarketer.APIKey }),
		text("freshmarketer.api_key_file", func(c *Config) *string { return &c.Freshmarketer.APIKeyFile }),
		text("freshmarketer.base_url", func(c *Config) *string { return &c.Freshmarketer.BaseURL }),
		secret("freshmarketer.proxy", func(c *Config) *Secret { return &c.Freshmarketer.Proxy }),
		text("freshmarketer.ca_file", func(c *Config) *string { return &c.Freshmarketer.CAFile }),
		duration("freshmarketer.timeout", func(c *Config) *time.Duration { return &c.Freshmarketer.Timeout }),
		integer("freshmarketer.quota.per_hour", func(c *Config) *int { return &c.Freshmarketer.Quota.PerHour }),
		integer("freshmarketer.quota.per_minute", func(c *Config) *int { return &c.Freshmarketer.Quota.PerMinute }),
		number("freshmarketer.quota.reserve", func(c *Config) *float64 { return &c.Freshmarketer.Quota.Reserve }),
		text("freshmarketer.custom_fields", func(c *Config) *string { return &c.Freshmarketer.CustomFields }),
		text("delivery.mode", func(c *Config) *string { return &c.Delivery.Mode }),
		list("delivery.canary", func(c *Config) *[]string { return &c.Delivery.Canary }),
		duration("delivery.observe_for", func(c *Config) *time.Duration { return &c.Delivery.ObserveFor }),
		integer("delivery.concurrency", func(c *Config) *int { return &c.Delivery.Concurrency }),
		boolean("identity.email_fallback", func(c *Config) *bool { return &c.Identity.EmailFallback }),
		text("identity.without_user_id", func(c *Config) *string { return &c.Identity.WithoutUserID }),
		boolean("contacts.create", func(c *Config) *bool { return &c.Contacts.Create }),
		texts("contacts.on_create", func(c *Config) *map[string]string { return &c.Contacts.OnCreate }),
		text("activities.as", func(c *Config) *string { return &c.Activities.As }),
		text("activities.type", func(c *Config) *string { return &c.Activities.Type }),
		texts("activities.types", func(c *Config) *map[string]string { return &c.Activities.Types }),
		text("activities.owner", func(c *Config) *string { return &c.Activities.Owner }),
		text("activities.title", func(c *Config) *string { return &c.Activities.Title }),
		text("activities.notes", func(c *Config) *string { return &c.Activities.Notes }),
		text("mapping.missing_traits", func(c *Config) *string { return &c.Mapping.MissingTraits }),
		boolean("mapping.strict_labels", func(c *Config) *bool { return &c.Mapping.StrictLabels }),
		boolean("mapping.match.label", func(c *Config) *bool { return &c.Mapping.Match.Label }),
		boolean("mapping.match.spelling", func(c *Config) *bool { return &c.Mapping.Match.Spelling }),
		boolean("mapping.match.reserved", func(c *Config) *bool { return &c.Mapping.Match.Reserved }),
		duration("mapping.resend_after", func(c *Config) *time.Duration { return &c.Mapping.ResendAfter }),
		texts("mapping.traits", func(c *Config) *map[string]string { return &c.Mapping.Traits }),
		texts("mapping.group_traits", func(c *Config) *map[string]string { return &c.Mapping.GroupTraits }),
		text("group", func(c *Config) *string { return &c.Group }),
		boolean("alias", func(c *Config) *bool { return &c.Alias }),
		boolean("deletion.webhooks", func(c *Config) *bool { return &c.Deletion.Webhooks }),
		text("deletion.contact", func(c *Config) *string { return &c.Deletion.Contact }),
		duration("retry.initial", func(c *Config) *time.Duration { return &c.Retry.Initial }),
		duration("retry.max", func(c *Config) *time.Duration { return &c.Retry.Max }),
		duration("retry.max_age", func(c *Config) *time.Duration { return &c.Retry.MaxAge }),
		duration("dead.retention", func(c *Config) *time.Duration { return &c.Dead.Retention }),
		boolean("journal.enabled", func(c *Config) *bool { return &c.Journal.Enabled }),
		duration("journal.max_age", func(c *Config) *time.Duration { return &c.Journal.MaxAge }),
		size("journal.max_bytes", func(c *Config) *Size { return &c.Journal.MaxBytes }),
		text("log.level", func(c *Config) *string { return &c.Log.Level }),
		text("log.format", func(c *Config) *string { return &c.Log.Format }),
	}
}

// sourceKeys lists the keys of one source.
func sourceKeys() []key[Source] {
	return []key[Source]{
		text("name", func(s *Source) *string { return &s.Name }),
		secrets("write_keys", func(s *Source) *[]Secret { return &s.WriteKeys }),
		text("write_keys_file", func(s *Source) *string { return &s.WriteKeysFile }),
		secrets("webhook_secrets", func(s *Source) *[]Secret { return &s.WebhookSecrets }),
		text("webhook_secrets_file", func(s *Source) *string { return &s.WebhookSecretsFile }),
		secret("batch_token", func(s *Source) *Secret { return &s.BatchToken }),
		text("batch_token_file", func(s *Source) *string { return &s.BatchTokenFile }),
		boolean("require_batch_token", func(s *Source) *bool { return &s.RequireBatchToken }),
		number("rate_per_second", func(s *Source) *float64 { return &s.RatePerSecond }),
		list("integration_names", func(s *Source) *[]string { return &s.IntegrationNames }),
		list("forward.track", func(s *Source) *[]string { return &s.Forward.Track }),
		list("forward.page", func(s *Source) *[]string { return &s.Forward.Page }),
	}
}

// makeKey builds a key from the place of its value and the function that reads it.
func makeKey[T, V any](name string, secret bool, place func(*T) *V, read func(any) (V, error)) key[T] {
	return key[T]{name: name, secret: secret, set: func(t *T, v any) error {
		value, err := read(v)
		if err == nil {
			*place(t) = value
		}
		return err
	}}
}

func text[T any](name string, place func(*T) *string) key[T] {
	return makeKey(name, false, place, readText)
}

func secret[T any](name string, place func(*T) *Secret) key[T] {
	return makeKey(name, true, place, readSecret)
}

func secrets[T any](name string, place func(*T) *[]Secret) key[T] {
	return makeKey(name, true, place, readSecrets)
}

func size[T any](name string, place func(*T) *Size) key[T] {
	return makeKey(name, false, place, readSize)
}

func integer[T any](name string, place func(*T) *int) key[T] {
	return makeKey(name, false, place, readInteger)
}

func number[T any](name string, place func(*T) *float64) key[T] {
	return makeKey(name, false, place, readNumber)
}

func boolean[T any](name string, place func(*T) *bool) key[T] {
	return makeKey(name, false, place, readBoolean)
}

func duration[T any](name string, place func(*T) *time.Duration) key[T] {
	return makeKey(name, false, place, readDuration)
}

func list[T any](name string, place func(*T) *[]string) key[T] {
	return makeKey(name, false, place, readList)
}

func networks[T any](name string, place func(*T) *[]netip.Prefix) key[T] {
	return makeKey(name, false, place, readNetworks)
}

func texts[T any](name string, place func(*T) *map[string]string) key[T] {
	return makeKey(name, false, place, readTexts)
}

// readText takes strings alone: YAML would turn 0123 into 83 and 1.10 into 1.1 before we see them.
func readText(v any) (string, error) {
	s, ok := v.(string)
	if !ok {
		return "", &badValue{"is " + kind(v) + " where text is needed", "put it in quotes"}
	}
	return strings.TrimSpace(s), nil
}

func readSecret(v any) (Secret, error) {
	s, err := readText(v)
	return Secret(s), err
}

func readSize(v any) (Size, error) {
	s, err := ParseSize(fmt.Sprint(v))
	if err != nil {
		return 0, &badValue{"is not a size", "write it like 10GiB or 500MB; 0 leaves it to freshrelay"}
	}
	return s, nil
}

func readInteger(v any) (int, error) {
	n, err := strconv.Atoi(strings.TrimSpace(fmt.Sprint(v)))
	if err != nil {
		return 0, &badValue{"is not a whole number", "write it like 8"}
	}
	return n, nil
}

func readNumber(v any) (float64, error) {
	n, err := strconv.ParseFloat(strings.TrimSpace(fmt.Sprint(v)), 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return 0, &badValue{"is not a number", "write it like 100 or 0.5"}
	}
	return n, nil
}

func readBoolean(v any) (bool, error) {
	switch strings.ToLower(strings.TrimSpace(fmt.Sprint(v))) {
	case "true", "yes", "on":
		return true, nil
	case "false", "no", "off":
		return false, nil
	default:
		return false, &badValue{"is neither true nor false", "write true or false"}
	}
}

func readDuration(v any) (time.Duration, error) {
	s, ok := v.(string)
	if !ok {
		return 0, &badValue{"is " + kind(v) + " where a duration is needed", "say the unit, like 30s, 15m or 168h"}
	}
	d, err := time.ParseDuration(strings.TrimSpace(s))
	if err != nil {
		return 0, &badValue{"is not a duration", "write it like 30s, 15m or 168h"}
	}
	return d, nil
}

// readTexts reads a mapping; in an environment variable it is written as YAML or JSON in braces.
func readTexts(v any) (map[string]string, error) {
	bad := &badValue{"is not a list of names, each with a text", `write it like {plan: "Plan tier", "address.city": City}`}
	if s, ok := v.(string); ok {
		var m map[string]any
		if err := yaml.Unmarshal([]byte(s), &m); err != nil {
			return nil, bad
		}
		v = m
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, bad
	}
	out := make(map[string]string, len(m))
	for k, v := range m {
		label, err := readText(v)
		if err != nil {
			return nil, &badValue{fmt.Sprintf("says for %q no text", k), "put the text behind it in quotes"}
		}
		out[strings.TrimSpace(k)] = label
	}
	return out, nil
}

// kind names what YAML read, in words of the file and not of Go.
func kind(v any) string {
	switch v.(type) {
	case map[string]any:
		return "a group of keys"
	case []any:
		return "a list"
	case bool:
		return "true or false"
	case int, int64, uint64, float64:
		return "a number"
	default:
		return "something else"
	}
}
