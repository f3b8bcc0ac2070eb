package sandbox_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

// BenchmarkCalls: with 50,000 contacts and all histories on, 100,000 calls are to be a matter of seconds.
func BenchmarkCalls(b *testing.B) {
	box, err := sandbox.New(sandbox.Options{Contacts: 50_000, Changes: true, PerHour: 1 << 30, IndexLag: time.Millisecond})
	if err != nil {
		b.Fatal(err)
	}
	all := fmt.Sprint(980_000_000_000_503)
	for name, call := range map[string]func(i int) (method, path, body string){
		"update": func(i int) (string, string, string) {
			return "PUT", fmt.Sprint("contacts/", 990_000_000_000_001+i%50_000), fmt.Sprintf(`{"contact":{"city":"Ulm %d","custom_field":{"cf_seq":%d}}}`, i, i)
		},
		"get": func(i int) (string, string, string) {
			return "GET", fmt.Sprint("contacts/", 990_000_000_000_001+i%50_000), ""
		},
		"lookup": func(i int) (string, string, string) {
			return "GET", fmt.Sprintf("lookup?f=external_id&q=user-%d&entities=contact", 1+i%50_000), ""
		},
		"page of 100": func(i int) (string, string, string) {
			return "GET", fmt.Sprintf("contacts/view/%s?per_page=100&page=%d&sort=created_at", all, 1+i%500), ""
		},
		"bulk of 100": func(i int) (string, string, string) {
			var rows []string
			for j := range 100 {
				rows = append(rows, fmt.Sprintf(`{"id":"%d","data":{"city":"Bonn %d"}}`, 990_000_000_000_001+(i*100+j)%50_000, i))
			}
			return "POST", "contacts/bulk_upsert", `{"contacts":[` + strings.Join(rows, ",") + `]}`
		},
	} {
		b.Run(name, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				method, path, body := call(i)
				r := httptest.NewRequest(method, "/crm/sales/api/"+path, strings.NewReader(body))
				r.Header = http.Header{"Authorization": {"Token token=" + sandbox.DefaultAPIKey}, "Content-Type": {"application/json"}}
				w := &discard{header: http.Header{}}
				box.Handler().ServeHTTP(w, r)
				if w.status != 200 {
					b.Fatalf("%s %s: %d", method, path, w.status)
				}
			}
		})
	}
}

// discard is an answer nobody reads.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(p []byte) (int, error) { return io.Discard.Write(p) }
