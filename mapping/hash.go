package mapping

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
)

// Hash stands in the record for a value that was sent. Values themselves are never kept.
type Hash uint64

const (
	hashUnknown Hash = iota // the value was forgotten
	hashEmpty               // the field is empty, or was never set by us
	hashFirst               // the first hash of a value
)

// FNV-1a. The hash protects nothing: it answers whether two values are the same.
const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

func fnv(h uint64, s string) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * fnvPrime
	}
	return h
}

// hashValue hashes what coercion returns. The kind of value counts: "1" is not 1.
func hashValue(v any) Hash {
	h := uint64(fnvOffset)
	switch v := v.(type) {
	case nil:
		return hashEmpty
	case string:
		h = fnv(fnv(h, "s"), v)
	case json.Number:
		h = fnv(fnv(h, "n"), v.String())
	case bool:
		h = fnv(h, "f")
		if v {
			h = fnv(h, "t")
		}
	case []string:
		h = fnv(h, "l")
		for _, item := range v {
			h = fnv(fnv(h, item), "\x00")
		}
	}
	if Hash(h) < hashFirst {
		return hashFirst
	}
	return Hash(h)
}

// hashMessage hashes a message id. Ids are the sources' own, so the source is part of it.
func hashMessage(source, messageID string) uint64 {
	return fnv(fnv(fnv(fnvOffset, source), "\x00"), messageID)
}

var errHash = errors.New("not a hash")

// MarshalText writes a hash in eleven characters, and the empty field as "-".
func (h Hash) MarshalText() ([]byte, error) {
	switch h {
	case hashUnknown:
		return nil, nil
	case hashEmpty:
		return []byte("-"), nil
	}
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(h))
	return base64.RawURLEncoding.AppendEncode(nil, b[:]), nil
}

// UnmarshalText reads what MarshalText writes.
func (h *Hash) UnmarshalText(text []byte) error {
	switch string(text) {
	case "":
		*h = hashUnknown
		return nil
	case "-":
		*h = hashEmpty
		return nil
	}
	b, err := base64.RawURLEncoding.AppendDecode(nil, text)
	if err != nil {
		return fmt.Errorf("%w: %w", errHash, err)
	}
	if len(b) != 8 {
		return errHash
	}
	*h = Hash(binary.BigEndian.Uint64(b))
	return nil
}
