package admin

import (
	"encoding/json"
	"time"

	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/queue"
)

// CallFate is what happens to calls of one type, as this service is configured: one line, the same in status, check and README.
type CallFate struct {
	Type   string `json:"type"`             // as in the Segment Spec
	Which  string `json:"which,omitempty"`  // "": calls of the type; else which of them go another way, like "without userId"
	Fate   string `json:"fate"`             // what happens once it is answered with 200
	Switch string `json:"switch,omitempty"` // whether it is on, and how to have it otherwise
}

// Call is a type of call with what came of it by the door, in all processes since each one's start.
type Call struct {
	CallFate

	Received int            `json:"received"`
	Dropped  map[string]int `json:"dropped"` // of them, by reason: answered with 200 and not stored
}

// calls adds to each fate what came, here and by the doors of the other processes of the store, and says since when that is
// counted.
func (s *server) calls(around queue.Sharing) (calls []Call, since time.Time) {
	since = s.Started
	doors := s.Door()
	for _, p := range around.Processes {
		var there []metrics.Came
		if p.Self || json.Unmarshal(p.Says, &there) != nil { // another version's: its door is not counted, the rest is shown
			continue
		}
		doors = append(doors, there...)
		if p.Started.Before(since) {
			since = p.Started
		}
	}
	calls = []Call{}
	for _, f := range s.Calls {
		if f.Which == "" {
			calls = append(calls, Call{CallFate: f, Dropped: map[string]int{}})
		}
	}
	for _, d := range doors {
		at := -1
		for i, c := range calls {
			if c.Type == d.Type {
				at = i
			}
		}
		if at < 0 { // no type of call: something that a sender got wrong
			at = len(calls)
			calls = append(calls, Call{CallFate: CallFate{Type: d.Type, Fate: "no type of call there is: answered with 200 and dropped", Switch: "mend the sender"}, Dropped: map[string]int{}})
		}
		calls[at].Received += d.Received
		for reason, n := range d.Dropped {
			calls[at].Dropped[reason] += n
		}
	}
	return calls, since
}
