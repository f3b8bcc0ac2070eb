package config

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
)

// checkPublicURL takes scheme and host alone: client libraries append their own paths to it. Segment calls nothing that
// is not encrypted; http is for a trial on this machine.
func checkPublicURL(public string, p *problems) {
	const key, mend = "public_url", "write it like https://relay.example.com"
	u, err := url.Parse(public)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || u.User != nil:
		p.add(key, quoted(public), "is not an address that can be called", mend)
	case u.Scheme != "https" && (u.Scheme != "http" || !local(u.Hostname())):
		p.add(key, quoted(public), "is not encrypted", "begin it with https://")
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		p.add(key, quoted(public), "has something after the host, where our own paths begin", mend)
	}
}

// local says whether a host is this machine and nothing else.
func local(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// validateTLS checks that there is one way to a certificate at most, and that it can work.
func validateTLS(c Config, p *problems) {
	t := c.TLS
	files := t.CertFile != "" || t.KeyFile != ""
	switch {
	case files && t.ACMEDomain != "":
		p.add("tls.acme_domain", quoted(t.ACMEDomain), "is set together with a certificate of your own (tls.cert_file, tls.key_file)",
			"keep one of the two")
	case files:
		checkPair(t, p)
	case t.ACMEDomain != "":
		checkACME(c, p)
	}
	if t.ACMEDomain == "" {
		for key, value := range map[string]string{"tls.acme_email": t.ACMEEmail, "tls.acme_directory": t.ACMEDirectory} {
			if value != "" {
				p.add(key, quoted(value), "does nothing without tls.acme_domain", "set the domain, or remove this")
			}
		}
	}
}

// checkPair reads certificate and key as the listener will, so that a service does not start without them.
func checkPair(t TLS, p *problems) {
	cert, certOK := pairFile("tls.cert_file", t.CertFile, "name the PEM file with the certificate and its chain", p)
	key, keyOK := pairFile("tls.key_file", t.KeyFile, "name the PEM file with the certificate's private key", p)
	if certOK && !holdsCertificate(cert) {
		p.add("tls.cert_file", quoted(t.CertFile), "does not begin with a certificate in PEM form",
			"name the file with the server's certificate first and the chain after it, often called fullchain.pem")
		return
	}
	if !certOK || !keyOK {
		return
	}
	if _, err := tls.X509KeyPair(cert, key); err != nil {
		p.add("tls.key_file", quoted(t.KeyFile), "is not the key of tls.cert_file ("+strings.TrimPrefix(err.Error(), "tls: ")+")",
			"name the PEM file with the certificate's private key, not encrypted, often called privkey.pem")
	}
}

func pairFile(key, path, mend string, p *problems) ([]byte, bool) {
	if path == "" {
		if !p.has(key) {
			p.add(key, "", "is missing", mend)
		}
		return nil, false
	}
	b, err := readSmall(path)
	if err != nil {
		p.add(key, quoted(path), "cannot be read: "+cause(err), "check the path and who may read it")
		return nil, false
	}
	if len(b) > maxSecretFile {
		p.add(key, quoted(path), "is too large", mend)
		return nil, false
	}
	return b, true
}

// holdsCertificate says whether the first certificate of a PEM file can be read.
func holdsCertificate(text []byte) bool {
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			return false
		}
		if block.Type == "CERTIFICATE" {
			_, err := x509.ParseCertificate(block.Bytes)
			return err == nil
		}
		text = rest
	}
}

// checkACME checks what a CA will look at before it signs. Whether it reaches us is found out by the running service.
func checkACME(c Config, p *problems) {
	t := c.TLS
	label := `[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`
	// An address has no label with a letter at its end, and no CA signs for one this way.
	if !regexp.MustCompile(`(?i)^(` + label + `\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`).MatchString(t.ACMEDomain) {
		p.add("tls.acme_domain", quoted(t.ACMEDomain), "is not a domain that a certificate can be ordered for",
			"write the full name alone, like relay.example.com; no scheme, port or wildcard, other letters as xn--…")
	}
	if host, _, err := net.SplitHostPort(c.Listen); err == nil && local(host) {
		p.add("listen", quoted(c.Listen), "is reached from this machine alone, so no CA can see that tls.acme_domain is ours",
			"listen where port 443 of the domain arrives, like :443")
	}
	if addr, err := mail.ParseAddress(t.ACMEEmail); t.ACMEEmail != "" && (err != nil || addr.Address != t.ACMEEmail) {
		p.add("tls.acme_email", hidden, "is not a mail address", "write it like ops@example.com, or leave it out")
	}
	if u, err := url.Parse(t.ACMEDirectory); t.ACMEDirectory != "" && (err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil) {
		p.add("tls.acme_directory", quoted(t.ACMEDirectory), "is not the address of an ACME directory",
			"write it like https://ca.example.com/acme/acme/directory, or leave it out for Let's Encrypt")
	}
}
