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
			g.reportRead("", nil)
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

// Reads between writes that fail do not end an outage of writes, nor do activities, and reads alone do not open the gate: who reads first
// stays first, until its write says that all is well or it has no more to do.
func TestReadingDoesNotEndAnOutageOfWrites(t *testing.T) {
	bad := failure(fm.KindTemporary, 0)
	gateBubble(t, func(t *testing.T, g *gateRig) {
		for i := range outageFailures {
			user := string(rune('a' + i))
			g.reportRead(user, nil)
			g.performed("x")
			g.report(user, bad)
		}
		if g.isOpen() {
			t.Fatal("five writes of five users have failed, and nothing is held")
		}
		for _, ends := range []string{"leaves", "fails", "writes"} {
			first := g.firstIn(10 * time.Minute)
			g.reportRead("a", nil)
			if g.isOpen() || g.tryPass() == nil {
				t.Fatalf("before it %s: reading let others go", ends)
			}
			if first.admit() != nil {
				t.Fatalf("before it %s: who has read may not write", ends)
			}
			switch ends {
			case "leaves":
				g.reportRead("a", nil)
				if first.leave(); g.tryPass() != nil {
					t.Fatal("the next one may not go first")
				}
				g.report("b", bad)
			case "fails":
				if g.report("a", bad) || g.tryPass() == nil {
					t.Fatal("its write failed, and it counts or nothing is held")
				}
			case "writes":
				if g.report("a", nil); !g.isOpen() {
					t.Errorf("paused: %+v", g.pauses())
				}
			}
		}
	})
}

// Reads that fail are proof of reads, and a read that works ends them. Failures of both sorts are one outage.
func TestReadsAndWritesThatFailAreOneOutage(t *testing.T) {
	bad := failure(fm.KindTemporary, 0)
	gateBubble(t, func(t *testing.T, g *gateRig) {
		for _, u := range []string{"a", "b", "c", "d"} {
			g.reportRead(u, bad)
		}
		g.reportRead("x", nil)
		g.report("a", bad)
		g.report("b", bad)
		g.reportRead("b", bad)
		g.reportRead("a", bad)
		if !g.isOpen() {
			t.Fatalf("four failures of two users: %+v", g.pauses())
		}
		if g.reportRead("c", bad); g.isOpen() {
			t.Error("five failures of three users, and nothing is held")
		}
	})
}

// Two users who take turns at failing first do not open the gate for each other, though one of them goes first three times running.
func TestTheGateOpensForOneUserOnlyWhoIsAlone(t *testing.T) {
	gateBubble(t, func(t *testing.T, g *gateRig) {
		g.outage()
		for _, user := range []string{"a", "b", "b", "b", "b", "a", "a", "a"} {
			g.enterWithin(10 * time.Minute)
			if g.report(user, failure(fm.KindTemporary, 0)) || g.isOpen() {
				t.Fatalf("%s opened the gate by failing", user)
			}
		}
	})
}
