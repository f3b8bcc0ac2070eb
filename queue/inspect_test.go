package queue

import (
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A look at servers says what a start would meet, and leaves everything as it is.
func TestInspectSaysWhatAStartWouldMeet(t *testing.T) {
	shared(t, func(t *testing.T, broker *embedded) {
		look := func(change func(*Config)) (Inspection, error) {
			cfg := Config{Prefix: "freshrelay", MaxBytes: MinMaxBytes, Account: "sandbox", External: &External{
				Replicas: 1, Dial: func(opts ...nats.Option) (*nats.Conn, error) {
					return nats.Connect("", append(opts, nats.InProcessServer(broker.server))...)
				},
			}}
			change(&cfg)
			return Inspect(t.Context(), cfg)
		}
		same := func(*Config) {}
		before, err := look(same)
		if err != nil || before.Version == "" || before.Server != "freshrelay" || len(before.Missing) != 5 || before.Missing[0] != "FRESHRELAY_EVENTS" {
			t.Errorf("before the first start: %+v, %v", before, err)
		}
		if again, err := look(same); err != nil || len(again.Missing) != 5 {
			t.Errorf("a look has made something: %+v, %v", again, err)
		}
		if err := reopen(t, broker, nil); err != nil {
			t.Fatal(err)
		}
		if got, err := look(same); err != nil || len(got.Missing) != 0 {
			t.Errorf("after a start: %+v, %v", got, err)
		}
		if _, err := look(func(c *Config) { c.Account = "acme.myfreshworks.com" }); !errors.Is(err, ErrForeignAccount) {
			t.Errorf("another account's store: %v", err)
		}
		if _, err := look(func(c *Config) { c.Partitions = 3 }); !errors.Is(err, ErrPartitions) {
			t.Errorf("another number of partitions: %v", err)
		}
		if _, err := look(func(c *Config) {
			c.External.Dial = func(...nats.Option) (*nats.Conn, error) { return nil, nats.ErrNoServers }
		}); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "nats.url") {
			t.Errorf("nobody there: %v", err)
		}
		editStreams(t, broker)
		_, err = look(same)
		if err == nil || !errors.Is(err, ErrDrift) || !strings.Contains(err.Error(), "nats stream edit FRESHRELAY_EVENTS --discard=new") ||
			!strings.Contains(err.Error(), "nats stream edit FRESHRELAY_STATE --max-msgs-per-subject=1") {
			t.Errorf("two edited streams: %v", err)
		}
		if _, second := look(same); second == nil || second.Error() != err.Error() {
			t.Errorf("a look has changed something: %v", second)
		}
	})
}

// editStreams is what somebody does with the nats command.
func editStreams(t *testing.T, broker *embedded) {
	t.Helper()
	nc, err := broker.connect()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for kind, edit := range map[string]func(*jetstream.StreamConfig){
		"EVENTS": func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld },
		"STATE":  func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 5 },
	} {
		stream, err := js.Stream(t.Context(), "FRESHRELAY_"+kind)
		if err != nil {
			t.Fatal(err)
		}
		cfg := stream.CachedInfo().Config
		edit(&cfg)
		if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRoomAtIsThatOfTheDisk(t *testing.T) {
	t.Parallel()
	room, err := RoomAt(t.TempDir(), 0)
	if err != nil || room.Free <= 0 || room.Streams < MinMaxBytes || room.Stored != 0 || room.Needed != minFree {
		t.Errorf("%+v, %v", room, err)
	}
	if room, err := RoomAt(t.TempDir(), 123); err != nil || room.Streams != 123 {
		t.Errorf("%+v, %v", room, err)
	}
	if _, err := RoomAt("/nowhere/at/all", 0); err == nil {
		t.Error("there is room where there is nothing")
	}
}

// Streams that are there keep their limits, whatever the disk has free today.
func TestRoomAtIsThatOfTheStreamsThatAreThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const most = 128 << 20
	s, err := Open(t.Context(), Config{Dir: dir, MaxBytes: most, Account: "test"})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	for asked, want := range map[int64]int64{0: most, 64 << 20: most, 256 << 20: 256 << 20} {
		if room, err := RoomAt(dir, asked); err != nil || room.Streams > want || room.Streams < want-1000 {
			t.Errorf("with nats.max_bytes %d: %+v, %v, want %d", asked, room, err, want)
		}
	}
}
