//go:build clients

// Package clients_test lets real, unmodified Segment clients deliver to the real program, and goes over the books
// afterwards. Run it with `make test-clients`: it needs Node, Chromium and, once, the npm registry. All traffic stays on
// 127.0.0.1.
//
// What is shown, for each client: every identify it was given is accounted for by the service's ledger and by the
// contacts of the sandbox account, also when every single request is first answered with 503 and then, having been
// stored, with a broken connection. Nothing is missing, and nothing is there twice.
package clients_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

const (
	writeKey = "wk_test_clients"
	// city goes through every client's own encoding and back out of the account.
	city = "Žilina <&> 東京"
	// patience is for the whole life of one client; libraries wait up to some seconds between attempts.
	patience = 4 * time.Minute
)

// job is what a client is asked to do: in each round one identify (with the round's number, from 1, as Seq) and one track
// call for each user, and some page calls.
type job struct {
	Client   string   `json:"client"`
	Host     string   `json:"host"` // base URL, without /v1
	WriteKey string   `json:"writeKey"`
	Users    []string `json:"users"`
	Rounds   int      `json:"rounds"`
	City     string   `json:"city"`
	Deadline int64    `json:"deadline"` // milliseconds after which the client says what is missing

	// For browsers only.
	Page     string  `json:"page,omitempty"`
	Chromium string  `json:"chromium,omitempty"`
	Profile  string  `json:"profile,omitempty"`
	Browser  *loaded `json:"browser,omitempty"`
	Leave    bool    `json:"leave,omitempty"` // leave the page in the last round before the library has sent everything
}

func (j job) identifies() int { return len(j.Users) * j.Rounds }

// sent is how many calls a client says it has made.
type sent struct {
	Identify int `json:"identify"`
	Track    int `json:"track"`
	Page     int `json:"page"`
	Disabled int `json:"disabled"` // identifies that say they are not for this destination
}

// identifies is how many events the service has to store.
func (s sent) identifies() int { return s.Identify + s.Disabled }

// client is one real client. run returns once the client is done.
type client struct {
	name   string
	users  int
	rounds int
	run    func(ctx context.Context, t *testing.T, j job) sent
}

func clients() []client {
	return []client{
		{"analytics-node-3", 40, 3, runServer},
		{"analytics-node-1", 40, 3, runServer},
		{"analytics-node-classic", 40, 3, runServer},
		{"analytics-go", 300, 3, runGo},
		{"analytics-next-standard", 8, 3, runBrowser(standard)},
		{"analytics-next-batching", 8, 3, runBrowser(batching)},
	}
}

func TestClientsDeliver(t *testing.T) {
	t.Parallel()
	for _, c := range clients() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ctx := within(t)
			s := startService(ctx, t)
			j := c.job(s.ingest)
			j.Leave = true // not through trouble: a page that is gone repeats nothing
			made := c.run(ctx, t, j)
			st := s.settled(ctx, int64(made.identifies()))
			c.account(t, s, made)
			// On a very slow machine a client may not wait for its answer, and send again; only then can there be more.
			repeated := st.Ledger.Accepted > int64(made.identifies())
			for typ, want := range map[string]int{"track": made.Track, "page": made.Page} {
				if got := s.dropped(ctx, typ, want); got < want || got > want && !repeated {
					t.Errorf("%d %s calls were dropped at the door as not forwarded, of %d", got, typ, want)
				}
			}
			t.Logf("%s: %d identify, %d track, %d page; ledger %+v", c.name, made.identifies(), made.Track, made.Page, st.Ledger)
		})
	}
}

func TestClientsDeliverThroughTrouble(t *testing.T) {
	t.Parallel()
	for _, c := range clients() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ctx := within(t)
			s := startService(ctx, t)
			p := startTrouble(t, s.ingest)
			made := c.run(ctx, t, c.job(p.server.URL))
			st := s.settled(ctx, int64(made.identifies()))
			c.account(t, s, made)
			seen := p.report(c)
			if seen.refused == 0 || seen.cut == 0 {
				t.Errorf("there was no trouble: %d requests refused, %d cut", seen.refused, seen.cut)
			}
			if got := int(st.Ledger.Accepted); got > seen.identifies {
				t.Errorf("the ledger has %d events, but only %d were sent to it", got, seen.identifies)
			}
			if seen.identifies == made.identifies() {
				t.Error("no call was repeated, so repeats were not tried")
			}
			t.Logf("%s: %d identify, %d track, %d page; %d requests refused, %d cut; %d identifies repeated; ledger %+v",
				c.name, made.identifies(), made.Track, made.Page, seen.refused, seen.cut,
				seen.identifies-made.identifies(), st.Ledger)
		})
	}
}

// within is the time of one client. It ends after the program was stopped, so that stopping is not cut short.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	t.Cleanup(cancel)
	return ctx
}

func (c client) job(host string) job {
	j := job{
		Client: c.name, Host: host, WriteKey: writeKey, Rounds: c.rounds, City: city, Deadline: (patience / 2).Milliseconds(),
	}
	for i := range c.users {
		j.Users = append(j.Users, fmt.Sprintf("%s-%03d", c.name, i))
	}
	return j
}

// account goes over the books of a service that has settled: the ledger and the account's contacts against what the
// client says it has sent.
func (c client) account(t *testing.T, s *service, made sent) {
	t.Helper()
	j := c.job("")
	if made.Identify != j.identifies() {
		t.Errorf("the client made %d identify calls of %d", made.Identify, j.identifies())
	}
	if made.Track == 0 || made.Page == 0 {
		t.Errorf("the client made %d track and %d page calls, and should make some of each", made.Track, made.Page)
	}
	st := s.last
	l := st.Ledger
	if l.Delivered != int64(made.Identify) || l.Dead != 0 || l.Difference != 0 || l.Discarded != l.Accepted-l.Delivered {
		t.Errorf("the ledger does not account for %d identifies: %+v, discards %+v, dead %+v", made.Identify, l, st.Discards, st.Dead)
	}
	for _, d := range st.Discards {
		// Of a call that is not for us every repeat may be judged anew.
		if d.Reason == "duplicate" || d.Reason == "integrations_disabled" && d.Count >= int64(made.Disabled) && d.Count <= 2*int64(made.Disabled) {
			continue
		}
		t.Errorf("%d %s calls were discarded: %s", d.Count, d.Type, d.Reason)
	}
	contacts := map[string]int{}
	for _, contact := range s.box.Contacts() {
		contacts[contact.ExternalID]++
		user := contact.ExternalID
		if contact.Email != user+"@example.test" || contact.Custom["cf_seq"] != json.Number(fmt.Sprint(c.rounds)) || contact.Fields["city"] != city {
			t.Errorf("%s ended as <%s> with Seq %v of %d, city %q", user, contact.Email, contact.Custom["cf_seq"], c.rounds, contact.Fields["city"])
		}
	}
	for _, user := range j.Users {
		if contacts[user] != 1 {
			t.Errorf("%s has %d contacts", user, contacts[user])
		}
		delete(contacts, user)
	}
	for user, n := range contacts {
		t.Errorf("%d contacts for %q, whom nobody identified", n, user)
	}
}
