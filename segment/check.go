package segment

import (
	"errors"
	"fmt"
)

// Errors about JSON that is not what it should be. They hold no content.
var (
	ErrNotObject   = errors.New("not a JSON object")
	ErrNotArray    = errors.New("not a JSON array")
	ErrTooDeep     = fmt.Errorf("JSON nested deeper than %d levels", MaxDepth)
	ErrTooManyKeys = fmt.Errorf("JSON with more than %d keys", MaxKeys)
)

// SyntaxError says that bytes are not JSON.
type SyntaxError struct {
	Offset int64 // of the first byte that is wrong, from 0; of the last byte if more should follow
}

// Error names the place and not what stands there.
func (e *SyntaxError) Error() string { return fmt.Sprintf("malformed JSON at byte %d", e.Offset) }

// Validate checks that b is exactly one JSON value, whitespace around it allowed. It returns a *SyntaxError if not.
// Invalid UTF-8 inside strings is let through, as encoding/json does: reading such a string replaces the bad bytes.
func Validate(b []byte) error {
	s := scanner{b: b}
	if !s.text() {
		return s.wrong()
	}
	return nil
}

// Shape is how an event is built, apart from its size.
type Shape struct {
	Depth int // levels of objects and arrays
	Keys  int // keys of all objects together
}

// Check returns ErrTooDeep or ErrTooManyKeys for a shape beyond the limits of an event.
func (s Shape) Check() error {
	switch {
	case s.Depth > MaxDepth:
		return ErrTooDeep
	case s.Keys > MaxKeys:
		return ErrTooManyKeys
	}
	return nil
}

// Measure counts the levels and keys of a JSON value, up to where it stops being one.
func Measure(b []byte) Shape {
	s := scanner{b: b}
	s.text()
	return s.shape
}
