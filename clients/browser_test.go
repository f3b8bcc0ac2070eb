//go:build clients

package clients_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
)

// loaded is what a customer writes into analytics.js' load: its two arguments.
type loaded struct {
	Settings map[string]any `json:"settings"`
	Options  map[string]any `json:"options"`
}

type object = map[string]any

// standard names the host in the page, as somebody does who knows it, and sends each call by itself.
func standard(j *job) loaded {
	j.Leave = false // what it holds then waits in the browser for the visitor's next page
	host := strings.TrimPrefix(j.Host, "http://")
	return loaded{
		Settings: object{"writeKey": j.WriteKey, "cdnURL": j.Host},
		Options:  object{"integrations": object{"Segment.io": object{"apiHost": host + "/v1", "protocol": "http"}}},
	}
}

// batching takes the host from the service's settings, and sends calls together.
func batching(j *job) loaded {
	return loaded{
		Settings: object{"writeKey": j.WriteKey, "cdnURL": j.Host},
		Options: object{"integrations": object{"Segment.io": object{
			"deliveryStrategy": object{"strategy": "batching", "config": object{"size": 10, "timeout": 1000}},
		}}},
	}
}

// runBrowser lets a real browser visit a page on another origin than the service.
func runBrowser(how func(*job) loaded) func(context.Context, *testing.T, job) sent {
	return func(ctx context.Context, t *testing.T, j job) sent {
		t.Helper()
		site := http.NewServeMux()
		site.Handle("GET /lib/", http.StripPrefix("/lib/", http.FileServer(http.Dir("testdata/node_modules/@segment/analytics-next/dist/umd"))))
		site.Handle("GET /", http.FileServer(http.Dir("testdata/page")))
		site.HandleFunc("GET /bye", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("<!doctype html><title>bye</title>")) // a browser that is gone needs no page
		})
		server := httptest.NewServer(site)
		t.Cleanup(server.Close)
		at := how(&j)
		j.Page, j.Chromium, j.Profile, j.Browser = server.URL+"/", chromium(t), t.TempDir(), &at
		return runNode(ctx, t, "testdata/browser.cjs", j)
	}
}

func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if file, err := exec.LookPath(name); err == nil {
			return file
		}
	}
	t.Fatal("no Chromium; run: make test-clients")
	return ""
}
