package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.yaml.in/yaml/v3"

	"github.com/freshrelay/freshrelay/freshmarketer"
)

func TestSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	const s = "hunter2"
	c := Defaults()
	c.Freshmarketer = Freshmarketer{Domain: "acme", APIKey: s}
	c.Sources = []Source{{Name: "a", WriteKeys: []Secret{s, s}, WebhookSecrets: []Secret{s}}}
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"String": c.String(), "%v": fmt.Sprintf("%v", c), "%+v": fmt.Sprintf("%+v", c), "%#v": fmt.Sprintf("%#v", c),
		"pointer": fmt.Sprintf("%+v", &c), "secret %s": fmt.Sprintf("%s", c.Freshmarketer.APIKey),
		"secret %x": fmt.Sprintf("%x", c.Freshmarketer.APIKey), "secret %q": fmt.Sprintf("%q", c.Sources[0].WriteKeys),
		"json": string(asJSON), "Println": fmt.Sprintln(c.Sources),
	} {
		if strings.Contains(text, s) || strings.Contains(text, fmt.Sprintf("%x", s)) {
			t.Errorf("%s shows a secret: %s", name, text)
		}
		if !strings.Contains(text, "[set]") {
			t.Errorf("%s does not say that one is set: %s", name, text)
		}
	}
	if got := fmt.Sprint(Secret("")); got != "" {
		t.Errorf("no secret prints as %q", got)
	}
}

// TestYAMLIsAConfiguration: what String shows can be pasted into a file, secrets aside.
func TestYAMLIsAConfiguration(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, good+"nats: {max_bytes: 3GiB}\nmapping: {traits: {plan: Plan}}\ntrusted_proxies: [10.0.0.0/8]\n")
	again := mustLoad(t, c.String())
	again.File = c.File
	hide := cmp.Transformer("hide", func(s Secret) string { return s.String() })
	if diff := cmp.Diff(c, again, hide, sameNetwork(), cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(c.String(), "max_bytes: 3GiB\n") || !strings.Contains(c.String(), "resend_after: 168h0m0s\n") {
		t.Errorf("units are not readable:\n%s", c)
	}
}

// TestKeysMatchTheStructure: the list of keys and the structure are two statements of one thing.
func TestKeysMatchTheStructure(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		typ  reflect.Type
		keys []string
	}{
		"Config": {reflect.TypeFor[Config](), names(topKeys())},
		"Source": {reflect.TypeFor[Source](), names(sourceKeys())},
	} {
		want := fields("", tt.typ)
		if diff := cmp.Diff(want, tt.keys); diff != "" {
			t.Errorf("%s: structure and keys differ:\n%s", name, diff)
		}
	}
	if len(envNames()) != len(topKeys()) {
		t.Error("two keys share an environment variable")
	}
	for _, k := range topKeys() {
		isSecret := strings.HasSuffix(k.name, "_key") || k.name == "freshmarketer.proxy" // which may hold a password
		if k.secret != isSecret {
			t.Errorf("%s: secret = %v", k.name, k.secret)
		}
	}
}

// fields returns the keys of a structure as its yaml tags state them.
func fields(prefix string, t reflect.Type) []string {
	var out []string
	for f := range slices.Values(reflect.VisibleFields(t)) {
		tag := f.Tag.Get("yaml")
		switch {
		case tag == "-" || tag == "sources":
		case f.Type.Kind() == reflect.Struct:
			out = append(out, fields(prefix+tag+".", f.Type)...)
		default:
			out = append(out, prefix+tag)
		}
	}
	return out
}

func TestParseSize(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]Size{
		"0": 0, "1024": 1024, "10GiB": 10 << 30, "10 gib": 10 << 30, "500MB": 500e6, "1.5k": 1536, "2T": 2 << 40, "7B": 7, "3kB": 3000,
	} {
		if got, err := ParseSize(in); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "GiB", "-1", "-1GiB", "1e9", "0x10", "inf", "nan", "1.2.3", "ten", "10 GiB free", "9999999TiB"} {
		if got, err := ParseSize(in); err == nil {
			t.Errorf("ParseSize(%q) = %d", in, got)
		}
	}
	for want, size := range map[string]Size{"0": 0, "10GiB": 10 << 30, "1536KiB": 1536 << 10, "1000": 1000, "1TiB": 1 << 40} {
		if got := size.String(); got != want {
			t.Errorf("%d prints as %q, want %q", int64(size), got, want)
		}
	}
}

func TestSandboxKeepsTheRest(t *testing.T) {
	t.Parallel()
	c := Defaults()
	c.Listen, c.Freshmarketer = ":1", Freshmarketer{Domain: "real", APIKey: "real", BaseURL: "https://real", Proxy: "http://real", CAFile: "/real", Timeout: time.Second}
	got := Sandbox(c)
	if got.Listen != ":1" || got.Freshmarketer.Domain != SandboxDomain || got.Freshmarketer.BaseURL != "" || got.Freshmarketer.Proxy != ProxyNone || got.Freshmarketer.CAFile != "" {
		t.Errorf("%s", got)
	}
	if c.Freshmarketer.Domain != "real" {
		t.Error("the argument was changed")
	}
}

// TestDomainsLikeTheClient: what is taken here must also be taken by the client that gets it.
func TestDomainsLikeTheClient(t *testing.T) {
	t.Parallel()
	for _, domain := range []string{
		"acme", "Acme", "acme.myfreshworks.com", "https://acme.myfreshworks.com/crm/sales", "acme.freshworks.com",
		"acme.myfreshworks.com/crm/sales", "acme.example.com", "acme_", "-acme", "a b", "https://", "acme.freshmarketer.com",
		"ftp://acme", "https://me@acme.myfreshworks.com",
	} {
		_, err := load(t, "sources: [{name: a, write_keys: [x]}]\nfreshmarketer: {api_key: k, domain: "+strconv.Quote(domain)+"}\n")
		_, clientErr := freshmarketer.New(freshmarketer.Config{Domain: domain, APIKey: "k"})
		if (err == nil) != (clientErr == nil) {
			t.Errorf("%q: here %v, in the client %v", domain, err, clientErr)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(good)
	f.Add("sources: {0: {name: a}}")
	f.Add("mapping: {traits: {a.b: c}}\nretry: [1]")
	f.Fuzz(func(t *testing.T, file string) {
		c, err := load(t, file)
		if err != nil {
			return
		}
		var back map[string]any
		if err := yaml.Unmarshal([]byte(c.String()), &back); err != nil {
			t.Errorf("a configuration that loads does not print: %v", err)
		}
	})
}
