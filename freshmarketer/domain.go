package freshmarketer

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// accountSuffixes are the hosts the key may be sent to without an explicit base URL.
// Source: Freshworks CRM API, "Authentication" (myfreshworks.com); freshworks.com is seen in client code.
var accountSuffixes = []string{".myfreshworks.com", ".freshworks.com"} //nolint:gochecknoglobals // a table nobody writes to

// accountLabels are the DNS labels before the suffix. Anything else a host could hold is refused, which also takes
// care of user info, backslashes and other ways to make a host look like what it is not.
var accountLabels = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)

// resolveBase turns what the user typed into the URL that every path is appended to.
func resolveBase(domain, baseURL string) (*url.URL, error) {
	if strings.TrimSpace(baseURL) != "" {
		return parseBaseURL(strings.TrimSpace(baseURL))
	}
	host, err := accountHost(domain)
	if err != nil {
		return nil, err
	}
	return &url.URL{Scheme: "https", Host: host, Path: apiPath}, nil
}

// parseBaseURL accepts http and https, any host, and a path prefix (a proxy's). A pasted API path is not doubled.
func parseBaseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil: // the parser's own text repeats the URL, which could carry a password
		return nil, errors.New("base_url: is not a URL; expected something like http://127.0.0.1:8090")
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return nil, errors.New("base_url: must start with http:// or https:// and name a host, like http://127.0.0.1:8090")
	case u.User != nil:
		return nil, errors.New("base_url: must not hold a user name or password")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("base_url: must end before any ? or #")
	}
	prefix := strings.TrimRight(u.Path, "/")
	prefix = strings.TrimSuffix(prefix, "/api")
	prefix = strings.TrimSuffix(prefix, "/crm/sales")
	return &url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host), Path: prefix + apiPath}, nil
}

// accountHost reads an alias, a host or a URL. The vendor's settings page shows the alias with "/crm/sales" behind it,
// so whatever follows the host is cut off.
func accountHost(domain string) (string, error) {
	host := strings.ToLower(strings.TrimSpace(domain))
	if host == "" {
		return "", errors.New("domain: is empty; expected the alias of the account, like acme for acme.myfreshworks.com")
	}
	if strings.Contains(host, "@") { // may be user:password@host, so it is not repeated
		return "", errors.New("domain: holds an @; expected the alias of the account, like acme for acme.myfreshworks.com")
	}
	if scheme, rest, found := strings.Cut(host, "://"); found {
		if scheme != "https" && scheme != "http" {
			return "", fmt.Errorf("domain: %q is neither an alias, a host nor an https URL", domain)
		}
		host = rest
	}
	if end := strings.IndexAny(host, "/?#"); end >= 0 {
		host = host[:end]
	}
	host = strings.TrimSuffix(strings.TrimSuffix(host, ":443"), ".")
	if !strings.Contains(host, ".") {
		host += accountSuffixes[0]
	}
	for _, suffix := range accountSuffixes {
		if alias, ok := strings.CutSuffix(host, suffix); ok && accountLabels.MatchString(alias) {
			return host, nil
		}
	}
	return "", fmt.Errorf("domain: %q is not an alias and not a host under myfreshworks.com or freshworks.com; "+
		"use the alias shown in API Settings, or base_url for any other host", domain)
}
