package worker

import (
	"context"
	"errors"
	"testing"

	fm "github.com/freshrelay/freshrelay/freshmarketer"
)

// Only a POST that may have made a job is worth two minutes: one that never left is not.
func TestAfterWhichErrorsAJobMayBeAtWork(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want bool
	}{
		{&fm.Error{Kind: fm.KindTemporary}, true},
		{&fm.Error{Kind: fm.KindTemporary, Status: 502}, true},
		{&fm.Error{Kind: fm.KindTemporary, Unsent: true}, false}, // no connection
		{&fm.Error{Kind: fm.KindCanceled, Err: context.Canceled}, true},
		{&fm.Error{Kind: fm.KindCanceled, Unsent: true}, false}, // withheld: the lease had run out
		{&fm.Error{Kind: fm.KindUnknown, Status: 418}, true},
		{&fm.Error{Kind: fm.KindMisrouted, Status: 200}, true},
		{&fm.Error{Kind: fm.KindMisrouted, Status: 302}, false},
		{&fm.Error{Kind: fm.KindThrottled, Status: 405}, false},
		{&fm.Error{Kind: fm.KindInvalid, Status: 400}, false},
		{errHeld, false},
		{errors.New("the store"), false},
	} {
		if got := unclear(c.err); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
}
