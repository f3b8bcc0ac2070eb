package app

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"go.uber.org/zap"
	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"github.com/freshrelay/freshrelay/app/config"
)

const (
	// certRetry is the first wait after a failed order; it doubles up to certRetryMax. That is five tries in the first
	// hour, as many failures as Let's Encrypt takes for one name.
	// Source: Let's Encrypt docs, Rate Limits, "Authorization Failures per Identifier per Account".
	certRetry    = 3 * time.Minute
	certRetryMax = 2 * time.Hour
	// certWatchEvery is how often the log is told of a certificate that is not renewed.
	certWatchEvery = 12 * time.Hour
	// acmeTimeout is for one request to the CA.
	acmeTimeout = 30 * time.Second
)

// certOrder orders a certificate from a CA and has it renewed.
type certOrder struct {
	domain string
	order  func(*tls.ClientHelloInfo) (*tls.Certificate, error) // autocert's; the first call orders, later ones cost nothing
	words  *caWords
	log    *zap.Logger
	ready  atomic.Bool // there is a certificate
}

var errNoCertificate = errors.New("no certificate yet, it is being ordered")

// newCertOrder prepares for ordering; keep does it. Certificates and the account's key are kept below dir/acme.
func newCertOrder(t config.TLS, dir, agent string, log *zap.Logger) (*certOrder, error) {
	directory := cmp.Or(t.ACMEDirectory, autocert.DefaultACMEDirectory)
	ca, err := url.Parse(directory)
	if err != nil {
		return nil, fmt.Errorf("tls.acme_directory: %w", err)
	}
	// By CA, so that a certificate made while trying another one is not taken for the real one's.
	dir = filepath.Join(dir, "acme", strings.ReplaceAll(ca.Host, ":", "_"))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the directory for certificates: %w", err)
	}
	words := &caWords{next: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: acmeTimeout, ForceAttemptHTTP2: true}}
	manager := &autocert.Manager{
		Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(dir), Email: t.ACMEEmail, HostPolicy: autocert.HostWhitelist(t.ACMEDomain),
		Client: &acme.Client{DirectoryURL: directory, UserAgent: agent, HTTPClient: &http.Client{Timeout: acmeTimeout, Transport: words}},
	}
	return &certOrder{domain: t.ACMEDomain, order: manager.GetCertificate, words: words, log: log}, nil
}

// certificate is for tls.Config.GetCertificate. Handshakes order nothing: whoever calls us must not use up what the CA
// grants, nor wait for it.
func (o *certOrder) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	// Source: RFC 8737, section 3: the challenge offers this protocol and no other.
	if len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == acme.ALPNProto {
		return o.order(hello)
	}
	if !o.ready.Load() {
		return nil, errNoCertificate
	}
	return o.get()
}

// get asks for the one certificate we want, an ECDSA one: everything that speaks TLS 1.2 takes it.
func (o *certOrder) get() (*tls.Certificate, error) {
	return o.order(&tls.ClientHelloInfo{ServerName: o.domain, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}})
}

// keep orders the certificate, again and again if need be, and tells the log when it is not renewed. It ends with ctx,
// or after the order that is under way then.
func (o *certOrder) keep(ctx context.Context) {
	retry := backoff.NewExponentialBackOff(backoff.WithInitialInterval(certRetry), backoff.WithMultiplier(2),
		backoff.WithRandomizationFactor(0.1), backoff.WithMaxInterval(certRetryMax), backoff.WithMaxElapsedTime(0))
	var last time.Time // the end of the certificate that was told of
	for {
		wait := certWatchEvery
		cert, err := o.get()
		if err != nil {
			wait = retry.NextBackOff()
			o.log.Error("no certificate yet: DNS of tls.acme_domain must point here, and its port 443 must arrive at listen",
				zap.Error(err), zap.String("ca_says", o.words.take()), zap.Duration("next_try_in", wait.Round(time.Second)))
		} else {
			o.ready.Store(true)
			retry.Reset()
			last = o.tell(cert, last, time.Now())
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// tell tells the log of a certificate that is new, or that should be: autocert renews when a third of the time is left,
// 30 days at most, and says nothing when it fails.
func (o *certOrder) tell(cert *tls.Certificate, last, now time.Time) time.Time {
	end := cert.Leaf.NotAfter
	left, life := end.Sub(now), end.Sub(cert.Leaf.NotBefore)
	switch {
	case !end.Equal(last):
		o.log.Info("the certificate is ready", zap.Time("not_after", end))
	case left < min(life/3, 30*24*time.Hour)/2:
		o.log.Error("the certificate was not renewed: the CA must reach port 443 of tls.acme_domain, and it must arrive at listen",
			zap.Time("not_after", end))
	}
	return end
}

// keepCertificate keeps the certificate as long as the service runs.
func (s *service) keepCertificate(o *certOrder) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		o.keep(ctx)
	}()
	s.onStop("the certificate", stopQuick, func(ctx context.Context) error {
		cancel()
		select {
		case <-done:
		case <-ctx.Done(): // an order under way cannot be called back; it leaves nothing half done here
		}
		return nil
	})
}
