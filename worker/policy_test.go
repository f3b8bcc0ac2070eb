package worker

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	fm "github.com/freshrelay/freshrelay/freshmarketer"
)

var update = flag.Bool("update", false, "write the golden file of the policy anew")

func allKinds() []fm.Kind {
	return []fm.Kind{
		fm.KindAuth, fm.KindPermission, fm.KindThrottled, fm.KindConflict, fm.KindInvalid, fm.KindGone, fm.KindMisrouted,
		fm.KindTemporary, fm.KindCanceled, fm.KindUnknown,
	}
}

func actionNames() map[Action]string {
	return map[Action]string{
		ActionHold: "hold", ActionRetry: "retry", ActionProbe: "probe", ActionDropField: "drop the field", ActionSplit: "split",
		ActionSetAside: "set aside", ActionRecreate: "recreate",
	}
}

// schedule is when the attempts of a change are made that keeps failing, without jitter: up to one after max_age.
func schedule(r Retry) []time.Duration {
	waits := newBackOff(r.Initial, r.Max)
	waits.RandomizationFactor = 0
	at := []time.Duration{0}
	for at[len(at)-1] < r.MaxAge {
		at = append(at, at[len(at)-1]+waits.NextBackOff())
	}
	return at
}

// decided is the decision, with the one that follows a probe that works.
func decided(f Failure) string {
	a := Decide(f, testRetry)
	name := actionNames()[a]
	if a == ActionProbe {
		f.Probed = true
		name += ", then " + actionNames()[Decide(f, testRetry)]
	}
	return name
}

// policy is the whole policy as text: what every answer is taken for, and what is done about it at every attempt.
func policy(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprint(&b, "# What an answer to an update is taken for: status, then kind with an error in JSON | a web page | no body\n\n")
	runs(&b, statuses(t))
	fmt.Fprint(&b, "\n# Throttles in disguise\n\n")
	for _, line := range disguised(t) {
		fmt.Fprintln(&b, line)
	}
	fmt.Fprint(&b, "\n# When the attempts are made, without jitter\n\n")
	times := schedule(testRetry)
	for i, at := range times {
		fmt.Fprintf(&b, "%d at %v\n", i+1, at)
	}
	fmt.Fprint(&b, "\n# What is done at each attempt. known: the contact's id is remembered; merged: several calls in the change;\n"+
		"# field: the answer names a field that can be left out, field 6: after five others; counts: the trouble is this user's\n\n")
	for _, kind := range allKinds() {
		for n := range 2 * 2 * 3 * 2 {
			f := Failure{Kind: kind, Known: n&1 > 0, Merged: 1 + n>>1&1, Counts: n>>2&1 > 0}
			text := fmt.Sprintf("%s%s%s%s", kind, word(f.Known, " known"), word(f.Merged > 1, " merged"), word(f.Counts, " counts"))
			switch n >> 3 {
			case 1:
				f.Field, text = "job_title", text+" field"
			case 2:
				f.Field, f.Dropped, text = "job_title", maxDropped, text+" field 6"
			}
			var acts []string
			for _, f.Age = range times {
				acts = append(acts, decided(f))
			}
			fmt.Fprintf(&b, "%s: %s\n", text, inRuns(acts))
		}
	}
	return b.String()
}

func word(on bool, text string) string {
	if on {
		return text
	}
	return ""
}

// statuses asks a client what it takes every status for.
func statuses(t *testing.T) (lines []string) {
	t.Helper()
	bodies := []string{`{"errors":{"code":1,"message":["something is not right"]}}`, "<html><body>Sorry</body></html>", ""}
	var status int
	var body string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	defer server.Close()
	client, err := fm.New(fm.Config{BaseURL: server.URL, APIKey: "key"})
	if err != nil {
		t.Fatal(err)
	}
	for status = 200; status < 600; status++ {
		var kinds []string
		for _, body = range bodies {
			if status == http.StatusNoContent || status == http.StatusNotModified {
				body = ""
			}
			_, err := client.UpdateContact(t.Context(), "17", fm.ContactWrite{Fields: fm.Fields{"city": "Porto"}})
			kinds = append(kinds, string(fm.KindOf(err)))
		}
		lines = append(lines, strings.Join(kinds, " | "))
	}
	return lines
}

// disguised asks a client about the other forms in which the API says that it is too much.
func disguised(t *testing.T) (lines []string) {
	t.Helper()
	hidden := `{"errors":{"code":400,"message":["UCR contact fetch failure :: response_code :: 429 :: response :: Too many requests"]}}`
	status, body := http.StatusBadRequest, hidden
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	defer server.Close()
	client, err := fm.New(fm.Config{BaseURL: server.URL, APIKey: "key"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.UpdateContact(t.Context(), "17", fm.ContactWrite{Fields: fm.Fields{"city": "Porto"}})
	lines = append(lines, "400 with a 429 in its text: "+string(fm.KindOf(err)))
	status, body = http.StatusMethodNotAllowed, ""
	_, err = client.BulkUpsert(t.Context(), []fm.BulkRow{{Identifier: "id", Value: "17", Write: fm.ContactWrite{Fields: fm.Fields{"city": "Porto"}}}})
	return append(lines, "405 on a bulk upsert: "+string(fm.KindOf(err)))
}

// runs writes equal lines of neighbouring statuses as one.
func runs(b *strings.Builder, lines []string) {
	for i := 0; i < len(lines); {
		j := i
		for j+1 < len(lines) && lines[j+1] == lines[i] {
			j++
		}
		name := fmt.Sprint(200 + i)
		if j > i {
			name += fmt.Sprintf("-%d", 200+j)
		}
		fmt.Fprintf(b, "%s: %s\n", name, lines[i])
		i = j + 1
	}
}

func inRuns(acts []string) string {
	var out []string
	for i := 0; i < len(acts); {
		j := i
		for j+1 < len(acts) && acts[j+1] == acts[i] {
			j++
		}
		if i == 0 && j == len(acts)-1 {
			return acts[0]
		}
		out = append(out, fmt.Sprintf("%s (%d-%d)", acts[i], i+1, j+1))
		i = j + 1
	}
	return strings.Join(out, ", ")
}

// The whole policy, for reading: a change of it is seen in the golden file.
func TestPolicy(t *testing.T) {
	path := filepath.Join("testdata", "policy.golden")
	got := policy(t)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("the policy changed (-update writes the file):\n%s", diff)
	}
}

// What holds of every decision, whatever the table says.
func TestNoDecisionBreaksAPromise(t *testing.T) {
	t.Parallel()
	for _, kind := range allKinds() {
		for _, age := range schedule(testRetry) {
			for n := range 1 << 7 {
				f := Failure{Kind: kind, Age: age, Counts: n&1 > 0, Probed: n&2 > 0, Known: n&4 > 0, Merged: 1 + n>>3&1, Recreated: n&64 > 0}
				if n&16 > 0 {
					f.Field = "job_title"
				}
				if n&32 > 0 {
					f.Dropped = maxDropped
				}
				a := Decide(f, testRetry)
				refused := kind == fm.KindInvalid || kind == fm.KindConflict
				accounts := kind == fm.KindThrottled || kind == fm.KindAuth || kind == fm.KindCanceled
				for broken, when := range map[string]bool{
					"the account's trouble costs an event":                       accounts && a != ActionHold,
					"trouble that is not the user's costs an attempt":            !f.Counts && (a == ActionRetry || a == ActionSetAside && !refused),
					"set aside without a probe":                                  a == ActionSetAside && !refused && !f.Probed,
					"set aside before max_age":                                   a == ActionSetAside && !refused && f.Age < testRetry.MaxAge,
					"a merged change is set aside as refused":                    a == ActionSetAside && refused && f.Merged > 1,
					"a second probe":                                             a == ActionProbe && f.Probed,
					"what is refused for good is tried again as it is":           a == ActionRetry && refused,
					"a change of one call is split":                              a == ActionSplit && f.Merged == 1,
					"a field is dropped that nobody named, or for ever":          a == ActionDropField && (f.Field == "" || f.Dropped >= maxDropped || !refused),
					"a contact that was never known is forgotten":                a == ActionRecreate && (!f.Known || kind != fm.KindGone),
					"a contact is found or made anew again and again":            a == ActionRecreate && f.Recreated,
					"permission or a wrong page is retried before anybody asked": a == ActionRetry && !f.Probed && (kind == fm.KindPermission || kind == fm.KindMisrouted),
				} {
					if when {
						t.Fatalf("%s: %+v decides %s", broken, f, actionNames()[a])
					}
				}
			}
		}
	}
}
