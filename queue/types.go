package queue

import (
	"errors"
	"time"
)

// Errors of the store. Callers match them with errors.Is.
var (
	// ErrFull says that a stream has reached its size limit; what was sent is not stored. Ingest answers 503.
	ErrFull = errors.New("the queue has reached its size limit")
	// ErrUnavailable says that the broker cannot take events now, or did not answer in time: the outcome is
	// unknown and the sender should repeat the call. Ingest answers 503.
	ErrUnavailable = errors.New("the queue cannot store events now")
	// ErrStuck says that the embedded broker stores nothing any more, as after a full disk. Only a new start goes on.
	ErrStuck = errors.New("the store is stuck")
	// ErrTooLarge says that one entry does not fit into a pack, or a record into a commit.
	ErrTooLarge = errors.New("the event is larger than a pack can be")
	// ErrNoLetter says that no dead letter has this id: it was never there, or it was replayed.
	ErrNoLetter = errors.New("no such dead letter")
	// ErrLocked says that another process owns the data directory.
	ErrLocked = errors.New("the data directory is in use by another freshrelay process")
	// ErrConflict says that the store was changed by somebody else between a read and a commit. There must be
	// only one owner, so this process stops.
	ErrConflict = errors.New("the store was changed by another process")
	// ErrForeignAccount says that the store belongs to another Freshmarketer account.
	ErrForeignAccount = errors.New("the data directory belongs to another Freshmarketer account")
	// ErrLost says that another process owns the partition now, or that this one has given it back.
	ErrLost = errors.New("another process owns the partition")
	// ErrDrift says that an external server or its streams are not as this program needs them; the text says what to run.
	ErrDrift = errors.New("the NATS server is not as freshrelay needs it")
	// ErrPartitions says that the store has another number of partitions than the configuration.
	ErrPartitions = errors.New("the number of partitions cannot be changed in place")
	// ErrKey says that the encryption key is missing, wrong or too short. Nothing was changed.
	ErrKey = errors.New("the encryption key does not fit")
	// ErrDamaged says that a part of the store cannot be read. Nothing was changed.
	ErrDamaged = errors.New("the store is damaged")
	// ErrMismatch says that EVENTS and STATE do not belong together, or were made by an incompatible version.
	ErrMismatch = errors.New("the streams of the store do not belong together")
)

// Entry is one event to store. Entries of one Publish call keep their order, but activities come after the others.
type Entry struct {
	UserID   string // decides the lane; "" for an event without a user
	User     string // token of the lane, where the userId is not known; "" goes by UserID
	Activity bool   // goes into the log of activities, which nothing of the contacts' waits for
	Erases   bool   // erases its user, so it is taken while there is any room
	Data     []byte // what the lane gets back, byte for byte
}

// Letter is a dead letter: an event set aside because it cannot be delivered as things are, with all that is
// needed to understand and replay it. It holds no personal data outside Event.
type Letter struct {
	ID        string    `json:"id"`       // "<user>.<position>"
	User      string    `json:"user"`     // keyed hash of the userId
	Position  uint64    `json:"position"` // of the original event in the log; its clock's second half
	MessageID string    `json:"message_id"`
	Type      string    `json:"type"`
	Source    string    `json:"source"`
	Reason    string    `json:"reason"`
	Field     string    `json:"field"`
	Status    int       `json:"status"` // of the last HTTP answer; 0: none
	Attempts  int       `json:"attempts"`
	FirstTry  time.Time `json:"first_try"`
	LastTry   time.Time `json:"last_try"`
	Error     string    `json:"error"` // redacted
	Event     []byte    `json:"-"`     // the entry's Data as it was published
	Edits     []Edit    `json:"-"`     // made by operators; Event is as it was before them
	// Activity says that the event came from the log of activities; commands about the letter take their turn there.
	Activity bool `json:"-"`
	// Job and Command are the replay that tried the letter last and the position of its command; 0: none.
	Job     uint64 `json:"-"`
	Command uint64 `json:"-"`
}
