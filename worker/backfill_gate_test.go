package worker

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

// After an outage of writes, whoever goes first stays first until it has made its write. If that is to adopt a contact, it looks at the
// book of the index first, which somebody may be bringing up to date who waits at the gate: neither waits for the other for ever.
func TestWhoGoesFirstDoesNotWaitForWhoCatchesUp(t *testing.T) {
	for _, what := range []string{"adopts", "claims"} {
		t.Run(what, func(t *testing.T) {
			doorBubble(t, sandbox.Options{}, func(t *testing.T, d *door) {
				for u := range 150 {
					if _, err := d.box.Add(map[string]any{"emails": fmt.Sprintf("u%d@x.test", u)}); err != nil {
						t.Fatal(err)
					}
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				b := d.sharer("one")
				go b.gate.run(ctx)
				if err := b.read(ctx, ctx); err != nil {
					t.Fatal(err)
				}
				ann := b.guessed(t, "ann", "u7@x.test")
				time.Sleep(checkEvery)
				g := &gateRig{gate: b.gate, t: t}
				g.outage()
				first := g.firstIn(10 * time.Minute)
				first.reportRead("ann", nil) // it has found its contact
				caughtUp := make(chan error, 1)
				go func() { caughtUp <- b.catchUp(ctx, ctx) }()
				synctest.Wait()
				limited, stop := context.WithTimeout(ctx, time.Hour)
				defer stop()
				if what == "adopts" {
					if free, err := b.mayAdopt(limited, first, ann.lane.guess.contact, ann.lane.user); err != nil || !free {
						t.Errorf("may it be adopted: %v, %v", free, err)
					}
				} else if _, err := b.claim(limited, first, []*turn{ann}); err != nil {
					t.Errorf("it is not claimed: %v", err)
				}
				if first.admit() == nil {
					first.report("ann", nil)
				}
				if first.leave(); !g.isOpen() {
					t.Errorf("paused: %+v", g.pauses())
				}
				if err := <-caughtUp; err != nil {
					t.Error(err)
				}
			})
		})
	}
}
