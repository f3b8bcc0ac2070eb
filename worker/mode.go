package worker

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/segment"
)

// Names of modes.
const (
	ModeLive    = "live"    // all contacts are written
	ModeCanary  = "canary"  // only those of the listed users are
	ModeObserve = "observe" // none is
)

// ReasonNotLive is why a call is discarded that has waited for another mode for as long as it may.
const ReasonNotLive = "not_live"

// Mode says whose contacts are written. The calls of all others are mapped as they come, so that the journal tells what
// would be done, and wait in the log: they are mapped anew and delivered once a later start is in a mode that writes them.
type Mode struct {
	Name       string        // "": ModeLive
	Canary     []string      // userIds that ModeCanary writes, and companies as group:<groupId>
	ObserveFor time.Duration // how long a call waits before it is discarded
}

func (m Mode) check() error {
	switch {
	case m.Name == "" || m.Name == ModeLive:
		return nil
	case m.Name != ModeCanary && m.Name != ModeObserve:
		return fmt.Errorf("delivery.mode is %q: it must be %s, %s or %s", m.Name, ModeLive, ModeCanary, ModeObserve)
	case m.ObserveFor <= 0:
		return fmt.Errorf("delivery.observe_for is %v: it must be positive", m.ObserveFor)
	case m.Name == ModeCanary && len(m.Canary) == 0:
		return fmt.Errorf("delivery.canary is empty: with delivery.mode %s nobody would be written", ModeCanary)
	}
	return nil
}

// mode is a Mode in the tokens by which lanes go.
type mode struct {
	Mode

	canary map[string]bool
	full   atomic.Int32 // partitions in which so much waits that the log is not read any further
}

// canaryGroup begins an entry of Mode.Canary that names a company by its groupId.
const canaryGroup = "group:"

func newMode(m Mode, token func(userID string) string) *mode {
	if m.Name == "" {
		m.Name = ModeLive
	}
	out := &mode{Mode: m, canary: map[string]bool{}}
	for _, user := range m.Canary {
		out.canary[token(user)] = true
		if company, ok := strings.CutPrefix(user, canaryGroup); ok {
			out.canary[token(segment.GroupLane(company))] = true
		}
	}
	return out
}

// writes says whether the user's contact is written.
func (m *mode) writes(user string) bool {
	return m.Name == ModeLive || m.Name == ModeCanary && m.canary[user]
}

// hold is why calls wait because of the mode, "" if none do.
func (m *mode) hold() Hold {
	switch m.Name {
	case ModeObserve:
		return metrics.PausedObserve
	case ModeCanary:
		return metrics.PausedCanary
	}
	return ""
}

// detail says what the mode means at the moment.
func (m *mode) detail() string {
	switch {
	case m.full.Load() > 0:
		return "so many calls wait that the log is not read any further; nothing is lost"
	case m.Name == ModeCanary:
		return fmt.Sprintf("only the %d users of delivery.canary are written; the calls of all others wait", len(m.canary))
	}
	return "nothing is written; calls wait, and the journal says what would be done"
}

// expired says whether a call that came at that time has waited for as long as it may.
func (m *mode) expired(at time.Time) bool { return time.Since(at) >= m.ObserveFor }
