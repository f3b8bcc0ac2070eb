package queue

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestOldServersAreRefused(t *testing.T) {
	for version, ok := range map[string]bool{
		"2.15.0": true, "2.15.2-beta.1": true, "v2.16.1": true, "3.0.0": true, "dev": true,
		"2.14.9": false, "2.9.25": false, "1.99.0": false,
	} {
		if err := checkVersion(version); ok != (err == nil) || !ok && !errors.Is(err, ErrDrift) {
			t.Errorf("%s: %v", version, err)
		}
	}
}

// reopen tries to open a store on a broker and says what came of it.
func reopen(t *testing.T, broker *embedded, change func(*Config)) error {
	t.Helper()
	cfg := Config{
		MaxBytes: MinMaxBytes, Account: "sandbox",
		External: &External{Replicas: 1, Dial: func(opts ...nats.Option) (*nats.Conn, error) {
			return nats.Connect("", append(opts, nats.InProcessServer(broker.server))...)
		}},
	}
	if change != nil {
		change(&cfg)
	}
	s, err := Open(t.Context(), cfg)
	if err == nil {
		closeStore(t, s)
	}
	return err
}

// Whatever somebody has edited is named, with what to run, and nothing is changed back.
func TestEditedStreamsAreRefusedWithTheWayBack(t *testing.T) {
	shared(t, func(t *testing.T, broker *embedded) {
		if err := reopen(t, broker, nil); err != nil {
			t.Fatal(err)
		}
		nc, err := broker.connect()
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		js, err := jetstream.New(nc)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			stream string
			edit   func(*jetstream.StreamConfig)
			says   []string
		}{
			{"EVENTS", func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld }, []string{"stream edit FRESHRELAY_EVENTS", "--discard=new"}},
			{"EVENTS", func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour }, []string{"max age is 1h0m0s", "--max-age=0s"}},
			{"EVENTS", func(c *jetstream.StreamConfig) { c.MaxMsgs = 10 }, []string{"--max-msgs=-1"}},
			{"EVENTS", func(c *jetstream.StreamConfig) { c.Subjects = []string{"freshrelay.events.0"} }, []string{"--subjects=freshrelay.events.*"}},
			{"EVENTS", func(c *jetstream.StreamConfig) { c.MaxMsgSize = 1000 }, []string{"--max-msg-size=-1"}},
			{"STATE", func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 5 }, []string{"FRESHRELAY_STATE", "--max-msgs-per-subject=1"}},
			{"STATE", func(c *jetstream.StreamConfig) { c.AllowAtomicPublish = false }, []string{"--allow-batch"}},
			{"STATE", func(c *jetstream.StreamConfig) { c.AllowDirect = true }, []string{"--no-allow-direct"}},
			{"DEAD", func(c *jetstream.StreamConfig) { c.DiscardNewPerSubject = true }, []string{"--no-discard-per-subject"}},
			{"STATE", func(c *jetstream.StreamConfig) { c.MaxBytes = -1 }, []string{"max bytes is -1", fmt.Sprint("--max-bytes=", MinMaxBytes/100*stateShare)}},
			{"EVENTS", func(c *jetstream.StreamConfig) { c.MaxBytes-- }, []string{fmt.Sprint("--max-bytes=", MinMaxBytes/100*eventsShare)}},
			{"DEAD", func(c *jetstream.StreamConfig) { c.MaxConsumers = 3 }, []string{"max consumers is 3", "--max-consumers=10000"}},
			{"JOURNAL", func(c *jetstream.StreamConfig) { c.MaxBytes = -1 }, []string{"FRESHRELAY_JOURNAL", "--max-bytes="}},
			{"EVENTS", func(c *jetstream.StreamConfig) { c.Duplicates = time.Minute }, []string{"duplicate window is 1m0s", "--dupe-window=2m0s"}},
			{"STATE", func(c *jetstream.StreamConfig) {
				c.SubjectTransform = &jetstream.SubjectTransformConfig{Source: ">", Destination: "other.>"}
			}, []string{"subject transform", "--no-transform"}},
			{"EVENTS", func(c *jetstream.StreamConfig) {
				c.RePublish = &jetstream.RePublish{Source: ">", Destination: "copies.>"}
			}, []string{"republish", "--no-republish"}},
		} {
			stream, err := js.Stream(t.Context(), "FRESHRELAY_"+c.stream)
			if err != nil {
				t.Fatal(err)
			}
			good := stream.CachedInfo().Config
			edited := good
			c.edit(&edited)
			if _, err := js.UpdateStream(t.Context(), edited); err != nil {
				t.Fatalf("%v: %v", c.says, err)
			}
			err = reopen(t, broker, nil)
			for _, word := range c.says {
				if !errors.Is(err, ErrDrift) || !strings.Contains(err.Error(), word) {
					t.Errorf("%q is not in: %v", word, err)
				}
			}
			if after, err := js.Stream(t.Context(), good.Name); err != nil || drift(after.CachedInfo().Config, good) == nil {
				t.Errorf("%s was changed back, %v", good.Name, err)
			}
			if _, err := js.UpdateStream(t.Context(), good); err != nil {
				t.Fatal(err)
			}
		}
		if err := reopen(t, broker, nil); err != nil {
			t.Errorf("as it was before: %v", err)
		}
		if err := reopen(t, broker, func(c *Config) { c.External.Replicas = 3 }); !errors.Is(err, ErrDrift) || !strings.Contains(err.Error(), "--replicas=3") {
			t.Errorf("fewer replicas than configured: %v", err)
		}
		if err := reopen(t, broker, func(c *Config) { c.Account = "another" }); !errors.Is(err, ErrForeignAccount) {
			t.Errorf("another account: %v", err)
		}
		if err := reopen(t, broker, func(c *Config) { c.Partitions = 3 }); !errors.Is(err, ErrPartitions) || !strings.Contains(err.Error(), "migrate") {
			t.Errorf("another number of partitions: %v", err)
		}
	})
}

func TestAStreamThatCannotBeEditedIsNotToldToBe(t *testing.T) {
	want := (&Store{names: names{prefix: "freshrelay"}, cfg: Config{External: &External{Replicas: 1}}}).streamConfig("STATE", MinMaxBytes, "")
	for word, change := range map[string]func(*jetstream.StreamConfig){
		"retention": func(c *jetstream.StreamConfig) { c.Retention = jetstream.WorkQueuePolicy },
		"purging":   func(c *jetstream.StreamConfig) { c.DenyPurge = true },
		"deleting":  func(c *jetstream.StreamConfig) { c.DenyDelete = true },
		"counting":  func(c *jetstream.StreamConfig) { c.AllowMsgCounter = true },
	} {
		got := want
		change(&got)
		if err := drift(got, want); !errors.Is(err, ErrDrift) || strings.Contains(err.Error(), "stream edit") || !strings.Contains(err.Error(), "nats.prefix") || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %v", word, err)
		}
	}
}

// What others may set as they like: more room, a longer memory, compression, and less room where nobody has said how much.
func TestWhatMayDiffer(t *testing.T) {
	shared(t, func(t *testing.T, broker *embedded) {
		if err := reopen(t, broker, nil); err != nil {
			t.Fatal(err)
		}
		nc, err := broker.connect()
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		js, err := jetstream.New(nc)
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range []string{"EVENTS", "STATE", "DEAD", "JOURNAL", "AUDIT"} {
			stream, err := js.Stream(t.Context(), "FRESHRELAY_"+kind)
			if err != nil {
				t.Fatal(err)
			}
			cfg := stream.CachedInfo().Config
			cfg.MaxBytes *= 2
			if cfg.Discard == jetstream.DiscardOld {
				cfg.MaxBytes /= 4
			}
			cfg.Duplicates, cfg.Compression, cfg.Description = 5*time.Minute, jetstream.S2Compression, "ours"
			if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
		}
		if err := reopen(t, broker, nil); err != nil {
			t.Error(err)
		}
		if err := reopen(t, broker, func(c *Config) { c.MaxBytes = 0 }); err != nil {
			t.Errorf("nobody has said how much: %v", err)
		}
		if err := reopen(t, broker, func(c *Config) { c.MaxBytes = 3 * MinMaxBytes }); !errors.Is(err, ErrDrift) || !strings.Contains(err.Error(), fmt.Sprint("--max-bytes=", 3*MinMaxBytes/100*stateShare)) {
			t.Errorf("less than is configured: %v", err)
		}
	})
}

// Somebody takes a limit away while the service runs: the rules that go by it are off, and that is said, once.
func TestALimitThatIsTakenAwayIsSaid(t *testing.T) {
	shared(t, func(t *testing.T, broker *embedded) {
		core, logs := observer.New(zap.WarnLevel)
		n := join(t, broker, 1)
		n.log = zap.New(core)
		cfg := n.state.CachedInfo().Config
		limit := cfg.MaxBytes
		for _, cfg.MaxBytes = range []int64{-1, limit, -1} {
			if _, err := n.js.UpdateStream(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				time.Sleep(2 * lookEvery)
				n.room.look(t.Context())
			}
		}
		if said := logs.FilterMessageSnippet("has no byte limit").All(); len(said) != 2 || said[0].ContextMap()["mend"] != fmt.Sprint("nats stream edit FRESHRELAY_STATE --max-bytes=", limit) {
			t.Errorf("%+v", said)
		}
		n.leave(t)
	})
}

// The first start of several processes at once makes one store, which they all find.
func TestProcessesThatStartTogetherMakeOneStore(t *testing.T) {
	shared(t, func(t *testing.T, broker *embedded) {
		nodes := make([]*node, 5)
		var wg sync.WaitGroup
		for i := range nodes {
			wg.Go(func() { nodes[i] = join(t, broker, 4) })
		}
		wg.Wait()
		for _, n := range nodes {
			if n.identity.ID != nodes[0].identity.ID || string(n.identity.Key) != string(nodes[0].identity.Key) {
				t.Error("two identities")
			}
			n.leave(t)
		}
	})
}

// What is no answer of the broker is unclear: it may be stored. The codes of its answers: TestEveryCodeHasItsAction.
func TestWhatIsNoAnswerIsUnclear(t *testing.T) {
	for _, err := range []error{nats.ErrTimeout, jetstream.ErrNoStreamResponse, nats.ErrConnectionClosed, nats.ErrReconnectBufExceeded} {
		if !unclear(err) {
			t.Errorf("%v passes for an answer", err)
		}
	}
	if unclear(nil) {
		t.Error("a success passes for unclear")
	}
}

// The lease runs out by whichever clock is further: the machine may have slept, or its wall clock been set.
func TestALeaseIsJudgedByTheMoreCarefulClock(t *testing.T) {
	now := time.Now()
	wall := func(d time.Duration) time.Time { return now.Round(0).Add(d) } // without a monotonic reading
	fresh := lease{time: leaseTime, sent: now.Add(-10 * time.Second)}
	if left := fresh.left(now); left != 20*time.Second {
		t.Errorf("%v are left after 10 s", left)
	}
	slept := lease{time: leaseTime, sent: wall(-time.Hour)}
	if left := slept.left(now); left > 0 {
		t.Errorf("%v are left after an hour's sleep", left)
	}
	if fresh.due(now.Add(-3*time.Second)) || !fresh.due(now) {
		t.Error("a renewal is due after 8 s")
	}
}

// A wall clock that is set by hours makes no lease longer. Set forward it takes the lease for run out until the next renewal,
// which is due by the monotonic clock as ever.
func TestNoClockMakesALeaseLonger(t *testing.T) {
	const passed = 10 * time.Second
	for step, want := range map[time.Duration]time.Duration{
		0: passed, -3 * time.Hour: passed, -passed: passed, 3 * time.Hour: passed + 3*time.Hour, 5 * time.Second: passed + 5*time.Second,
	} {
		if got := elapsed(passed, passed+step); got != want {
			t.Errorf("the wall clock is set by %v: %v have passed, not %v", step, got, want)
		}
	}
	if got := elapsed(0, time.Hour); got != time.Hour {
		t.Errorf("the machine slept for an hour and %v have passed", got)
	}
}

// A lease that the clocks take for run out lets nothing through and is not lost: the renewal that follows mends it.
func TestALeaseOutlivesAStepOfTheClock(t *testing.T) {
	shared(t, func(t *testing.T, broker *embedded) {
		n := join(t, broker, 1).own(t)
		time.Sleep(5 * time.Second)
		owns, _ := n.owned()
		p := owns[0]
		// As if the wall clock had been set forward by three hours since the last renewal.
		p.standing.mu.Lock()
		p.lease.sent = time.Now().Round(0).Add(-3 * time.Hour)
		p.standing.mu.Unlock()
		if err := p.Held(); !errors.Is(err, ErrLost) {
			t.Errorf("a call is let through: %v", err)
		}
		if err := p.Hold(t.Context(), 10*time.Second); err != nil || p.Held() != nil {
			t.Errorf("after the next renewal: %v, %v", err, p.Held())
		}
		time.Sleep(time.Minute)
		now, _ := n.owned()
		if p.Err() != nil || now[0] != p {
			t.Errorf("the tenure has ended: %v", p.Err())
		}
		n.leave(t)
	})
}
