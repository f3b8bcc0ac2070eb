package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/queue/queuetest"
)

// TestANewcomersMistakes makes what can go wrong on the way go wrong, with the real program: each command fails and says what is
// wrong and what to do. What init itself refuses is in TestSetupRefusesWrongAnswersAndWritesNothing.
func TestANewcomersMistakes(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	box, err := sandbox.New(sandbox.Options{APIKeys: []string{initKey}})
	if err != nil {
		t.Fatal(err)
	}
	var trouble atomic.Pointer[http.HandlerFunc] // answers in the account's place
	account := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := trouble.Load(); h != nil {
			(*h)(w, r)
			return
		}
		box.Handler().ServeHTTP(w, r)
	}))
	t.Cleanup(account.Close)
	answering := func(status int, body string) {
		h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		})
		trouble.Store(&h)
	}
	writeFile(t, filepath.Join(m.home, "key"), initKey)
	admin := queuetest.Address(t)
	initLine := "freshrelay init --domain acme --api-key-file key --base-url " + account.URL + " --listen " + m.door + " --admin-listen " + admin

	m.fails("freshrelay serve", "there is no freshrelay.yaml here", "freshrelay init")
	m.fails("freshrelay status", "no admin token", "freshrelay serve")
	m.fails("freshrelay init --domain acme", "there is no API key", "--api-key-file")
	answering(http.StatusUnauthorized, `{"login":"failed"}`)
	m.fails(initLine, "does not accept the API key", "copy the key again")
	answering(http.StatusTooManyRequests, `{"error_code":429}`)
	m.fails(initLine, "quota is used up", "--offline")
	trouble.Store(nil)
	m.does(initLine, "wrote")
	m.fails(initLine, "is there already", "freshrelay check")
	m.fails("freshrelay check --public", "there is no public_url to try", "set public_url")
	m.fails("freshrelay observe report", "no freshrelay answers", "freshrelay serve")

	// The way from outside: nobody there, somebody else, and a secret that is not the service's.
	m.does("echo 'public_url: https://" + publicName + "' >> freshrelay.yaml")
	m.fails("freshrelay check --public", publicName+" cannot be reached", "certificate and proxy")
	m.serves()
	m.fails("freshrelay check --public", publicName+" cannot be reached", "certificate and proxy") // nothing speaks TLS here
	m.does("sed -i 's|^public_url:.*|public_url: " + strings.Replace(account.URL, "127.0.0.1", "localhost", 1) + "|' freshrelay.yaml")
	m.fails("freshrelay check --public", "is not this service", "let the proxy pass /v1 and /webhook")
	m.does("sed -i 's|^public_url:.*|public_url: http://" + m.door + "|' freshrelay.yaml")
	secret := filepath.Join(m.home, "secrets", "website_webhook_secret")
	right, err := os.ReadFile(secret)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, secret, "a-secret-that-segment-has-not\n")
	m.fails("freshrelay check --public", "is refused at", "X-Signature does not match", "webhook_secrets")
	writeFile(t, secret, string(right))
	m.does("freshrelay check --public", "the account got nothing")
	m.fails("freshrelay serve", "in use")

	// The account: a key that is revoked, no rights, no calls left, gone; and another one for the same store.
	answering(http.StatusUnauthorized, `{"login":"failed"}`)
	m.fails("freshrelay check", "does not accept the API key", "valid key")
	answering(http.StatusForbidden, `{"errors":{"code":403,"message":["Access denied"]}}`)
	m.fails("freshrelay check", "not the API of an account this key may use", "read and write contacts")
	answering(http.StatusTooManyRequests, `{"error_code":429}`)
	m.fails("freshrelay check", "quota is used up", "sending goes on")
	answering(http.StatusBadGateway, `<html>`)
	m.fails("freshrelay check", "fails or does not answer", "asked again")
	m.stop()
	trouble.Store(nil)
	m.fails("FRESHRELAY_FRESHMARKETER_BASE_URL=http://localhost:1 freshrelay serve", "belongs to another Freshmarketer account", "another data_dir")
	m.fails("freshrelay serve --mode live", "unknown flag", "--help")
	m.fails("FRESHRELAY_DELIVERY_MOD=live freshrelay serve", "did you mean FRESHRELAY_DELIVERY_MODE")
}

// fails types a command line that must not succeed, and must say all that.
func (m *machine) fails(line string, want ...string) {
	m.t.Helper()
	out, err := m.types(line)
	if err == nil {
		m.t.Errorf("%s: done\n%s", line, out)
	}
	wantParts(m.t, line, out, want...)
	if strings.Contains(out, initKey) {
		m.t.Errorf("%s shows the key", line)
	}
}
