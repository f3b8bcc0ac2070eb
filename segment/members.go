package segment

import (
	"bytes"
	"encoding/json"
	"iter"
)

// Member is one member of a JSON object. Raw is the value as it stands there, byte for byte.
type Member struct {
	Key string
	Raw []byte

	// name is the key as it stands there, with quotes and escapes; nil for a member we made.
	name []byte
}

// Members lists the top-level members of a JSON object in document order, repeated keys included. The values are
// slices of obj. It returns a *SyntaxError for what is not JSON, and ErrNotObject for other values.
func Members(obj []byte) ([]Member, error) {
	o, err := ParseObject(obj)
	if err != nil {
		return nil, err
	}
	return o.members, nil
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
	s := scanner{b: obj}
	if !s.take('{') {
		return nil, false
	}
	s.space()
	key := s.i
	end, ok := stringEnd(obj, key)
	if s.i = end; !ok || len(name) != end-key-2 || string(obj[key+1:end-1]) != name || !s.take(':') {
		return nil, false
	}
	s.space()
	start := s.i
	if !s.value() {
		return nil, false
	}
	raw := obj[start:s.i:s.i]
	if !s.take('}') || !s.done() {
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

// Elements yields the elements of a JSON array, each as it stands there. It yields an error, and then nothing more, if arr
// is not an array (ErrNotArray) or not JSON (*SyntaxError).
func Elements(arr []byte) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for o, err := range elements(arr, 0) {
			if !yield(o.raw, err) {
				return
			}
		}
	}
}

// IsObject and IsArray tell by the first byte what kind of value comes.
func IsObject(b []byte) bool { return startsWith(b, '{') }

// IsArray is described at IsObject.
func IsArray(b []byte) bool { return startsWith(b, '[') }

// Trim takes the whitespace of JSON off both ends.
func Trim(b []byte) []byte { return bytes.Trim(b, " \t\r\n") }

func startsWith(b []byte, ch byte) bool { return at(b, pastSpace(b, 0)) == ch }

func (m Member) quoted() []byte {
	if m.name != nil {
		return m.name
	}
	// Marshalling a string cannot fail.
	name, _ := json.Marshal(m.Key)
	return name
}

// Quote is s as a JSON string.
func Quote(s string) []byte { return appendQuoted(nil, s) }
