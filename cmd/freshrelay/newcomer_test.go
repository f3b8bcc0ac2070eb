package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/app/certtest"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/queue/queuetest"
)

// machine is a user account with nothing in it but the program, on a network where relay.test leads to it.
type machine struct {
	t     *testing.T
	home  string
	env   []string
	typed []string
	serve *exec.Cmd
	door  string // where the service listens for calls
	ca    *certtest.CA
	proxy *url.URL
}

const publicName = "relay.test"

// patience ends a test that waits for what does not come, so that it can say what came instead.
const patience = 10 * time.Minute

func newMachine(t *testing.T) *machine {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and runs the program")
	}
	m := &machine{t: t, home: t.TempDir(), door: queuetest.Address(t), ca: certtest.New(t)}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(m.home, "freshrelay"), ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	internet := httptest.NewServer(http.HandlerFunc(m.lead))
	t.Cleanup(internet.Close)
	m.proxy, _ = url.Parse(internet.URL)
	roots := writeFile(t, filepath.Join(t.TempDir(), "ca.pem"), string(m.ca.PEM()))
	m.env = []string{"HOME=" + m.home, "PATH=" + m.home + ":/usr/bin:/bin", "SSL_CERT_FILE=" + roots, "HTTPS_PROXY=" + internet.URL, "NO_PROXY=127.0.0.1"}
	t.Cleanup(m.stop)
	return m
}

// lead leads a connection to the public name to the service, as DNS and the network would.
func (m *machine) lead(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect || r.Host != publicName+":443" {
		http.Error(w, "there is nothing else in this network", http.StatusBadGateway)
		return
	}
	there, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", m.door)
	if err != nil {
		http.Error(w, "connection refused", http.StatusBadGateway)
		return
	}
	here, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		_ = there.Close()
		return
	}
	_, _ = io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
	go func() { _, _ = io.Copy(there, here); _ = there.Close() }()
	go func() { _, _ = io.Copy(here, there); _ = here.Close() }()
}

// types runs a command line as somebody types it, and returns what it prints.
func (m *machine) types(line string) (out string, err error) {
	m.t.Helper()
	m.typed = append(m.typed, line)
	cmd := exec.CommandContext(m.t.Context(), "/bin/sh", "-c", line)
	cmd.Dir, cmd.Env = m.home, m.env
	b, err := cmd.CombinedOutput()
	return string(b), err
}

// does is types for what must succeed and say all that.
func (m *machine) does(line string, want ...string) {
	m.t.Helper()
	out, err := m.types(line)
	if err != nil {
		m.t.Fatalf("%s: %v\n%s", line, err, out)
	}
	wantParts(m.t, line, out, want...)
}

// serves starts the service and waits until it takes calls.
func (m *machine) serves() {
	m.t.Helper()
	m.typed = append(m.typed, "freshrelay serve")
	m.serve = exec.CommandContext(context.WithoutCancel(m.t.Context()), filepath.Join(m.home, "freshrelay"), "serve")
	m.serve.Dir, m.serve.Env = m.home, m.env
	queuetest.Tie(m.serve)
	out, err := m.serve.StdoutPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	var said bytes.Buffer
	m.serve.Stderr = &said
	if err := m.serve.Start(); err != nil {
		m.t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "ingest ") {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return
		}
	}
	m.t.Fatalf("the service did not start: %v\n%s", m.serve.Wait(), said.String())
}

func (m *machine) stop() {
	if m.serve == nil {
		return
	}
	_ = m.serve.Process.Signal(syscall.SIGTERM)
	if err := m.serve.Wait(); err != nil {
		m.t.Errorf("the service ended with %v", err)
	}
	m.serve = nil
}

// segment posts a call like Segment's webhook: by the public name, over TLS, signed.
func (m *machine) segment(body string) {
	m.t.Helper()
	secret, err := os.ReadFile(filepath.Join(m.home, "secrets", "website_webhook_secret"))
	if err != nil {
		m.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(m.t.Context(), http.MethodPost, "https://"+publicName+"/webhook/website", strings.NewReader(body))
	if err != nil {
		m.t.Fatal(err)
	}
	req.Header.Set("X-Signature", sign(strings.TrimSpace(string(secret)), []byte(body)))
	client := &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyURL(m.proxy), TLSClientConfig: &tls.Config{RootCAs: m.ca.Pool(), MinVersion: tls.VersionTLS12},
	}}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		m.t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		m.t.Fatalf("the webhook is answered with %d %s", resp.StatusCode, text)
	}
}

// TestANewcomer goes from nothing to the first contact, by what init says and in no more than six typed commands.
func TestANewcomer(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	box, err := sandbox.New(sandbox.Options{APIKeys: []string{initKey}})
	if err != nil {
		t.Fatal(err)
	}
	account := httptest.NewServer(box.Handler())
	t.Cleanup(account.Close)
	cert, key := m.ca.IssueFiles(t.TempDir(), 1, time.Hour)
	writeFile(t, filepath.Join(m.home, "key"), initKey)

	m.does("freshrelay init --domain acme --api-key-file key --base-url "+account.URL+" --public-url https://"+publicName+
		" --https files --cert-file "+cert+" --key-file "+key+" --listen "+m.door+" --admin-listen "+queuetest.Address(t),
		"https://"+publicName+"/webhook/website", "takes the key", "observe")
	m.serves()
	m.does("freshrelay check --public", "https://"+publicName+" reaches this service", "the account got nothing", "takes the key")
	for i := range 3 {
		m.segment(fmt.Sprintf(`{"type":"identify","userId":"user-%d","messageId":"m%d","traits":{"email":"user-%d@example.com","firstName":"Ada","planTier":"Gold","shoeSize":39}}`, i, i, i))
	}
	m.await("freshrelay observe report", "3 to create", "First name", "shoeSize", "1 calls would be discarded: missing_user_id")
	if got := len(box.Contacts()); got != 0 {
		t.Fatalf("%d contacts were written while observing", got)
	}
	m.stop()
	m.does("sed -i 's/mode: observe/mode: live/' freshrelay.yaml")
	m.serves()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for ; len(box.Contacts()) < 3; time.Sleep(20 * time.Millisecond) {
		if ctx.Err() != nil {
			out, _ := m.types("freshrelay status")
			t.Fatalf("no contacts: %s", out)
		}
	}
	for _, c := range box.Contacts() {
		if c.Fields["first_name"] != "Ada" || !strings.HasPrefix(c.ExternalID, "user-") {
			t.Errorf("contact %+v", c)
		}
	}
	if len(m.typed) > 6 {
		t.Errorf("%d commands were typed: %q", len(m.typed), m.typed)
	}
}

// await types a command line again until it says all that; it counts once.
func (m *machine) await(line string, want ...string) {
	m.t.Helper()
	var out string
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	for ; ; time.Sleep(50 * time.Millisecond) {
		out, _ = m.types(line)
		missing := false
		for _, part := range want {
			missing = missing || !strings.Contains(out, part)
		}
		if !missing {
			return
		}
		m.typed = m.typed[:len(m.typed)-1]
		if ctx.Err() != nil {
			m.t.Fatalf("%s never says all of %q:\n%s", line, want, out)
		}
	}
}
