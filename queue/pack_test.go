package queue

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPacksComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	id, err := newIdentity(1)
	if err != nil {
		t.Fatal(err)
	}
	a, b := id.digest("a"), id.digest("b")
	items, err := decodePack(7, encodePack([]packed{
		{kind: KindEvent, digest: a, data: []byte("one")}, {kind: KindReplay, digest: b, letter: 123456789}, {kind: KindEvent, digest: b},
	}))
	want := []Item{
		{Kind: KindEvent, User: token(a), Position: 7000, Data: []byte("one")},
		{Kind: KindReplay, User: token(b), Position: 7001, Letter: 123456789},
		{Kind: KindEvent, User: token(b), Position: 7002, Data: []byte{}},
	}
	if diff := cmp.Diff(want, items); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

func TestUserTokensAreKeyedAndTellNothing(t *testing.T) {
	t.Parallel()
	one, _ := newIdentity(1)
	two, _ := newIdentity(1)
	u := token(one.digest("ann@example.test"))
	if len(u) != 26 || u != token(one.digest("ann@example.test")) || u == token(one.digest("bob")) || u == token(two.digest("ann@example.test")) {
		t.Errorf("token %q", u)
	}
	digest, position, err := parseLetterID(letterID(u, 42))
	if err != nil || token(digest) != u || position != 42 {
		t.Error(digest, position, err)
	}
	for _, bad := range []string{"", u, u + ".", u + ".x", "short.1", u + "a.1", u + ".-1", "*.1", u + ".>"} {
		if _, _, err := parseLetterID(bad); err == nil {
			t.Errorf("%q passes for a letter's id", bad)
		}
	}
}

func FuzzDecodePack(f *testing.F) {
	f.Add(encodePack([]packed{{kind: KindEvent, data: []byte("{}")}, {kind: KindReplay, letter: 9}}))
	f.Add([]byte{packVersion})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		items, err := decodePack(1, data)
		if err != nil {
			if !errors.Is(err, errPack) {
				t.Errorf("untyped error %v", err)
			}
			return
		}
		var again []packed
		for _, it := range items {
			raw, err := userEncoding.DecodeString(it.User)
			if err != nil {
				t.Fatal(err)
			}
			again = append(again, packed{kind: it.Kind, digest: [userBytes]byte(raw), letter: it.Letter, data: it.Data})
		}
		second, err := decodePack(1, encodePack(again))
		if diff := cmp.Diff(items, second); diff != "" || err != nil {
			t.Error(diff, err)
		}
	})
}

func TestTheFloorIsBelowEveryOpenItem(t *testing.T) {
	t.Parallel()
	p := newProgress(4)
	at := time.Unix(1000, 0)
	pack := func(seq uint64, n int) {
		items := make([]Item, n)
		for i := range items {
			items[i] = Item{Kind: KindEvent, Position: seq*positionStep + uint64(i)}
		}
		p.read(seq, 0, at.Add(time.Duration(seq)*time.Second), items)
	}
	pack(5, 2)
	pack(6, 1)
	pack(8, 1) // 7 was trimmed
	if got := p.oldest(); !got.Equal(at.Add(5 * time.Second)) {
		t.Errorf("oldest %v", got)
	}
	for _, step := range []struct{ settle, floor uint64 }{{6000, 4}, {5001, 4}, {5000, 6}, {8000, 8}} {
		if err := p.settled(step.settle); err != nil || p.floor != step.floor {
			t.Errorf("after %d the floor is %d, want %d (%v)", step.settle, p.floor, step.floor, err)
		}
	}
	if p.openEvents != 0 || !p.oldest().IsZero() {
		t.Errorf("%d open, oldest %v", p.openEvents, p.oldest())
	}
	pack(9, 1)
	for _, wrong := range []uint64{8000, 9001, 12000} {
		if p.settled(wrong) == nil {
			t.Errorf("settling %d, which is not open, goes unnoticed", wrong)
		}
	}
	if got := p.oldest(); !got.Equal(at.Add(9 * time.Second)) {
		t.Errorf("oldest %v", got)
	}
}

// Broker options that durability rests on.
func TestTheBrokerSyncsEveryWriteAndOpensNoPort(t *testing.T) {
	t.Parallel()
	o := serverOptions(t.TempDir(), "")
	if !o.SyncAlways || !o.DontListen || o.HTTPPort != 0 || o.Cluster.Port != 0 || !bytes.HasSuffix([]byte(o.StoreDir), []byte("jetstream")) {
		t.Errorf("options %+v", o)
	}
}
