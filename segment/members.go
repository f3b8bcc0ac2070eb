package segment

import (
	"bytes"
	"encoding/json"
	"iter"
	"slices"
)

// Member is one member of a JSON object. Raw is the value as it stands there, byte for byte.
type Member struct {
	Key string
	Raw []byte

	// name is the key as it stands there, with quotes and escapes; nil for a member we made.
	name []byte
}

// Members lists the top-level members of a JSON object in document order, repeated keys included. The values are
// slices of obj. It returns ErrNotObject for other values and a *SyntaxError where the object's own punctuation is
// wrong; only Validate vouches for the values inside.
func Members(obj []byte) ([]Member, error) {
	c := cursor{b: obj}
	if !c.take('{') {
		return nil, ErrNotObject
	}
	// Segment's calls have about a dozen members.
	members := make([]Member, 0, 16)
	for first := true; !c.take('}'); first = false {
		if !first && !c.take(',') {
			return nil, c.wrong()
		}
		name, ok := c.text()
		if !ok || !c.take(':') {
			return nil, c.wrong()
		}
		key := usualKey(name)
		if key == "" {
			if key, ok = unquote(name); !ok {
				return nil, c.wrong()
			}
		}
		raw, ok := c.value()
		if !ok {
			return nil, c.wrong()
		}
		if len(members) == cap(members) {
			// append would grow a long list by a quarter, and copy it the more often.
			members = slices.Grow(members, len(members))
		}
		members = append(members, Member{Key: key, Raw: raw, name: name})
	}
	if !c.done() {
		return nil, c.wrong()
	}
	return members, nil
}

// usualKey is a key that nearly every call has, and "" for any other. It spares the door a string for each.
func usualKey(name []byte) string {
	switch string(name) {
	case `"type"`:
		return "type"
	case `"userId"`:
		return "userId"
	case `"anonymousId"`:
		return "anonymousId"
	case `"messageId"`:
		return "messageId"
	case `"timestamp"`:
		return "timestamp"
	case `"originalTimestamp"`:
		return "originalTimestamp"
	case `"receivedAt"`:
		return "receivedAt"
	case `"sentAt"`:
		return "sentAt"
	case `"traits"`:
		return "traits"
	case `"context"`:
		return "context"
	case `"integrations"`:
		return "integrations"
	case `"writeKey"`:
		return "writeKey"
	case `"batch"`:
		return "batch"
	}
	return ""
}

// Only returns the value of an object's only member, if it has one member and that is named so, without escapes. Unlike
// Members it takes no memory, so it can look at what nobody vouches for yet.
func Only(obj []byte, name string) ([]byte, bool) {
	c := cursor{b: obj}
	if !c.take('{') {
		return nil, false
	}
	quoted, ok := c.text()
	if !ok || len(quoted) != len(name)+2 || string(quoted[1:len(quoted)-1]) != name || !c.take(':') {
		return nil, false
	}
	raw, ok := c.value()
	if !ok || !c.take('}') || !c.done() {
		return nil, false
	}
	return raw, true
}

// Join is the reverse of Members: an object with these members, keys and values as they were written.
func Join(members []Member) []byte {
	size := 2
	for _, m := range members {
		size += len(m.Key) + len(m.Raw) + 4
	}
	b := append(make([]byte, 0, size), '{')
	for i, m := range members {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, m.quoted()...)
		b = append(b, ':')
		b = append(b, m.Raw...)
	}
	return append(b, '}')
}

// Elements yields the elements of a JSON array, each as it stands there. It yields an error, and then nothing more,
// if arr is not an array (ErrNotArray) or its own punctuation is wrong (*SyntaxError).
func Elements(arr []byte) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		c := cursor{b: arr}
		if !c.take('[') {
			yield(nil, ErrNotArray)
			return
		}
		for first := true; !c.take(']'); first = false {
			if !first && !c.take(',') {
				yield(nil, c.wrong())
				return
			}
			raw, ok := c.value()
			if !ok {
				yield(nil, c.wrong())
				return
			}
			if !yield(raw, nil) {
				return
			}
		}
		if !c.done() {
			yield(nil, c.wrong())
		}
	}
}

// IsObject and IsArray tell by the first byte what kind of value comes.
func IsObject(b []byte) bool { return startsWith(b, '{') }

// IsArray is described at IsObject.
func IsArray(b []byte) bool { return startsWith(b, '[') }

// Trim takes the whitespace of JSON off both ends.
func Trim(b []byte) []byte { return bytes.Trim(b, " \t\r\n") }

func startsWith(b []byte, ch byte) bool {
	c := cursor{b: b}
	return c.take(ch)
}

func (c *cursor) wrong() error { return &SyntaxError{Offset: int64(c.i)} }

func (m Member) quoted() []byte {
	if m.name != nil {
		return m.name
	}
	// Marshalling a string cannot fail.
	name, _ := json.Marshal(m.Key)
	return name
}
