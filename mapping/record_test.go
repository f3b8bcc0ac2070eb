package mapping

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/segment"
)

func fullRecord() Record {
	r := Record{
		ContactID: "70042006456", Pos: 1<<53 + 1, Gone: []uint64{3, 9},
		Fields: map[string]FieldRecord{
			"email":   {Clock: Clock{Time: 1772442904230000001, Pos: 7}, Hash: hashValue("a@b.test"), Src: "website", Sent: 1772442905},
			"city":    {Clock: Clock{Time: 1, Pos: 1<<64 - 1}, Hash: hashEmpty},
			"cf_plan": {Hash: hashUnknown, Omitted: map[string]Clock{"website": {}, "shop": {Time: 5, Pos: 6}}},
		},
		Replaced: map[string]Clock{"website": {Time: 1772442904230000001, Pos: 7}},
	}
	r.Remember("website", "m1", time.Unix(1772442904, 0))
	r.Remember("website", "m2", time.Unix(1772442904+7200, 0))
	return r
}

func TestRecordRoundTrip(t *testing.T) {
	t.Parallel()
	want := fullRecord()
	b, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeRecord(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(Ring{}, seen{})); diff != "" {
		t.Errorf("-encoded +decoded\n%s", diff)
	}
	if !strings.HasPrefix(string(b), `{"v":1,`) {
		t.Errorf("the version is not in front: %s", b)
	}
}

func TestDecodeRecord(t *testing.T) {
	t.Parallel()
	for _, empty := range [][]byte{nil, {}} {
		if r, err := DecodeRecord(empty); err != nil || !cmp.Equal(r, Record{}, cmp.AllowUnexported(Ring{}, seen{})) {
			t.Errorf("without bytes: %+v, %v", r, err)
		}
	}
	for _, other := range []string{`{}`, `{"v":0}`, `{"v":2,"f":["a later form"]}`} {
		if _, err := DecodeRecord([]byte(other)); !errors.Is(err, ErrRecordVersion) {
			t.Errorf("%s: %v", other, err)
		}
	}
	for _, broken := range []string{`x`, `[]`, `{"v":1,"f":1}`, `{"v":1,"d":"!"}`, `{"v":1,"d":"AAAA"}`, `{"v":1,"f":{"a":{"h":"AA"}}}`} {
		if _, err := DecodeRecord([]byte(broken)); err == nil || errors.Is(err, ErrRecordVersion) {
			t.Errorf("%s: %v", broken, err)
		}
	}
}

// TestRecordSize keeps records small: they are committed with every change.
func TestRecordSize(t *testing.T) {
	t.Parallel()
	r := Record{ContactID: "70042006456", Pos: 123456789, Fields: map[string]FieldRecord{}, Replaced: map[string]Clock{"website": {1772442904230000000, 123456789}}}
	for i := range 20 {
		r.Fields[fmt.Sprintf("cf_some_field_%02d", i)] = FieldRecord{
			Clock: Clock{1772442904230000000, 123456789}, Hash: hashValue(fmt.Sprint(i)), Src: "website", Sent: 1772442904,
		}
	}
	for i := range 10 {
		r.Remember("website", fmt.Sprint(i), time.Unix(1772442904, 0))
	}
	b, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > 2560 {
		t.Errorf("twenty fields and ten message ids take %d bytes, aim is 2.5 KB", len(b))
	}
}

func TestForget(t *testing.T) {
	t.Parallel()
	was := fullRecord()
	r := was.Clone()
	r.ForgetSent("email")
	if f := r.Fields["email"]; f.Hash != hashUnknown || f.Sent != 0 || f.Clock != was.Fields["email"].Clock {
		t.Errorf("ForgetSent left %+v", f)
	}
	r.ForgetSent("nothing")
	r.ForgetContact()
	if r.ContactID != "" || r.Ring.Len() != 2 || r.Pos != was.Pos {
		t.Errorf("ForgetContact left %+v", r)
	}
	for name, f := range r.Fields {
		if f.Hash != hashEmpty || f.Sent != 0 || f.Clock != was.Fields[name].Clock || f.Src != was.Fields[name].Src {
			t.Errorf("ForgetContact left %s as %+v", name, f)
		}
	}
	if diff := cmp.Diff(fullRecord(), was, cmp.AllowUnexported(Ring{}, seen{})); diff != "" {
		t.Errorf("a clone's change reached the original\n%s", diff)
	}
	if _, known := r.Fields["nothing"]; known {
		t.Error("forgetting a field made it known")
	}
}

func TestHashes(t *testing.T) {
	t.Parallel()
	seen := map[Hash]any{}
	for _, v := range []any{nil, "", "1", json.Number("1"), true, false, "true", "s1", "12", "a"} {
		h := hashValue(v)
		if other, taken := seen[h]; taken {
			t.Errorf("%v and %v have one hash", v, other)
		}
		if h == hashUnknown {
			t.Errorf("%v hashes to what stands for the unknown", v)
		}
		seen[h] = v
	}
	if hashMessage("ab", "c") == hashMessage("a", "bc") {
		t.Error("a message's source and id run into each other")
	}
}

func TestClocks(t *testing.T) {
	t.Parallel()
	a, b := Clock{Time: 1, Pos: 9}, Clock{Time: 2, Pos: 1}
	if !a.Before(b) || b.Before(a) || a.Before(a) || !(Clock{}).Before(a) || !(Clock{2, 0}).Before(b) {
		t.Error("clocks are not ordered by time, then position")
	}
	for _, at := range []time.Time{{}, time.Unix(-5, 0), time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(1600, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(0, 0)} {
		if got := nanos(at); got != 1 {
			t.Errorf("%v has clock %d, want 1: after never, before everything else", at, got)
		}
	}
	if got := nanos(time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC)); got != 1<<63-1 {
		t.Errorf("the year 3000 has clock %d", got)
	}
	c := Call{Event: segment.Event{Timestamp: time.Unix(20, 3), Received: time.Unix(30, 0)}, Pos: 4}
	if got, want := c.clock(), (Clock{20*1e9 + 3, 4}); got != want {
		t.Errorf("%v, want %v", got, want)
	}
}
