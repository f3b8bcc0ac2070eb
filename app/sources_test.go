package app_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/freshrelay/freshrelay/app/config"
)

// What is configured for a source and for the way to it reaches the door.
func TestSourceSettingsReachTheDoor(t *testing.T) {
	t.Parallel()
	const token = "token-of-the-settings-test"
	p := startProcess(t, t.TempDir(), func(c *config.Config) {
		c.PublicURL = "https://relay.test"
		c.Sources[0].BatchToken, c.Sources[0].RequireBatchToken = token, true
		c.Sources = append(c.Sources, config.Source{Name: "slow", WriteKeys: []config.Secret{"wk_slow"}, WebhookSecrets: []config.Secret{config.SandboxWebhookSecret}, RatePerSecond: 0.001})
	})
	one := bytes.TrimSpace(sample(t, "01"))
	two := []byte("[" + string(one) + "," + string(sample(t, "08")) + "]")
	for _, step := range []struct {
		path   string
		body   []byte
		status int
	}{
		{"/webhook/website", one, http.StatusOK},
		{"/webhook/website", two, http.StatusUnauthorized},
		{"/webhook/website/" + token, two, http.StatusOK},
		{"/webhook/slow", one, http.StatusOK},
		{"/webhook/slow", one, http.StatusTooManyRequests},
	} {
		status, answer := p.postSigned(step.path, step.body, one)
		if status != step.status {
			t.Errorf("%s answers %d %s, want %d", step.path, status, answer, step.status)
		}
	}
	resp, err := http.Get(p.at.Ingest + "/v1/projects/" + config.SandboxWriteKey + "/settings")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var settings struct {
		Integrations map[string]struct {
			APIHost string `json:"apiHost"`
		} `json:"integrations"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&settings); err != nil || settings.Integrations["Segment.io"].APIHost != "relay.test/v1" {
		t.Errorf("settings: %v %+v", err, settings)
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
}
