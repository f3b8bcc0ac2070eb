package segment

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// maxNesting is how deep JSON can nest to be JSON at all. It is the limit of encoding/json; that of an event is MaxDepth.
const maxNesting = 10_000

// A scanner reads JSON text once, from front to back. On the way it checks the text against the grammar, measures it and
// finds the members of an object. It takes for JSON exactly what encoding/json takes for it.
type scanner struct {
	b []byte
	i int // the next byte; or, where the text stops being JSON, the first that is wrong

	shape   Shape    // of the values so far
	members []Member // of the last value, if that is an object
	most    int      // members that are kept
}

// value moves past the value that begins at the next byte. It does not recurse, and keeps a byte for every level that is
// open, so that hostile nesting costs next to nothing.
func (s *scanner) value() bool {
	var few [MaxDepth]byte
	due := few[:0] // the closing brackets of what is open
	var name []byte
	s.members = s.members[:0]
	b, i, start := s.b, s.i, 0
	for {
		if n := len(due); n > 0 && due[n-1] == '}' {
			end, ok := stringEnd(b, i)
			if !ok {
				return s.stop(end)
			}
			if n == 1 {
				name = b[i:end:end]
			}
			if i = pastSpace(b, end); at(b, i) != ':' {
				return s.stop(i)
			}
			i = pastSpace(b, i+1)
			s.shape.Keys++
		}
		if len(due) == 1 {
			start = i
		}
		if c := at(b, i); c == '{' || c == '[' {
			if len(due) == maxNesting {
				return s.stop(i)
			}
			s.shape.Depth = max(s.shape.Depth, len(due)+1)
			closing := c + 2 // in ASCII
			if i = pastSpace(b, i+1); at(b, i) != closing {
				due = append(due, closing)
				continue
			}
			i++
		} else if end, ok := scalarEnd(b, i); ok {
			i = end
		} else {
			return s.stop(end)
		}
		// A value has ended, and it may have been the last one of what it is in.
		for {
			if len(due) == 0 {
				s.i = i
				return true
			}
			if len(due) == 1 && due[0] == '}' {
				s.keep(name, b[start:i:i])
			}
			i = pastSpace(b, i)
			if at(b, i) == ',' {
				i = pastSpace(b, i+1)
				break
			}
			if at(b, i) != due[len(due)-1] {
				return s.stop(i)
			}
			due = due[:len(due)-1]
			i++
		}
	}
}

func (s *scanner) stop(i int) bool {
	s.i = i
	return false
}

// keep adds a member of the object that is being read. The capacities of both slices end with them, so that appending can
// never write into a neighbour.
func (s *scanner) keep(name, raw []byte) {
	if len(s.members) == s.most {
		return
	}
	if len(s.members) == cap(s.members) {
		// Segment's calls have about a dozen members; append would grow a long list by a quarter, and copy it the more often.
		s.members = slices.Grow(s.members, max(16, len(s.members)))
	}
	key := usualKey(name)
	if key == "" {
		key, _ = unquote(name) // it is a string, as has been checked
	}
	s.members = append(s.members, Member{Key: key, Raw: raw, name: name})
}

// text moves past a value that is the whole text, but for whitespace around it.
func (s *scanner) text() bool {
	s.space()
	return s.value() && s.done()
}

// take moves past ch and any whitespace before it. It returns false, and stays before it, if something else comes.
func (s *scanner) take(ch byte) bool {
	s.space()
	if at(s.b, s.i) != ch {
		return false
	}
	s.i++
	return true
}

// done says that only whitespace is left.
func (s *scanner) done() bool {
	s.space()
	return s.i == len(s.b)
}

func (s *scanner) space() { s.i = pastSpace(s.b, s.i) }

// wrong is the error for text that is not JSON.
func (s *scanner) wrong() error {
	return &SyntaxError{Offset: int64(max(min(s.i, len(s.b)-1), 0))}
}

// scalarEnd returns the index after the string, number or literal that begins at i, or else the index of the byte that
// is wrong in it.
func scalarEnd(b []byte, i int) (int, bool) {
	switch c := at(b, i); {
	case c == '"':
		return stringEnd(b, i)
	case c == '-' || isDigit(c):
		return numberEnd(b, i)
	case c == 't':
		return literalEnd(b, i, "true")
	case c == 'f':
		return literalEnd(b, i, "false")
	case c == 'n':
		return literalEnd(b, i, "null")
	}
	return i, false
}

func literalEnd(b []byte, i int, word string) (int, bool) {
	for k := range len(word) {
		if at(b, i+k) != word[k] {
			return i + k, false
		}
	}
	return i + len(word), true
}

func numberEnd(b []byte, i int) (int, bool) {
	if at(b, i) == '-' {
		i++
	}
	end, ok := digitsEnd(b, i)
	if at(b, i) == '0' {
		end = i + 1
	}
	if ok && at(b, end) == '.' {
		end, ok = digitsEnd(b, end+1)
	}
	if ok && at(b, end)|0x20 == 'e' {
		end++
		if at(b, end) == '+' || at(b, end) == '-' {
			end++
		}
		end, ok = digitsEnd(b, end)
	}
	return end, ok
}

// digitsEnd wants at least one digit.
func digitsEnd(b []byte, i int) (int, bool) {
	first := i
	for isDigit(at(b, i)) {
		i++
	}
	return i, i > first
}

// stringEnd is scalarEnd for what has to be a string. Bytes that are not UTF-8 are let through.
func stringEnd(b []byte, i int) (int, bool) {
	if at(b, i) != '"' {
		return i, false
	}
	for i++; ; {
		i = plainEnd(b, i)
		switch at(b, i) {
		case '"':
			return i + 1, true
		case '\\':
			var ok bool
			if i, ok = escapeEnd(b, i); !ok {
				return i, false
			}
		default:
			return i, false
		}
	}
}

// plainEnd returns the index of the first byte from i on that does not stand for itself in a string: a quote, a backslash
// or a control character. It looks at eight bytes at a time.
func plainEnd(b []byte, i int) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		quote, slash := w^ones*'"', w^ones*'\\'
		// x-ones sets the top bit of the lowest byte that was 0, and of no byte below it; likewise for bytes below ' '.
		if found := ((quote-ones)&^quote | (slash-ones)&^slash | (w-ones*' ')&^w) & tops; found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for i < len(b) && b[i] != '"' && b[i] != '\\' && b[i] >= ' ' {
		i++
	}
	return i
}

func escapeEnd(b []byte, i int) (int, bool) {
	switch i++; at(b, i) {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1, true
	case 'u':
		for range 4 {
			if i++; !isHex(at(b, i)) {
				return i, false
			}
		}
		return i + 1, true
	}
	return i, false
}

// at is b[i], and behind the end a byte that no JSON has.
func at(b []byte, i int) byte {
	if i < len(b) {
		return b[i]
	}
	return 0
}

func pastSpace(b []byte, i int) int {
	for i < len(b) && b[i] <= ' ' && isSpace(b[i]) {
		i++
	}
	return i
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isHex(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }
