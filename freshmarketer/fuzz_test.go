package freshmarketer

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

// FuzzAnswers: whatever an answer's body is, reading it panics nowhere and no error text repeats what was sent.
func FuzzAnswers(f *testing.F) {
	const name, plan = "Oluwaseun Łukasz", "hidden-plan"
	for _, body := range []string{
		``, `true`, `{"errors":{"code":400,"message":["hidden-plan already exists."]}}`, `{"error_code":429}`, `{"login":"failed","message":null}`,
		`<html>Oluwaseun Łukasz`, `{"contact":{"id":1,"emails":[{"value":"a@x.test","is_primary":true}],"sales_accounts":[{"id":"7"}]}}`,
		`{"contacts":{"contacts":[{"id":1}]}}`, `{"users":[{"id":1,"display_name":"x"}]}`,
		`{"status":"SUCCESS","data":"{\"record_status\":{\"failed\":1},\"detailed_failure_report\":[{\"emails\":\"ann@x.test\",\"error\":\"hidden-plan\"}]}"}`,
	} {
		f.Add(400, []byte(body))
		f.Add(200, []byte(body))
	}
	write := ContactWrite{Fields: Fields{"first_name": name}, Custom: Fields{"cf_plan": plan}}
	rows := []BulkRow{{Identifier: "emails", Value: "ann@x.test", Write: write}, {Identifier: "external_id", Value: "u-4711"}}
	cl := call{op: OpUpsertContact, sent: rows[0].sent(), identifier: "external_id"}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		got := answer{status: status, header: http.Header{}, body: body}
		texts := []string{classify(cl, got, nil, time.Time{}).Error(), classifyUnreadable(cl, got, time.Time{}).Error()}
		var (
			contact Contact
			account Account
			found   lookupAnswer
			job     jobAnswer
		)
		if json.Unmarshal(body, &contact) == nil {
			contact.linked()
		}
		_, _ = json.Unmarshal(body, &account), json.Unmarshal(body, &found)
		if json.Unmarshal(body, &job) == nil {
			for _, entry := range job.Data.Failures {
				failure := newRowFinder(rows, nil).failure(entry)
				if failure.Row < -1 || failure.Row >= len(rows) {
					t.Errorf("row %d of %d", failure.Row, len(rows))
				}
				if failure.Row == 0 {
					texts = append(texts, failure.Text)
				}
			}
		}
		for _, text := range texts {
			if strings.Contains(text, name) || strings.Contains(text, plan) || strings.Contains(text, "ann@x.test") {
				t.Errorf("a sent value is in %q", text)
			}
		}
	})
}
