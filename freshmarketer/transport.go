package freshmarketer

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// ProxyNone is a Config.Proxy that goes to the account directly, whatever the environment says.
const ProxyNone = "none"

// withoutRedirects returns a client that hands a 3xx back: a redirect here means a wrong domain or a login page, and
// the key must not travel to wherever it points.
func withoutRedirects(given *http.Client, transport http.RoundTripper) *http.Client {
	client := http.Client{Transport: transport}
	if given != nil {
		client = *given
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}

// newTransport is sized for one host and a pool of workers; the default of two idle connections per host would dial
// anew for nearly every call.
func newTransport(cfg Config) (http.RoundTripper, error) {
	if cfg.HTTPClient != nil {
		if cfg.Proxy != "" || len(cfg.CACerts) > 0 {
			return nil, errors.New("proxy, ca_file: belong to our own HTTP client, and another one is given")
		}
		return nil, nil //nolint:nilnil // there is no transport to make
	}
	proxy, proxyErr := proxyOf(cfg.Proxy)
	roots, rootsErr := rootsWith(cfg.CACerts)
	if err := errors.Join(proxyErr, rootsErr); err != nil {
		return nil, err
	}
	return &http.Transport{
		Proxy:                 proxy,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          32,
		MaxIdleConnsPerHost:   32,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		// A body is bounded by maxAnswer; this bounds what comes before it.
		MaxResponseHeaderBytes: 64 << 10,
	}, nil
}

// proxyOf reads a proxy's URL. It may hold a password, so no message repeats it.
func proxyOf(raw string) (func(*http.Request) (*url.URL, error), error) {
	switch raw = strings.TrimSpace(raw); raw {
	case "":
		return http.ProxyFromEnvironment, nil
	case ProxyNone:
		return nil, nil //nolint:nilnil // which is what no proxy is in http.Transport
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "socks5" && u.Scheme != "socks5h" {
		return nil, errors.New("proxy: must be a URL like http://proxy.example.com:3128, with http, https or socks5, or none")
	}
	return http.ProxyURL(u), nil
}

// rootsWith adds certificates to those the system trusts; nil means the system's alone.
func rootsWith(pem []byte) (*x509.CertPool, error) {
	if len(pem) == 0 {
		return nil, nil //nolint:nilnil // which is what the system's roots are in tls.Config
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a machine without roots of its own: the given ones are all there is
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("ca_file: holds no certificate in PEM form")
	}
	return pool, nil
}
