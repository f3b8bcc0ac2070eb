package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
)

// Files of the broker in a stream's directory. Source: nats-server, filestore.go (JetStreamMetaFile and its neighbours).
const (
	streamMeta    = "meta.inf"
	streamMetaSum = "meta.sum"
	streamMetaKey = "meta.key"
	streamBlocks  = "msgs"
)

// storedStream is a stream as it lies on disk.
type storedStream struct {
	name      string
	path      string
	encrypted bool
	unmade    bool // its creation was cut short: nothing can be in it
}

// storedStreams looks for streams on disk. The broker passes over a stream that it cannot read with no more than a warning,
// and would let a new, empty one be made in its place; so it is compared with what was there before.
func storedStreams(dir string) ([]storedStream, error) {
	accounts := filepath.Join(dir, "jetstream", "jetstream")
	paths, err := filepath.Glob(filepath.Join(accounts, "*", "streams", "*"))
	if err != nil {
		return nil, fmt.Errorf("looking for streams below %s: %w", accounts, err)
	}
	var streams []storedStream
	for _, path := range paths {
		name := filepath.Base(path)
		if info, err := os.Stat(path); err != nil || !info.IsDir() || strings.HasPrefix(name, ".") { // a dot marks what is being deleted
			continue
		}
		s := storedStream{name: name, path: path, encrypted: exists(path, streamMetaKey)}
		if !exists(path, streamMeta) || !exists(path, streamMetaSum) {
			if s.unmade, err = nothingIn(filepath.Join(path, streamBlocks)); err != nil {
				return nil, err
			}
		}
		streams = append(streams, s)
	}
	return streams, nil
}

// limitsAt is how many bytes the streams on disk may take together; 0 if there are none, or they are encrypted.
func limitsAt(dir string) (total int64) {
	streams, err := storedStreams(dir)
	if err != nil {
		return 0
	}
	for _, s := range streams {
		var limits struct {
			MaxBytes int64 `json:"max_bytes"`
		}
		if meta, err := os.ReadFile(filepath.Join(s.path, streamMeta)); err == nil && json.Unmarshal(meta, &limits) == nil {
			total += limits.MaxBytes
		}
	}
	return total
}

// StoredBytes is the size of what an embedded broker will read when it is started on dir.
func StoredBytes(dir string) (bytes int64) {
	_ = filepath.WalkDir(filepath.Join(dir, "jetstream"), func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // it is for people to read; what cannot be seen does not count
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			bytes += info.Size()
		}
		return nil
	})
	return bytes
}

func exists(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return err == nil
}

// nothingIn says whether no file of a directory has any content.
func nothingIn(dir string) (bool, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking into %s: %w", dir, err)
	}
	for _, entry := range entries {
		if info, err := entry.Info(); err != nil || info.Size() > 0 {
			return false, nil //nolint:nilerr // a file that cannot be looked at may hold anything
		}
	}
	return true, nil
}

// checkRecovered refuses to go on without a stream that was on disk when the broker started. The journal may go: it explains,
// and nothing rests on it.
func (e *embedded) checkRecovered(ctx context.Context, js jetstream.JetStream, n names, dir string) error {
	known := map[string]bool{}
	listed := js.StreamNames(ctx)
	for name := range listed.Name() {
		known[name] = true
	}
	if err := listed.Err(); err != nil {
		return fmt.Errorf("asking the embedded broker for its streams: %w", err)
	}
	for _, s := range e.before {
		if known[s.name] || s.unmade {
			continue
		}
		said := strings.Join(e.log.said(), "; ")
		if s.name != n.stream("JOURNAL") {
			return fmt.Errorf("%w: stream %s in %s cannot be read; nothing was changed: restore the directory from a backup, or start with an empty data_dir; the broker says: %s",
				ErrDamaged, s.name, dir, said)
		}
		e.log.log.Warnw("the journal cannot be read and begins anew", zap.String("said", said))
		if err := os.RemoveAll(s.path); err != nil {
			return fmt.Errorf("removing the journal: %w", err)
		}
	}
	return nil
}
