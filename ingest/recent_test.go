package ingest

import (
	"fmt"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/segment"
)

func TestRecentCallsAreForgotten(t *testing.T) {
	t.Parallel()
	r, at := newRecent(), time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	key := func(source, user, id string) uint64 {
		return r.key(segment.Received{Source: source, MessageID: id}, user)
	}
	one := key("website", "ann", "m")
	if r.has(one, at) {
		t.Error("known before it was stored")
	}
	r.learn([]uint64{one}, at)
	for name, other := range map[string]uint64{
		"source": key("app", "ann", "m"), "user": key("website", "bob", "m"), "id": key("website", "ann", "n"), "parts": key("websitea", "nn", "m"),
	} {
		if r.has(other, at) {
			t.Errorf("another %s passes for the same", name)
		}
	}
	if !r.has(one, at) || !r.has(one, at.Add(recentAge)) || r.has(one, at.Add(3*recentAge)) {
		t.Error("it should be known for one generation to two")
	}
	r.learn([]uint64{one}, at)
	for n := range 3 * recentCalls {
		r.learn([]uint64{key("website", "ann", fmt.Sprint(n))}, at)
	}
	if len(r.now) > recentCalls || len(r.old) > recentCalls || r.has(one, at) {
		t.Errorf("%d and %d are remembered", len(r.now), len(r.old))
	}
}
