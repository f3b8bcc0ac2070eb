package freshmarketer

import (
	"strings"
	"testing"
)

func TestResolveBase(t *testing.T) {
	t.Parallel()
	const acme = "https://acme.myfreshworks.com/crm/sales/api"
	tests := []struct{ name, domain, baseURL, want string }{
		{"alias", "acme", "", acme},
		{"alias in capitals and spaces", " Acme ", "", acme},
		{"host", "acme.myfreshworks.com", "", acme},
		{"host of the other suffix", "acme.freshworks.com", "", "https://acme.freshworks.com/crm/sales/api"},
		{"host with a dot and a port", "acme.myfreshworks.com.:443", "", acme},
		{"URL from the browser", "https://acme.myfreshworks.com/crm/sales/contacts/view/1?x=1#y", "", acme},
		{"alias as the settings page shows it", "acme.myfreshworks.com/crm/sales", "", acme},
		{"http URL is not spoken to in the clear", "http://acme.myfreshworks.com", "", acme},
		{"base URL", "", "http://127.0.0.1:8090", "http://127.0.0.1:8090/crm/sales/api"},
		{"base URL wins", "acme", "http://[::1]:8090/", "http://[::1]:8090/crm/sales/api"},
		{"base URL with a prefix", "", "https://proxy.test/fresh/", "https://proxy.test/fresh/crm/sales/api"},
		{"base URL with the API path", "", "https://proxy.test/crm/sales/api/", "https://proxy.test/crm/sales/api"},
	}
	for _, tt := range tests {
		got, err := resolveBase(tt.domain, tt.baseURL)
		if err != nil || got.String() != tt.want {
			t.Errorf("%s: resolveBase(%q, %q) = %v, %v, want %s", tt.name, tt.domain, tt.baseURL, got, err, tt.want)
		}
	}
}

func TestResolveBaseRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, domain, baseURL, mentions string }{
		{"nothing", "", "", "domain: is empty"},
		{"another host", "crm.example.com", "", "base_url"},
		{"the suffix in the path", "evil.example/.myfreshworks.com", "", "domain:"},
		{"the suffix before the end", "acme.myfreshworks.com.evil.example", "", "domain:"},
		{"no dot before the suffix", "evilmyfreshworks.com", "", "domain:"},
		{"nothing before the suffix", ".myfreshworks.com", "", "domain:"},
		{"user info", "acme.myfreshworks.com@evil.example", "", "domain:"},
		{"user info before", "x:secret@acme.myfreshworks.com", "", "domain: holds an @"},
		{"a backslash", `evil.example\.myfreshworks.com`, "", "domain:"},
		{"another port", "acme.myfreshworks.com:8443", "", "domain:"},
		{"another scheme", "ftp://acme.myfreshworks.com", "", "domain:"},
		{"the classic product", "acme.freshmarketer.com", "", "domain:"},
		{"a base URL without a scheme", "", "127.0.0.1:8090", "base_url:"},
		{"a base URL with a password", "", "http://u:secret@127.0.0.1", "base_url: must not hold"},
		{"a base URL with a query", "", "http://127.0.0.1/?a=1", "base_url:"},
		{"a base URL that is none", "", "http://[::1", "base_url:"},
	}
	for _, tt := range tests {
		got, err := resolveBase(tt.domain, tt.baseURL)
		if err == nil {
			t.Errorf("%s: resolveBase(%q, %q) = %v, want an error", tt.name, tt.domain, tt.baseURL, got)
			continue
		}
		if !strings.Contains(err.Error(), tt.mentions) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: error %q, want one that mentions %q and no password", tt.name, err, tt.mentions)
		}
	}
}

func TestNewNamesEveryProblemAndNoKey(t *testing.T) {
	t.Parallel()
	_, err := New(Config{Domain: "x.example", APIKey: "half a key", Timeout: -1})
	if err == nil {
		t.Fatal("New accepted a foreign domain, a broken key and a negative timeout")
	}
	for _, want := range []string{"domain:", "api_key:", "timeout:"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not mention %s", err, want)
		}
	}
	if strings.Contains(err.Error(), "half") {
		t.Errorf("error %q repeats the key", err)
	}
}
