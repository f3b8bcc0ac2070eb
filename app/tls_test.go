package app_test

import (
	"bytes"
	"crypto/tls"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/app/certtest"
	"github.com/freshrelay/freshrelay/app/config"
)

// A service with a certificate from files is called the way Segment calls it, and not in ways it must not be.
func TestIngestSpeaksTLS(t *testing.T) {
	t.Parallel()
	ca := certtest.New(t)
	p := startProcess(t, t.TempDir(), func(c *config.Config) {
		c.TLS.CertFile, c.TLS.KeyFile = ca.IssueFiles(t.TempDir(), 7, time.Hour)
		c.PublicURL = "https://relay.test/"
	})
	if !strings.HasPrefix(p.at.Ingest, "https://127.0.0.1:") || p.at.Public != "https://relay.test" {
		t.Errorf("announced as %+v", p.at)
	}
	call := func(url string, trust *tls.Config) (*http.Response, error) {
		transport := &http.Transport{TLSClientConfig: trust, ForceAttemptHTTP2: true}
		defer transport.CloseIdleConnections()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/identify", bytes.NewReader(sample(t, "01")))
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(config.SandboxWriteKey, "")
		resp, err := (&http.Client{Transport: transport}).Do(req)
		if err == nil {
			resp.Body.Close()
		}
		return resp, err
	}
	for name, trust := range map[string]*tls.Config{
		"HTTP/2 by itself": {RootCAs: ca.Pool()}, "TLS 1.2": {RootCAs: ca.Pool(), MaxVersion: tls.VersionTLS12},
		"by name": {RootCAs: ca.Pool(), ServerName: "relay.test"},
	} {
		resp, err := call(p.at.Ingest, trust)
		if err != nil || resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 || resp.TLS.PeerCertificates[0].SerialNumber.Int64() != 7 {
			t.Errorf("%s: %v %+v", name, err, resp)
		}
	}
	_, err := call(p.at.Ingest, &tls.Config{RootCAs: ca.Pool(), MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	if err == nil || !strings.Contains(err.Error(), "protocol version not supported") {
		t.Errorf("TLS 1.1: %v", err)
	}
	if resp, err := call("http"+strings.TrimPrefix(p.at.Ingest, "https"), nil); err != nil || resp.StatusCode != http.StatusBadRequest {
		t.Errorf("a call that is not encrypted: %v %+v", err, resp)
	}
	if st := p.drained(); st.Ledger.Accepted != 1 || st.Ledger.Delivered != 1 { // the same call three times
		t.Errorf("ledger %+v", st.Ledger)
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
}
