package app_test

import (
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"syscall"
	"testing"
	"time"
)

var seriesUsers = flag.Int("series.users", 2000, "TestUsersMakeNoSeries: users, and as many traits")

// TestUsersMakeNoSeries lets senders invent users, traits, types and message ids: whatever they do, the metrics have as many
// series afterwards as before, and none of their words is in them. One user in ten has an address and ten traits that nobody
// else has, and becomes a contact; the others are discarded, which is quicker.
func TestUsersMakeNoSeries(t *testing.T) {
	t.Parallel()
	api, _ := instantAPI(t)
	c := benchChild(t, buildProgram(t), api, "FRESHRELAY_NATS_MAX_BYTES=16GiB") // a million records are 1 GB
	send := func(from, to int) {
		const atOnce = 250
		for ; from < to; from += atOnce {
			var body bytes.Buffer
			body.WriteString(`{"batch":[`)
			for n := from; n < min(from+atOnce, to); n++ {
				if n > from {
					body.WriteByte(',')
				}
				fmt.Fprintf(&body, `{"type":"identify","userId":"invented-%d","messageId":"m-%d","traits":{%s}}`, n, n, inventedTraits(n))
			}
			fmt.Fprintf(&body, `,{"type":"invented%d","userId":"x"},{"type":"track","userId":"x","event":"invented-%d"}]}`, from, from)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+c.listen+"/v1/batch", &body)
			if err != nil {
				t.Fatal(err)
			}
			req.SetBasicAuth(childWriteKey, "")
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode == http.StatusServiceUnavailable { // full for a moment: what comes next would be told the same
				pause(t.Context(), time.Second)
				from -= atOnce
			} else if resp.StatusCode != http.StatusOK {
				t.Fatalf("answer %d", resp.StatusCode)
			}
		}
	}
	send(0, 500)
	c.delivered(t.Context())
	before := series(c.page(t.Context()))
	send(500, *seriesUsers)
	for pending := []byte("freshrelay_pending_events{partition=\"0\"} 0\n"); !bytes.Contains(c.page(t.Context()), pending); pause(t.Context(), time.Second) {
		if c.over() {
			t.Fatalf("it ended:\n%s", c.stderr)
		}
	}
	ledger := c.delivered(t.Context())
	page := c.page(t.Context())
	if after := series(page); after > before {
		t.Errorf("%d series before, %d after", before, after)
	}
	if bytes.Contains(page, []byte("invented")) {
		t.Error("a sender's word is in the metrics")
	}
	if want := int64(*seriesUsers); ledger.Delivered != want/10 || ledger.Discarded != want-want/10 {
		t.Errorf("the ledger has %+v", ledger)
	}
	t.Logf("%d users and as many traits: %d series, %d bytes", *seriesUsers, series(page), len(page))
	c.signal(syscall.SIGTERM)
}

func inventedTraits(n int) string {
	if n%10 != 0 {
		return `"lastName":"Lee"`
	}
	traits := fmt.Sprintf(`"email":"invented-%d@example.test"`, n)
	for i := range 10 {
		traits += fmt.Sprintf(`,"inventedTrait%d":%d`, n+i, n)
	}
	return traits
}
