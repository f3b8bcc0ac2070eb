package worker_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/queue/queuetest"
	"github.com/freshrelay/freshrelay/worker"
)

// TestForgetErasesAnImportedTwin: a letter that is there, and is imported once more in the same head as the delete call, goes.
func TestForgetErasesAnImportedTwin(t *testing.T) {
	bubble(t, sandbox.Options{}, func(t *testing.T, r *rig) {
		letter, err := r.store.Letter(t.Context(), r.refused("ann")[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		if err := r.store.Import(t.Context(), []queue.Letter{letter, letter}); err != nil {
			t.Fatal(err)
		}
		r.publish(r.forget("ann", false))
		queuetest.Close(t, r.store)
		r.open()
		if l := r.drain(time.Minute); l.Dead != 0 || len(r.letters()) != 0 {
			t.Errorf("%+v", l.Counts)
		}
	})
}

// TestForgetErasesWhatAnImportHasLeft: the letter of an import is stored, and another one of the same head finds no room in DEAD, so
// nothing is settled. Then comes the delete call: in the same run, or after a restart.
func TestForgetErasesWhatAnImportHasLeft(t *testing.T) {
	for _, restart := range []bool{false, true} {
		bubbleNamed(t, map[bool]string{false: "goes on", true: "after a restart"}[restart], sandbox.Options{}, func(t *testing.T, r *rig) {
			if err := r.stop(); err != nil {
				t.Fatal(err)
			}
			queuetest.Close(t, r.store)
			r.maxBytes = queue.MinMaxBytes
			r.open()
			id := r.refused("ann")[0]
			letter, err := r.store.Letter(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			r.command(queue.Order{Discard: worker.ReasonByOperator}, id)
			sizes, err := r.store.Sizes(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			const size = 400_000
			for n := range sizes["DEAD"].Limit / (size + 1000) {
				r.publish(r.identify(fmt.Sprint("refuse-", n), map[string]any{"blob": strings.Repeat("x", size)}))
				r.drain(time.Hour)
			}
			dead := len(r.letters())
			large := letter
			large.Position, large.Event = 0, bytes.Repeat([]byte{'x'}, size)
			if err := r.store.Import(t.Context(), []queue.Letter{letter, large}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			if len(r.letters()) != dead+1 {
				t.Fatal("the first import is not stored, or the second is")
			}
			if restart {
				r.restart()
			}
			r.publish(r.forget("ann", false))
			if l := r.drain(time.Hour); l.Dead != int64(dead) || len(r.letters()) != dead {
				t.Errorf("%+v", l.Counts)
			}
			if _, err := r.store.Letter(t.Context(), id); err == nil {
				t.Error("the letter is still there")
			}
		})
	}
}
