package queue

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/failpoint"
)

// Durability says what an acknowledgement of an external broker is worth. Clients cannot ask a server whether it syncs, so
// it is declared.
type Durability string

// Values of External.Durability.
const (
	// DurabilityFsync: every server has sync_interval: always, so an acknowledged event survives the loss of power.
	DurabilityFsync Durability = "fsync"
	// DurabilityReplicated: an acknowledged event is with most of the replicas, which survives the loss of one machine, not
	// the loss of power on all of them.
	DurabilityReplicated Durability = "replicated"
)

// Durability is what an acknowledgement of this store's broker is worth. The embedded one is made to sync.
func (s *Store) Durability() Durability {
	if s.cfg.External != nil {
		return s.cfg.External.Durability
	}
	return DurabilityFsync
}

// leaseTime is how long an owner may go on without renewing its lease, and how long the others wait before they take over.
const leaseTime = 30 * time.Second

// External says how to reach NATS servers outside this process.
type External struct {
	URL             string // one or several, separated by commas
	CredentialsFile string // of a NATS user; "": none
	CAFile          string // PEM; "": the system's CAs
	CertFile        string // PEM; "": no client certificate
	KeyFile         string
	Replicas        int // of every stream, 1 or 3
	Durability      Durability
	// Lease replaces the lease time of 30 s. For tests: it must be far above the time of a call.
	Lease time.Duration
	// Dial replaces the way to the servers. For tests.
	Dial func(...nats.Option) (*nats.Conn, error)
}

// Versions of the server: one atomic batch on a single replica costs one data fsync from 2.15 on, which STATE relies on.
// Source: nats-server release notes 2.15.
const minMajor, minMinor = 2, 15

const (
	// connectPatience is how long a start waits for servers that are starting, too.
	connectPatience = 30 * time.Second
	connectTimeout  = 5 * time.Second
	// A dead server is noticed after two unanswered pings.
	pingInterval = 5 * time.Second
	maxPings     = 2
)

func (e *External) lease() time.Duration {
	if e.Lease > 0 {
		return e.Lease
	}
	return cmp.Or(failpoint.Lease(), leaseTime)
}

func (e *External) connect(ctx context.Context, log *zap.Logger) (nc *nats.Conn, err error) {
	wait := backoff.NewExponentialBackOff(backoff.WithMaxElapsedTime(connectPatience))
	err = backoff.RetryNotify(func() (err error) {
		nc, err = e.connectOnce(log)
		if refused(err) || errors.Is(err, ErrDrift) {
			return backoff.Permanent(err)
		}
		return err
	}, backoff.WithContext(wait, ctx), func(err error, next time.Duration) {
		log.Warn("the NATS servers cannot be reached, trying again", zap.Duration("wait", next), zap.Error(err))
	})
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("connecting to the NATS servers: %w", err)
	}
	if err != nil {
		return nil, err
	}
	return nc, nil
}

// connectOnce connects to the servers or says why not. Error: ErrDrift if they are not as needed.
func (e *External) connectOnce(log *zap.Logger) (*nats.Conn, error) {
	dial := e.Dial
	if dial == nil {
		dial = func(opts ...nats.Option) (*nats.Conn, error) { return nats.Connect(e.URL, opts...) }
	}
	nc, err := dial(e.options(log)...)
	if err != nil {
		return nil, fmt.Errorf("connecting to the NATS servers: %w: look at nats.url, nats.credentials_file and nats.tls", err)
	}
	err = checkVersion(nc.ConnectedServerVersion())
	if limit := nc.MaxPayload(); limit < maxMessage {
		err = errors.Join(err, fmt.Errorf("%w: the server's max_payload is %d bytes, at least %d are needed: leave it at its default of 1MB", ErrDrift, limit, maxMessage))
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	return nc, nil
}

// refused says whether a connection failed by who we are, or who they are: that does not mend itself.
func refused(err error) bool {
	if errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) {
		return true
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error" // crypto/tls: the server has ended the handshake, for want of a client certificate, say
}

// options keep the client from holding anything back: what cannot be sent now fails now, so that nothing passes for sent
// that is only in memory. The connection itself is tried again for ever.
func (e *External) options(log *zap.Logger) []nats.Option {
	opts := []nats.Option{
		nats.Name("freshrelay"), nats.Timeout(connectTimeout), nats.MaxReconnects(-1), nats.ReconnectBufSize(-1),
		nats.ReconnectWait(250 * time.Millisecond), nats.ReconnectJitter(250*time.Millisecond, 250*time.Millisecond),
		nats.PingInterval(pingInterval), nats.MaxPingsOutstanding(maxPings), nats.IgnoreAuthErrorAbort(),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { log.Warn("the connection to the NATS servers is lost", zap.Error(err)) }),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			log.Info("connected to the NATS servers again", zap.String("server", nc.ConnectedServerName()))
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { log.Warn("NATS", zap.Error(err)) }),
	}
	if e.CredentialsFile != "" {
		opts = append(opts, nats.UserCredentials(e.CredentialsFile))
	}
	if e.CAFile != "" {
		opts = append(opts, nats.RootCAs(e.CAFile))
	}
	if e.CertFile != "" {
		opts = append(opts, nats.ClientCert(e.CertFile, e.KeyFile))
	}
	return opts
}

// checkVersion refuses servers that are too old. A version that cannot be read is one of the vendor's own builds.
func checkVersion(version string) error {
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	if len(parts) < 2 {
		return nil
	}
	major, majorErr := strconv.Atoi(parts[0])
	minor, minorErr := strconv.Atoi(parts[1])
	if majorErr != nil || minorErr != nil || major > minMajor || major == minMajor && minor >= minMinor {
		return nil
	}
	return fmt.Errorf("%w: the NATS server is version %s, at least %d.%d is needed: upgrade every server of the cluster", ErrDrift, version, minMajor, minMinor)
}
