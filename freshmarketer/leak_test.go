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
	const name, address = "Oluwaseun Łukasz", "Mara.Okafor@harborlane.test"
	write := freshmarketer.ContactWrite{Fields: freshmarketer.Fields{"first_name": name, "email": address}, Custom: freshmarketer.Fields{"cf_plan": "hidden-plan"}}
	echo := strings.Join([]string{name, strings.ToUpper(name), strings.ToLower(address), "hidden-plan", "user u-4711"}, " | ")
	message, err := json.Marshal(map[string]any{"errors": map[string]any{"code": 400, "message": []string{echo, "other@person.test already exists."}}})
	if err != nil {
		t.Fatal(err)
	}
	answers := map[string]http.HandlerFunc{
		"plain text":   reply{400, nil, echo}.ServeHTTP,
		"page":         reply{502, map[string]string{"Content-Type": "text/html"}, "<p>" + echo}.ServeHTTP,
		"redirect":     reply{302, map[string]string{"Location": "/login?user=" + address}, echo}.ServeHTTP,
		"bad location": reply{302, map[string]string{"Location": "http://[::1/" + address}, echo}.ServeHTTP,
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
			ctx := t.Context()
			_, upsertErr := client.UpsertContact(ctx, "external_id", "u-4711", write)
			_, updateErr := client.UpdateContact(ctx, "1", freshmarketer.ContactWrite{Fields: freshmarketer.Fields{
				"external_id": "u-4711",
				"first_name":  name, "email": address,
			}, Custom: write.Custom})
			_, lookupErr := client.LookupContacts(ctx, "email", address)
			for _, err := range []error{upsertErr, updateErr, lookupErr} {
				if err == nil {
					t.Fatal("no error to look at")
				}
			}
			secrets := []string{testKey, name, address, "hidden-plan", "u-4711", "other@person.test"}
			for err, secrets := range map[error][]string{upsertErr: secrets, updateErr: secrets, lookupErr: {testKey, address, "other@person.test"}} {
				if urlErr := new(url.Error); errors.As(err, &urlErr) {
					t.Errorf("the chain holds the URL of the call: %v", urlErr)
				}
				text := strings.ToLower(err.Error())
				for _, secret := range secrets {
					if strings.Contains(text, strings.ToLower(secret)) {
						t.Errorf("%q is in %q", secret, err)
					}
				}
			}
		})
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
