package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/queue"
)

// inspectPatience bounds the look at NATS servers.
const inspectPatience = 20 * time.Second

// broker looks at where calls are kept: the disk of the embedded broker, or the NATS servers.
func (r *CheckReport) broker(ctx context.Context, o CheckOptions) {
	if r.cfg.NATS.URL == "" {
		r.room(o.Config.Dir)
		return
	}
	account := SandboxAccount
	if !o.Config.Sandbox {
		client, err := newClient(r.cfg.Freshmarketer, freshmarketer.Config{})
		if err != nil {
			return // a finding about the account
		}
		account = client.Host()
		client.CloseIdleConnections()
	}
	ctx, cancel := context.WithTimeout(ctx, inspectPatience)
	defer cancel()
	found, err := queue.Inspect(ctx, storeConfig(r.cfg, account, zap.NewNop()))
	if found.Version != "" {
		r.Add("broker", LevelOK, fmt.Sprintf("NATS server %s answers, version %s", found.Server, found.Version), "")
	}
	switch {
	case err != nil:
		r.brokerTrouble(err)
	case len(found.Missing) == 0:
		r.Add("broker", LevelOK, "its streams are as they must be", "")
	default:
		r.Add("broker", LevelOK, "the first start will make "+strings.Join(found.Missing, ", "), "")
	}
}

// brokerTrouble adds a finding for each thing that is wrong, with what to run where something can be run. Errors that are joined
// have a line each.
func (r *CheckReport) brokerTrouble(err error) {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		what, mend, can := strings.Cut(line, ": run: ")
		switch {
		case can:
			mend = "run: " + mend
		case errors.Is(err, queue.ErrUnavailable):
			mend = "start the servers, or correct nats.url, nats.credentials_file or nats.tls"
		default:
			mend = "see docs/cluster.md"
		}
		r.Add("broker", LevelProblem, what, mend)
	}
}

// room says whether the streams of the embedded broker fit on their disk.
func (r *CheckReport) room(base string) {
	dir := r.cfg.DataDir
	if base != "" && !filepath.IsAbs(dir) {
		dir = filepath.Join(base, dir)
	}
	for { // where it is not made yet, its disk is that of the directory above
		if info, err := os.Stat(dir); err == nil && info.IsDir() || filepath.Dir(dir) == dir {
			break
		}
		dir = filepath.Dir(dir)
	}
	room, err := queue.RoomAt(dir, int64(r.cfg.NATS.MaxBytes))
	if err != nil {
		return // dataDir has said what is wrong with it
	}
	what := fmt.Sprintf("%s are free on the disk, the streams have %s and may take %s", sizeText(room.Free), sizeText(room.Stored), sizeText(room.Streams))
	switch {
	case room.Free < room.Needed:
		r.Add("broker", LevelProblem, what+": no calls are taken in below "+sizeText(room.Needed), "make space on the disk of data_dir")
	case room.Free < room.Streams-room.Stored:
		r.Add("broker", LevelWarning, what+": the disk is full before they are", "make space, or lower nats.max_bytes before the first start")
	default:
		r.Add("broker", LevelOK, what, "")
	}
}

func sizeText(bytes int64) string {
	if bytes >= 1<<30 {
		return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30))
	}
	return fmt.Sprintf("%d MiB", bytes>>20)
}
