package mapping

import (
	"testing"
	"time"
)

func TestRing(t *testing.T) {
	t.Parallel()
	at := time.Unix(1772442900, 0)
	var r Ring
	if b, err := r.MarshalText(); len(b) != 0 || err != nil || !r.IsZero() {
		t.Errorf("empty ring: %q, %v", b, err)
	}
	r.add(1, at)
	r.add(1, at)
	if !r.has(1, at.Add(24*time.Hour)) || r.has(1, at.Add(24*time.Hour+time.Minute)) || r.has(2, at) || r.Len() != 1 {
		t.Errorf("one call is remembered for a day: %+v", r)
	}
	r.add(2, at.Add(24*time.Hour))
	if r.Len() != 2 {
		t.Error("a call was forgotten before its day was over")
	}
	r.add(3, at.Add(24*time.Hour+time.Minute))
	if r.has(1, at) || r.Len() != 2 {
		t.Error("a call was remembered for longer than a day")
	}
	r.add(4, at.Add(-time.Hour))
	if r.Len() != 2 {
		t.Error("a call that arrived more than a day before the newest was remembered")
	}
}

func TestRingIsBounded(t *testing.T) {
	t.Parallel()
	at := time.Unix(1772442900, 0)
	var r Ring
	for i := range uint64(1000) {
		r.add(i, at.Add(time.Duration(i)*time.Second))
	}
	if r.Len() != 512 || r.has(487, at) || !r.has(488, at) || !r.has(999, at) {
		t.Errorf("%d calls are remembered", r.Len())
	}
	b, err := r.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > 7000 {
		t.Errorf("a full ring takes %d bytes", len(b))
	}
	var back Ring
	if err := back.UnmarshalText(b); err != nil {
		t.Fatal(err)
	}
	if back.Len() != 512 || back.seen[0] != r.seen[0] || back.seen[511] != r.seen[511] {
		t.Error("a packed ring is another one")
	}
}
