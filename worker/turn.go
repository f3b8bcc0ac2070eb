package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/freshrelay/freshrelay/failpoint"
	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/segment"
)

// turn is one change of one lane: what waits is gathered, mapped, sent, and settled or given back.
type turn struct {
	p    *Pool
	part *partition
	lane *lane
	// waitCtx ends waits when the pool stops; callCtx lets calls under way finish.
	waitCtx, callCtx context.Context //nolint:containedctx // a turn is one call's worth of state

	items  []queue.Item // the lane's head: all of it is settled together
	calls  []call       // the items that are events
	result mapping.Result

	api    []queue.JournalCall        // API calls made
	before map[string]json.RawMessage // custom fields as they were before the change
	unread bool                       // the contact was not read before its update
	counts bool                       // the gate's word on the last failure
	pass   *pass                      // leave to make the change's calls; nil: none yet
	more   int                        // calls that an earlier try of this turn turned out to need

	learning func()                 // to be called once the turn has ended that finds something out for all
	folded   time.Time              // when the change was made
	fresh    *freshmarketer.Contact // the user's contact as an answer has just shown it, at freshAt
	freshAt  time.Time
	claimed  []string // contacts that no other lane may adopt meanwhile

	refused  map[uint64]map[string]mapping.Reason // fields that the API refused, by the position of the call that set them
	dropped  []string                             // the same in the order of the refusals
	noEmail  mapping.Reason                       // why the change goes without its address, "" if it does not
	searches int                                  // for what the API refuses without naming it
	partly   bool                                 // a search has written a part of the change

	recreated bool // the contact was found gone, see Failure

	links       map[string]string    // ids of accounts to link the contact to, by company
	linkFailure *freshmarketer.Error // of the last link that the API refused

	act     mapping.Activity // what the call becomes, in a lane of activities
	target  string           // id of the contact that it is about
	erasing *mapping.Record  // what stays of the user's record, if the turn erases
	erased  []queue.Letter   // letters that go with it
	naming  string           // token of the user whose previousId these name; "" if all of the lane's go
}

func newTurn(waitCtx, callCtx context.Context, part *partition, l *lane) *turn {
	return &turn{p: part.pool, part: part, lane: l, waitCtx: waitCtx, callCtx: callCtx, refused: map[uint64]map[string]mapping.Reason{}}
}

// call is one event of a turn: from the log, from a dead letter that a command in the log is about, or a letter that is imported.
type call struct {
	received segment.Received
	event    segment.Event
	position uint64        // of the event, which is its clock's second half; not of the command
	letter   *queue.Letter // nil for an event from the log
	stored   []byte        // as published
	unsent   bool          // has waited for another mode for too long; a letter: it stays as it was
	broken   error         // the bytes are no event
	aside    string        // why it becomes a dead letter though others of its change are delivered
	outcome  mapping.Outcome

	item     uint64        // position of the item: for a letter that of the command
	order    queue.Order   // what to do with the letter
	edits    []queue.Edit  // of the letter and of the order
	imported *queue.Letter // the entry is this letter and no event; it becomes a dead letter again
	tried    bool          // the letter is there already: an earlier try to import it was not settled
}

// run ends with the lane settled, planned for later, given back, or handed over to a bulk. On an error nothing has been done with the lane.
func (t *turn) run() error {
	defer t.leave()
	defer func() {
		if t.learning != nil {
			t.learning()
		}
	}()
	if err := t.load(); err != nil {
		return err
	}
	t.p.backfill.saw(t.lane.record.ContactID == "")
	if !t.p.mode.writes(t.lane.user) {
		return t.watch()
	}
	for {
		if t.waitCtx.Err() != nil {
			return context.Cause(t.waitCtx)
		}
		if err := t.gather(); err != nil {
			return err
		}
		if len(t.calls) == 0 {
			t.part.backlog.giveBack(t.lane)
			return nil
		}
		t.cutAtPrevious()
		if wait, err := t.given(); err != nil || wait {
			return err
		}
		if t.aliases() {
			if done, err := t.alias(); done || err != nil {
				return err
			}
			continue
		}
		if t.deletes() {
			done, err := t.erase()
			if done || err != nil {
				return err
			}
			continue
		}
		if t.lane.record.Suppressed != 0 {
			suppress(t.calls)
		}
		if err := t.fold(); err != nil {
			if again, err := t.unmappable(err); !again {
				return err
			}
			continue
		}
		if wait, err := t.findAccounts(); err != nil || wait {
			return err
		}
		if t.result.Change.Empty() {
			return t.settle(t.result.Record, nil, "")
		}
		if t.guessable() {
			unknown := t.lane.guess == nil
			if t.p.backfill.consult(t) {
				return nil
			}
			if g := t.lane.guess; unknown && g != nil && !g.adopt {
				continue // it is mapped as a known contact now
			}
		}
		if t.mayLearn() {
			t.learnBulk()
			continue // time went by
		}
		if t.part.bulks.take(t) {
			return nil
		}
		if t.stepsBack() {
			return nil
		}
		if waited, err := t.enter(); err != nil {
			return err
		} else if waited {
			continue // what has come meanwhile belongs into the change
		}
		sent, err := t.send()
		if err == nil {
			if len(t.api) > 0 {
				t.p.gate.delivered(t.lane.user)
			}
			t.attempted(metrics.WaySingle, metrics.AttemptDone, nil, 0)
			return t.settle(sent, t.linkFailure, "")
		}
		again, err := t.failed(err)
		if !again {
			return err
		}
		t.leave()
	}
}

// load reads the user's record, once per lane, and drops letters whose replay was committed.
func (t *turn) load() error {
	l := t.lane
	if !l.loaded {
		var err error
		if l.record, l.rev, err = t.part.loadRecord(t.callCtx, l.user); err != nil {
			return err
		}
		for _, position := range l.record.Gone {
			l.letters = append(l.letters, letterID(l.user, position))
		}
		l.loaded = true
	}
	for len(l.letters) > 0 {
		failpoint.Hit(failpoint.ReplayCommitted)
		if err := t.part.log.DropLetter(t.callCtx, l.letters[0]); err != nil {
			return err
		}
		failpoint.Hit(failpoint.ReplayDropped)
		t.part.again.forget(l.letters[0])
		l.letters = l.letters[1:]
	}
	l.record.Gone = nil
	return nil
}

func letterID(user string, position uint64) string { return fmt.Sprintf("%s.%d", user, position) }

// gather takes the lane's head. Items that an earlier run has settled, and commands for letters that are not there, need
// no turn; the head begins after them.
func (t *turn) gather() error {
	for {
		// First of all, so that the head is as long as it was before a crash: it may have been sent as one change.
		t.skip(t.part.backlog.past(t.lane, t.lane.record.Pos))
		t.items, t.calls = t.part.backlog.head(t.lane), nil
		if len(t.items) == 0 {
			return nil
		}
		if err := t.open(); err != nil || len(t.calls) > 0 {
			return err
		}
		commands := make([]uint64, len(t.items)) // none of which has a letter
		for i, it := range t.items {
			commands[i] = it.Position
		}
		t.skip(commands)
	}
}

// skip removes the lane's first items, which need no settlement.
func (t *turn) skip(positions []uint64) {
	if len(positions) > 0 {
		t.part.log.Skip(positions...)
		t.part.backlog.done(t.lane, len(positions))
	}
}

// open decodes the head's items into calls.
func (t *turn) open() error {
	for _, it := range t.items {
		c := call{position: it.Position, item: it.Position, stored: it.Data}
		take := t.openEntry
		if it.Kind == queue.KindReplay {
			take = t.openLetter
		}
		wanted, err := take(it, &c)
		if err != nil {
			return err
		}
		if wanted {
			t.calls = append(t.calls, c)
		}
	}
	return nil
}

// toMap are those of the calls that are mapped, in the words of mapping.
func toMap(calls []call, of tokens) []mapping.Call {
	var list []mapping.Call
	for _, c := range calls {
		if c.mapped() {
			list = append(list, mapping.Call{Event: c.event, Pos: c.position, Replay: c.letter != nil, Group: of.company(c.event), Heir: of.heir(c.event)})
		}
	}
	return list
}

// mappedTo gives each of the calls that are mapped its outcome.
func mappedTo(calls []call, result mapping.Result) {
	next := 0
	for i := range calls {
		if calls[i].mapped() {
			calls[i].outcome = result.Outcomes[next]
			next++
		}
	}
}

// fold maps the calls onto the lane's record.
func (t *turn) fold() error {
	t.lane.record.ForgetSentUntil(t.p.resyncs.since(t.lane.user))
	record := t.lane.record
	cat, fold := t.catalogue(), mapping.Fold
	if t.account() {
		fold = mapping.FoldAccount
	}
	fields, err := t.fields(cat)
	if err != nil {
		return err
	}
	calls := toMap(t.calls, t.p.store.User)
	for i := range calls {
		calls[i].Again, calls[i].Refused = t.lane.unsettled(), t.refused[calls[i].Pos]
	}
	t.result = fold(fields, t.p.cfg.Mapping, record, calls, time.Now())
	if t.result.Puzzled() {
		newer, err := cat.younger(t.waitCtx, t.callCtx, catalogueUnknown)
		if err != nil {
			return err
		}
		if newer != fields {
			t.result = fold(newer, t.p.cfg.Mapping, record, calls, time.Now())
		}
	}
	mappedTo(t.calls, t.result)
	t.unread = false
	t.folded = time.Now()
	if t.before = nil; t.noEmail != "" {
		t.dropEmail()
	}
	failpoint.Hit(failpoint.Fold)
	return nil
}
