package queue

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Limits of a pack. 500 stays below positionStep, so that an index never collides with the next pack; 512 KB stays
// below the broker's default max_payload of 1 MB (NATS documentation, "max_payload").
const (
	maxPackItems = 500
	maxPackBytes = 512 << 10
	positionStep = 1000

	packVersion = 1
)

// Kind says what an item of the log is.
type Kind byte

// Kinds of items.
const (
	KindEvent  Kind = 1 // an event; Data is what Publish was given
	KindReplay Kind = 2 // a command about the user's dead letter at position Letter; Order says what
	kindFill   Kind = 4 // in packs: bytes that mean nothing, see Partition.Erase; never read
	kindOrder  Kind = 3 // in packs: a command whose order is not the zero one; read as KindReplay
)

// Item is one entry of the log, as the owner reads it.
type Item struct {
	Kind     Kind
	User     string // token of the lane
	Position uint64 // of this item in the log: pack sequence × 1000 + index
	Letter   uint64 // KindReplay: position of the letter's event
	Order    Order  // KindReplay: what to do with it
	Data     []byte // KindEvent
}

// packed is an item on its way into a pack.
type packed struct {
	kind     Kind
	digest   [userBytes]byte
	activity bool // for the log of activities
	erases   bool // see Entry
	letter   uint64
	data     []byte
}

func (p packed) isActivity() bool { return p.activity }

// yields says that the item is not taken while activities have as much of the log as they may.
func (p packed) yields() bool { return p.activity && !p.erases }

func (p packed) size() int {
	return 1 + userBytes + binary.MaxVarintLen64 + len(p.data)
}

// maxEntryBytes is the largest entry that fits into a pack of its own.
const maxEntryBytes = maxPackBytes - 64

// encodePack writes: version, then per item: kind, 16 bytes of digest, and a length with data (event, command with
// an order) or a position (replay).
func encodePack(items []packed) []byte {
	size := 1
	for _, it := range items {
		size += it.size()
	}
	buf := make([]byte, 1, size)
	buf[0] = packVersion
	for _, it := range items {
		buf = append(buf, byte(it.kind))
		buf = append(buf, it.digest[:]...)
		if it.kind == KindReplay {
			buf = binary.AppendUvarint(buf, it.letter)
			continue
		}
		buf = binary.AppendUvarint(buf, uint64(len(it.data)))
		buf = append(buf, it.data...)
	}
	return buf
}

var errPack = errors.New("the pack is damaged")

// decodePack is the inverse of encodePack. The items' Data point into buf.
func decodePack(seq uint64, buf []byte) ([]Item, error) {
	if len(buf) == 0 || buf[0] != packVersion {
		return nil, fmt.Errorf("%w: pack %d has an unknown version", errPack, seq)
	}
	buf = buf[1:]
	var items []Item
	for len(buf) > 0 {
		if len(items) >= positionStep {
			return nil, fmt.Errorf("%w: pack %d has more than %d items", errPack, seq, positionStep)
		}
		item, rest, err := decodeItem(buf)
		if err != nil {
			return nil, fmt.Errorf("pack %d, item %d: %w", seq, len(items), err)
		}
		if buf = rest; item.Kind == kindFill {
			continue
		}
		item.Position = seq*positionStep + uint64(len(items))
		items = append(items, item)
	}
	return items, nil
}

func decodeItem(buf []byte) (Item, []byte, error) {
	if len(buf) < 1+userBytes {
		return Item{}, nil, fmt.Errorf("%w: cut short", errPack)
	}
	item := Item{Kind: Kind(buf[0]), User: token([userBytes]byte(buf[1 : 1+userBytes]))}
	n, used := binary.Uvarint(buf[1+userBytes:])
	if used <= 0 {
		return Item{}, nil, fmt.Errorf("%w: cut short", errPack)
	}
	rest := buf[1+userBytes+used:]
	switch item.Kind {
	case KindReplay:
		item.Letter = n
		return item, rest, nil
	case KindEvent, kindOrder, kindFill:
		if n > uint64(len(rest)) {
			return Item{}, nil, fmt.Errorf("%w: cut short", errPack)
		}
		if item.Kind == kindOrder {
			return item, rest[n:], item.decodeOrder(rest[:n])
		}
		item.Data = rest[:n:n]
		return item, rest[n:], nil
	}
	return Item{}, nil, fmt.Errorf("%w: unknown kind %d", errPack, item.Kind)
}
