package worker

import (
	"testing"
	"time"

	fm "github.com/freshrelay/freshrelay/freshmarketer"
)

// Users whose calls go on failing while others are delivered are no sign of an outage, while the gate is open; what they fail at is theirs to
// count. When it is ajar they are like anybody. As soon as something of theirs is delivered they are as good a sign as anybody.
func TestWhoFailsWhileOthersAreDeliveredIsNoSignOfAnOutage(t *testing.T) {
	bad := failure(fm.KindTemporary, 0)
	gateBubble(t, func(t *testing.T, g *gateRig) {
		users := []string{"a", "b", "c", "d", "e", "f"}
		for range ownStrikes {
			for _, u := range users[:4] {
				g.report(u, bad)
			}
			g.report("x", nil)
			g.delivered("x")
		}
		for range 5 {
			for _, u := range users[:4] {
				if !g.report(u, bad) {
					t.Fatalf("it does not count against %s", u)
				}
			}
		}
		if !g.isOpen() {
			t.Fatalf("paused: %+v", g.pauses())
		}
		for _, u := range users[4:] { // two others are too few
			g.report(u, bad)
			g.report(u, bad)
		}
		if !g.isOpen() {
			t.Fatalf("paused: %+v", g.pauses())
		}
		g.report("g", bad)
		if g.isOpen() {
			t.Fatal("five failures of three others, and nothing is held")
		}
		g.enterWithin(time.Minute)
		if g.report("a", bad) || g.tryPass() == nil { // or its calls would be made in a loop
			t.Error("a goes first and fails, and nobody waits for the next probe")
		}
		g.enterWithin(time.Minute)
		g.report("x", nil)
		for _, u := range users[:4] {
			g.delivered(u)
		}
		for _, u := range append(users[:4:4], "a") {
			g.report(u, bad)
		}
		if g.isOpen() {
			t.Error("five failures of users who were delivered since, and nothing is held")
		}
	})
}

// That something could be read is no proof: the account may fail for all writes.
func TestReadingProvesNothingAboutUsersWhoFail(t *testing.T) {
	gateBubble(t, func(t *testing.T, g *gateRig) {
		for range 10 {
			for _, u := range []string{"a", "b", "c", "d"} {
				g.report(u, failure(fm.KindTemporary, 0))
			}
			g.report("", nil)
		}
		g.outage()
		for range 3 {
			for _, u := range []string{"a", "b"} {
				g.enterWithin(10 * time.Minute)
				if g.report(u, failure(fm.KindTemporary, 0)) {
					t.Fatalf("it counts against %s", u)
				}
			}
		}
	})
}
