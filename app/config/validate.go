package config

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// maxConcurrency is beyond any rate limit Freshmarketer gives; more only makes a pile of requests to be refused.
const maxConcurrency = 256

// validate adds a problem for everything that cannot work. It does not touch the network: what the account says to
// key and domain is found out by the running service.
func validate(c Config, sandbox bool, p *problems) {
	validateAdmin(c, p)
	checkListen("listen", c.Listen, p)
	if c.Listen == c.Admin.Listen && !strings.HasSuffix(c.Listen, ":0") {
		p.add("listen", quoted(c.Listen), "is the same address as admin.listen", "give one of them another port")
	}
	if c.PublicURL != "" {
		checkPublicURL(c.PublicURL, p)
	}
	validateProxies(c.TrustedProxies, p)
	validateTLS(c, p)
	validateNATS(c, p)
	if n := c.Delivery.Concurrency; n < 1 || n > maxConcurrency {
		p.add("delivery.concurrency", quoted(n), "is out of range", fmt.Sprintf("use 1 to %d", maxConcurrency))
	}
	validateQuota(c.Freshmarketer.Quota, p)
	validateMode(c.Delivery, p)
	oneOf("mapping.missing_traits", c.Mapping.MissingTraits, p, MissingClear, MissingKeep)
	oneOf("freshmarketer.custom_fields", c.Freshmarketer.CustomFields, p, CustomAuto, CustomMerge, CustomReplace)
	oneOf("identity.without_user_id", c.Identity.WithoutUserID, p, UserIDDiscard, UserIDByEmail)
	oneOf("group", c.Group, p, GroupAccount, GroupOff)
	oneOf("deletion.contact", c.Deletion.Contact, p, ContactForget, ContactRecycleBin)
	oneOf("log.level", c.Log.Level, p, "debug", "info", "warn", "error")
	oneOf("log.format", c.Log.Format, p, FormatAuto, FormatConsole, FormatJSON)
	validatePairs("mapping.traits", c.Mapping.Traits, "name both the trait and the field", p)
	validatePairs("mapping.group_traits", c.Mapping.GroupTraits, "name both the trait and the field", p)
	validatePairs("contacts.on_create", c.Contacts.OnCreate, "name both the field and its value", p)
	validateActivities(c, p)
	validateTimes(c, p)
	validateAccount(c.Freshmarketer, sandbox, p)
	validateSources(c.Sources, sandbox, p)
}

// minKey is what a key needs to be hard to guess (characters).
const minKey = 32

func validateEncryption(n NATS, p *problems) {
	for key, secret := range map[string]Secret{"nats.encryption_key": n.EncryptionKey, "nats.encryption_old_key": n.EncryptionOldKey} {
		if secret != "" && len(secret) < minKey {
			p.add(key, hidden, fmt.Sprintf("has %d characters, which can be guessed", len(secret)),
				fmt.Sprintf("make one of at least %d: openssl rand -base64 32", minKey))
		}
	}
	if n.EncryptionOldKey != "" && n.EncryptionKey == "" {
		p.add("nats.encryption_old_key", hidden, "is set without a new key", "set nats.encryption_key_file as well; an encrypted store stays encrypted")
	}
}

// validateAdmin checks what LoadAdmin needs.
func validateAdmin(c Config, p *problems) {
	checkListen("admin.listen", c.Admin.Listen, p)
	if c.DataDir == "" {
		p.add("data_dir", `""`, "is empty", "name a directory on a disk that stays")
	} else if info, err := os.Stat(c.DataDir); err == nil && !info.IsDir() {
		p.add("data_dir", quoted(c.DataDir), "is a file", "name a directory")
	}
}

// checkListen checks a host:port; port 0 lets the system choose, which tests use.
func checkListen(key, addr string, p *problems) {
	_, port, err := net.SplitHostPort(addr)
	if n, convErr := strconv.Atoi(port); err != nil || convErr != nil || n < 0 || n > 65535 {
		p.add(key, quoted(addr), "is not an address to listen on", "write host and port, like 127.0.0.1:8080 or :8080")
	}
}

func oneOf(key, value string, p *problems, allowed ...string) {
	if !slices.Contains(allowed, value) {
		p.add(key, quoted(value), "is not one of the choices", "use one of: "+strings.Join(allowed, ", "))
	}
}

func validatePairs(key string, pairs map[string]string, mend string, p *problems) {
	for a, b := range pairs {
		if a == "" || b == "" {
			p.add(key, quoted(a+": "+b), "has a line with one side empty", mend)
		}
	}
}

// minRetention and minJournal are where a setting is surely a slip.
const (
	minRetention      = 24 * time.Hour
	minJournal   Size = 1 << 20
)

// validateTimes refuses intervals that are not positive: a timer with 0 would spin or never fire.
func validateTimes(c Config, p *problems) {
	positive := func(key string, d time.Duration) {
		if d <= 0 && !p.has(key) {
			p.add(key, quoted(d), "is not a time to wait", "use a duration above 0, like 30s")
		}
	}
	positive("freshmarketer.timeout", c.Freshmarketer.Timeout)
	positive("mapping.resend_after", c.Mapping.ResendAfter)
	positive("delivery.observe_for", c.Delivery.ObserveFor)
	positive("retry.initial", c.Retry.Initial)
	positive("retry.max", c.Retry.Max)
	positive("retry.max_age", c.Retry.MaxAge)
	positive("journal.max_age", c.Journal.MaxAge)
	if r := c.Dead.Retention; r != 0 && r < minRetention {
		p.add("dead.retention", quoted(r), "leaves nobody the time to look at a dead letter", "use at least "+minRetention.String()+", or 0 to keep them for ever")
	}
	if b := c.Journal.MaxBytes; b != 0 && b < minJournal {
		p.add("journal.max_bytes", quoted(b), "is too small for a journal", "give it at least "+minJournal.String()+", or 0; journal.enabled: false switches it off")
	}
	if c.Retry.Max > 0 && c.Retry.Max < c.Retry.Initial {
		p.add("retry.max", quoted(c.Retry.Max), "is shorter than retry.initial", "use at least "+c.Retry.Initial.String())
	}
	if c.Retry.MaxAge > 0 && c.Retry.MaxAge < c.Retry.Initial {
		p.add("retry.max_age", quoted(c.Retry.MaxAge), "ends before the first retry (retry.initial)",
			"use at least "+c.Retry.Initial.String())
	}
}

func validateAccount(f Freshmarketer, sandbox bool, p *problems) {
	if sandbox {
		return
	}
	const whereKey = "it is in Freshworks CRM under Settings → API Settings"
	if f.Domain == "" && f.BaseURL == "" && !p.has("freshmarketer.domain") {
		p.add("freshmarketer.domain", "", "is missing", "write the bundle alias, like acme for acme.myfreshworks.com; "+whereKey)
	} else if f.Domain != "" {
		checkDomain(f.Domain, p)
	}
	if f.BaseURL != "" {
		checkBaseURL(f.BaseURL, p)
	}
	checkProxy(f.Proxy, p)
	checkCAFile(f.CAFile, p)
	switch {
	case f.APIKey.known():
		p.add("freshmarketer.api_key", hidden, "is the sandbox's, which everybody knows",
			"write your own key; "+whereKey+"; for a `freshrelay sandbox` under base_url, start it with --api-key and write that one")
	case f.APIKey == "" && f.APIKeyFile == "" && !p.has("freshmarketer.api_key"):
		p.add("freshmarketer.api_key", "", "is missing", "set it or freshmarketer.api_key_file; "+whereKey)
	case !printable(f.APIKey):
		p.add("freshmarketer.api_key", hidden, "has spaces or control characters in it", "copy the key again; "+whereKey)
	}
}

// checkDomain takes what people paste: alias, host, or URL with the path the settings page shows.
// Source: docs/reference of the Freshworks CRM API, "Authentication" (the alias and where it is shown).
func checkDomain(domain string, p *problems) {
	const key, mend = "freshmarketer.domain", "write the bundle alias, like acme for acme.myfreshworks.com"
	host := strings.ToLower(domain)
	if strings.HasPrefix(host, "http://") {
		p.add(key, quoted(domain), "is not encrypted", "begin it with https://")
		return
	}
	host, _, _ = strings.Cut(strings.TrimPrefix(host, "https://"), "/")
	label := `[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`
	switch {
	case !regexp.MustCompile(`^` + label + `(\.` + label + `)*$`).MatchString(host):
		p.add(key, quoted(domain), "is not an alias, host or URL", mend)
	case strings.HasSuffix(host, ".freshmarketer.com"):
		p.add(key, quoted(domain), "is the address of the old Freshmarketer, which has another API", mend)
	case strings.Contains(host, ".") && !strings.HasSuffix(host, ".myfreshworks.com") && !strings.HasSuffix(host, ".freshworks.com"):
		p.add(key, quoted(domain), "is not a host of Freshworks, so the key is not sent there", mend+"; use base_url for any other host")
	}
}

func checkBaseURL(base string, p *problems) {
	u, err := url.Parse(base)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" {
		p.add("freshmarketer.base_url", quoted(base), "is not an address we can call",
			"write scheme and host, like http://127.0.0.1:8090; no user, no query")
	}
}

// checkProxy never repeats the value, which may hold a password.
func checkProxy(proxy Secret, p *problems) {
	if proxy == "" || proxy == ProxyNone {
		return
	}
	u, err := url.Parse(string(proxy))
	if err != nil || u.Host == "" || !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme) {
		p.add("freshmarketer.proxy", hidden, "is not the address of a proxy", "write it like http://proxy.example.com:3128, or "+ProxyNone)
	}
}

// checkCAFile reads the file as the client will, so that a service does not start without it.
func checkCAFile(path string, p *problems) {
	const key, mend = "freshmarketer.ca_file", "name the PEM file with the certificate of the authority"
	if path == "" {
		return
	}
	if text, ok := pairFile(key, path, mend, p); ok && !holdsCertificate(text) {
		p.add(key, quoted(path), "holds no certificate in PEM form", mend)
	}
}

// validateSources checks each source and that no two are taken for each other.
func validateSources(sources []Source, sandbox bool, p *problems) {
	if len(sources) == 0 && !p.below("sources") {
		p.add("sources", "", "is empty, so nobody may send anything",
			"add one: - {name: website, write_keys: [a long random text]}")
	}
	names, keys := map[string]bool{}, map[Secret]string{}
	for i, s := range sources {
		at := sourceAt(i)
		switch {
		case !regexp.MustCompile(`^[a-z0-9-]{1,40}$`).MatchString(s.Name):
			if !p.has(at + ".name") {
				p.add(at+".name", quoted(s.Name), "cannot be the name of a source", "use 1 to 40 of a-z, 0-9 and -")
			}
		case names[s.Name]:
			p.add(at+".name", quoted(s.Name), "is the name of an earlier source too", "give each source its own name")
		}
		names[s.Name] = true
		validateSecrets(at, s, sandbox, p)
		validateBatchToken(at, s, p)
		if s.RatePerSecond < 0 {
			p.add(at+".rate_per_second", quoted(s.RatePerSecond), "is below 0", "say how many events a second the source may send, or 0 for no limit")
		}
		if slices.ContainsFunc(s.IntegrationNames, func(name string) bool { return strings.EqualFold(name, "all") }) {
			p.add(at+".integration_names", quoted(strings.Join(s.IntegrationNames, ", ")), "has All, which is every destination and none",
				"write the name of the webhook destination or function instance as Segment shows it")
		}
		for _, k := range s.WriteKeys {
			if other, taken := keys[k]; taken {
				p.add(at+".write_keys", hidden, "has a key that "+other+" has too, so its calls cannot be told apart",
					"give each source its own keys")
				break
			}
			keys[k] = at + ".write_keys"
		}
	}
}

func validateSecrets(at string, s Source, sandbox bool, p *problems) {
	// Only write keys travel in headers; a webhook secret may be a sentence.
	if slices.ContainsFunc(s.WriteKeys, func(k Secret) bool { return !printable(k) }) {
		p.add(at+".write_keys", hidden, "has a key with spaces or control characters", "copy it again")
	}
	for key, list := range map[string][]Secret{at + ".write_keys": s.WriteKeys, at + ".webhook_secrets": s.WebhookSecrets} {
		if slices.ContainsFunc(list, Secret.known) && !sandbox {
			p.add(key, hidden, "has an entry that everybody knows: it is the sandbox's", "make a long random one")
		}
	}
	// A file that was named and could not be read has its own problem.
	none := len(s.WriteKeys) == 0 && len(s.WebhookSecrets) == 0 && s.WriteKeysFile == "" && s.WebhookSecretsFile == ""
	if none && !p.below(at+".") {
		p.add(at, "", "has neither a write key nor a webhook secret, so nobody could send to it",
			"set write_keys for the Tracking API, webhook_secrets for a webhook, or the same with _file")
	}
}

// validateBatchToken: a token is there to vouch for what a signature leaves open, and stands in headers and paths.
func validateBatchToken(at string, s Source, p *problems) {
	if p.has(at+".batch_token") || p.has(at+".batch_token_file") {
		return
	}
	switch {
	case s.BatchToken == "" && s.RequireBatchToken:
		p.add(at+".require_batch_token", "true", "asks for a token that is not set", "set batch_token or batch_token_file")
	case s.BatchToken == "":
	case len(s.WebhookSecrets) == 0 && s.WebhookSecretsFile == "":
		p.add(at+".batch_token", hidden, "is set without webhook_secrets: a write key vouches for the whole request",
			"remove it, or set webhook_secrets")
	case !regexp.MustCompile(`^[A-Za-z0-9._~-]{16,128}$`).MatchString(string(s.BatchToken)):
		p.add(at+".batch_token", hidden, "cannot stand in a path, or is too easy to guess",
			"use 16 to 128 letters, digits, '.', '_', '~' and '-', for example from: openssl rand -hex 24")
	}
}

// printable reports whether a secret can travel in a header.
func printable(s Secret) bool {
	return !strings.ContainsFunc(string(s), func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) })
}
