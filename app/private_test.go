package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/app/config"
)

// marker begins everything that calls of this test say of somebody, so that it is found wherever it went.
const marker = "zqmarker"

// Calls of every type go through, some of them refused by an account that repeats what it was sent: no log line, no metric and no
// line of the journal tells an id, an address, a name, a value or a property of them.
func TestNoTypeOfCallTellsOfItsUser(t *testing.T) {
	t.Parallel()
	p := startProcess(t, t.TempDir(), func(c *config.Config) {
		c.Alias, c.Deletion.Webhooks = true, true
		c.Sources[0].Forward = config.Forward{Track: []string{config.ForwardAll}, Page: []string{config.ForwardAll}}
	})
	const refusal = `{"errors":{"code":400,"message":["` + marker + ` is not allowed, nor is ` + marker + `@example.test"]}}`
	fault, err := json.Marshal(map[string]any{"match_body": marker + "-refused", "percent": 100, "status": 400, "body": refusal})
	if err != nil {
		t.Fatal(err)
	}
	ask(t, p.at.Sandbox+"/_sandbox/faults", fault)
	n := 0
	for _, user := range []string{marker + "-user", marker + "-refused"} {
		for _, call := range []string{
			`"type":"identify","traits":{"email":"%[1]s@example.test","firstName":"%[1]s","plan":"%[1]s"}`,
			`"type":"group","groupId":"%[1]s-company","traits":{"name":"%[1]s Ltd","website":"https://%[1]s.example.test","email":"%[1]s@example.test"}`,
			`"type":"track","event":"%[1]s Bought","properties":{"%[1]s":"%[1]s","total":1}`,
			`"type":"page","name":"%[1]s","properties":{"url":"https://%[1]s.example.test"}`,
			`"type":"alias","previousId":"%[1]s-before"`,
			`"type":"delete"`,
		} {
			n++
			body := fmt.Appendf(nil, `{"userId":"%[1]s","messageId":"m%[2]d",`+strings.ReplaceAll(call, "%[1]s", user)+`}`, user, n)
			if status, answer := p.post("/webhook/website", body); status != http.StatusOK || strings.Contains(answer, marker) {
				t.Fatalf("%d %s", status, answer)
			}
		}
		p.drained()
		var events json.RawMessage
		for told := false; !told && t.Context().Err() == nil; pause(t.Context(), 10*time.Millisecond) { // nobody waits for the journal's lines
			p.get(p.at.Admin+"/api/events?user_id="+user+"&limit=100", &events)
			private(t, "the journal", events)
			told = bytes.Contains(events, []byte(`"type":"track"`))
		}
	}
	resp, err := http.Get(p.at.Admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	private(t, "the metrics", text)
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	lines := p.logs.All()
	if len(lines) < 10 {
		t.Errorf("only %d log lines", len(lines))
	}
	for _, e := range lines {
		private(t, "a log line", fmt.Appendf(nil, "%s %[2]v %[2]s", e.Message, e.ContextMap())) // bytes as text, too
	}
}

// private fails if something tells of somebody.
func private(t *testing.T, what string, text []byte) {
	t.Helper()
	if i := bytes.Index(bytes.ToLower(text), []byte(marker)); i >= 0 {
		t.Errorf("%s tells of somebody: …%s…", what, text[max(0, i-200):min(len(text), i+60)])
	}
}

// ask posts JSON to the sandbox.
func ask(t *testing.T, url string, body []byte) {
	t.Helper()
	resp, err := http.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		t.Fatalf("%s answers %d", url, resp.StatusCode)
	}
}
