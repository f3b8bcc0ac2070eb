package worker

import (
	"context"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer"
)

const (
	// ownStrikes is how often something has to be delivered for others while a user's calls fail, until that is the user's own
	// trouble and no sign of an outage. Once can be the moment at which an outage ends.
	ownStrikes = 2
	// ownMost bounds the users of whom that is remembered.
	ownMost = 10_000
	// letFirst is how long those whose calls have failed let others go first when the gate is ajar.
	letFirst = time.Second
)

// ownTrouble tells users whose calls fail for reasons of their own, such as contacts that the key's user may not see, from an
// account that fails for everybody: others are delivered meanwhile. Without that, a few such users would look like an outage
// whenever nobody else has anything to send, and hold up whoever comes then.
type ownTrouble struct {
	failing map[string]bool // users whose calls have failed since something was delivered last
	strikes map[string]int  // how often something was delivered for others meanwhile
}

func (o *ownTrouble) failed(user string) {
	if user == "" || len(o.failing) >= ownMost { // of nobody in particular, or of very many
		return
	}
	if o.failing == nil {
		o.failing = map[string]bool{}
	}
	o.failing[user] = true
}

// proven says that the user's failures say nothing about the account.
func (o *ownTrouble) proven(user string) bool { return o.strikes[user] >= ownStrikes }

func (o *ownTrouble) delivered(user string) {
	delete(o.failing, user)
	delete(o.strikes, user)
	if o.strikes == nil || len(o.strikes) > ownMost {
		o.strikes = map[string]int{}
	}
	for other := range o.failing {
		o.strikes[other] = min(o.strikes[other]+1, ownStrikes)
	}
	clear(o.failing)
}

// delivered tells the gate that a change of the user was written. That the API could be read says less: it may fail for all writes.
func (g *gate) delivered(user string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.writes.own.delivered(user)
	g.reads.own.delivered(user)
}

// performed tells the gate that an activity or an event of the user was made. Contacts may fail to be written all the same.
func (g *gate) performed(user string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reads.own.delivered(user)
}

// giveBackHeld ends a turn whose call failed in a way that is, or may be, the account's trouble.
func (t *turn) giveBackHeld(kind freshmarketer.Kind) {
	t.lane.suspect = t.lane.suspect || troubled(kind)
	t.part.backlog.giveBack(t.lane)
}

// stepsBack ends the turn of a lane whose calls have failed, as long as all are held. When the gate is ajar, who has not failed goes
// first, and soon shows that the account works: lanes that fail would take all runners, and each turn at being first.
func (t *turn) stepsBack() bool {
	l, gate := t.lane, t.p.gate
	if l.trouble == nil && !l.suspect || !gate.holds() {
		return false
	}
	go func() {
		if gate.ajarSince(t.waitCtx, letFirst) {
			t.part.backlog.giveBack(l)
		}
	}()
	return true
}

// holds says that nobody may pass because of a hold that is not the operator's.
func (g *gate) holds() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.hold != "" && (!g.ajar || g.through != nil)
}

// ajarSince waits until nothing holds, or until the gate has been ajar for a while and nobody went through. It reports false if ctx
// ended before.
func (g *gate) ajarSince(ctx context.Context, while time.Duration) bool {
	for {
		g.mu.Lock()
		open, ajar, changed := g.hold == "", g.ajar && g.through == nil, g.changed
		g.mu.Unlock()
		switch {
		case open:
			return true
		case ajar:
			if !sleep(ctx, while) {
				return false
			}
			if !g.holds() {
				return true
			}
		default:
			select {
			case <-changed:
			case <-ctx.Done():
				return false
			}
		}
	}
}
