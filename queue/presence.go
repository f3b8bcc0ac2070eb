package queue

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
)

// Process is one that has the store open, on servers that it shares with others.
type Process struct {
	ID       string    `json:"id"` // made at its start
	Host     string    `json:"host"`
	PID      int       `json:"pid"`
	Role     string    `json:"role"`     // Config.Role
	Delivers bool      `json:"delivers"` // it takes its share of the partitions
	Started  time.Time `json:"started"`  // by its own clock
	// Says is what Config.Says gave with its last sign.
	Says json.RawMessage `json:"says,omitempty"`

	Seen   time.Time `json:"-"` // its last sign, by the servers' clock
	Silent bool      `json:"-"` // it has given none for a lease time: it ended without a word, stands still or is cut off
	Self   bool      `json:"-"` // it is the one that says so
}

// String names a process for people.
func (p Process) String() string {
	return fmt.Sprintf("%s (pid %d, role %s)", cmp.Or(p.Host, "an unknown host"), p.PID, cmp.Or(p.Role, "unknown"))
}

// presence tells whoever looks that this process has the store open, from Open to Close, whether it delivers or not: the
// others share the partitions with those that do, and Migrate must know of all.
type presence struct {
	s    *Store
	wake chan struct{} // capacity 1: what is to be told has changed
	stop context.CancelFunc
	done chan struct{}

	mu   sync.Mutex
	self Process
}

// presencePatience bounds taking the announcement back at the end. One that stays is taken for silent after a lease time.
const presencePatience = time.Second

// startPresence returns after the first announcement: whoever looks later than that finds this process. Servers that do not
// take it now are no reason not to start.
func (s *Store) startPresence(ctx context.Context) *presence {
	host, err := os.Hostname()
	if err != nil {
		s.log.Debug("this machine has no name to be announced by", zap.Error(err))
	}
	loopCtx, stop := context.WithCancel(context.Background())
	p := &presence{s: s, wake: make(chan struct{}, 1), stop: stop, done: make(chan struct{})}
	p.self = Process{ID: s.process, Host: host, PID: os.Getpid(), Role: s.cfg.Role, Started: time.Now().UTC()}
	p.tell(ctx)
	go p.loop(loopCtx)
	return p
}

func (p *presence) loop(ctx context.Context) {
	defer close(p.done)
	tick := time.NewTicker(renewParts * p.s.cfg.External.lease() / leaseParts)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-p.wake:
		case <-ctx.Done():
			return
		}
		p.tell(ctx)
	}
}

func (p *presence) tell(ctx context.Context) {
	p.mu.Lock()
	self := p.self
	p.mu.Unlock()
	if p.s.cfg.Says != nil {
		self.Says = p.s.cfg.Says()
	}
	data, err := json.Marshal(self)
	if err == nil {
		_, err = p.s.writeState(ctx, p.s.names.process(p.s.process), data)
	}
	if err != nil && ctx.Err() == nil {
		p.s.log.Warn("this process could not be announced to the others, trying again", zap.Error(err))
	}
}

// deliver says from now on that this process takes its share of the partitions, or that it takes none.
func (p *presence) deliver(yes bool) {
	p.mu.Lock()
	p.self.Delivers = yes
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// close takes the announcement back. Without that the others would wait for this process to take its share.
func (p *presence) close() {
	p.stop()
	<-p.done
	if !p.s.nc.IsConnected() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), presencePatience)
	defer cancel()
	if err := p.s.state.Purge(ctx, jetstream.WithPurgeSubject(p.s.names.process(p.s.process))); err != nil {
		p.s.log.Debug("this process's announcement could not be taken back", zap.Error(err))
	}
}

// announced is a process and the revision of its announcement.
type announced struct {
	Process

	subject string
	rev     uint64
}

// announcements reads what the processes say of themselves.
func (s *Store) announcements(ctx context.Context) ([]announced, error) {
	info, err := s.state.Info(ctx, jetstream.WithSubjectFilter(s.names.process("*")))
	if err != nil {
		return nil, fmt.Errorf("looking for other processes: %w", err)
	}
	var all []announced
	for subject := range info.State.Subjects {
		msg, err := s.lastState(ctx, subject)
		if err != nil {
			return nil, err
		}
		if msg == nil {
			continue // it has just gone
		}
		a := announced{subject: subject, rev: msg.Sequence}
		if err := json.Unmarshal(msg.Data, &a.Process); err != nil {
			return nil, fmt.Errorf("%w: a process's announcement is unreadable: %w", ErrMismatch, err)
		}
		a.ID = strings.TrimPrefix(subject, s.names.process(""))
		a.Self = a.ID == s.process
		// Both by the servers' clock. It is good enough for people and for Migrate; leases are judged by each process's own.
		a.Seen, a.Silent = msg.Time, info.TimeStamp.Sub(msg.Time) >= s.cfg.External.lease()
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b announced) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), a.Started.Compare(b.Started), cmp.Compare(a.ID, b.ID))
	})
	return all, nil
}
