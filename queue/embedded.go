package queue

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/failpoint"
)

// embedded is the NATS server inside this process and the lock on its directory. The lock is the ownership of the
// whole store: it goes with the process, so after a crash there is no lease to wait for.
type embedded struct {
	server *server.Server
	lock   *flock.Flock
	log    *brokerLog
	before []storedStream // what was on disk before the broker read it
}

// recoveryTimeout bounds how long the server may take to read its store at start. 10 million keys take half a minute
// after a kill, so this is generous.
const recoveryTimeout = 10 * time.Minute

// readyPoll is how often a start looks whether it was told to stop.
const readyPoll = 100 * time.Millisecond

func startEmbedded(ctx context.Context, dir string, keys Encryption, log *zap.Logger) (*embedded, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("creating the data directory: %w", err)
	}
	lock := flock.New(filepath.Join(dir, "lock"))
	got, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("locking the data directory: %w", err)
	}
	if !got {
		return nil, fmt.Errorf("%w: %s: stop that process, or give this one another data_dir", ErrLocked, dir)
	}
	e := &embedded{lock: lock}
	if e.before, err = storedStreams(dir); err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	key, err := keys.unlock(dir, e.before)
	if err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	if e.server, err = server.NewServer(serverOptions(dir, key)); err != nil {
		return nil, errors.Join(fmt.Errorf("preparing the embedded broker: %w", err), lock.Unlock())
	}
	e.log = &brokerLog{log: log.Named("broker").Sugar(), fatal: make(chan string, 1)}
	e.server.SetLoggerV2(e.log, false, false, false)
	began, size := time.Now(), StoredBytes(dir)
	e.server.Start()
	if err := e.ready(ctx, e.log.fatal); err != nil {
		return nil, errors.Join(err, e.stop())
	}
	log.Named("queue").Info("the store is read", zap.Int64("bytes", size), zap.Duration("took", time.Since(began)))
	return e, nil
}

// ready waits until the broker has read its store. The broker says what it cannot do by a last log line, on which a
// program of its own would exit; ours has to listen for it.
func (e *embedded) ready(ctx context.Context, fatal <-chan string) error {
	for waited := time.Duration(0); waited < recoveryTimeout; waited += readyPoll {
		select {
		case why := <-fatal:
			return fmt.Errorf("the embedded broker cannot use its store: %s: mend that, or use another data_dir", why)
		case <-ctx.Done():
			return fmt.Errorf("waiting for the embedded broker: %w", context.Cause(ctx))
		default:
		}
		if e.server.ReadyForConnections(readyPoll) && e.server.JetStreamEnabled() {
			return nil
		}
	}
	return fmt.Errorf("the embedded broker was not ready after %v: see its log lines above", recoveryTimeout)
}

// serverOptions is a struct and not a file, so that nothing can open a port by accident.
func serverOptions(dir, key string) *server.Options {
	return &server.Options{
		ServerName: "freshrelay",
		DontListen: true, // the only client is this process
		NoSigs:     true, // signals belong to main
		JetStream:  true,
		StoreDir:   filepath.Join(dir, "jetstream"),
		// Without it an ack precedes the fsync by up to two minutes, and a power cut loses acknowledged events
		// (NATS documentation, "sync_interval").
		SyncAlways: !failpoint.NoSync(),
		// The streams' own MaxBytes are the limits. The server's is out of the way: it is compared with what streams
		// reserve at every start, and a fuller disk must not make an old store unreadable.
		JetStreamMaxStore:  1 << 50,
		JetStreamMaxMemory: 64 << 20,

		JetStreamKey: key, JetStreamCipher: server.ChaCha,
	}
}

func (e *embedded) connect() (*nats.Conn, error) {
	nc, err := nats.Connect("", nats.InProcessServer(e.server), nats.MaxReconnects(-1), nats.ReconnectBufSize(-1))
	if err != nil {
		return nil, fmt.Errorf("connecting to the embedded broker: %w", err)
	}
	return nc, nil
}

func (e *embedded) stop() error {
	e.server.Shutdown()
	e.server.WaitForShutdown()
	return e.lock.Unlock()
}
