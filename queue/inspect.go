package queue

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// Inspection is what a look at NATS servers found.
type Inspection struct {
	Server  string   // name of the one that answered
	Version string   // its version
	Missing []string // streams that the first start will make; all of them where there is no store yet
}

// Inspect looks at the servers of cfg.External with the eyes of Open, tries once, and changes nothing. Errors, several of them
// joined: ErrUnavailable if the servers do not answer, ErrDrift if they or the streams are not as needed (the text says what to
// run), ErrMismatch, ErrPartitions and ErrForeignAccount if the streams are another store's.
func Inspect(ctx context.Context, cfg Config) (Inspection, error) {
	s := &Store{cfg: cfg, names: names{prefix: cfg.Prefix}, log: zap.NewNop()}
	nc, err := cfg.External.connectOnce(s.log)
	if err != nil {
		if !errors.Is(err, ErrDrift) {
			err = fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		return Inspection{}, err
	}
	defer nc.Close()
	found := Inspection{Server: nc.ConnectedServerName(), Version: nc.ConnectedServerVersion()}
	if s.js, err = jetstream.New(nc); err != nil {
		return found, fmt.Errorf("opening JetStream: %w", err)
	}
	total, err := s.total()
	if err != nil {
		return found, err
	}
	var wrong error
	for _, kind := range streamKinds() {
		stream, err := s.js.Stream(ctx, s.names.stream(kind))
		switch {
		case errors.Is(err, jetstream.ErrStreamNotFound):
			found.Missing = append(found.Missing, s.names.stream(kind))
		case err != nil:
			return found, fmt.Errorf("%w: looking for stream %s: %w", ErrUnavailable, kind, err)
		default:
			wrong = errors.Join(wrong, s.streamDrift(stream, kind, total))
		}
	}
	return found, errors.Join(wrong, s.inspectIdentity(ctx))
}

// inspectIdentity says whether a store that is there is another one than the configuration means.
func (s *Store) inspectIdentity(ctx context.Context) error {
	known, err := s.readIdentity(ctx)
	if err != nil || known == nil {
		return err
	}
	events, err := s.js.Stream(ctx, s.names.stream("EVENTS"))
	if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("looking for stream EVENTS: %w", err)
	}
	if err := s.matchIdentity(ctx, events, known, 0); err != nil { // with an identity nothing is made
		return err
	}
	if s.state, err = s.js.Stream(ctx, s.names.stream("STATE")); err != nil {
		return fmt.Errorf("looking for stream STATE: %w", err)
	}
	msg, err := s.lastState(ctx, s.names.state("account"))
	if err != nil || msg == nil {
		return err
	}
	return s.sameAccount(string(msg.Data))
}

// DiskRoom is what an embedded broker finds on a disk.
type DiskRoom struct {
	Free    int64 // bytes
	Streams int64 // bytes that all streams together may take after a start: what they may now or maxBytes, or what it would choose
	Stored  int64 // bytes that they have taken
	Needed  int64 // bytes without which no event is taken
}

// RoomAt looks at the disk of a data directory, or of the directory in which it will be made.
func RoomAt(dir string, maxBytes int64) (DiskRoom, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return DiskRoom{}, fmt.Errorf("asking for the free space of %s: %w", dir, err)
	}
	r := DiskRoom{Free: int64(fs.Bavail) * int64(fs.Bsize), Streams: maxBytes, Stored: StoredBytes(dir), Needed: minFree} //nolint:unconvert // the fields' types differ between systems
	if r.Streams = max(r.Streams, limitsAt(dir)); r.Streams == 0 {
		total, err := defaultTotal(dir)
		if err != nil {
			return DiskRoom{}, err
		}
		r.Streams = total
	}
	return r, nil
}
