package admin

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/freshrelay/freshrelay/queue"
)

// WaitingCall is a call that is stored and not settled: where it stands, and why it waits.
type WaitingCall struct {
	User      string    `json:"user"`
	MessageID string    `json:"message_id"`
	Type      string    `json:"type"`
	Source    string    `json:"source"`
	Position  uint64    `json:"position"`
	Received  time.Time `json:"received"`
	Ahead     int       `json:"ahead"`   // calls of all users before it
	OfUser    int       `json:"of_user"` // of them, those of its user
	Why       []WaitWhy `json:"why"`     // the most telling first
	Tries     int       `json:"tries,omitempty"`
	NextTry   time.Time `json:"next_try,omitzero"` // after a failure
}

// WaitWhy is a reason, and what it means.
type WaitWhy struct {
	Reason   string `json:"reason"`
	Meaning  string `json:"meaning"`
	WhatToDo string `json:"what_to_do"`
}

// WaitingList is what is found of a user or a message id in the log.
type WaitingList struct {
	Calls []WaitingCall
	Whole bool // everything that waits in this process's partitions was looked at
}

// WhyWaits explains why a call waits: by its own place, or because nothing is sent at all.
func WhyWaits(reason string) WaitWhy {
	about := AboutPause
	if _, own := table()[AboutWaiting][reason]; own {
		about = AboutWaiting
	}
	a := Advise(about, reason)
	return WaitWhy{Reason: reason, Meaning: a.Meaning, WhatToDo: a.Mend}
}

func waitingAdvice() map[string]Advice {
	const nothing = "Nothing to do."
	return map[string]Advice{
		"in_flight": {"It is being worked on at this moment.", nothing},
		"turn":      {"Its user is ready, and others are served before.", nothing + " To see how fast it goes: freshrelay status"},
		"user":      {"Earlier calls of its user go first.", nothing},
		"contact": {
			"It is an activity, and its user has no contact yet, or has calls that came before it and are not done.",
			nothing + " It goes on by itself once the contact is there.",
		},
		"retry": {
			"The last try for its user failed, and the next one comes after a pause.",
			"The log says why; what fails for as long as retry.max_age allows is set aside (freshrelay dlq list).",
		},
		"quota": {
			"The account's quota leaves no call at the moment.",
			nothing + " If it lasts, compare freshmarketer.quota with what the plan allows; freshrelay status estimates when the backlog is clear.",
		},
		"in_log": {
			"So much waits before it that it was not read yet.",
			nothing + " freshrelay status estimates when the backlog is clear.",
		},
	}
}

// addWaiting looks in the log for what the journal does not know the end of.
func (s *server) addWaiting(ctx context.Context, q queue.JournalQuery, out *EventList) error {
	if s.Waiting == nil {
		return nil
	}
	if q.MessageID != "" {
		for _, e := range out.Events {
			if e.Outcome == queue.Delivered || e.Outcome == queue.Discarded || e.Outcome == queue.Dead {
				return nil
			}
		}
	}
	list, err := s.Waiting(ctx, q.User, q.MessageID, min(cmp.Or(q.Limit, maxShown), maxShown))
	if err != nil {
		return fmt.Errorf("look for what waits: %w", err)
	}
	out.Waiting, out.WaitingPart = list.Calls, !list.Whole
	return nil
}
