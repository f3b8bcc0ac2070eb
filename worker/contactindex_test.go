package worker

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	fm "github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/queue/queuetest"
)

// testHashes stands for a store's key.
func testHashes() hashes {
	return hashes{user: func(v string) string { return fmt.Sprintf("%016x0000000000", fnv(v)) }}
}

func fnv(v string) (n uint64) {
	n = 14695981039346656037
	for _, c := range []byte(v) {
		n = (n ^ uint64(c)) * 1099511628211
	}
	return n
}

// indexOf makes a sealed index of contacts given as id, userId, address.
func indexOf(t *testing.T, h hashes, contacts ...fm.Contact) *contactIndex {
	t.Helper()
	x := &contactIndex{}
	for _, c := range contacts {
		e, ok := h.indexed(c)
		if !ok {
			t.Fatalf("%+v cannot be in an index", c)
		}
		x.put(e)
	}
	x.seal()
	return x
}

func TestAnIndexFindsTheUsersContactAndNoStrangers(t *testing.T) {
	t.Parallel()
	h := testHashes()
	x := indexOf(t, h,
		fm.Contact{ID: "1", ExternalID: "ann", Email: "old@x.test"},
		fm.Contact{ID: "2", Email: "Bob@X.test"},
		fm.Contact{ID: "3", ExternalID: "stranger", Email: "eve@x.test"},
		fm.Contact{ID: "4", Email: "shared@x.test"}, fm.Contact{ID: "5", Email: "shared@x.test"},
		fm.Contact{ID: "6"},
		fm.Contact{ID: "7", Email: "before@x.test"}, fm.Contact{ID: "7", Email: "after@x.test"}, // read twice
	)
	for _, c := range []struct {
		user, email string
		want        int64 // 0: none, or several
	}{
		{"ann", "new@x.test", 1},
		{"ann", "bob@x.test", 1},
		{"bob", " bob@x.test", 2},
		{"eve", "eve@x.test", 3},
		{"carl", "shared@x.test", 0},
		{"carl", "", 0},
		{"carl", "carl@x.test", 0},
		{"d", "before@x.test", 0},
		{"d", "after@x.test", 7},
	} {
		got, ok := x.lookup(h.lane(h.user(c.user)), h.email(c.email))
		if ok != (c.want != 0) || ok && got.id != c.want {
			t.Errorf("%s, %s: got %d, %t, want %d", c.user, c.email, got.id, ok, c.want)
		}
	}
	if len(x.list) != 7 {
		t.Errorf("%d contacts, want 7", len(x.list))
	}
}

// What is changed after the index was sealed is found neither under what it was nor, before the account is asked, under
// what it is. A contact that was made since is not in it.
func TestAChangedContactIsNotFoundByWhatItWas(t *testing.T) {
	t.Parallel()
	h := testHashes()
	x := indexOf(t, h, fm.Contact{ID: "1", ExternalID: "ann", Email: "ann@x.test"}, fm.Contact{ID: "2", Email: "bob@x.test"})
	for _, c := range []fm.Contact{{ID: "1", ExternalID: "zoe", Email: "ann@x.test"}, {ID: "2", Email: "robert@x.test"}, {ID: "9", Email: "new@x.test"}} {
		e, _ := h.indexed(c)
		x.put(e)
	}
	if _, ok := x.lookup(h.lane(h.user("ann")), digest{}); ok {
		t.Error("ann's contact has become zoe's and is found for ann")
	}
	for _, email := range []string{"bob@x.test", "robert@x.test", "new@x.test"} {
		if e, ok := x.lookup(h.lane(h.user("nobody")), h.email(email)); ok {
			t.Errorf("%s: found %d", email, e.id)
		}
	}
	if is, ok := x.contact(1); !ok || is.external != h.lane(h.user("zoe")) {
		t.Error("the index does not show whose the contact is")
	}
	if _, ok := x.contact(9); ok {
		t.Error("a contact that was made since is in the index")
	}
}

func TestNoAddressOrUserIsInAStoredIndex(t *testing.T) {
	t.Parallel()
	h := testHashes()
	e, _ := h.indexed(fm.Contact{ID: "70000000001", ExternalID: "user-ann", Email: "ann@x.test"})
	data := encodeIndexed([]indexed{e, {id: 2}})
	if bytes.Contains(data, []byte("ann")) || len(data) != 2*indexedBytes {
		t.Errorf("stored: %q", data)
	}
	back, err := decodeIndexed(data)
	if err != nil || !slices.Equal(back, []indexed{e, {id: 2}}) {
		t.Errorf("got %+v, %v", back, err)
	}
}

// What an index holds of a user who was erased can be compared with nothing outside its store.
func TestAnIndexIsKeyedWithItsStore(t *testing.T) {
	t.Parallel()
	const email, user = "ann@x.test", "user-ann"
	one, other := hashes{queuetest.Open(t, t.TempDir()).User}, hashes{queuetest.Open(t, t.TempDir()).User}
	if one.email(email) == other.email(email) || one.lane(one.user(user)) == other.lane(other.user(user)) {
		t.Error("two stores have the same hash")
	}
	if one.email(email) != one.email(" ANN@x.test") || one.email(email) == one.email(user) {
		t.Error("an address has another hash in capitals, or two have the same")
	}
}

func FuzzDecodeIndexed(f *testing.F) {
	f.Add([]byte{})
	f.Add(make([]byte, indexedBytes))
	f.Add(make([]byte, indexedBytes+1))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := decodeIndexed(data)
		if err == nil && !bytes.Equal(encodeIndexed(list), data) {
			t.Errorf("%d bytes do not come back as they were", len(data))
		}
	})
}
