package app

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/app/config"
	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/queue"
)

// Migrate copies the configured store to other NATS servers, or to another number of partitions under another prefix. No
// process may run on either meanwhile. Its errors say what to do.
func Migrate(ctx context.Context, cfg config.Config, to config.NATS, sandbox bool, log *zap.Logger) (queue.Migration, error) {
	target, err := cfg.WithNATS(to)
	if err != nil {
		return queue.Migration{}, err
	}
	account := SandboxAccount
	if !sandbox {
		client, err := freshmarketer.New(freshmarketer.Config{Domain: cfg.Freshmarketer.Domain, BaseURL: cfg.Freshmarketer.BaseURL, APIKey: string(cfg.Freshmarketer.APIKey)})
		if err != nil {
			return queue.Migration{}, fmt.Errorf("freshmarketer: %w", err)
		}
		account = client.Host()
	}
	from := storeConfig(cfg, account, log)
	from.Covers = covers
	from.Partitions = 0 // as many as it has
	m, err := queue.Migrate(ctx, from, storeConfig(target, account, log))
	if err != nil {
		return m, mendMigration(err)
	}
	return m, nil
}

// storeConfig says where a store is and whose.
func storeConfig(cfg config.Config, account string, log *zap.Logger) queue.Config {
	n := cfg.NATS
	return queue.Config{
		Dir: cfg.DataDir, Prefix: n.Prefix, MaxBytes: int64(n.MaxBytes), Account: account, Partitions: n.Partitions, External: external(n),
		Encryption: queue.Encryption{Key: string(n.EncryptionKey), OldKey: string(n.EncryptionOldKey)}, Logger: log,
		Journal: queue.Journal{Off: !cfg.Journal.Enabled, MaxAge: cfg.Journal.MaxAge, MaxBytes: int64(cfg.Journal.MaxBytes)},
	}
}

// covers says whether a user's record holds what the item at a position did.
func covers(data []byte, position uint64) (bool, error) {
	record, err := mapping.DecodeRecord(data)
	return record.Pos >= position, err
}

func mendMigration(err error) error {
	switch {
	case errors.Is(err, queue.ErrLocked):
		return &startError{err, "stop the service first: nothing may change while the store is copied"}
	case errors.Is(err, queue.ErrInUse), errors.Is(err, queue.ErrNotDrained), errors.Is(err, queue.ErrOccupied):
		return &startError{err, "the store is as it was, and nothing is lost; see docs/cluster.md"}
	}
	return mendStore(err)
}
