package segment

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// ErrPath says that a path of an edit is none that may be edited. Its text names the path and what would be one.
var ErrPath = errors.New("this path cannot be edited")

// editable are the parts of a call that an operator may change. Who a call is about, when it happened and what it is stay as
// they were: its place among the calls of its user rests on them.
var editable = []string{"traits", "context", "integrations"} //nolint:gochecknoglobals // a list nobody writes to

// maxDepth of an edited path is what no call needs.
const maxPathParts = 20

// EditPath splits a dotted path like traits.plan or traits.address.city; a backslash before a dot makes it part of a key.
// Error: ErrPath.
func EditPath(path string) ([]string, error) {
	const mark = "\x00"
	parts := strings.Split(strings.ReplaceAll(path, `\.`, mark), ".")
	for i, part := range parts {
		if parts[i] = strings.ReplaceAll(part, mark, "."); parts[i] == "" {
			return nil, fmt.Errorf("%w: %q has an empty part", ErrPath, path)
		}
	}
	for _, first := range editable {
		if parts[0] == first && len(parts) > 1 && len(parts) <= maxPathParts {
			return parts, nil
		}
	}
	return nil, fmt.Errorf("%w: %q: use one below %s, like traits.plan", ErrPath, path, strings.Join(editable, ", "))
}

// Edit returns a call's body with the value at the path, or without what is there if value is nil. What is no object on the way
// becomes one. The rest keeps its bytes. Errors: ErrPath, or one that says that body or value is no JSON; none holds a value.
func Edit(body []byte, path string, value json.RawMessage) ([]byte, error) {
	parts, err := EditPath(path)
	if err != nil {
		return nil, err
	}
	if value != nil && !json.Valid(value) {
		return nil, fmt.Errorf("%w: the value for %q is not JSON", ErrPath, path)
	}
	return edit(body, parts, value)
}

func edit(raw []byte, parts []string, value json.RawMessage) ([]byte, error) {
	if !IsObject(raw) {
		raw = []byte("{}")
	}
	o, err := ParseObject(raw)
	if err != nil {
		return nil, err
	}
	key := parts[0]
	switch {
	case len(parts) > 1:
		if value == nil && !IsObject(o.Get(key)) {
			return raw, nil // nothing is there to remove
		}
		if value, err = edit(o.Get(key), parts[1:], value); err != nil {
			return nil, err
		}
		o.Set(key, value)
	case value == nil:
		o.Cut(key)
	default:
		o.Set(key, value)
	}
	return o.Bytes(), nil
}
