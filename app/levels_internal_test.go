package app

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/admin"
	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/worker"
)

// Who starts it during an outage is told of the outage, not of a permission that may be missing.
func TestSendingSaysWhyTheFieldsAreNotKnown(t *testing.T) {
	t.Parallel()
	started := time.Unix(100, 0)
	refused := &freshmarketer.Error{Op: "contact_fields", Kind: freshmarketer.KindTemporary, Status: 503, Text: "busy"}
	for name, tt := range map[string]struct {
		status worker.Status
		want   []admin.Pause
	}{
		"known":     {worker.Status{Catalogue: true}, nil},
		"first try": {worker.Status{}, []admin.Pause{{Reason: metrics.PausedCatalogue, Since: started, Detail: "the fields are being read"}}},
		"failed": {
			worker.Status{LastError: refused},
			[]admin.Pause{{Reason: metrics.PausedCatalogue, Since: started, Detail: "freshmarketer: contact_fields: temporary (status 503): busy"}},
		},
		"held": { // the better reason stands alone
			worker.Status{LastError: refused, Pauses: []worker.Pause{{Reason: "key_refused", Since: started, Detail: "no"}}},
			[]admin.Pause{{Reason: "key_refused", Since: started, Detail: "no"}},
		},
	} {
		if diff := cmp.Diff(tt.want, sendingOf(tt.status, started).Paused); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
