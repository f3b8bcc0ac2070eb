package app_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/app/certtest"
	"github.com/freshrelay/freshrelay/queue/queuetest"
)

const acmeDomain = "relay.acme.test"

// The real program orders a certificate from a real ACME server, Let's Encrypt's own for tests, which connects back to
// prove the domain. After a restart without the CA it still has it. `make test-acme` builds what this needs.
func TestCertificateIsOrderedByACME(t *testing.T) {
	t.Parallel()
	ca, listen := certtest.New(t), queuetest.Address(t)
	directory, roots, stopCA := startPebble(t, ca, listen)
	service := acmeService(t, ca, listen, directory)
	first := service()
	pool := roots()
	cert := first.handshake(listen, pool)
	if err := cert.VerifyHostname(acmeDomain); err != nil {
		t.Error(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: acmeDomain}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+listen+"/v1/identify", strings.NewReader(`{"userId":"u1","traits":{"email":"u1@acme.test"}}`))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("wk_acme", "")
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 {
		t.Errorf("a call by way of the certificate: %s %s", resp.Proto, resp.Status)
	}
	if _, err := (&tls.Dialer{Config: &tls.Config{RootCAs: pool, ServerName: "other.acme.test"}}).DialContext(t.Context(), "tcp", listen); err == nil {
		t.Error("there is a certificate for somebody else's domain")
	}
	first.stop()
	if out := first.output(); !strings.Contains(out, "public    https://"+acmeDomain+"\n") || !strings.Contains(out, "the certificate is ready") {
		t.Errorf("the program says nothing of its certificate:\n%s", out)
	}

	stopCA()
	second := service()
	if again := second.handshake(listen, pool); again.SerialNumber.Cmp(cert.SerialNumber) != 0 {
		t.Error("the certificate did not survive a restart")
	}
	second.stop()
}

// Whoever must mend DNS or a firewall is told what the CA met there.
func TestACMEFailureIsExplained(t *testing.T) {
	t.Parallel()
	ca := certtest.New(t)
	directory, _, _ := startPebble(t, ca, queuetest.Address(t)) // where nobody listens
	service := acmeService(t, ca, queuetest.Address(t), directory)()
	service.until("the log explains", func() error {
		for line := range strings.Lines(service.output()) {
			var said struct {
				Level  string `json:"level"`
				CASays string `json:"ca_says"`
			}
			if json.Unmarshal([]byte(line), &said) == nil && said.Level == "error" && strings.Contains(said.CASays, "Failed to connect") {
				return nil
			}
		}
		return errors.New("no such line")
	})
	service.stop()
}

// acmeService returns what starts the program with a configuration that orders a certificate; each time with the same
// data.
func acmeService(t *testing.T, ca *certtest.CA, listen, directory string) (start func() *command) {
	t.Helper()
	dir, adminAt := t.TempDir(), queuetest.Address(t)
	_, port, err := net.SplitHostPort(listen)
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	file := filepath.Join(dir, "freshrelay.yaml")
	writeFile(t, file, fmt.Appendf(nil, `
data_dir: %s
listen: :%s
tls: {acme_domain: %s, acme_email: ops@acme.test, acme_directory: %q}
admin: {listen: %s}
nats: {max_bytes: 64MiB}
sources: [{name: website, write_keys: [wk_acme]}]
freshmarketer: {base_url: "http://127.0.0.1:1", api_key: key-of-the-acme-test}
log: {format: json}
`, data, port, acmeDomain, directory, adminAt))
	// The system's roots and the ACME server's, as for somebody with a CA of their own.
	caFile := filepath.Join(dir, "ca.pem")
	writeFile(t, caFile, ca.PEM())
	program, environ := buildProgram(t), append(os.Environ(), "SSL_CERT_FILE="+caFile)
	return func() *command {
		c := startCommand(t, environ, program, "serve", "--config", file)
		t.Cleanup(func() {
			// By then the service has run.
			if info, err := os.Stat(filepath.Join(data, "acme")); err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("the directory of certificates: %v %v", err, info)
			}
		})
		return c
	}
}

// tool finds a program that `make test-acme` builds; without it the test is skipped.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "bin", name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Skipf("SKIPPED: there is no %s, so ACME is not tried; run: make test-acme", filepath.Join("bin", name))
	}
	return path
}

// startPebble starts an ACME server that finds every domain here and connects to the port of target, and the DNS server that says
// so. roots asks it which CA it made up.
func startPebble(t *testing.T, ca *certtest.CA, target string) (directory string, roots func() *x509.CertPool, stop func()) {
	t.Helper()
	pebble, dns := tool(t, "pebble"), tool(t, "pebble-challtestsrv")
	dir := t.TempDir()
	certFile, keyFile := ca.IssueFiles(dir, 2, time.Hour)
	listen, management, dnsAt := queuetest.Address(t), queuetest.Address(t), queuetest.Address(t)
	_, port, err := net.SplitHostPort(target)
	if err != nil {
		t.Fatal(err)
	}
	tlsPort, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": listen, "managementListenAddress": management, "certificate": certFile, "privateKey": keyFile,
		"httpPort": 1, "tlsPort": tlsPort, "retryAfter": map[string]int{"authz": 1, "order": 1},
		"profiles": map[string]any{"default": map[string]any{"description": "the usual", "validityPeriod": 7776000}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	configFile := filepath.Join(dir, "pebble.json")
	writeFile(t, configFile, config)
	names := startCommand(t, os.Environ(), dns, "-dnsserver", dnsAt, "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", "", "-management", queuetest.Address(t))
	server := startCommand(t, append(os.Environ(), "PEBBLE_VA_NOSLEEP=1"), pebble, "-config", configFile, "-dnsserver", dnsAt)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool()}, DisableKeepAlives: true}}
	get := func(url string) ([]byte, error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
		if err != nil {
			return nil, err
		}
		resp, err := client.Do(req)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		return io.ReadAll(resp.Body)
	}
	directory = "https://" + listen + "/dir"
	server.until("the ACME server answers", func() error { _, err := get(directory); return err })
	return directory, func() *x509.CertPool {
		text, err := get("https://" + management + "/roots/0")
		pool := x509.NewCertPool()
		if err != nil || !pool.AppendCertsFromPEM(text) {
			t.Fatalf("the ACME server's root: %v %q", err, text)
		}
		return pool
	}, func() { server.stop(); names.stop() }
}

// command is another program that runs beside the test.
type command struct {
	t      *testing.T
	cmd    *exec.Cmd
	exited chan struct{}
	out    syncBuffer
}

func startCommand(t *testing.T, environ []string, program string, args ...string) *command {
	t.Helper()
	c := &command{t: t, cmd: exec.Command(program, args...)} // it ends by stop
	c.cmd.Env, c.cmd.Stdout, c.cmd.Stderr = environ, &c.out, &c.out
	c.exited = launch(t, c.cmd)
	return c
}

func (c *command) output() string { return c.out.String() }

// stop ends it the way a supervisor does.
func (c *command) stop() {
	c.t.Helper()
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may be gone
	<-c.exited
	if state := c.cmd.ProcessState; !state.Success() && !strings.Contains(state.String(), "terminated") { // not every program handles the signal
		c.t.Errorf("%s: %v\n%s", filepath.Base(c.cmd.Path), state, c.output())
	}
}

// until tries again until it works, the program is gone or the time is up.
func (c *command) until(what string, try func() error) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), processPatience)
	defer cancel()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-c.exited:
			c.t.Fatalf("%s ended before %s: %v\n%s", filepath.Base(c.cmd.Path), what, c.cmd.ProcessState, c.output())
		case <-ctx.Done():
			c.t.Fatalf("it never happened that %s: %v\n%s", what, err, c.output())
		}
	}
}

// handshake waits until the program shows a certificate for the domain that the CA signed, and returns it.
func (c *command) handshake(listen string, roots *x509.CertPool) *x509.Certificate {
	c.t.Helper()
	var cert *x509.Certificate
	c.until("there is a certificate", func() error {
		dialer := &tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: acmeDomain}}
		conn, err := dialer.DialContext(c.t.Context(), "tcp", listen)
		if err != nil {
			return err
		}
		defer conn.Close()
		cert = conn.(*tls.Conn).ConnectionState().PeerCertificates[0]
		return nil
	})
	return cert
}

func writeFile(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
