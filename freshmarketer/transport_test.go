package freshmarketer

import (
	"crypto/tls"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A proxy that looks into TLS is reached with its own certificate authority.
func TestCustomCA(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"filters":[]}`) }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // the refused handshake
	server.StartTLS()
	t.Cleanup(server.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for _, given := range [][]byte{nil, ca} {
		client, err := New(Config{BaseURL: server.URL, APIKey: "k", CACerts: given, Proxy: ProxyNone})
		if err != nil {
			t.Fatal(err)
		}
		err = client.Probe(t.Context())
		client.CloseIdleConnections()
		if given != nil && err != nil {
			t.Errorf("with the authority: %v", err)
		}
		if bad := new(tls.CertificateVerificationError); given == nil && (KindOf(err) != KindTemporary || !errors.As(err, &bad)) {
			t.Errorf("without: got %v, want a certificate that is not trusted", err)
		}
	}
}

func TestProxy(t *testing.T) {
	t.Parallel()
	var asked, user string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked, user = r.URL.String(), r.Header.Get("Proxy-Authorization")
		_, _ = io.WriteString(w, `{"filters":[]}`)
	}))
	t.Cleanup(proxy.Close)
	withUser := strings.Replace(proxy.URL, "http://", "http://user:pass@", 1)
	client, err := New(Config{BaseURL: "http://account.test", APIKey: "k", Proxy: withUser})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	if err := client.Probe(t.Context()); err != nil || asked != "http://account.test/crm/sales/api/contacts/filters" || user != "Basic dXNlcjpwYXNz" {
		t.Errorf("the proxy saw %q by %q, %v", asked, user, err)
	}
	proxy.Close()
	if err := client.Probe(t.Context()); KindOf(err) != KindTemporary || strings.Contains(err.Error(), "pass") {
		t.Errorf("a proxy that is down: got %v, want kind temporary and no password", err)
	}
}

func TestHeadersAreBounded(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Junk", strings.Repeat("x", 1<<18))
		_, _ = io.WriteString(w, `{"filters":[]}`)
	}))
	t.Cleanup(server.Close)
	client, err := New(Config{BaseURL: server.URL, APIKey: "k", Proxy: ProxyNone})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Probe(t.Context()); KindOf(err) != KindTemporary {
		t.Errorf("got %v, want kind temporary", err)
	}
}

func TestTransportRefuses(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]Config{
		"proxy:":          {Proxy: "http://user:secret@"},
		"proxy: ":         {Proxy: "ftp://proxy.test:1"},
		"proxy:  ":        {Proxy: "proxy.test:3128"},
		"ca_file:":        {CACerts: []byte("secret")},
		"proxy, ca_file:": {Proxy: "http://proxy.test:1", HTTPClient: &http.Client{}},
	} {
		cfg.Domain, cfg.APIKey = "acme", "k"
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), strings.TrimSpace(name)) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s got %v, want a refusal that names it and no secret", name, err)
		}
	}
	for _, proxy := range []string{"", ProxyNone, "https://proxy.test", "socks5://proxy.test:1080", " http://proxy.test:3128 "} {
		if _, err := New(Config{Domain: "acme", APIKey: "k", Proxy: proxy}); err != nil {
			t.Errorf("proxy %q: %v", proxy, err)
		}
	}
}
