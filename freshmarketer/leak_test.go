package freshmarketer_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/freshrelay/freshrelay/freshmarketer"
)

// Whatever goes wrong, no error tells the key, an address or a value that was sent.
func TestErrorsLeakNothing(t *testing.T) {
	t.Parallel()
	echo := strings.Join(append(secrets()[1:], strings.ToUpper(secretName), strings.ToLower(secretAddress), "other@person.test"), " | ")
	message, err := json.Marshal(map[string]any{"errors": map[string]any{"code": 400, "message": []string{echo, "other@person.test already exists."}}})
	if err != nil {
		t.Fatal(err)
	}
	answers := map[string]http.HandlerFunc{
		"plain text":   reply{400, nil, echo}.ServeHTTP,
		"page":         reply{502, map[string]string{"Content-Type": "text/html"}, "<p>" + echo}.ServeHTTP,
		"redirect":     reply{302, map[string]string{"Location": "/login?user=" + secretAddress}, echo}.ServeHTTP,
		"bad location": reply{302, map[string]string{"Location": "http://[::1/" + secretAddress}, echo}.ServeHTTP,
		"echo of the request": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.Copy(w, r.Body)
			_, _ = io.WriteString(w, r.URL.String())
		},
		"cut": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"junk": func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, echo+"\r\n\r\n")
			_ = conn.Close()
		},
	}
	for _, status := range []int{200, 400, 401, 403, 404, 409, 422, 429, 500} {
		answers[fmt.Sprint(status)] = reply{status, nil, string(message)}.ServeHTTP
	}
	for title, answer := range answers {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			client := clientOf(t, answer)
			for name, call := range allCalls() {
				// A call knows the values it sent, and addresses when it sees them.
				known := append(valuesOf(name), testKey, secretAddress, "other@person.test")
				err := call(t.Context(), client)
				if err == nil && !bodiless(name) {
					t.Fatalf("%s: no error to look at", name)
				}
				if err == nil {
					continue
				}
				if urlErr := new(url.Error); errors.As(err, &urlErr) {
					t.Errorf("%s: the chain holds the URL of the call: %v", name, urlErr)
				}
				leaksNothing(t, name, err.Error(), known)
			}
		})
	}
}

// valuesOf are the secrets that the call sends.
func valuesOf(name string) []string {
	switch name {
	case "upsert", "create", "update", "bulk":
		return []string{secretName, secretAddress, secretPlan, secretUser, secretCompany, secretNotes}
	case "account":
		return []string{secretCompany, secretName, secretPlan}
	case "putaccount":
		return []string{secretName, secretPlan}
	case "activity":
		return []string{secretEvent, secretNotes, secretPlan}
	case "event":
		return []string{secretEvent, secretName, secretPlan}
	case "job":
		return []string{secretUser}
	}
	return nil
}

func leaksNothing(t *testing.T, name, text string, known []string) {
	t.Helper()
	for _, secret := range known {
		if strings.Contains(strings.ToLower(text), strings.ToLower(secret)) {
			t.Errorf("%s: %q is in %q", name, secret, text)
		}
	}
}

// What a job says of a row is an error text too.
func TestFailureReportsLeakNothing(t *testing.T) {
	t.Parallel()
	write := freshmarketer.ContactWrite{Fields: freshmarketer.Fields{"first_name": secretName}, Custom: freshmarketer.Fields{"cf_plan": secretPlan}}
	rows := []freshmarketer.BulkRow{{Identifier: "emails", Value: secretAddress, Write: write}, {Identifier: "external_id", Value: secretUser}}
	for _, entry := range []string{
		`{"emails":"` + secretAddress + `","error":"` + secretName + ` ` + secretAddress + ` ` + secretPlan + ` other@person.test"}`,
		`["` + secretAddress + `","` + secretPlan + `"]`, `"` + secretName + ` is bad"`, `{"name":"` + secretName + `","message":"` + secretName + `"}`,
	} {
		body, err := json.Marshal(map[string]any{"status": "SUCCESS", "data": `{"detailed_failure_report":[` + entry + `]}`})
		if err != nil {
			t.Fatal(err)
		}
		status, err := clientOf(t, reply{200, nil, string(body)}.ServeHTTP).JobStatus(t.Context(), "1", rows)
		if err != nil || len(status.Failures) != 1 {
			t.Fatalf("%s: %+v, %v", entry, status, err)
		}
		leaksNothing(t, entry, status.Failures[0].Text, append(secrets(), "other@person.test"))
	}
}

func TestPrintingTellsNoKey(t *testing.T) {
	t.Parallel()
	cfg := freshmarketer.Config{Domain: "acme", APIKey: testKey}
	client, err := freshmarketer.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s", cfg, cfg, cfg, cfg), fmt.Sprintf("%v %+v %#v", client, client, *client)} {
		if strings.Contains(text, testKey) {
			t.Errorf("the key is in %s", text)
		}
	}
}
