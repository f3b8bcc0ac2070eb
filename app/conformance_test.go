package app_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshrelay/freshrelay/app"
	"github.com/freshrelay/freshrelay/app/config"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

// A record holds every call and its form, and nothing that the account says of people or of itself.
func TestARecordHoldsFormsAndNoValues(t *testing.T) {
	t.Parallel()
	box, err := sandbox.New(sandbox.Options{APIKeys: []string{setupKey}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = box.Close() })
	account := httptest.NewServer(box.Handler())
	t.Cleanup(account.Close)
	if _, err := box.Add(map[string]any{"email": "ada@secret.example", "first_name": "Adamarker", "external_id": "usermarker", "custom_field": map[string]any{"cf_plan_tier": "Gold"}}); err != nil {
		t.Fatal(err)
	}
	before := len(box.Calls())
	dir := t.TempDir()
	file := filepath.Join(dir, "freshrelay.yaml")
	text := "data_dir: " + dir + "\nsources: [{name: website, write_keys: [wk_0123456789]}]\nfreshmarketer: {domain: acme, base_url: '" + account.URL + "', api_key: " + setupKey + "}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	record, err := app.Record(t.Context(), app.CheckOptions{Config: config.Options{Path: file, Environ: []string{}}, Version: "v0", HTTP: http.DefaultClient})
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(record)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"ada@", "secret.example", "Adamarker", "usermarker", "Gold", "plan_tier", setupKey, "acme", "127.0.0.1", "nobody@"} {
		if strings.Contains(string(got), secret) {
			t.Errorf("the record holds %q: %s", secret, got)
		}
	}
	if len(record.Calls) < 10 {
		t.Errorf("only %d calls", len(record.Calls))
	}
	for _, c := range record.Calls {
		if c.Operation == "" || c.Status == 0 || c.Shape == nil || c.Headers["Content-Type"] == "" || c.Kind == "" {
			t.Errorf("incomplete: %+v", c)
		}
		if missing := strings.Contains(c.Question, "does not exist"); missing != (c.Kind == "gone") {
			t.Errorf("%s: %s", c.Question, c.Kind)
		}
	}
	for _, c := range box.Calls()[before:] {
		if c.Effect {
			t.Errorf("a call that writes: %+v", c)
		}
	}
}
