package worker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

// behind counts those of the first n users whose contact does not have this number yet.
func (r *rig) behind(n, seq int) (behind []string) {
	r.t.Helper()
	by := map[string]any{}
	for _, c := range r.box.Contacts() {
		by[c.ExternalID] = c.Custom["cf_seq"]
	}
	for u := range n {
		if user := fmt.Sprint("u", u); by[user] != json.Number(fmt.Sprint(seq)) {
			behind = append(behind, user)
		}
	}
	return behind
}

// poison makes every call and every bulk fail that this contact is in.
func (r *rig) poison(user string) {
	r.t.Helper()
	id := fmtID(r.contact(user).ID)
	r.fault(sandbox.Fault{Percent: 100, Status: 500, Match: "/" + id})
	r.fault(sandbox.Fault{Percent: 100, Status: 500, MatchBody: `"` + id + `"`})
	r.fault(sandbox.Fault{Percent: 100, Status: 500, MatchBody: ":" + id + ","})
	r.fault(sandbox.Fault{Percent: 100, Status: 500, MatchBody: ":" + id + "}"})
}

// A contact that makes every bulk fail that it is in is found in a few calls, and keeps nobody's change from the account meanwhile.
func TestAPoisonInABulkKeepsNobodyFromTheAccount(t *testing.T) {
	for name, poisons := range map[string][]string{"one": {"u77"}, "the first": {"u0"}, "two": {"u77", "u20"}} {
		bubbleNamed(t, name, sandbox.Options{History: true, BulkWait: time.Second, BulkDuration: 2 * time.Second}, func(t *testing.T, r *rig) {
			const n = 300
			r.many(n)
			r.round(n, 1)
			r.drain(time.Hour) // it is known by now what a bulk does
			for _, user := range poisons {
				r.poison(user)
			}
			before := r.box.CallCount()
			r.round(n, 2)
			time.Sleep(75 * time.Second)
			got := r.calls(before)
			if behind := r.behind(n, 2); len(behind) > len(poisons) {
				t.Errorf("%d are kept from the account: %v; calls %v", len(behind), behind, got)
			}
			if got["bulk_upsert"] < 4 || got["bulk_upsert"] > 3+15*len(poisons) || got["update_contact"] > 45 {
				t.Errorf("calls %v", got)
			}
			r.round(n, 3)
			time.Sleep(3 * time.Minute)
			if behind := r.behind(n, 3); len(behind) > len(poisons) {
				t.Errorf("%d wait on: %v", len(behind), behind)
			}
			r.box.ClearFaults()
			if l := r.drain(time.Hour); l.Delivered != 4*n || l.Dead != 0 {
				t.Errorf("ledger %+v", l)
			}
			r.at(n, 3)
			r.neverBackwards("cf_seq")
		})
	}
}

// gateway is what may stand before the API: it answers some POSTs of bulks with a 502, and hands them on all the same, later.
type gateway struct {
	http.RoundTripper
	ctx context.Context //nolint:containedctx // what is handed on outlives its request

	mu    sync.Mutex
	after []time.Duration // of the next bulks that are answered with a 502
}

// fail says after how long the next bulks are handed on.
func (g *gateway) fail(after ...time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.after = after
}

// next is after how long this bulk is handed on; ok is false if nothing happens to it.
func (g *gateway) next() (after time.Duration, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.after) == 0 {
		return 0, false
	}
	after, g.after = g.after[0], g.after[1:]
	return after, true
}

func (g *gateway) RoundTrip(req *http.Request) (*http.Response, error) {
	if !strings.HasSuffix(req.URL.Path, "/bulk_upsert") {
		return g.RoundTripper.RoundTrip(req)
	}
	after, ok := g.next()
	if !ok {
		return g.RoundTripper.RoundTrip(req)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	late := req.Clone(g.ctx)
	late.Body = io.NopCloser(bytes.NewReader(body))
	time.AfterFunc(after, func() {
		if answer, err := g.RoundTripper.RoundTrip(late); err == nil {
			_ = answer.Body.Close()
		}
	})
	return &http.Response{StatusCode: http.StatusBadGateway, Body: http.NoBody, Request: req, ProtoMajor: 1, ProtoMinor: 1}, nil
}

// behindGateway puts one before the sandbox.
func (r *rig) behindGateway() *gateway {
	g := &gateway{RoundTripper: r.api.HTTPClient.Transport, ctx: r.t.Context()}
	r.api.HTTPClient = &http.Client{Transport: g}
	r.rewire()
	r.restart()
	return g
}

// What is newer than a bulk that may be at work is not written before that has ended: here it begins its work 100 seconds after it was
// answered, when its halves have been taken, and newer calls wait.
func TestNothingNewerIsWrittenWhileAFailedBulkMayBeAtWork(t *testing.T) {
	for name, after := range map[string][]time.Duration{
		"the bulk":                {100 * time.Second},
		"the bulk and a half":     {110 * time.Second, 100 * time.Second},
		"the bulk and its halves": {110 * time.Second, 100 * time.Second, 90 * time.Second},
	} {
		bubbleNamed(t, name, slowJobs, func(t *testing.T, r *rig) {
			const n = 150
			r.many(n)
			g := r.behindGateway()
			r.round(n, 1)
			r.drain(time.Hour)
			before := r.box.CallCount()
			g.fail(after...)
			r.round(n, 2)
			time.Sleep(time.Minute)
			if behind := r.behind(n, 2); len(behind) > 0 {
				t.Errorf("%d wait on: %v", len(behind), r.calls(before))
			}
			if _, more := g.next(); more {
				t.Error("not all of these bulks were sent")
			}
			r.round(n, 3)
			r.drain(time.Hour)
			time.Sleep(5 * time.Minute) // whatever is handed on late has been by then
			r.at(n, 3)
			r.neverBackwards("cf_seq")
			for _, c := range r.box.Contacts() {
				twos := 0
				for _, s := range r.box.History(c.ID) {
					if s.Contact.Custom["cf_seq"] == json.Number("2") {
						twos++
					}
				}
				if twos == 0 {
					t.Errorf("%s never had its second value", c.ExternalID)
				}
			}
		})
	}
}

// The same with a stop, or a crash, while a failed bulk may be at work, and its halves are: the next run waits for all of them.
func TestHalvesOutliveARestart(t *testing.T) {
	for name, again := range map[string]func(*rig){"stop": (*rig).restart, "crash": (*rig).crash} {
		for _, after := range []time.Duration{0, time.Second, 10 * time.Second, time.Minute, 119 * time.Second} {
			bubbleNamed(t, fmt.Sprint(name, " after ", after), slowJobs, func(t *testing.T, r *rig) {
				const n = 300
				r.many(n)
				g := r.behindGateway()
				r.round(n, 1)
				r.drain(time.Hour)
				r.poison("u7")
				g.fail(110*time.Second, 105*time.Second, 100*time.Second)
				r.round(n, 2)
				time.Sleep(after)
				r.round(n, 3)
				again(r)
				time.Sleep(15 * time.Minute)
				if behind := r.behind(n, 3); len(behind) > 1 {
					t.Errorf("%d wait on: %v", len(behind), behind)
				}
				r.box.ClearFaults()
				if l := r.drain(2 * time.Hour); l.Delivered != 4*n || l.Dead != 0 {
					t.Errorf("ledger %+v", l)
				}
				r.at(n, 3)
				r.neverBackwards("cf_seq")
			})
		}
	}
}
