package segment

// A cursor walks over JSON text and finds where values begin and end. It does not judge the values: that is
// Validate's work, which comes first wherever it matters. On text that is not JSON it stops or finds nonsense, but
// stays within the text.
type cursor struct {
	b []byte
	i int
}

// space moves past whitespace.
func (c *cursor) space() {
	for c.i < len(c.b) && isSpace(c.b[c.i]) {
		c.i++
	}
}

// take moves past ch and any whitespace before it. It returns false, and stays, if something else comes.
func (c *cursor) take(ch byte) bool {
	c.space()
	if c.i >= len(c.b) || c.b[c.i] != ch {
		return false
	}
	c.i++
	return true
}

// text returns the string that comes next, with its quotes.
func (c *cursor) text() ([]byte, bool) {
	c.space()
	if c.i >= len(c.b) || c.b[c.i] != '"' {
		return nil, false
	}
	return c.upTo(stringEnd(c.b, c.i))
}

// value returns the value that comes next.
func (c *cursor) value() ([]byte, bool) {
	c.space()
	return c.upTo(valueEnd(c.b, c.i))
}

// done says that only whitespace is left.
func (c *cursor) done() bool {
	c.space()
	return c.i == len(c.b)
}

func (c *cursor) upTo(end int) ([]byte, bool) {
	if end < 0 {
		return nil, false
	}
	// The capacity ends with the value, so that appending to it can never write into its neighbour.
	raw := c.b[c.i:end:end]
	c.i = end
	return raw, true
}

// stringEnd returns the index after the string that begins at i, or -1 if it does not end.
func stringEnd(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// valueEnd returns the index after the value that begins at i, or -1 if there is none or it does not end.
func valueEnd(b []byte, i int) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		return stringEnd(b, i)
	case '{', '[':
		return compositeEnd(b, i)
	}
	start := i
	for i < len(b) && !isDelimiter(b[i]) {
		i++
	}
	if i == start {
		return -1
	}
	return i
}

// compositeEnd is valueEnd for an object or array. It counts levels and needs no stack, because it need not tell
// the brackets apart.
func compositeEnd(b []byte, i int) int {
	depth := 0
	for ; i < len(b); i++ {
		switch b[i] {
		case '"':
			end := stringEnd(b, i)
			if end < 0 {
				return -1
			}
			i = end - 1
		case '{', '[':
			depth++
		case '}', ']':
			depth--
			if depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func isDelimiter(c byte) bool {
	switch c {
	case ',', ':', '{', '}', '[', ']', '"':
		return true
	}
	return isSpace(c)
}
