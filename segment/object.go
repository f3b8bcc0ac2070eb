package segment

import (
	"iter"
	"math"
	"slices"
)

// Object is a JSON object whose top level can be changed while everything else keeps its bytes.
type Object struct {
	raw     []byte
	members []Member
	shape   Shape
	changed bool
}

// ParseObject checks and splits an object. The Object keeps slices of raw. It returns a *SyntaxError for what is not JSON,
// and ErrNotObject for other values.
func ParseObject(raw []byte) (*Object, error) {
	o := new(Object)
	if err := o.parse(raw, math.MaxInt); err != nil {
		return nil, err
	}
	return o, nil
}

// ParseCall is ParseObject for what ought to be a call, into an Object whose memory may be used again. Of an object with
// more than MaxKeys members it keeps that many: look at its Shape first.
func (o *Object) ParseCall(raw []byte) error { return o.parse(raw, MaxKeys) }

func (o *Object) parse(raw []byte, most int) error {
	s := scanner{b: raw, most: most, members: o.members}
	ok := s.text()
	*o = Object{raw: Trim(raw), members: s.members, shape: s.shape}
	switch {
	case !ok:
		return s.wrong()
	case !IsObject(raw):
		return ErrNotObject
	}
	return nil
}

// Calls yields the elements of a JSON array, each parsed as by ParseCall. The Object is the same one each time, so what is
// needed of it must be taken out before the next. An element that is not an object has no members; its Bytes tell. Errors are those
// of Elements.
func Calls(arr []byte) iter.Seq2[*Object, error] { return elements(arr, MaxKeys) }

// elements is Calls with that many members.
func elements(arr []byte, most int) iter.Seq2[*Object, error] {
	return func(yield func(*Object, error) bool) {
		var o Object
		s := scanner{b: arr, most: most}
		if !s.take('[') {
			yield(&o, ErrNotArray)
			return
		}
		for first := true; !s.take(']'); first = false {
			if !first && !s.take(',') {
				yield(&o, s.wrong())
				return
			}
			s.space()
			start := s.i
			s.shape = Shape{}
			if !s.value() {
				yield(&o, s.wrong())
				return
			}
			o = Object{raw: arr[start:s.i:s.i], members: s.members, shape: s.shape}
			if !yield(&o, nil) {
				return
			}
		}
		if !s.done() {
			yield(&o, s.wrong())
		}
	}
}

// Shape is how the object was built before it was changed.
func (o *Object) Shape() Shape { return o.shape }

// Get returns the value of a key, or nil. Where a key stands twice the last value counts.
func (o *Object) Get(key string) []byte {
	for _, m := range slices.Backward(o.members) {
		if m.Key == key {
			return m.Raw
		}
	}
	return nil
}

// Cut removes a key, however often it stands there.
func (o *Object) Cut(key string) {
	kept := o.members[:0]
	for _, m := range o.members {
		if m.Key != key {
			kept = append(kept, m)
		}
	}
	o.changed = o.changed || len(kept) != len(o.members)
	o.members = kept
}

// Set gives a key a value, at the place where it stood first or else at the end. Repetitions of the key go.
func (o *Object) Set(key string, raw []byte) {
	o.changed = true
	kept, found := o.members[:0], false
	for _, m := range o.members {
		if m.Key == key {
			if found {
				continue
			}
			found = true
			m.Raw = raw
		}
		kept = append(kept, m)
	}
	if !found {
		kept = append(kept, Member{Key: key, Raw: raw})
	}
	o.members = kept
}

// Bytes returns the object as JSON: the original bytes, without whitespace around them, if nothing was changed.
func (o *Object) Bytes() []byte {
	if !o.changed {
		return o.raw
	}
	return Join(o.members)
}

// Merge lays item over base and returns the result: what both have, item decides. With deep, a value that is an
// object on both sides is merged in the same way, at every level; otherwise the whole value is item's. A base or an
// item that is missing or null counts for nothing; an item that is something else than an object wins as it is.
// Nesting is followed as deep as both sides go: check their Shape first. Errors are those of Members.
func Merge(base, item []byte, deep bool) ([]byte, error) {
	if absent(item) {
		return base, nil
	}
	if !IsObject(base) || !IsObject(item) {
		return item, nil
	}
	over, err := Members(item)
	if err != nil {
		return nil, err
	}
	under, err := Members(base)
	if err != nil {
		return nil, err
	}
	over = lastWins(over)
	place := make(map[string]int, len(over))
	for i, m := range over {
		place[m.Key] = i
	}
	for _, m := range lastWins(under) {
		i, both := place[m.Key]
		switch {
		case !both:
			over = append(over, m)
		case deep && IsObject(m.Raw) && IsObject(over[i].Raw):
			if over[i].Raw, err = Merge(m.Raw, over[i].Raw, deep); err != nil {
				return nil, err
			}
		}
	}
	return Join(over), nil
}

// lastWins drops repeated keys: the last value counts, at the first one's place. It reuses the slice.
func lastWins(members []Member) []Member {
	// Up to here comparing every pair is cheaper than a map, and nearly every object is this small.
	const few = 12
	if len(members) <= few {
		return lastWinsFew(members)
	}
	place := make(map[string]int, len(members))
	kept := members[:0]
	for _, m := range members {
		if i, seen := place[m.Key]; seen {
			kept[i].Raw = m.Raw
			continue
		}
		place[m.Key] = len(kept)
		kept = append(kept, m)
	}
	return kept
}

func lastWinsFew(members []Member) []Member {
	kept := members[:0]
next:
	for _, m := range members {
		for i := range kept {
			if kept[i].Key == m.Key {
				kept[i].Raw = m.Raw
				continue next
			}
		}
		kept = append(kept, m)
	}
	return kept
}

// absent says that a value is missing or null.
func absent(raw []byte) bool { return len(raw) == 0 || string(Trim(raw)) == "null" }
