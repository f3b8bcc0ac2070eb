package app

import (
	"context"
	"crypto/tls"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/crypto/acme"

	"github.com/freshrelay/freshrelay/app/certtest"
)

// The files change in every way we know of. What is used is always the newest pair that fits together.
func TestCertFilesReload(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const life = 1000 * time.Hour
		ca, dir := certtest.New(t), t.TempDir()
		certFile, keyFile := ca.IssueFiles(dir, 1, life)
		core, logs := observer.New(zap.DebugLevel)
		c, err := newCertFiles(certFile, keyFile, zap.New(core))
		if err != nil {
			t.Fatal(err)
		}
		newCert, newKey := ca.Issue(4, life)
		steps := []struct {
			name   string
			do     func()
			wait   time.Duration
			serial int64
			logged string // the one line of it, "" for none
		}{
			{"the first pair", func() {}, 0, 1, ""},
			{"a new pair, too early to look", func() { ca.IssueFiles(dir, 2, life) }, certLookEvery - 1, 1, ""},
			{"a new pair", func() {}, 1, 2, "a new certificate is used"},
			{"nothing new", func() {}, time.Hour, 2, ""},
			{"garbage in place", func() { write(t, certFile, "garbage") }, certLookEvery, 2, "the old one stays"},
			{"garbage again", func() {}, certLookEvery, 2, ""},
			{"garbage for a day", func() {}, 24 * time.Hour, 2, ""},
			{"mended", func() { ca.IssueFiles(dir, 3, life) }, certLookEvery, 3, "a new certificate is used"},
			{"half of a new pair", func() { certtest.Replace(t, certFile, newCert) }, certLookEvery, 3, "the old one stays"},
			{"the other half", func() { certtest.Replace(t, keyFile, newKey) }, certLookEvery, 4, "a new certificate is used"},
			{"gone", func() { remove(t, certFile) }, certLookEvery, 4, "the old one stays"},
			{"still gone", func() {}, certLookEvery, 4, ""},
			{"back", func() { ca.IssueFiles(dir, 5, time.Hour) }, certLookEvery, 5, "a new certificate is used"},
			{"touched", func() { touch(t, certFile) }, certLookEvery, 5, "a new certificate is used"},
			{"expired", func() {}, time.Hour, 5, "has expired"},
			{"expired long ago", func() {}, time.Hour, 5, ""},
			{"renewed at last", func() { ca.IssueFiles(dir, 6, time.Hour) }, certLookEvery, 6, "a new certificate is used"},
			{"expired again", func() {}, 2 * time.Hour, 6, "has expired"},
		}
		for _, step := range steps {
			step.do()
			time.Sleep(step.wait) // of the bubble
			for range 3 {         // only the first of them looks
				cert, err := c.certificate(nil)
				if err != nil {
					t.Fatal(err)
				}
				if got := cert.Leaf.SerialNumber.Int64(); got != step.serial {
					t.Errorf("%s: certificate %d is used, want %d", step.name, got, step.serial)
				}
			}
			wantLines(t, step.name, logs.TakeAll(), step.logged)
		}
	})
}

func TestCertFilesNeedAPairToStart(t *testing.T) {
	t.Parallel()
	certFile, keyFile := certtest.New(t).IssueFiles(t.TempDir(), 1, time.Hour)
	_, otherKey := certtest.New(t).IssueFiles(t.TempDir(), 1, time.Hour)
	for _, files := range [][2]string{{certFile, otherKey}, {keyFile, keyFile}, {certFile, "/no/such"}} {
		if _, err := newCertFiles(files[0], files[1], zap.NewNop()); err == nil || !strings.Contains(err.Error(), "tls.cert_file") {
			t.Errorf("%v: %v", files, err)
		}
	}
	core, logs := observer.New(zap.DebugLevel)
	certFile, keyFile = certtest.New(t).IssueFiles(t.TempDir(), 1, -time.Minute)
	if _, err := newCertFiles(certFile, keyFile, zap.New(core)); err != nil {
		t.Errorf("an old certificate keeps the service from draining its queue: %v", err)
	}
	wantLines(t, "an old certificate", logs.TakeAll(), "has expired")
}

// Handshakes at the same time as renewals: for the race detector.
func TestCertFilesAtTheSameTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ca, dir := certtest.New(t), t.TempDir()
		c, err := newCertFiles(dir+"/cert.pem", dir+"/key.pem", zap.NewNop())
		if err == nil {
			t.Fatal("files that are not there were read")
		}
		certFile, keyFile := ca.IssueFiles(dir, 1, time.Hour)
		if c, err = newCertFiles(certFile, keyFile, zap.NewNop()); err != nil {
			t.Fatal(err)
		}
		var callers sync.WaitGroup
		for range 8 {
			callers.Go(func() {
				for range 50 {
					if cert, err := c.certificate(nil); cert == nil || err != nil {
						t.Errorf("no certificate: %v", err)
					}
					time.Sleep(time.Second)
				}
			})
		}
		for serial := range int64(10) {
			ca.IssueFiles(dir, serial, time.Hour)
			time.Sleep(certLookEvery)
		}
		callers.Wait()
	})
}

// An order that fails is repeated so seldom that the CA does not shut us out, and handshakes order nothing.
func TestCertOrderRetries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ca := certtest.New(t)
		core, logs := observer.New(zap.DebugLevel)
		const failures = 9
		began := time.Now()
		var tries []time.Duration
		cert := issue(t, ca, 90*24*time.Hour)
		order := &certOrder{domain: "relay.test", words: new(caWords), log: zap.New(core)}
		order.order = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if len(hello.SupportedProtos) == 1 {
				return nil, errors.New("the challenge")
			}
			tries = append(tries, time.Since(began))
			if len(tries) <= failures {
				return nil, errors.New("the CA could not connect")
			}
			return cert, nil
		}
		if _, err := order.certificate(&tls.ClientHelloInfo{ServerName: "relay.test"}); !errors.Is(err, errNoCertificate) || len(tries) != 0 {
			t.Errorf("a handshake ordered a certificate: %v %v", err, tries)
		}
		if _, err := order.certificate(&tls.ClientHelloInfo{SupportedProtos: []string{acme.ALPNProto}}); err == nil || err.Error() != "the challenge" {
			t.Errorf("the CA's challenge is not answered before there is a certificate: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var keeper sync.WaitGroup
		keeper.Go(func() { order.keep(ctx) })
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		early := 0
		for i, at := range tries[:failures] {
			if at < time.Hour {
				early++
			}
			if i > 0 && at-tries[i-1] < 2*time.Minute { // autocert itself remembers a failure for one
				t.Errorf("try %d came %v after the one before", i, at-tries[i-1])
			}
			if i > 0 && at-tries[i-1] > certRetryMax*11/10 {
				t.Errorf("try %d came only %v after the one before", i, at-tries[i-1])
			}
		}
		if early > 5 {
			t.Errorf("%d tries in the first hour: %v", early, tries)
		}
		if cert, err := order.certificate(&tls.ClientHelloInfo{}); err != nil || cert == nil {
			t.Errorf("no certificate though it was ordered: %v", err)
		}
		lines := logs.TakeAll()
		if len(lines) != failures+1 || lines[failures].Message != "the certificate is ready" {
			t.Errorf("logged %v", lines)
		}
		cancel()
		keeper.Wait()
	})
}

// autocert renews by itself and says nothing when it cannot; we do, early enough to mend it.
func TestCertOrderWatchesRenewal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ca := certtest.New(t)
		core, logs := observer.New(zap.DebugLevel)
		const day = 24 * time.Hour
		var mu sync.Mutex
		cert := issue(t, ca, 90*day)
		order := &certOrder{domain: "relay.test", words: new(caWords), log: zap.New(core), order: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			mu.Lock()
			defer mu.Unlock()
			return cert, nil
		}}
		ctx, cancel := context.WithCancel(t.Context())
		var keeper sync.WaitGroup
		keeper.Go(func() { order.keep(ctx) })
		time.Sleep(74 * day)
		wantLines(t, "in time", logs.TakeAll(), "the certificate is ready")
		time.Sleep(2 * day)
		if lines := logs.TakeAll(); len(lines) == 0 || lines[0].Level != zap.ErrorLevel || !strings.Contains(lines[0].Message, "was not renewed") {
			t.Errorf("nobody says that the certificate is not renewed: %v", lines)
		}
		mu.Lock()
		cert = issue(t, ca, 90*day)
		mu.Unlock()
		time.Sleep(day)
		wantLines(t, "renewed", logs.TakeAll(), "the certificate is ready")
		cancel()
		keeper.Wait()
	})
}

func TestHandshakeLog(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.DebugLevel)
	var rest strings.Builder
	h := newHandshakeLog(zap.New(core), &rest)
	for _, line := range []string{
		"http: TLS handshake error from 192.0.2.7:4711: remote error: tls: unknown certificate authority\n",
		"http: TLS handshake error from [2001:db8::1]:4711: EOF\n", "http: Accept error: too many open files\n",
	} {
		if n, err := h.Write([]byte(line)); n != len(line) || err != nil {
			t.Errorf("%d %v", n, err)
		}
	}
	for range 5000 {
		_, _ = h.Write([]byte("http: TLS handshake error from 192.0.2.7:4711: EOF\n"))
	}
	lines := logs.TakeAll()
	if len(lines) > 20 {
		t.Errorf("%d lines about port scanners", len(lines))
	}
	if m := lines[0].ContextMap(); lines[0].Level != zap.InfoLevel || m["client"] != "192.0.2.7" || m["cause"] != "remote error: tls: unknown certificate authority" {
		t.Errorf("%v", lines[0])
	}
	if m := lines[1].ContextMap(); lines[1].Level != zap.DebugLevel || m["client"] != "2001:db8::1" {
		t.Errorf("%v", lines[1])
	}
	if rest.String() != "http: Accept error: too many open files\n" {
		t.Errorf("the rest: %q", rest.String())
	}
}

// wantLines wants one line with this text, or none. None of them may hold anything of a key.
func wantLines(t *testing.T, when string, lines []observer.LoggedEntry, text string) {
	t.Helper()
	var messages []string
	for _, l := range lines {
		messages = append(messages, l.Message)
		for _, f := range l.Context {
			if f.Type == zapcore.ErrorType && strings.Contains(f.Interface.(error).Error(), "BEGIN") {
				t.Errorf("%s: a key is logged", when)
			}
		}
	}
	if all := strings.Join(messages, "\n"); text == "" && all != "" || !strings.Contains(all, text) || len(lines) > 1 {
		t.Errorf("%s: logged %q, want %q", when, all, text)
	}
}

func issue(t *testing.T, ca *certtest.CA, life time.Duration) *tls.Certificate {
	t.Helper()
	cert, err := tls.X509KeyPair(ca.Issue(1, life))
	if err != nil {
		t.Error(err)
	}
	return &cert
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.Chtimes(path, time.Time{}, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
}
