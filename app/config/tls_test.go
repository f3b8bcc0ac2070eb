package config

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/app/certtest"
)

func TestTLSWrongValues(t *testing.T) {
	t.Parallel()
	ca := certtest.New(t)
	cert, key := ca.IssueFiles(t.TempDir(), 1, time.Hour)
	_, otherKey := ca.IssueFiles(t.TempDir(), 2, time.Hour)
	dir := t.TempDir()
	empty := write(t, filepath.Join(dir, "empty"), "\n")
	broken := write(t, filepath.Join(dir, "broken"), "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n")
	large := write(t, filepath.Join(dir, "large"), strings.Repeat("x", maxSecretFile+1))
	testWrongValues(t, []wrongValue{
		{"public_url in words", good + "public_url: relay.example.com", nil, []string{`public_url = "relay.example.com"`, "is not an address"}},
		{"public_url without encryption", good + "public_url: http://relay.example.com", nil, []string{"public_url", "https://"}},
		{"public_url with a path", good + "public_url: https://relay.example.com/v1", nil, []string{"public_url", "after the host"}},
		{"public_url here with a path", good + "public_url: http://localhost/v1", nil, []string{"public_url", "after the host"}},
		{"public_url with a query", good + "public_url: https://relay.example.com/?a=b", nil, []string{"public_url", "after the host"}},
		{"public_url with a password", good + "public_url: https://x:hunter2@relay.example.com", nil, []string{"public_url = [set]"}},
		{"public_url without a host", good + "public_url: https://:443", nil, []string{"public_url", "is not an address"}},
		{"a certificate without key", good + "tls: {cert_file: " + cert + "}", nil, []string{"tls.key_file: is missing", "private key"}},
		{"a key without certificate", good + "tls: {key_file: " + key + "}", nil, []string{"tls.cert_file: is missing", "chain"}},
		{"no such certificate", good + "tls: {cert_file: /no/such, key_file: " + key + "}", nil, []string{`tls.cert_file = "/no/such"`, "no such file"}},
		{"no such key", good + "tls: {cert_file: " + cert + ", key_file: " + dir + "}", nil, []string{"tls.key_file", "is a directory"}},
		{"a certificate that is empty", good + "tls: {cert_file: " + empty + ", key_file: " + key + "}", nil, []string{"tls.cert_file", "PEM", "fullchain.pem"}},
		{"a certificate that is broken", good + "tls: {cert_file: " + broken + ", key_file: " + key + "}", nil, []string{"tls.cert_file", "PEM"}},
		{"a certificate that is no text", good + "tls: {cert_file: " + large + ", key_file: " + key + "}", nil, []string{"tls.cert_file", "too large"}},
		{"another certificate's key", good + "tls: {cert_file: " + cert + ", key_file: " + otherKey + "}", nil, []string{"tls.key_file", "does not match", "privkey.pem"}},
		{"key and certificate swapped", good + "tls: {cert_file: " + key + ", key_file: " + cert + "}", nil, []string{"tls.cert_file", "fullchain.pem"}},
		{
			"files and domain", good + "listen: :443\ntls: {acme_domain: relay.example.com, cert_file: " + cert + ", key_file: " + key + "}", nil,
			[]string{`tls.acme_domain = "relay.example.com"`, "keep one of the two"},
		},
		{"a domain with a scheme", good + "listen: :443\ntls: {acme_domain: 'https://relay.example.com'}", nil, []string{"tls.acme_domain", "no scheme"}},
		{"a wildcard", good + "listen: :443\ntls: {acme_domain: '*.example.com'}", nil, []string{"tls.acme_domain", "wildcard"}},
		{"an address for a domain", good + "listen: :443\ntls: {acme_domain: 192.0.2.7}", nil, []string{"tls.acme_domain", "full name"}},
		{"a name for a domain", good + "listen: :443\ntls: {acme_domain: relay}", nil, []string{"tls.acme_domain", "full name"}},
		{"a domain nobody reaches", good + "tls: {acme_domain: relay.example.com}", nil, []string{`listen = "127.0.0.1:8080"`, "like :443"}},
		{"mail in words", good + "listen: :443\ntls: {acme_domain: relay.example.com, acme_email: Ops <ops@example.com>}", nil, []string{"tls.acme_email = [set]"}},
		{
			"a directory without encryption", good + "listen: :443\ntls: {acme_domain: relay.example.com, acme_directory: 'http://ca.example.com'}", nil,
			[]string{"tls.acme_directory", "https://"},
		},
		{"mail without domain", good + "tls: {acme_email: ops@example.com}", nil, []string{"tls.acme_email = [set]", "does nothing"}},
		{"directory without domain", good + "tls: {acme_directory: 'https://ca.example.com'}", nil, []string{"tls.acme_directory", "does nothing"}},
		{"misspelt", good + "tls: {cert: x}", nil, []string{"tls.cert: unknown", "did you mean tls.cert_file?"}},
	})
}

func TestTLSRightValues(t *testing.T) {
	t.Parallel()
	cert, key := certtest.New(t).IssueFiles(t.TempDir(), 1, time.Hour)
	for _, tt := range []struct {
		file, public string
		on           bool
	}{
		{"", "", false},
		{"public_url: https://relay.example.com:8443", "https://relay.example.com:8443", false},
		{"public_url: http://localhost:8080/", "http://localhost:8080", false},
		{"public_url: http://127.0.0.1:8080", "http://127.0.0.1:8080", false},
		{"tls: {cert_file: " + cert + ", key_file: " + key + "}", "", true},
		{"listen: :8443\ntls: {acme_domain: Relay.Example.com}", "https://Relay.Example.com", true},
		{"listen: :8443\ntls: {acme_domain: xn--bcher-kva.example}", "https://xn--bcher-kva.example", true},
		{"listen: :8443\npublic_url: https://edge.example.com\ntls: {acme_domain: origin.example.com}", "https://edge.example.com", true},
	} {
		c := mustLoad(t, good+tt.file+"\n")
		if c.Public() != tt.public || c.TLS.On() != tt.on {
			t.Errorf("%s: public %q, TLS %v", tt.file, c.Public(), c.TLS.On())
		}
	}
}
