package main

import (
	"encoding/base64"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/app/config"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/queue/queuetest"
)

// sendArgs sends as the sandbox's source to the rig's door.
func (r *rig) sendArgs(args ...string) []string {
	return append([]string{"send", "--url", r.door.URL, "--write-key", "wk_test", "--secret", "s3cret", "--source", "shop"}, args...)
}

func (r *rig) file(t *testing.T, text string) string {
	t.Helper()
	return writeFile(t, filepath.Join(r.dir, "call.json"), text)
}

// TestSendPaths: what a file holds decides where it goes and how it is signed.
func TestSendPaths(t *testing.T) {
	t.Parallel()
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("wk_test:"))
	one := `{"type":"identify","messageId":"m"}`
	for name, tt := range map[string]struct {
		text string
		args []string
		path string
		sign string // what is signed; "": Basic
	}{
		"an identify":            {one, nil, "/v1/identify", ""},
		"an identify by webhook": {one, []string{"--via", "webhook"}, "/webhook/shop", one},
		"without a type":         {`{"userId":"x","messageId":"m"}`, nil, "/v1/identify", ""},
		"a group":                {`{"type":"group","messageId":"m"}`, nil, "/webhook/shop", `{"type":"group","messageId":"m"}`},
		"a group by tracking":    {`{"type":"group","messageId":"m"}`, []string{"--via", "tracking"}, "/v1/group", ""},
		"a batch":                {`{"batch":[` + one + `], "sentAt": "x"}`, nil, "/v1/batch", ""},
		"an array":               {"[ " + one + ` , {"type":"identify","messageId":"n"} ]`, nil, "/webhook/shop", one},
		"an array by tracking":   {"[" + one + "]", []string{"--via", "tracking"}, "/v1/batch", ""},
		"webhook without secret": {one, []string{"--via", "webhook", "--secret", ""}, "/webhook/shop", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			wantCode(t, r.run(t, append(r.sendArgs(tt.args...), "--no-wait", r.file(t, tt.text))...), exitOK)
			if len(r.requests) != 1 {
				t.Fatalf("%d requests", len(r.requests))
			}
			got := r.requests[0]
			want := request{path: tt.path, auth: basic, body: got.body}
			if tt.sign != "" {
				want.auth, want.signature = "", sign("s3cret", []byte(tt.sign))
			}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(request{})); diff != "" {
				t.Error(diff)
			}
			if !strings.Contains(name, "array") && string(got.body) != tt.text {
				t.Errorf("the file was changed: %s", got.body)
			}
		})
	}
	// Source: RFC 2202, test case 2 for HMAC-SHA-1.
	if got := sign("Jefe", []byte("what do ya want for nothing?")); got != "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79" {
		t.Errorf("signature %s", got)
	}
}

// TestSendAddsMessageID where there is none, and changes nothing else.
func TestSendAddsMessageID(t *testing.T) {
	t.Parallel()
	for in, ids := range map[string]int{
		`{"type":"identify","traits":{"n":1.50}}`: 1,
		`{"type":"identify","messageId":null}`:    1,
		`{"type":"identify","messageId":"  "}`:    1,
		`{}`:                                      1,
		`{"batch":[{"type":"identify"},{"type":"identify","messageId":"own"}],"sentAt":"x"}`: 1,
		`[{"type":"identify"},{"type":"track"}]`:                                             2,
		`{"type":"identify","messageId":"own"}`:                                              0,
	} {
		ps, err := readPost("file", []byte(in))
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		added := 0
		for _, c := range ps.calls {
			if c.id == "" {
				t.Errorf("%s: a call without id", in)
			}
			if strings.HasPrefix(c.id, "send-") {
				added++
			}
		}
		if added != ids || strings.Count(string(ps.body), "send-") != ids || !json.Valid(ps.body) {
			t.Errorf("%s: %d ids added, want %d: %s", in, added, ids, ps.body)
		}
		again, err := readPost("file", ps.body)
		if err != nil || len(again.calls) != len(ps.calls) || string(again.body) != string(ps.body) {
			t.Errorf("%s: not stable: %v\n%s\n%s", in, err, ps.body, again.body)
		}
		for i, c := range again.calls {
			if c.id != ps.calls[i].id || !c.ownID {
				t.Errorf("%s: %+v, then %+v", in, ps.calls[i], c)
			}
		}
	}
	ps, err := readPost("file", []byte(`{"type":"identify","traits":{"n":1.50}}`))
	if err != nil || !strings.HasPrefix(string(ps.body), `{"type":"identify","traits":{"n":1.50},"messageId":"send-`) {
		t.Errorf("%s %v", ps.body, err)
	}
	for _, in := range []string{"", "x", "1", `"x"`, "[]", "[1]", "[[]]", `{"batch":{}}`, `{"batch":[]}`, `{"batch":[null]}`, `{"type":1}`, "{} {}"} {
		if _, err := readPost("file", []byte(in)); err == nil {
			t.Errorf("%q is taken for calls", in)
		} else if !strings.Contains(err.Error(), "file") {
			t.Errorf("%q: the message does not name the file: %v", in, err)
		}
	}
}

// TestSendShows what became of each call.
func TestSendShows(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.outcome = func(c call) *queue.JournalEntry {
		switch c.id {
		case "good":
			return &queue.JournalEntry{
				Outcome: "delivered", ContactID: "77", MergedWith: 2,
				Fields: []queue.JournalField{
					{Field: "city", Label: "City", Trait: "city", Action: "set"},
					{Field: "cf_plan", Label: "Plan", Trait: "Plan", Action: "set"},
					{Field: "cf_old", Label: "Old", Action: "emptied"},
				},
				LeftOut: []queue.JournalLeftOut{{Trait: "colour\x1b[31m", Reason: "unmapped"}},
				Calls:   []queue.JournalCall{{Operation: "upsert_contact", Status: 201, Millis: 12}, {Operation: "update_contact"}},
			}
		case "mailless":
			return &queue.JournalEntry{Outcome: "discarded", Reason: "missing_email"}
		default:
			return &queue.JournalEntry{Outcome: "dead", Reason: "invalid", User: "hash", Position: 7}
		}
	}
	file := r.file(t, `{"batch":[{"type":"identify","messageId":"good"},{"type":"identify","messageId":"mailless"},{"type":"track","messageId":"t"}]}`)
	got := r.run(t, r.sendArgs(file)...)
	wantCode(t, got, exitOK)
	wantParts(t, "send", got.out, "call.json\n", "identify  delivered  contact 77 (together with 2 other calls)",
		"set        City (city), Plan\n", "emptied    Old\n", "left out   colour\uFFFD[31m: no field has this label",
		"API        upsert_contact 201, 12 ms", "API        update_contact -, 0 ms",
		"discarded  missing_email", "Send email among the traits", "track     dropped    taken and not stored")
	if strings.Contains(got.out, "\x1b") {
		t.Errorf("%q", got.out)
	}

	bad := writeFile(t, filepath.Join(r.dir, "bad.json"), `{"type":"identify","messageId":"bad"}`)
	got = r.run(t, r.sendArgs(file, bad)...)
	wantCode(t, got, exitPartial)
	wantParts(t, "dead", got.out, "dead       invalid", "freshrelay dlq replay", "freshrelay dlq show hash.7\n")
	wantParts(t, "dead", got.errOut, "1 of 4 calls did not arrive")
	wantCode(t, r.run(t, r.sendArgs(bad)...), exitFailed)

	report := decode[SendReport](t, r.run(t, r.sendArgs("-o", "json", bad)...).out)
	if len(report.Calls) != 1 || report.Calls[0].Outcome != "dead" || report.Calls[0].Event.Reason != "invalid" || report.Calls[0].Status != 200 {
		t.Errorf("%+v", report)
	}
}

// TestSendTwice: the second time, the outcome of the second time is shown.
func TestSendTwice(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	file := r.file(t, `[{"type":"identify","messageId":"same"},{"type":"identify","messageId":"same"}]`)
	n := 0
	r.outcome = func(call) *queue.JournalEntry {
		if n++; n == 1 {
			return &queue.JournalEntry{Outcome: "delivered", ContactID: "77"}
		}
		return &queue.JournalEntry{Outcome: "discarded", Reason: "duplicate"}
	}
	for round, want := range [][]string{{"delivered", "discarded"}, {"discarded", "discarded"}} {
		report := decode[SendReport](t, r.run(t, r.sendArgs("-o", "json", file)...).out)
		for i, c := range report.Calls {
			if c.Outcome != want[i] {
				t.Errorf("round %d, call %d: %s, want %s", round, i, c.Outcome, want[i])
			}
		}
	}
}

func TestSendTrouble(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	file := r.file(t, `{"type":"identify"}`)
	r.answer = 401
	got := r.run(t, r.sendArgs(file)...)
	wantCode(t, got, exitFailed)
	wantParts(t, "refused", got.out, "refused    401 unknown write key")

	r.answer = 0
	r.outcome = func(call) *queue.JournalEntry { return nil }
	got = r.run(t, r.sendArgs("--timeout", "20ms", file)...)
	wantCode(t, got, exitFailed)
	wantParts(t, "no outcome", got.out, "unknown    stored, but no outcome yet")
	wantParts(t, "no outcome", got.errOut, "1 of 1 calls are stored and have no outcome yet", "freshrelay status")

	got = r.run(t, r.sendArgs("--no-wait", file)...)
	wantCode(t, got, exitOK)
	wantParts(t, "no wait", got.out, "sent       message id send-")

	got = r.run(t, "send", "--url", r.door.URL, file)
	wantCode(t, got, exitUsage)
	wantParts(t, "no key", got.errOut, "no write key", "--write-key")

	r.door.URL = "http://" + queuetest.Address(t)
	got = r.run(t, r.sendArgs(file)...)
	wantCode(t, got, exitUnreachable)
	wantParts(t, "nobody", got.errOut, "no freshrelay answers at", "--url")

	got = r.run(t, r.sendArgs(r.file(t, "nonsense"))...)
	wantCode(t, got, exitUsage)
	wantParts(t, "nonsense", got.errOut, "call.json is not JSON with calls", "a file holds one call")
}

// TestSendFromConfiguration: address, source and key come from where the service has them.
func TestSendFromConfiguration(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	writeFile(t, filepath.Join(r.dir, config.FileName), "listen: "+strings.TrimPrefix(r.door.URL, "http://")+`
sources:
  - {name: website, write_keys: [wk_one], webhook_secrets: [s1]}
  - {name: app, write_keys: [wk_two]}
`)
	file := r.file(t, `{"type":"identify","messageId":"m"}`)
	wantCode(t, r.run(t, "send", "--no-wait", file), exitOK)
	wantCode(t, r.run(t, "send", "--no-wait", "--source", "app", file), exitOK)
	wantCode(t, r.run(t, "send", "--no-wait", "--via", "webhook", file), exitOK)
	keys := []string{"Basic " + base64.StdEncoding.EncodeToString([]byte("wk_one:")), "Basic " + base64.StdEncoding.EncodeToString([]byte("wk_two:")), ""}
	for i, want := range keys {
		if got := r.requests[i].auth; got != want {
			t.Errorf("request %d: %s, want %s", i, got, want)
		}
	}
	if r.requests[2].path != "/webhook/website" || r.requests[2].signature != sign("s1", []byte(`{"type":"identify","messageId":"m"}`)) {
		t.Errorf("%+v", r.requests[2])
	}

	r.p.stdin = strings.NewReader(`{"type":"identify","messageId":"from stdin"}`)
	wantCode(t, r.run(t, "send", "--no-wait", "-"), exitOK)
	if !strings.Contains(string(r.requests[3].body), "from stdin") {
		t.Errorf("%s", r.requests[3].body)
	}
	wantCode(t, r.run(t, "send", "--sandbox", "--url", r.door.URL, "--no-wait", file), exitOK)
	if got, want := r.requests[4].auth, "Basic "+base64.StdEncoding.EncodeToString([]byte("wk_website:")); got != want {
		t.Errorf("sandbox: %s, want %s", got, want)
	}
}

// TestSendReadsKeyFiles: keys may be in files, as the example configuration has them; the address is the public one when
// the door speaks TLS.
func TestSendReadsKeyFiles(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	writeFile(t, filepath.Join(r.dir, "keys"), "wk_from_a_file\n")
	at := strings.TrimPrefix(r.door.URL, "http://")
	configure := func(keys, more string) {
		writeFile(t, filepath.Join(r.dir, config.FileName), "listen: "+at+"\nsources: [{name: website, write_keys_file: "+filepath.Join(r.dir, keys)+"}]\n"+more)
	}
	configure("keys", "")
	file := r.file(t, `{"type":"identify","messageId":"m"}`)
	wantCode(t, r.run(t, "send", "--no-wait", file), exitOK)
	if got, want := r.requests[0].auth, "Basic "+base64.StdEncoding.EncodeToString([]byte("wk_from_a_file:")); got != want {
		t.Errorf("sent with %s, want %s", got, want)
	}
	configure("keys", "tls: {cert_file: c, key_file: k}\n")
	got := r.run(t, "send", "--no-wait", file) // the test's door does not speak TLS
	wantCode(t, got, exitUnreachable)
	wantParts(t, "tls", got.errOut, "https://")
	configure("none", "")
	got = r.run(t, "send", "--no-wait", file)
	wantCode(t, got, exitUsage)
	wantParts(t, "no file", got.errOut, "write_keys_file", "--write-key")
	wantCode(t, r.run(t, "send", "--no-wait", "--write-key", "wk", file), exitOK)
}
