package sandbox_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

func TestQuotaPerHourRolls(t *testing.T) {
	t.Parallel()
	clock := newClock()
	box := newBox(t, sandbox.Options{Now: clock.Now, PerHour: 3, LimitHeaders: true})
	ask := func() result { return api(t, box, "GET", "contacts/filters", nil) }
	for i := range 3 { // at 0, 10 and 20 minutes
		if res := ask(); res.status != 200 || res.header.Get("X-RateLimit-Remaining") != fmt.Sprint(2-i) || res.header.Get("X-RateLimit-Total") != "3" {
			t.Errorf("call %d: got %d %v", i, res.status, res.header)
		}
		clock.pass(10 * time.Minute)
	}
	if res := ask(); res.status != 429 || res.header.Get("Retry-After") != "1800" || res.raw != `{"error_code":429}` {
		t.Errorf("the fourth after 30 minutes: got %d %v %s, want 429 and 1800 s", res.status, res.header, res.raw)
	}
	clock.pass(30*time.Minute - time.Second)
	if res := ask(); res.status != 429 || res.header.Get("Retry-After") != "1" {
		t.Errorf("a second early: got %d %v", res.status, res.header)
	}
	clock.pass(time.Second)
	if res := ask(); res.status != 200 {
		t.Errorf("after an hour: got %d, want 200: the refused ones count for nothing", res.status)
	}
	if res := ask(); res.status != 429 || res.header.Get("Retry-After") != "600" {
		t.Errorf("and the next: got %d %v, want 429 until the second one leaves", res.status, res.header)
	}
	clock.pass(90 * time.Minute)
	if res := ask(); res.header.Get("X-RateLimit-Remaining") != "2" {
		t.Errorf("hours later: %v, want all but this one to be left", res.header)
	}
	if box.Throttled() != 3 {
		t.Errorf("%d throttled, want 3", box.Throttled())
	}
}

func TestQuotaPerMinute(t *testing.T) {
	t.Parallel()
	clock := newClock()
	box := newBox(t, sandbox.Options{Now: clock.Now, PerHour: 100, PerMinute: 2, LimitHeaders: true})
	var got string
	for range 3 {
		res := api(t, box, "GET", "contacts/filters", nil)
		got += fmt.Sprint(res.status, res.header.Get("Retry-After"), " ")
	}
	if got != "200 200 42960 " {
		t.Errorf("got %s, want two answers and then 429 for 60 s", got)
	}
	clock.pass(time.Minute)
	if res := api(t, box, "GET", "contacts/filters", nil); res.status != 200 || res.header.Get("X-RateLimit-Remaining") != "1" {
		t.Errorf("after a minute: got %d %v", res.status, res.header)
	}
}

func TestQuotaIsTheAccounts(t *testing.T) {
	t.Parallel()
	clock := newClock()
	box := newBox(t, sandbox.Options{Now: clock.Now, PerHour: 4, APIKeys: []string{"a", "b"}})
	as := func(key string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", "Token token="+key) }
	}
	api(t, box, "GET", "contacts/filters", nil, as("a"))
	api(t, box, "GET", "contacts/filters", nil, as("wrong")) // not counted: nobody's call
	api(t, box, "GET", "contacts/filters", nil, as("b"))
	box.Spend(2) // people
	if res := api(t, box, "GET", "contacts/filters", nil, as("a")); res.status != 429 {
		t.Errorf("got %d, want 429: all keys and all people share it", res.status)
	}
	if res := api(t, box, "GET", "contacts/filters", nil, as("wrong")); res.status != 401 {
		t.Errorf("a wrong key beyond the quota: got %d, want 401", res.status)
	}
}

func TestThrottleShapes(t *testing.T) {
	t.Parallel()
	tests := map[sandbox.Throttle]struct {
		status int
		retry  string
		raw    string
	}{
		sandbox.ThrottlePlain:  {429, "3600", `{"error_code":429}`},
		sandbox.ThrottleText:   {429, "", "Too many requests"},
		sandbox.ThrottleHidden: {400, "", `{"errors":{"code":400,"message":["UCR contact fetch failure :: response_code :: 429 :: response :: Too many requests"]}}`},
	}
	for shape, want := range tests {
		box := newBox(t, sandbox.Options{Now: newClock().Now, PerHour: 1, Throttle: shape})
		create(t, box, object{"email": "a@x.test"})
		res := api(t, box, "POST", "contacts", object{"contact": object{"email": "b@x.test"}})
		if res.status != want.status || res.raw != want.raw || res.header.Get("Retry-After") != want.retry || len(box.Contacts()) != 1 {
			t.Errorf("%s: got %d %v %s, %d contacts", shape, res.status, res.header, res.raw, len(box.Contacts()))
		}
	}
	if _, err := sandbox.New(sandbox.Options{PerHour: -1}); err == nil {
		t.Error("a negative quota was taken")
	}
}
