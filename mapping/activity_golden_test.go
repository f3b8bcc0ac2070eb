package mapping

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/segment"
)

// TestGoldenActivities: the cases are text files like those of TestGolden, with a setup, calls and what they want.
func TestGoldenActivities(t *testing.T) {
	t.Parallel()
	playFiles(t, "testdata/activities", 25, playActivities)
}

// activitySetup is the configuration of a case.
type activitySetup struct {
	As                 ActivityAs
	Type, Title, Notes string
	Types              map[string]string
	Replay             bool
}

// activityWant is what a call becomes.
type activityWant struct {
	Reason     Reason         `json:"reason,omitempty"`
	Name       string         `json:"name,omitempty"`
	Type       string         `json:"type,omitempty"`
	Title      string         `json:"title,omitempty"`
	Notes      string         `json:"notes,omitempty"`
	At         time.Time      `json:"at,omitzero"`
	Attributes map[string]any `json:"attributes,omitempty"`
	LeftOut    []LeftOut      `json:"left_out,omitempty"`
}

// playActivities plays the calls one after the other, with the record and the attributes carried along.
func playActivities(t *testing.T, text string) string {
	t.Helper()
	var out strings.Builder
	setup := activitySetup{Type: "Task", Title: "{{name}}", Notes: "{{properties}}"}
	var record Record
	attributes := Attributes{}
	for _, s := range sections(text) {
		switch s.name {
		case "":
			out.WriteString(s.text)
			continue
		case "want":
			continue
		}
		out.WriteString("-- " + s.name + " --\n" + s.text)
		if s.name == "setup" {
			decodeStrictly(t, s.text, &setup)
			continue
		}
		want := playActivity(t, setup, &record, &attributes, s.text)
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(want); err != nil {
			t.Fatal(err)
		}
		out.WriteString("-- want --\n" + b.String())
	}
	return out.String()
}

func decodeStrictly(t *testing.T, text string, into any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Fatal(err)
	}
}

func playActivity(t *testing.T, setup activitySetup, record *Record, attributes *Attributes, body string) (want activityWant) {
	t.Helper()
	title, err := ParseTemplate(setup.Title)
	if err != nil {
		t.Fatal(err)
	}
	notes, err := ParseTemplate(setup.Notes)
	if err != nil {
		t.Fatal(err)
	}
	call := receivedCall(t, body)
	ev, err := call.Event()
	if err != nil {
		t.Fatal(err)
	}
	if want.Reason = JudgeActivity(*record, Call{Event: ev, Replay: setup.Replay}); want.Reason != "" {
		return want
	}
	options := Activities{As: setup.As, Type: setup.Type, Types: setup.Types, Title: title, Notes: notes}
	made, reason := options.Make(call, ev)
	if want.Reason = reason; reason != "" {
		return want
	}
	record.Remember(ev.Source, ev.MessageID, ev.Received)
	want.Name, want.Type, want.Title, want.Notes, want.At = made.Name, made.Type, made.Title, made.Notes, made.At
	if setup.As == AsEvent {
		var next Attributes
		if want.Attributes, want.LeftOut, next = attributes.Fit(made.Name, made.Properties); next != nil {
			*attributes = next
		}
	}
	return want
}

// receivedCall is a call as the door stores it, a day after the cases' calls were made.
func receivedCall(t *testing.T, body string) segment.Received {
	t.Helper()
	o, err := segment.ParseObject([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	typ, _ := segment.ParseType(segment.Text(o.Get("type")))
	return segment.Received{
		Source: "website", Surface: segment.SurfaceWebhook, At: time.Date(2026, 8, 10, 12, 0, 0, 0, time.UTC), Type: typ,
		MessageID: segment.ID(o.Get("messageId")), UserID: segment.ID(o.Get("userId")), Body: []byte(strings.TrimSpace(body)),
	}
}
