package worker

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/queue"
)

// backfillKey is where STATE keeps how far a backfill is. What it has read is in parts, below that key.
const backfillKey = "backfill"

// shelf is the part of the store that a backfill needs. *queue.Store is one.
type shelf interface {
	account
	StateKeys(ctx context.Context, prefix string) ([]string, error)
	DropState(ctx context.Context, key string) error
	StateRoom(ctx context.Context) (int64, error)
}

// backfillBook is the stored form of a backfill: there is one at a time, and all processes share it. What is called ms is
// unix milliseconds by the broker's clock.
type backfillBook struct {
	Run      string    `json:"run"`
	Owner    string    `json:"owner,omitempty"`    // the process that reads
	Until    int64     `json:"until,omitempty"`    // ms: its lease
	View     string    `json:"view,omitempty"`     // "" before the first call
	Began    time.Time `json:"began,omitzero"`     // when the run was begun
	Page     int       `json:"page,omitempty"`     // pages read
	Of       int       `json:"of,omitempty"`       // pages there are, about
	Contacts int       `json:"contacts,omitempty"` // read
	Calls    int       `json:"calls,omitempty"`    // made
	Parts    []string  `json:"parts,omitempty"`    // keys, in the order in which they count
	Done     bool      `json:"done,omitempty"`     // all pages are read
	Newest   time.Time `json:"newest,omitzero"`    // what was changed until then, by the account's clock, is in the parts
	Checked  int64     `json:"checked,omitempty"`  // ms: when that was found out
	Ended    string    `json:"ended,omitempty"`    // why the index is no longer used; "": it is, or is being made
	NotUntil time.Time `json:"not_until,omitzero"` // no other run before
}

// Why an index is no longer used.
const (
	endedUnused   = "it was not needed any more"
	endedWorth    = "reading so many contacts would cost more calls than it saves"
	endedTooMany  = "the account has too many contacts"
	endedRefused  = "the account does not let us list its contacts"
	endedFailing  = "listing the contacts fails"
	endedUnsorted = "the account does not list its contacts by their last change"
	endedChanges  = "too many contacts were changed meanwhile"
	endedLost     = "a part of it is lost"
	endedRoom     = "STATE has no room for it"
)

func (b backfillBook) active() bool { return b.Run != "" && b.Ended == "" }

var (
	// errNotOurs says that the backfill has ended, or is another process's to read.
	errNotOurs = errors.New("the backfill has ended or is another process's")
	// errNoChange says that there is nothing to write down.
	errNoChange = errors.New("nothing is to be written down")
	errPart     = errors.New("part of a backfill's index")
)

// library keeps a book and its index in step with STATE.
type library struct {
	store shelf
	log   *zap.Logger
	lock  chan struct{} // capacity 1: of whoever reads or writes STATE

	mu    sync.Mutex // of what follows; it is written with the lock only
	book  backfillBook
	rev   uint64
	index *contactIndex
	have  int // parts that are in the index
}

func newLibrary(store shelf, log *zap.Logger) *library {
	return &library{store: store, log: log, lock: make(chan struct{}, 1), index: &contactIndex{}}
}

func (l *library) acquire(ctx context.Context) error {
	select {
	case l.lock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (l *library) release() { <-l.lock }

func (l *library) now() backfillBook {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.book
}

// here changes what this process alone knows of the book. What ctx ends before is not changed.
func (l *library) here(ctx context.Context, do func()) {
	if l.acquire(ctx) != nil {
		return
	}
	defer l.release()
	l.mu.Lock()
	defer l.mu.Unlock()
	do()
}

// sync reads what other processes, or an earlier run, have written.
func (l *library) sync(ctx context.Context) error {
	if err := l.acquire(ctx); err != nil {
		return err
	}
	defer l.release()
	return l.syncLocked(ctx)
}

func (l *library) syncLocked(ctx context.Context) error {
	data, rev, err := l.store.State(ctx, backfillKey)
	if err != nil || rev == l.rev {
		return err
	}
	var book backfillBook
	if err := json.Unmarshal(data, &book); err != nil {
		l.log.Warn("what is known of a backfill cannot be read, it begins anew", zap.Error(err))
		book = backfillBook{}
	}
	have, list := l.have, []indexed(nil)
	if book.Run != l.book.Run {
		have = 0
	}
	if book.active() {
		for _, key := range book.Parts[min(have, len(book.Parts)):] {
			part, err := l.part(ctx, key)
			if errors.Is(err, errPart) {
				if _, now, again := l.store.State(ctx, backfillKey); again != nil || now != rev {
					return err // it has ended meanwhile
				}
				l.log.Warn("a part of the index of contacts is lost, it is used no longer", zap.Error(err))
				book.Ended, list = endedLost, nil
				break
			}
			if err != nil {
				return err
			}
			list = append(list, part...)
		}
	}
	l.set(book, rev, list)
	return nil
}

// part reads one part of the index.
func (l *library) part(ctx context.Context, key string) ([]indexed, error) {
	data, _, err := l.store.State(ctx, key)
	if err != nil {
		return nil, err
	}
	list, err := decodeIndexed(data)
	if err == nil && len(list) == 0 {
		err = errors.New("it is not there")
	}
	if err != nil {
		return nil, fmt.Errorf("%w %s: %w", errPart, key, err)
	}
	return list, nil
}

// set takes in a book that is in STATE, and what of its parts the index does not have yet.
func (l *library) set(book backfillBook, rev uint64, list []indexed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if book.Run != l.book.Run || !book.active() {
		l.index = &contactIndex{}
	}
	for _, e := range list {
		l.index.put(e)
	}
	if book.active() && book.Done && !l.index.sealed {
		l.index.seal()
	}
	l.book, l.rev, l.have = book, rev, len(book.Parts)
}

// change writes the book, and a part if do returns one, unless do says that nothing is to be changed. do may be called
// several times, each time with what others have written before.
func (l *library) change(ctx context.Context, do func(book *backfillBook, index *contactIndex) ([]indexed, error)) error {
	if err := l.acquire(ctx); err != nil {
		return err
	}
	defer l.release()
	return l.changeLocked(ctx, do)
}

// changeFor is change for whoever has a pass. Who has the book may wait at the gate for whoever went first, so that one steps aside
// before it waits for the book.
func (l *library) changeFor(ctx context.Context, p *pass, do func(book *backfillBook, index *contactIndex) ([]indexed, error)) error {
	select {
	case l.lock <- struct{}{}:
		defer l.release()
		return l.changeLocked(ctx, do)
	default:
	}
	p.stepAside()
	return l.change(ctx, do)
}

func (l *library) changeLocked(ctx context.Context, do func(book *backfillBook, index *contactIndex) ([]indexed, error)) error {
	var err error
	for range takeTries {
		if err = l.syncLocked(ctx); err != nil {
			return err
		}
		book := l.book
		book.Parts = slices.Clone(book.Parts)
		var list []indexed
		if list, err = do(&book, l.index); err != nil {
			if errors.Is(err, errNoChange) {
				return nil
			}
			return err
		}
		if err = l.write(ctx, book, list); !errors.Is(err, queue.ErrConflict) {
			return err
		}
	}
	return err
}

// write stores the part first, so that no book names one that is not there.
func (l *library) write(ctx context.Context, book backfillBook, list []indexed) error {
	part := ""
	if len(list) > 0 {
		if err := l.fits(ctx, len(list)); err != nil {
			return err
		}
		part = backfillKey + "." + strings.ToLower(rand.Text()[:10])
		if _, err := l.store.PutState(ctx, part, encodeIndexed(list), 0); err != nil {
			return err
		}
		book.Parts = append(book.Parts, part)
	}
	data, err := json.Marshal(book)
	if err != nil {
		return fmt.Errorf("encoding STATE %s: %w", backfillKey, err)
	}
	rev, err := l.store.PutState(ctx, backfillKey, data, l.rev)
	if err != nil {
		if part != "" && errors.Is(err, queue.ErrConflict) { // otherwise the book may name it
			_ = l.store.DropState(ctx, part) // ignoring the error: sweep finds it
		}
		return err
	}
	l.set(book, rev, list)
	return nil
}

// fits says whether STATE has room for so many contacts more. The index can be done without: it never takes the room that is
// left for the records of users.
func (l *library) fits(ctx context.Context, contacts int) error {
	room, err := l.store.StateRoom(ctx)
	if err != nil {
		return err
	}
	if size := int64(contacts) * indexedBytes; size > room {
		return fmt.Errorf("%w: an index of contacts needs %d bytes more of STATE, and %d may be taken: nats.max_bytes gives it more room", queue.ErrFull, size, room)
	}
	return nil
}

// clear removes the parts of the backfill that this process knows of. Whoever reads the book afterwards finds its parts lost.
func (l *library) clear(ctx context.Context) error {
	for _, key := range l.now().Parts {
		if err := l.store.DropState(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// sweep removes the parts of a backfill that has ended. While one is active its parts are left alone: a part is stored
// before the book names it.
func (l *library) sweep(ctx context.Context) error {
	if err := l.acquire(ctx); err != nil {
		return err
	}
	defer l.release()
	if err := l.syncLocked(ctx); err != nil || l.book.active() {
		return err
	}
	keys, err := l.store.StateKeys(ctx, backfillKey)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if err := l.store.DropState(ctx, key); err != nil {
			return err
		}
	}
	return nil
}
