package sandbox_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

func TestStateFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "contacts.jsonl")
	opt := sandbox.Options{StateFile: path, Now: newClock().Now}
	box := newBox(t, opt)
	create(t, box, object{
		"emails": []any{"ann@x.test", "second@x.test"}, "external_id": "u-1", "mobile_number": "1", "tags": []string{"t"},
		"custom_field": object{"cf_logins": 5, "cf_subscribed": true},
	})
	create(t, box, object{"email": "bin@x.test"})
	create(t, box, object{"email": "last@x.test"})
	api(t, box, "PUT", "contacts/990000000000001", object{"contact": object{"city": "Ulm", "custom_field": object{"cf_logins": 6}}})
	api(t, box, "DELETE", "contacts/990000000000002", nil)
	api(t, box, "DELETE", "contacts/990000000000003/forget", nil)
	before := box.Contacts()
	beforeGet := api(t, box, "GET", "contacts/990000000000001", nil).raw
	// No Close: a killed process does not close either.

	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("state file: %v, %v, want it to be its owner's only", info.Mode(), err)
	}
	appendTo(t, path, `{"id":990000000000004,"emails":[{"val`) // torn by the kill
	for round := range 2 {                                     // once over the log, once over what the first start made of it
		again := newBox(t, opt)
		if diff := cmp.Diff(before, again.Contacts()); diff != "" {
			t.Fatalf("start %d (-before +after):\n%s", round+1, diff)
		}
		if got := api(t, again, "GET", "contacts/990000000000001", nil).raw; got != beforeGet {
			t.Errorf("start %d: GET differs:\n%s\n%s", round+1, beforeGet, got)
		}
		if text := readFile(t, path); strings.Count(text, "\n") != 3 || strings.Contains(text, "last@x.test") {
			t.Errorf("start %d left more than three last states:\n%s", round+1, text)
		}
		if res := api(t, again, "DELETE", "contacts/990000000000002", nil); res.status != 404 {
			t.Errorf("start %d: the deleted contact is back: %d", round+1, res.status)
		}
		if res := api(t, again, "POST", "contacts", object{"contact": object{"email": "ANN@x.test"}}); res.status != 400 {
			t.Errorf("start %d: uniqueness is forgotten: %d", round+1, res.status)
		}
	}
	final := newBox(t, opt)
	if fresh := create(t, final, object{"emails": []any{"new@x.test"}}); fresh.id() != "990000000000004" {
		t.Errorf("id %s, want one that was never given", fresh.id())
	}
}

func TestDamagedStateFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "contacts.jsonl")
	appendTo(t, path, `{"id":990000000000001}`+"\nnonsense\n"+`{"id":990000000000002}`+"\n")
	if _, err := sandbox.New(sandbox.Options{StateFile: path}); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("got %v, want an error that names line 2", err)
	}
	if !strings.Contains(readFile(t, path), "nonsense") {
		t.Error("the damaged file was rewritten")
	}
	if _, err := sandbox.New(sandbox.Options{StateFile: filepath.Join(path, "below", "a file")}); err == nil {
		t.Error("a state file below a file was accepted")
	}
}

func TestWritesFailAfterClose(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{StateFile: filepath.Join(t.TempDir(), "contacts.jsonl")})
	create(t, box, object{"email": "a@x.test"})
	if err := box.Close(); err != nil {
		t.Fatal(err)
	}
	if res := api(t, box, "POST", "contacts", object{"contact": object{"email": "b@x.test"}}); res.status != 500 || len(box.Contacts()) != 1 {
		t.Errorf("got %d with %d contacts, want 500 and no effect", res.status, len(box.Contacts()))
	}
	if res := api(t, box, "DELETE", "contacts/990000000000001", nil); res.status != 500 || len(box.Contacts()) != 1 {
		t.Errorf("got %d with %d contacts, want 500 and no effect", res.status, len(box.Contacts()))
	}
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
