package freshmarketer_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/freshrelay/freshrelay/freshmarketer"
)

// A call whose permission ends between its beginning and the writing must not reach the server; the next one must.
func TestAGuardIsAskedWhenBytesLeave(t *testing.T) {
	var whole atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err == nil {
			whole.Add(1)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"contact":{"id":1},"filters":[]}`))
	}))
	defer server.Close()
	client, err := freshmarketer.New(freshmarketer.Config{BaseURL: server.URL, APIKey: "key-of-a-test"})
	if err != nil {
		t.Fatal(err)
	}
	gone := errors.New("gone")
	calls := map[string]func(allowed func() error) error{
		"with a body": func(allowed func() error) error {
			_, err := client.UpdateContact(freshmarketer.Guarded(t.Context(), allowed), "1", freshmarketer.ContactWrite{Fields: freshmarketer.Fields{"city": "Here"}})
			return err
		},
		"without a body": func(allowed func() error) error { return client.Probe(freshmarketer.Guarded(t.Context(), allowed)) },
	}
	for name, call := range calls {
		for range 2 { // on a new connection, and on a kept one
			whole.Store(0)
			if err := call(func() error { return gone }); !errors.Is(err, gone) || freshmarketer.KindOf(err) != freshmarketer.KindCanceled || whole.Load() != 0 {
				t.Errorf("%s: %v, %d requests arrived", name, err, whole.Load())
			} else if e := new(freshmarketer.Error); !errors.As(err, &e) || e.MayHaveEffect() {
				t.Errorf("%s: what was withheld may have had an effect: %+v", name, e)
			}
			if err := call(func() error { return nil }); err != nil || whole.Load() != 1 {
				t.Errorf("%s: an allowed call ended with %v, %d requests arrived", name, err, whole.Load())
			}
		}
	}
}
