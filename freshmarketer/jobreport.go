package freshmarketer

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// rowFinder recognises the rows of a job in its failure report, whose shape is not documented. It would rather not know
// than take one row for another.
type rowFinder struct {
	rows    []BulkRow
	labels  map[string]string
	byValue map[string]int // by the identifier's value, addresses in lower case; -1 if two rows have it
}

func newRowFinder(rows []BulkRow, labels map[string]string) rowFinder {
	finder := rowFinder{rows: rows, labels: labels, byValue: make(map[string]int, len(rows))}
	for i, row := range rows {
		value := row.Value
		if row.identifier() == "emails" {
			value = strings.ToLower(value)
		}
		if _, twice := finder.byValue[value]; twice {
			i = -1
		}
		finder.byValue[value] = i
	}
	return finder
}

// row is the only row that any of the values identifies, -1 if there is none or more than one.
func (f rowFinder) row(values []string) int {
	found := -1
	for _, value := range values {
		i, ok := f.byValue[value]
		if !ok {
			i, ok = f.byValue[strings.ToLower(value)]
			ok = ok && i >= 0 && f.rows[i].identifier() == "emails" // in other letters an external id is another one
		}
		switch {
		case !ok:
		case i < 0, found >= 0 && found != i:
			return -1
		default:
			found = i
		}
	}
	return found
}

func (f rowFinder) failure(raw json.RawMessage) JobFailure {
	var entry reportEntry
	entry.read(raw)
	row := f.row(entry.values)
	if row < 0 {
		return JobFailure{Row: -1, Kind: KindInvalid}
	}
	own := f.rows[row].sent()
	said := strings.Join(entry.texts, "; ")
	failure := JobFailure{Row: row, Kind: kindOfRefusal(own, said), Text: own.redact(said)}
	failure.Field = own.fieldNamedIn(failure.Text, f.labels)
	return failure
}

// reportEntry is what an entry of the report says: values that may identify a row, and messages.
type reportEntry struct{ values, texts []string }

var (
	messageKeys = []string{"errors", "error", "message", "messages", "reason", "description", "failure_reason"} //nolint:gochecknoglobals // a list nobody writes to
	// numberKeys have numbers that identify no contact, whatever they are equal to.
	numberKeys = []string{"code", "error_code", "status", "row", "index", "line", "position"} //nolint:gochecknoglobals // the same
)

func (e *reportEntry) read(raw json.RawMessage) {
	var v any
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if decoder.Decode(&v) != nil {
		return
	}
	e.walk(v)
	var object map[string]json.RawMessage
	if json.Unmarshal(raw, &object) != nil { // no keys: any of its texts may be the message
		e.texts = e.values
		return
	}
	for _, key := range messageKeys {
		e.texts = appendTexts(e.texts, object[key])
	}
}

func (e *reportEntry) walk(v any) {
	switch v := v.(type) {
	case string:
		e.values = append(e.values, v)
	case json.Number:
		e.values = append(e.values, string(v))
	case []any:
		for _, item := range v {
			e.walk(item)
		}
	case map[string]any:
		for key, item := range v {
			if key = strings.ToLower(key); !slices.Contains(messageKeys, key) && !slices.Contains(numberKeys, key) {
				e.walk(item)
			}
		}
	}
}
