package worker

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/segment"
)

// Why a call waits, beside the reasons for which nothing at all is sent (Hold).
const (
	WaitsInLog    = "in_log"    // so much waits before it that it was not read yet
	WaitsForUser  = "user"      // earlier calls of its user go first
	WaitsForRetry = "retry"     // the last try for its user failed, the next one comes after a pause
	WaitsForQuota = "quota"     // the account's quota leaves no call at the moment
	WaitsForTurn  = "turn"      // its user is ready, and others are served before
	WaitsForReply = "in_flight" // it is being worked on

	WaitsForContact = "contact" // an activity: for its user's contact, or for calls of the user that came before it
)

// WaitReasons lists them.
func WaitReasons() []string {
	return []string{WaitsForReply, WaitsForTurn, WaitsForUser, WaitsForContact, WaitsForRetry, WaitsForQuota, WaitsInLog}
}

// Waiting is a call that is stored and not settled.
type Waiting struct {
	User, MessageID, Type, Source string

	Position uint64
	Received time.Time
	Ahead    int       // events of all users before it
	OfUser   int       // of them, those of its user
	Why      []string  // the most telling first
	Tries    int       // failed tries of its user's change, with WaitsForRetry
	Next     time.Time // of the next one
}

// WaitingQuery asks for the calls of a user (a token), with a message id, or both.
type WaitingQuery struct {
	User, MessageID string
	Limit           int
}

// Waiting looks for calls that wait in this process's partitions. whole is false if so much waits that not all of it was looked at.
func (p *Pool) Waiting(ctx context.Context, q WaitingQuery) (found []Waiting, whole bool, err error) {
	id, err := json.Marshal(q.MessageID)
	if err != nil {
		return nil, false, fmt.Errorf("encoding a message id: %w", err)
	}
	whole, err = p.store.EachWaiting(ctx, q.User, func(w queue.Waiting) bool {
		if q.MessageID != "" && !bytes.Contains(w.Data, id) { // most need no decoding
			return true
		}
		received, err := segment.Decode(w.Data)
		if err != nil || q.MessageID != "" && received.MessageID != q.MessageID {
			return true // what is no event is told when its turn comes
		}
		found = append(found, Waiting{
			User: w.User, MessageID: received.MessageID, Type: string(received.Type), Source: received.Source, Position: w.Position,
			Received: received.At, Ahead: w.Ahead, OfUser: w.OfUser,
		})
		p.explainWait(&found[len(found)-1], w)
		return len(found) < q.Limit
	})
	return found, whole, err
}

// explainWait says why an event waits.
func (p *Pool) explainWait(out *Waiting, w queue.Waiting) {
	l := p.backlogs.look(w.User, w.Activity)
	if why := p.mode.hold(); why != "" && !p.mode.writes(w.User) {
		out.Why = append(out.Why, string(why))
	}
	for _, pause := range p.gate.pauses() {
		out.Why = append(out.Why, string(pause.Reason))
	}
	if len(out.Why) == 0 && w.OfUser == 0 && (l.queued || slices.ContainsFunc(p.gate.quota.windows(), func(w QuotaWindow) bool { return w.Left == 0 })) {
		out.Why = append(out.Why, WaitsForQuota)
	}
	switch {
	case !w.Read:
		out.Why = append(out.Why, WaitsInLog)
	case !l.next.IsZero() && time.Now().Before(l.next):
		out.Why, out.Tries, out.Next = append(out.Why, WaitsForRetry), l.tries, l.next
	case w.OfUser > 0:
		out.Why = append(out.Why, WaitsForUser)
	case l.place == placeParked && w.Activity && len(out.Why) == 0:
		out.Why = append(out.Why, WaitsForContact)
	case l.place == placeTaken && len(out.Why) == 0:
		out.Why = append(out.Why, WaitsForReply)
	case len(out.Why) == 0:
		out.Why = append(out.Why, WaitsForTurn)
	}
}

// retryPlan is what a lane's backlog knows of its next try.
type retryPlan struct {
	tries  int
	next   time.Time
	queued bool // its turn waits for leave to make calls
}

// standing is what can be said about a lane without having taken it.
type standing struct {
	retryPlan

	place place
}

// look says how a user's lane stands, the one for contacts or the one for activities.
func (s *backlogs) look(user string, activities bool) standing {
	s.mu.Lock()
	defer s.mu.Unlock()
	for b := range s.set {
		b.mu.Lock()
		if l := b.lanes[user]; l != nil && b.activities == activities {
			defer b.mu.Unlock()
			return standing{l.planned, l.place}
		}
		b.mu.Unlock()
	}
	return standing{place: placeNew}
}

// plan notes when a lane's next try comes, for who asks meanwhile.
func (b *backlog) plan(l *lane, tries int, wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l.planned = retryPlan{tries: tries, next: time.Now().Add(wait)}
}

// queue notes whether a lane's turn waits for leave to make calls: for quota, if nothing holds all of them.
func (b *backlog) queue(l *lane, waits bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l.planned.queued = waits
}
