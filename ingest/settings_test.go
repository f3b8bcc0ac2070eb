package ingest_test

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/ingest"
	"github.com/freshrelay/freshrelay/metrics"
)

const settingsPath = "/v1/projects/" + key + "/settings"

func TestSettings(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	w := d.do(request(settingsPath, "", method("GET"), host("fwd.example")))
	// The document that worked with all clients. Source: seen in client code.
	const want = `{"integrations":{"Segment.io":{"apiKey":"wk_website","apiHost":"fwd.example/v1","protocol":"http",
		"unbundledIntegrations":[]}},"plan":{"track":{"__default":{"enabled":true,"integrations":{}}},
		"identify":{"__default":{"enabled":true}},"group":{"__default":{"enabled":true}}},"metrics":{"sampleRate":0},
		"middlewareSettings":{},"enabledMiddleware":{},"remotePlugins":[],"analyticsNextEnabled":true,
		"legacyVideoPluginsEnabled":false}`
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("answer = %d %v", w.Code, w.Header())
	}
	if diff := cmp.Diff(value(t, want), value(t, w.Body.String())); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

func value(t *testing.T, text string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

func host(name string) option { return func(r *http.Request) { r.Host = name } }

func overTLS(r *http.Request) { r.TLS = &tls.ConnectionState{} }

func TestSettingsAddress(t *testing.T) {
	t.Parallel()
	forwarded := []option{
		header("X-Forwarded-Host", "evil.example"), header("X-Forwarded-Proto", "https"),
		header("Forwarded", "host=evil.example;proto=https"), host("fwd.example:8080"),
	}
	tests := map[string]struct {
		public         string
		options        []option
		protocol, host string
	}{
		"configured":           {"https://relay.example.com", []option{host("evil.example")}, "https", "relay.example.com/v1"},
		"configured with port": {"http://relay.example.com:8443/", nil, "http", "relay.example.com:8443/v1"},
		"below a path":         {"https://example.com/segment/", nil, "https", "example.com/segment/v1"},
		"the request's":        {"", []option{host("10.0.0.1:8080")}, "http", "10.0.0.1:8080/v1"},
		"the request's, IPv6":  {"", []option{host("[::1]:8080")}, "http", "[::1]:8080/v1"},
		"TLS":                  {"", []option{host("fwd.example"), overTLS}, "https", "fwd.example/v1"},
		"untrusted headers":    {"", forwarded, "http", "fwd.example:8080/v1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDoorWith(t, ingest.Config{Sources: sources(), PublicURL: tt.public})
			for _, path := range []string{settingsPath, "/projects/wk_website/settings/"} {
				w := d.do(request(path, "", append(tt.options, method("GET"))...))
				var got struct {
					Integrations map[string]struct{ APIHost, Protocol, APIKey string }
				}
				if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
					t.Fatal(err)
				}
				if s := got.Integrations["Segment.io"]; s.APIHost != tt.host || s.Protocol != tt.protocol || s.APIKey != key {
					t.Errorf("settings = %+v", s)
				}
			}
		})
	}
}

func TestSettingsRefused(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		path    string
		options []option
		status  int
		code    string
	}{
		"unknown key":     {"/v1/projects/" + marker + "/settings", nil, 401, "unknown_write_key"},
		"source's name":   {"/v1/projects/website/settings", nil, 401, "unknown_write_key"},
		"no key":          {"/v1/projects//settings", nil, 404, "not_found"},
		"two keys":        {"/v1/projects/" + key + "/" + key + "/settings", nil, 404, "not_found"},
		"other document":  {"/v1/projects/" + key + "/source", nil, 404, "not_found"},
		"the key alone":   {"/v1/projects/" + key, nil, 404, "not_found"},
		"posted":          {settingsPath, []option{method("POST")}, 405, "method_not_allowed"},
		"deleted":         {settingsPath, []option{method("DELETE")}, 405, "method_not_allowed"},
		"host with path":  {settingsPath, []option{host("a.example/" + marker)}, 400, "bad_host"},
		"host with quote": {settingsPath, []option{host(`a"b`)}, 400, "bad_host"},
		"no host":         {settingsPath, []option{host("")}, 400, "bad_host"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDoor(t)
			w := d.do(request(tt.path, "", append([]option{method("GET")}, tt.options...)...))
			wantRefused(t, w, tt.status, tt.code)
			wantNoContent(t, d, w)
		})
	}
}

func TestPublicURLRefused(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{
		"relay.example.com", "relay.example.com:8080", "ftp://relay.example.com", "https://", "https:///v1", "https://u:p@relay.example.com",
		"https://relay.example.com?x=1", "https://relay.example.com/#x", "https://relay.example.com/a%2Fb", "://", " https://relay.example.com",
	} {
		if _, err := ingest.New(ingest.Config{PublicURL: bad}, &memory{}, metrics.New(), zap.NewNop()); err == nil {
			t.Errorf("%q accepted", bad)
		}
	}
}
