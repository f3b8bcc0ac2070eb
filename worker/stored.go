package worker

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer"
)

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || bytes.Equal(raw, []byte("null")) }

// notStored compares the answer with what was sent: the API drops custom values it does not like without a word (seen
// in client code: a dropdown value that is no choice, a cf_ key that does not exist). A value that came back in another
// form counts as stored; one that is missing, or still another old one, does not.
func (t *turn) notStored(c freshmarketer.Contact) []string {
	var names []string
	for _, f := range t.result.Change.Fields {
		if !f.Custom || f.Value == nil || t.stored(f.Name, f.Value, c.Custom[f.Name]) {
			continue
		}
		names = append(names, f.Name)
		t.p.catalogue.doubt() // a choice that is gone, a field that is: the fields are not as we know them
		t.leaveOut(f.Name, reasonNotStored)
	}
	return names
}

func (t *turn) stored(name string, sent any, got json.RawMessage) bool {
	switch {
	case isNull(got):
		return false
	case !bytes.Equal(got, t.before[name]) || alike(sent, got):
		return true
	}
	// What was there before is what the API made of this very value when it was sent last.
	return t.lane.record.Fields[name].Hash == t.result.Record.Fields[name].Hash
}

// alike says whether an answered value is the one that was sent, but for its form: the API trims and recapitalises text,
// answers numbers and checkboxes as text or the other way about, and adds a time to a date.
func alike(sent any, raw json.RawMessage) bool {
	a, b := plain(sent), ""
	var text string
	if json.Unmarshal(raw, &text) == nil {
		b = plain(text)
	} else {
		b = plain(json.RawMessage(raw))
	}
	if a == b {
		return true
	}
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	if errX == nil && errY == nil {
		return x == y
	}
	if len(a) == len(time.DateOnly) && len(b) > len(a) {
		_, err := time.Parse(time.DateOnly, a)
		return err == nil && strings.HasPrefix(b, a+"t")
	}
	at, errA := time.Parse(time.RFC3339, strings.ToUpper(a))
	bt, errB := time.Parse(time.RFC3339, strings.ToUpper(b))
	return errA == nil && errB == nil && at.Equal(bt)
}

// plain is a value's text without what the API may change about it.
func plain(v any) string {
	var text string
	switch v := v.(type) {
	case string:
		text = v
	case json.Number:
		text = v.String()
	case bool:
		text = strconv.FormatBool(v)
	case json.RawMessage:
		text = string(v)
	}
	return strings.ToLower(strings.Join(strings.Fields(text), " "))
}
