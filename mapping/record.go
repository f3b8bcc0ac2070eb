package mapping

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// recordVersion is the version of the stored form. A change that older programs would misread counts it up.
const recordVersion = 1

// ErrRecordVersion says that a record was stored by another version of the program.
var ErrRecordVersion = errors.New("record of an unknown version")

// Record is what is remembered of one user. It holds hashes of what was sent, no values.
type Record struct {
	// ContactID is the contact's id in the account, and in the record of a company that of its sales account; "" while none
	// is known.
	ContactID string `json:"c,omitempty"`
	// Pos is the log position of the user's last settled call. The worker sets it.
	Pos uint64 `json:"p,omitempty"`
	// Fields are those that a call has spoken of, by API name.
	Fields map[string]FieldRecord `json:"f,omitempty"`
	// Replaced is the clock of each source's newest ordinary identify.
	Replaced map[string]Clock `json:"r,omitempty"`
	// Ring remembers message ids, to find duplicates.
	Ring Ring `json:"d,omitzero"`
	// Links are the companies that the user was said to belong to, by Call.Group.
	Links map[string]Link `json:"l,omitempty"`
	// Broken says that the newest call of a company was set aside, so its account may yet come by a replay, or an identify of a user,
	// with his contact. The worker sets it.
	Broken bool `json:"b,omitempty"`
	// Aliased are the alias calls that have the user as their previousId. Each gave its contact to another userId, if it came
	// off; Given says that one surely did.
	Aliased []Alias `json:"h,omitempty"`
	Given   bool    `json:"y,omitempty"`
	// Marked is what former programs stored instead of both: there was an alias call, to whom and with what end is not known.
	Marked bool `json:"q,omitempty"`
	// Previous are the tokens of users whose contact alias calls gave to this one, and of those whom it came from in turn.
	Previous []string `json:"o,omitempty"`
	// Taken is, by their tokens, the log position of the newest alias call by which each came, of its first half: Alias.Pos. None
	// where it is not known.
	Taken map[string]uint64 `json:"k,omitempty"`
	// Suppressed is when the user was erased, in unix seconds: nothing is taken of one who was. 0: was not, or may come again.
	Suppressed int64 `json:"x,omitempty"`
	// Allowed is the log position of the newest call that let an erased user come again.
	Allowed uint64 `json:"a,omitempty"`
	// Gone are letters settled by a replay whose deletion may be outstanding. The worker sets it.
	Gone []uint64 `json:"g,omitempty"`
	// Intent is of a record of activities alone. The worker sets it.
	Intent *Intent `json:"i,omitempty"`
}

// FieldRecord is what is remembered of one field.
type FieldRecord struct {
	Clock      // of the newest call that set or explicitly emptied the field
	Hash  Hash `json:"h,omitempty"`
	// Src is the source whose ordinary identify set the field last; "" when a partial call did.
	Src string `json:"s,omitempty"`
	// Sent is when the value was sent last, in unix seconds; 0 if it never was.
	Sent int64 `json:"u,omitempty"`
	// Omitted is, by source, the clock of the newest ordinary identify that left the field out. It stands here only
	// where that is not the source's Replaced, because a newer one carried a value that could not be used: such a
	// call neither sets nor empties the field.
	Omitted map[string]Clock `json:"o,omitempty"`
}

// stored is the form on disk.
type stored struct {
	Version int `json:"v"`
	Record
}

// DecodeRecord reads a stored record. Without bytes it is the record of an unknown user. The error wraps
// ErrRecordVersion for a record of another version, and holds nothing of the content.
func DecodeRecord(b []byte) (Record, error) {
	if len(b) == 0 {
		return Record{}, nil
	}
	var head struct {
		Version int `json:"v"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return Record{}, fmt.Errorf("decode record: %w", err)
	}
	if head.Version != recordVersion {
		return Record{}, fmt.Errorf("%w: %d, this program reads %d", ErrRecordVersion, head.Version, recordVersion)
	}
	var s stored
	if err := json.Unmarshal(b, &s); err != nil {
		return Record{}, fmt.Errorf("decode record: %w", err)
	}
	return s.Record, nil
}

// Encode gives the stored form.
func (r Record) Encode() ([]byte, error) {
	b, err := json.Marshal(stored{Version: recordVersion, Record: r})
	if err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	return b, nil
}

// Clone gives a copy that shares nothing that is ever changed: Omitted is replaced as a whole.
func (r Record) Clone() Record {
	r.Fields = maps.Clone(r.Fields)
	r.Replaced = maps.Clone(r.Replaced)
	r.Links = maps.Clone(r.Links)
	r.Ring = r.Ring.clone()
	r.Gone = slices.Clone(r.Gone)
	r.Aliased, r.Previous, r.Taken = slices.Clone(r.Aliased), slices.Clone(r.Previous), maps.Clone(r.Taken)
	return r
}

// ForgetContact is for a contact that is gone, or turned out to be somebody else's: it forgets the id and what was sent,
// so that the next change finds or makes a contact and carries every value again. Clocks and the ring stay.
func (r *Record) ForgetContact() {
	r.ContactID = ""
	r.Fields = maps.Clone(r.Fields) // the record may be a copy that shares them
	for name, f := range r.Fields {
		// Nothing of ours is in the contact to come, so there is nothing to empty there either.
		f.Hash, f.Sent = hashEmpty, 0
		r.Fields[name] = f
	}
	r.forgetLinks()
}

// ForgetSent is for a value that the API took without storing it: the next call that carries the field sends it again,
// and the next that leaves it out empties it.
func (r *Record) ForgetSent(field string) {
	if f, ok := r.Fields[field]; ok {
		f.Hash, f.Sent = hashUnknown, 0
		r.Fields = maps.Clone(r.Fields)
		r.Fields[field] = f
	}
}

// ForgetSentUntil is for somebody who wants the values sent again that were sent up to a time (unix seconds). What they
// were is still known, so leaving them out still empties their fields.
func (r *Record) ForgetSentUntil(t int64) {
	if t == 0 {
		return
	}
	r.Fields = maps.Clone(r.Fields) // the record may be a copy that shares them
	for name, f := range r.Fields {
		if f.Sent <= t {
			f.Sent = 0
			r.Fields[name] = f
		}
	}
	r.forgetLinksUntil(t)
}

// Doubt is for a value that may have been stored and may not, and that is not sent again for now: sent is the field as it
// would be had it been stored. Its clock does not count, so the call can still be sent, but the next call of the same
// source that leaves the field out empties it.
func (r *Record) Doubt(field string, sent FieldRecord) {
	f := r.field(field)
	f.Hash, f.Sent, f.Src = hashUnknown, 0, sent.Src
	r.Fields = maps.Clone(r.Fields)
	r.setField(field, f)
}

// Filled are the names of the fields that hold something we sent, sorted.
func (r *Record) Filled() []string {
	var names []string
	for name, f := range r.Fields {
		if f.Hash != hashEmpty && f.Hash != hashUnknown {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Remember notes a call in the ring. Fold does so for the calls it delivers; it is for a worker that settles a call
// in another way and wants its duplicates found.
func (r *Record) Remember(source, messageID string, received time.Time) {
	r.Ring.add(hashMessage(source, messageID), received)
}

// field gives what is remembered of a field. Of one that no call spoke of, that it is empty as far as we are concerned:
// never emptied without being told to.
func (r *Record) field(name string) FieldRecord {
	if f, ok := r.Fields[name]; ok {
		return f
	}
	return FieldRecord{Hash: hashEmpty}
}

func (r *Record) setField(name string, f FieldRecord) {
	if r.Fields == nil {
		r.Fields = make(map[string]FieldRecord)
	}
	r.Fields[name] = f
}
