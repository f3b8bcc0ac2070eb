package app

import (
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshrelay/freshrelay/app/config"
	"github.com/freshrelay/freshrelay/freshmarketer"
)

// The keys of the configuration reach the client: an account behind a certificate of one's own, and a proxy with a password.
func TestTheClientIsMadeAsConfigured(t *testing.T) {
	t.Parallel()
	var asked, user string
	answer := func(w http.ResponseWriter, r *http.Request) {
		asked, user = r.URL.String(), r.Header.Get("Proxy-Authorization")
		_, _ = io.WriteString(w, `{"filters":[]}`)
	}
	account, proxy := httptest.NewTLSServer(http.HandlerFunc(answer)), httptest.NewServer(http.HandlerFunc(answer))
	t.Cleanup(account.Close)
	t.Cleanup(proxy.Close)
	authority := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: account.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	probe := func(fm config.Freshmarketer) error {
		t.Helper()
		fm.APIKey = "k"
		client, err := newClient(fm, freshmarketer.Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(client.CloseIdleConnections)
		return client.Probe(t.Context())
	}
	if err := probe(config.Freshmarketer{BaseURL: account.URL, CAFile: authority, Proxy: freshmarketer.ProxyNone}); err != nil {
		t.Errorf("with the authority: %v", err)
	}
	withUser := strings.Replace(proxy.URL, "http://", "http://user:pass@", 1)
	if err := probe(config.Freshmarketer{BaseURL: "http://account.test", Proxy: config.Secret(withUser)}); err != nil || asked != "http://account.test/crm/sales/api/contacts/filters" || user == "" {
		t.Errorf("the proxy saw %q by %q, %v", asked, user, err)
	}
	_, err := newClient(config.Freshmarketer{Domain: "acme", APIKey: "k", CAFile: authority + ".gone"}, freshmarketer.Config{})
	if err == nil || !strings.Contains(err.Error(), "freshmarketer.ca_file") {
		t.Errorf("a file that is not there: %v", err)
	}
}
