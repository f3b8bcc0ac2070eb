package main

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCompare(t *testing.T) {
	t.Parallel()
	const ada = `{"external_id":"1","id":7,"email":"a@example.com","city":null,"custom_field":{"cf_logins":0,"cf_subscribed":false}}`
	tests := []struct {
		name, expected, actual string
		want                   []string
	}{
		{
			name:     "only named keys count, null is like absent",
			expected: `{"contacts":[{"external_id":"1","city":"","custom_field":{"cf_logins":0,"cf_notes":null}}]}`,
			actual:   `{"contacts":[` + ada + `]}`,
		},
		{
			name:     "zero and false are values",
			expected: `{"contacts":[{"external_id":"1","custom_field":{"cf_logins":null,"cf_subscribed":null}}]}`,
			actual:   `{"contacts":[` + ada + `]}`,
			want:     []string{"1 custom_field cf_logins: is 0, expected null", "1 custom_field cf_subscribed: is false, expected null"},
		},
		{
			name:     "another value",
			expected: `{"contacts":[{"external_id":"1","email":"b@example.com"}]}`,
			actual:   `{"contacts":[` + ada + `]}`,
			want:     []string{`1 email: is "a@example.com", expected "b@example.com"`},
		},
		{
			name:     "a contact missing, a contact too many",
			expected: `{"contacts":[{"external_id":"2"}]}`,
			actual:   `{"contacts":[` + ada + `]}`,
			want:     []string{"2: there is no such contact", "1: nobody expects this contact"},
		},
		{
			name:     "a contact twice",
			expected: `{"contacts":[{"external_id":"1"}]}`,
			actual:   `{"contacts":[` + ada + `,` + ada + `]}`,
			want:     []string{"1 contacts more than expected share an external id"},
		},
		{
			name:     "no custom fields at all",
			expected: `{"contacts":[{"external_id":"1","custom_field":{"cf_seq":5}}]}`,
			actual:   `{"contacts":[{"external_id":"1"}]}`,
			want:     []string{"1 custom_field cf_seq: is null, expected 5"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			expected, err := decodeContacts([]byte(tt.expected))
			if err != nil {
				t.Fatal(err)
			}
			actual, err := decodeContacts([]byte(tt.actual))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, compare(expected, actual)); diff != "" {
				t.Errorf("differences (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPrintContactsLeavesOutWhatIsEmpty(t *testing.T) {
	t.Parallel()
	contacts, err := decodeContacts([]byte(`{"contacts":[{"external_id":"1","id":70000000001,"email":"a@example.com",` +
		`"fields":{"first_name":"Ada","city":null},"custom_field":{"cf_plan":"","cf_logins":0}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	printContacts(&out, contacts)
	want := "  contact 70000000001  1  <a@example.com>\n" +
		"      first_name                       Ada\n" +
		"      cf_logins                        0\n\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("printed (-want +got):\n%s", diff)
	}
}

func TestReadExpectedRefusesAnEmptyList(t *testing.T) {
	t.Parallel()
	if _, err := readExpected("testdata/none.json"); err == nil {
		t.Error("a list without contacts would make every demo pass")
	}
}

func TestAddressesReadTheAnnouncement(t *testing.T) {
	t.Parallel()
	var at addresses
	for _, line := range []string{"freshrelay v0.1.0", "ingest    http://127.0.0.1:8080", "admin     http://127.0.0.1:8081", "sandbox is on"} {
		at.read(line)
	}
	if at.complete() {
		t.Errorf("complete without the sandbox: %+v", at)
	}
	at.read("sandbox   http://127.0.0.1:8090")
	want := addresses{ingest: "http://127.0.0.1:8080", admin: "http://127.0.0.1:8081", sandbox: "http://127.0.0.1:8090"}
	if at != want || !at.complete() {
		t.Errorf("got %+v, want %+v", at, want)
	}
}
