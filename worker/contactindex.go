package worker

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/freshrelay/freshrelay/freshmarketer"
)

// digest stands for a userId or an address: 80 bits of a hash that is keyed with the store's key. The zero digest: none.
type digest [16]byte

// indexed is one contact of the index.
type indexed struct {
	id              int64
	external, email digest
}

const indexedBytes = 40 // of one contact in the stored form

// contactIndex knows an account's contacts by what they are found by. It holds no personal data, and 72 bytes a contact.
// Contacts that are made after it was sealed are not in it: whoever finds nothing here still has to ask the account.
type contactIndex struct {
	list            []indexed // sorted by id once it is sealed
	external, email []indexKey
	sealed          bool
}

// indexKey finds contacts by the beginning of a digest, as it was when the index was sealed.
type indexKey struct {
	key uint64
	at  uint32
}

func (d digest) key() uint64 { return binary.BigEndian.Uint64(d[:8]) }

// put notes how a contact is now. Of a sealed index only contacts that are in it can change.
func (x *contactIndex) put(e indexed) {
	if !x.sealed {
		x.list = append(x.list, e)
	} else if at, ok := x.find(e.id); ok {
		x.list[at] = e
	}
}

func (x *contactIndex) find(id int64) (int, bool) {
	return slices.BinarySearchFunc(x.list, id, func(e indexed, id int64) int { return cmp.Compare(e.id, id) })
}

// contact is what is known of a contact.
func (x *contactIndex) contact(id int64) (indexed, bool) {
	if at, ok := x.find(id); ok && x.sealed {
		return x.list[at], true
	}
	return indexed{}, false
}

// seal makes the index ready to be asked. Of a contact that was put twice the later one counts.
func (x *contactIndex) seal() {
	slices.SortStableFunc(x.list, func(a, b indexed) int { return cmp.Compare(a.id, b.id) })
	kept := x.list[:0]
	for i, e := range x.list {
		if i+1 == len(x.list) || x.list[i+1].id != e.id {
			kept = append(kept, e)
		}
	}
	x.list, x.sealed = slices.Clip(kept), true
	x.external, x.email = make([]indexKey, 0, len(x.list)), make([]indexKey, 0, len(x.list))
	for at, e := range x.list {
		if e.external != (digest{}) {
			x.external = append(x.external, indexKey{e.external.key(), uint32(at)})
		}
		if e.email != (digest{}) {
			x.email = append(x.email, indexKey{e.email.key(), uint32(at)})
		}
	}
	for _, keys := range [][]indexKey{x.external, x.email} {
		slices.SortFunc(keys, func(a, b indexKey) int { return cmp.Compare(a.key, b.key) })
	}
}

// lookup returns the one contact that has this userId, or this address and none with the userId. ok is false if there is
// none, and if there are several.
func (x *contactIndex) lookup(user, email digest) (e indexed, ok bool) {
	if e, n := x.only(x.external, user, func(e indexed) digest { return e.external }); n > 0 {
		return e, n == 1
	}
	e, n := x.only(x.email, email, func(e indexed) digest { return e.email })
	return e, n == 1
}

// only returns a contact with the digest and how many there are.
func (x *contactIndex) only(keys []indexKey, d digest, of func(indexed) digest) (found indexed, n int) {
	if d == (digest{}) {
		return found, 0
	}
	at, _ := slices.BinarySearchFunc(keys, d.key(), func(k indexKey, key uint64) int { return cmp.Compare(k.key, key) })
	for ; at < len(keys) && keys[at].key == d.key(); at++ {
		if e := x.list[keys[at].at]; of(e) == d {
			found = e
			n++
		}
	}
	return found, n
}

// encodeIndexed is the stored form.
func encodeIndexed(list []indexed) []byte {
	data := make([]byte, 0, len(list)*indexedBytes)
	for _, e := range list {
		data = binary.BigEndian.AppendUint64(data, uint64(e.id))
		data = append(append(data, e.external[:]...), e.email[:]...)
	}
	return data
}

func decodeIndexed(data []byte) ([]indexed, error) {
	if len(data)%indexedBytes != 0 {
		return nil, errors.New("a part of the index of contacts has a wrong length")
	}
	list := make([]indexed, len(data)/indexedBytes)
	for i := range list {
		raw := data[i*indexedBytes:]
		list[i].id = int64(binary.BigEndian.Uint64(raw))
		copy(list[i].external[:], raw[8:])
		copy(list[i].email[:], raw[24:])
	}
	return list, nil
}

// hashes makes digests with the store's key.
type hashes struct {
	user func(userID string) string // (*queue.Store).User
}

// lane is the digest of a userId, given the name of its lane.
func (h hashes) lane(name string) (d digest) {
	copy(d[:], name)
	return d
}

func (h hashes) email(address string) (d digest) {
	if address = strings.ToLower(strings.TrimSpace(address)); address != "" {
		copy(d[:], h.user("address "+address))
	}
	return d
}

// indexed is a contact as the account shows it; ok is false if it cannot be in an index.
func (h hashes) indexed(c freshmarketer.Contact) (e indexed, ok bool) {
	id, err := strconv.ParseInt(c.ID, 10, 64)
	if err != nil {
		return e, false
	}
	e = indexed{id: id, email: h.email(c.Email)}
	if c.ExternalID != "" {
		e.external = h.lane(h.user(c.ExternalID))
	}
	return e, true
}
