package worker

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/mapping"
)

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || bytes.Equal(raw, []byte("null")) }

// notStored compares the answer with what was sent: the API drops values it does not like without a word (seen in client
// code: a dropdown value that is no choice, a cf_ key that does not exist, a phone number of letters). A value that came
// back in another form counts as stored; one that is missing, or still another old one, does not. Built-in fields that the
// answer does not show at all are not judged: accounts show some only when asked to.
func (t *turn) notStored(c freshmarketer.Contact) []string {
	var names []string
	for _, f := range t.result.Change.Fields {
		got, shown := c.Fields[f.Name]
		switch {
		case f.Custom:
			got, shown = c.Custom[f.Name], true
		case f.Type != "text": // ids of stages and owners may be shown as null though they are set (seen in client code)
			continue
		}
		if !shown || f.Value == nil {
			continue
		}
		if t.stored(f, got) {
			t.p.custom.confirm(t.p.catalogue, f)
			continue
		}
		names = append(names, f.Name)
		t.p.catalogue.doubt() // a choice that is gone, a field that is: the fields are not as we know them
		t.leaveOut(f.Name, reasonNotStored)
	}
	return names
}

func (t *turn) stored(f mapping.FieldChange, got json.RawMessage) bool {
	if isNull(got) || string(got) == `""` {
		return false
	}
	if !f.Custom || alike(f.Value, got) {
		return true
	}
	if t.before != nil && !bytes.Equal(got, t.before[f.Name]) {
		return true // it has changed, so into what the API makes of it
	}
	// What was there before is what the API made of this very value when it was sent last.
	if t.lane.record.Fields[f.Name].Hash == t.result.Record.Fields[f.Name].Hash {
		return true
	}
	// Without having read it, only a type that comes back as it was sent can tell.
	return t.before == nil && reshaped(f.Type)
}

// reshaped reports whether the API may answer a value of this type in another form, beyond what alike knows.
func reshaped(kind string) bool {
	switch kind {
	case "dropdown", "radio", "checkbox", "number", "date", "datetime":
		return false
	}
	return true
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
