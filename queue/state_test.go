package queue_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/queue/queuetest"
)

func TestStateIsComparedWithWhatWasRead(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := queuetest.Open(t, dir)
		if data, rev, err := s.State(t.Context(), "quota"); data != nil || rev != 0 || err != nil {
			t.Fatalf("a key that was never written: %q, %d, %v", data, rev, err)
		}
		first, err := s.PutState(t.Context(), "quota", []byte("one"), 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.PutState(t.Context(), "quota", []byte("other"), 0); !errors.Is(err, queue.ErrConflict) {
			t.Errorf("a write that has not seen the last: %v, want ErrConflict", err)
		}
		second, err := s.PutState(t.Context(), "quota", []byte("two"), first)
		if err != nil {
			t.Fatal(err)
		}
		data, rev, err := s.State(t.Context(), "quota")
		if string(data) != "two" || rev != second || err != nil {
			t.Errorf("read %q at %d, %v; want \"two\" at %d", data, rev, err, second)
		}
	})
}
