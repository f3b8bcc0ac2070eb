package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/admin"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox/sandboxtest"
	"github.com/freshrelay/freshrelay/queue/queuetest"
	"github.com/freshrelay/freshrelay/segment"
)

// The long form of TestAReplayOutlivesItsStops: make test-replay.
var (
	outliveLetters = flag.Int("replay.letters", 300, "dead letters in TestAReplayOutlivesItsStops")
	outliveUsers   = flag.Int("replay.users", 110, "users they are of")
	outliveDelay   = flag.Duration("replay.delay", 10*time.Millisecond, "how long the account takes to answer")
	outliveRatio   = flag.Float64("replay.ratio", 0, "how much longer live calls may wait during the replay than before, by the clock; 0: it is only told")
)

const outliveKey = "key-of-the-tests"

const outliveConfig = `
data_dir: data
listen: %s
admin: {listen: %s}
nats: {max_bytes: 512MiB}
sources: [{name: website, write_keys: [wk_outlive]}]
freshmarketer: {base_url: %q, api_key: %s, quota: {per_hour: 0, per_minute: 0, reserve: 0}}
log: {level: warn}
`

// outlive is the real program, twice: the service and the command line, each in a terminal of its own, and a sandbox.
type outlive struct {
	t             *testing.T
	program, dir  string
	ingest, admin string
	box           *sandbox.Sandbox
	api           *sandboxtest.Server
	valve         *valve
	live          *liveTraffic

	service *exec.Cmd
	mu      sync.Mutex
	lives   []time.Time              // when each life of the service began
	writes  map[string][]letterWrite // by userId, in their order
}

func newOutlive(t *testing.T) *outlive {
	t.Helper()
	o := &outlive{t: t, dir: t.TempDir(), ingest: queuetest.Address(t), admin: queuetest.Address(t), writes: map[string][]letterWrite{}}
	o.program = filepath.Join(t.TempDir(), "freshrelay")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", o.program, ".").CombinedOutput(); err != nil {
		t.Fatalf("building the program: %v\n%s", err, out)
	}
	var err error
	if o.box, err = sandbox.New(sandbox.Options{APIKeys: []string{outliveKey}, History: true, OnEffect: o.written}); err != nil {
		t.Fatal(err)
	}
	o.valve = newValve(o.box.Handler())
	o.api = sandboxtest.NewServer(t, o.valve)
	writeFile(t, filepath.Join(o.dir, "freshrelay.yaml"), fmt.Sprintf(outliveConfig, o.ingest, o.admin, o.api.URL, outliveKey))
	o.live = &liveTraffic{o: o, post: map[int64]livePost{}}
	return o
}

// start runs the program in a terminal of its own, as its session's leader: what is typed there reaches it as from a keyboard.
func (o *outlive) start(args ...string) (*exec.Cmd, *terminal) {
	o.t.Helper()
	tt := newTerminal(o.t)
	cmd := exec.Command(o.program, args...) // it ends by a signal, or by itself
	cmd.Dir = o.dir
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tt.near, tt.near, tt.near
	queuetest.Tie(cmd)
	cmd.SysProcAttr.Setsid, cmd.SysProcAttr.Setctty = true, true
	if err := cmd.Start(); err != nil {
		o.t.Fatal(err)
	}
	_ = tt.near.Close() // the program has its own
	o.t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd, tt
}

// serve begins a life of the service and waits until it is ready.
func (o *outlive) serve() *terminal {
	o.t.Helper()
	o.api.Quiet(o.t, nil) // what the life before has asked for is done
	o.mu.Lock()
	o.lives = append(o.lives, time.Now())
	o.mu.Unlock()
	var tt *terminal
	o.service, tt = o.start("serve")
	for !o.ask(http.MethodGet, "http://"+o.admin+"/readyz", "", nil) {
		select {
		case <-tt.done:
			o.t.Fatalf("the service does not start:\n%s", tt.screen())
		default:
			o.pause()
		}
	}
	return tt
}

func (o *outlive) pause() {
	o.t.Helper()
	select {
	case <-time.After(10 * time.Millisecond):
	case <-o.t.Context().Done():
		o.t.FailNow()
	}
}

// ask makes a request and says whether it was answered with 200.
func (o *outlive) ask(method, url, body string, into any) bool {
	req, err := http.NewRequestWithContext(o.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		o.t.Error(err)
		return false
	}
	req.SetBasicAuth("wk_outlive", "")
	if token, err := os.ReadFile(filepath.Join(o.dir, "data", admin.TokenFile)); err == nil && strings.HasPrefix(url, "http://"+o.admin) {
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return err == nil && resp.StatusCode == http.StatusOK && (into == nil || json.Unmarshal(text, into) == nil)
}

// cli runs a command to its end, through pipes.
func (o *outlive) cli(into any, args ...string) {
	o.t.Helper()
	cmd := exec.CommandContext(o.t.Context(), o.program, append(args, "-o", "json")...)
	cmd.Dir = o.dir
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, into)
	}
	if err != nil {
		o.t.Fatalf("freshrelay %v: %v\n%s", args, err, out)
	}
}

// settled waits until nothing is pending.
func (o *outlive) settled() (st admin.Status) {
	o.t.Helper()
	for !o.ask(http.MethodGet, "http://"+o.admin+"/api/status", "", &st) || st.Ledger.Pending > 0 || !st.Ledger.SettledReading {
		o.pause()
	}
	return st
}

// letters imports the dead letters, one round of all users after the other: refused calls would take minutes to make.
func (o *outlive) letters(n, users int) {
	o.t.Helper()
	for from := 0; from < n; from += users {
		for first := from; first < min(n, from+users); first += 100 {
			var req admin.ImportRequest
			for i := first; i < min(n, from+users, first+100); i++ {
				req.Letters = append(req.Letters, refusedLetter(fmt.Sprint("user-", i%users), i/users+1))
			}
			body, err := json.Marshal(req)
			if err != nil || !o.ask(http.MethodPost, "http://"+o.admin+"/api/letters/import", string(body), nil) {
				o.t.Fatalf("the letters were not taken: %v", err)
			}
		}
		o.settled()
	}
}

func refusedLetter(user string, seq int) admin.ExportedLetter {
	now, id := time.Now().UTC(), fmt.Sprint(user, "-", seq)
	event := segment.Received{
		Source: "website", Surface: segment.SurfaceTracking, At: now, Type: segment.Identify, MessageID: id, UserID: user, Body: []byte(identifyCall(user, seq)),
	}
	return admin.ExportedLetter{
		Letter: admin.Letter{MessageID: id, Type: "identify", Source: "website", Reason: "invalid", Status: 400, Attempts: 1, FirstTry: now, LastTry: now},
		Store:  "another", Stored: string(event.Encode()),
	}
}

func identifyCall(user string, seq int) string {
	at := time.Now().UTC().Format(time.RFC3339Nano)
	return fmt.Sprintf(`{"type":"identify","userId":%q,"messageId":"%s-%d","timestamp":%q,"traits":{"email":"%s@example.test","seq":%d}}`, user, user, seq, at, user, seq)
}

// until waits until the replay has written so many letters and is held there. One that ends before would be waited for in vain.
func (o *outlive) until(writes int) {
	o.t.Helper()
	over := 0 // looks in a row that found no letter left
	for looked := time.Now(); !o.valve.reached(writes) && over < 5; o.pause() {
		if time.Since(looked) < time.Second {
			continue
		}
		looked, over = time.Now(), over+1
		var st admin.Status
		if !o.ask(http.MethodGet, "http://"+o.admin+"/api/status", "", &st) || st.Ledger.Dead > 0 || !st.Ledger.SettledReading {
			over = 0
		}
	}
	if !o.valve.reached(writes) {
		o.t.Fatalf("the replay has ended with less than %d writes: letters of one user went along with each other, or newer calls came first", writes)
	}
}

// writesOf is how many writes are that share of the replay. A replay has maxUnderWay letters in the log at a time, and those of one user
// go along with each other, so letters of fewer users take fewer writes.
func writesOf(percent, letters, users int) int {
	return letters * min(users, maxUnderWay) / maxUnderWay * percent / 100
}

func (o *outlive) report() admin.Replay {
	o.t.Helper()
	var list admin.ReplayList
	o.cli(&list, "dlq", "replays")
	if len(list.Replays) != 1 {
		o.t.Fatalf("%+v", list)
	}
	return list.Replays[0]
}

// ended waits for a process's end and returns its exit code and what its terminal showed.
func (o *outlive) ended(cmd *exec.Cmd, tt *terminal) (code int, screen string) {
	_ = cmd.Wait() // the code says how it ended; -1 is by a signal
	return cmd.ProcessState.ExitCode(), tt.screen()
}

// A replay is stopped by Ctrl-C at a terminal, loses its command line to SIGKILL, its service to SIGKILL and then to Ctrl-C,
// each in the middle, while calls come in. It goes on each time: every letter is written once, by itself or along with a newer one of
// its user, nobody ends with older data, and the report adds up with the ledger.
func TestAReplayOutlivesItsStops(t *testing.T) {
	t.Parallel()
	o := newOutlive(t)
	n, users := *outliveLetters, *outliveUsers
	part := func(percent int) int { return writesOf(percent, n, users) }
	serviceScreen := o.serve()
	o.letters(n, users)
	before := o.settled()
	if before.Ledger.Dead != int64(n) {
		t.Fatalf("%d dead letters instead of %d: %+v", before.Ledger.Dead, n, before.Ledger)
	}
	if err := o.box.AddFault(sandbox.Fault{Percent: 100, Delay: *outliveDelay}); err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() { defer close(stopped); o.live.run(users, stop) }()
	o.live.measure("first calls") // a contact is made with fewer calls than it is changed
	o.live.measure("before")

	// Ctrl-C at the terminal of the command line.
	o.valve.close(part(40))
	replaying, tt := o.start("dlq", "replay", "--all")
	tt.await(t, "[y/N]")
	o.live.phase("during")
	tt.press(t, "y\n")
	o.until(part(40))
	o.live.phase("")
	tt.press(t, "\x03")
	o.valve.open(part(55))
	code, screen := o.ended(replaying, tt)
	job := o.report()
	if code != exitPartial || job.State != "stopped" || job.Selected >= n || !strings.Contains(screen, "freshrelay dlq replay --resume "+job.ID) {
		t.Errorf("after Ctrl-C: exit code %d, %+v\n%s", code, job, screen)
	}

	// SIGKILL of the command line: the service goes on by itself.
	replaying, tt = o.start("dlq", "replay", "--resume", job.ID)
	o.until(part(55))
	tt.await(t, "replaying: ")
	if err := replaying.Process.Kill(); err != nil {
		t.Error(err)
	}
	if code, _ := o.ended(replaying, tt); code != -1 || o.report().State != "running" {
		t.Errorf("after SIGKILL of the command line: exit code %d, %+v", code, o.report())
	}
	o.valve.open(part(70))
	o.until(part(70))

	// SIGKILL of the service.
	if err := o.service.Process.Kill(); err != nil {
		t.Error(err)
	}
	o.ended(o.service, serviceScreen)
	serviceScreen = o.serve()
	o.valve.open(part(85))
	o.until(part(85))

	// Ctrl-C at the terminal of the service.
	serviceScreen.press(t, "\x03")
	o.valve.open(part(85) + 20) // what is under way may end
	if code, screen := o.ended(o.service, serviceScreen); code != exitOK {
		t.Errorf("the service ends with exit code %d:\n%s", code, screen)
	}
	o.serve()
	o.valve.open(wideOpen)
	replaying, tt = o.start("dlq", "replay", "--resume", job.ID)
	if code, screen = o.ended(replaying, tt); code != exitOK || !strings.Contains(screen, fmt.Sprintf("replay %s: %d dead letters taken up = ", job.ID, n)) {
		t.Errorf("the replay ends with exit code %d:\n%s", code, screen)
	}
	close(stop)
	<-stopped
	o.check(before, o.settled(), n, users)
}

// check compares the report, the ledger and what the sandbox saw.
func (o *outlive) check(before, after admin.Status, n, users int) {
	o.t.Helper()
	report := o.report()
	if report.Selected != n || report.Deliver+report.Discard != n || report.State != "done" {
		o.t.Errorf("the report is %+v", report)
	}
	a, b := after.Ledger, before.Ledger
	if a.Dead != 0 || a.Difference != 0 || a.Delivered+a.Discarded-b.Delivered-b.Discarded != int64(n)+a.Accepted-b.Accepted {
		o.t.Errorf("the report does not add up with the ledger: %+v before, %+v after, %+v", b, a, report)
	}
	repeats, unwritten, along := 0, 0, 0
	for _, c := range o.box.Contacts() {
		if !strings.HasPrefix(c.ExternalID, "user-") {
			continue
		}
		users--
		touched := o.live.touched(c.ExternalID)
		writes, last := o.writes[c.ExternalID], int64(0)
		for _, w := range writes {
			if w.seq < last {
				o.t.Errorf("%s went from %d back to %d", c.ExternalID, last, w.seq)
			}
			last = w.seq
		}
		var number int
		if _, err := fmt.Sscanf(c.ExternalID, "user-%d", &number); err != nil {
			o.t.Fatal(err)
		}
		for seq := int64(1); seq <= int64((n-number+*outliveUsers-1) / *outliveUsers); seq++ {
			lives := livesOf(writes, seq)
			switch {
			case len(lives) == 0 && touched: // a newer call came first, or went along
				unwritten++
			case len(lives) == 0 && o.wentAlong(c.ExternalID, seq, writes):
				along++
			case len(lives) == 2 && lives[0] == 1 && lives[1] == 2: // the first life did not live to note it
				repeats++
			case len(lives) != 1:
				o.t.Errorf("%s: value %d was written in the lives %v", c.ExternalID, seq, lives)
			}
		}
	}
	if users != 0 {
		o.t.Errorf("%d users have no contact", users)
	}
	if repeats > maxUnderWay {
		o.t.Errorf("%d letters were written twice", repeats)
	}
	mean, longest, _ := o.live.mean("before")
	meanDuring, longestDuring, calls := o.live.mean("during")
	ratio := float64(meanDuring) / float64(mean)
	o.t.Logf("live calls waited %v on average and %v at most before, %v and %v during the replay: %.2f times as long (%d calls)", mean, longest, meanDuring, longestDuring, ratio, calls)
	o.t.Logf("%d letters: %d written once, %d of them once more after the SIGKILL of the service, %d along with newer letters, %d overtaken by newer calls",
		n, n-unwritten-along, repeats, along, unwritten)
	if *outliveRatio > 0 && ratio > *outliveRatio {
		o.t.Errorf("live calls waited %.2f times as long during the replay", ratio)
	}
}

// wentAlong says whether a letter and a newer one of its user were one change, of which the newer value was written: when a letter waits
// for long, a newer one comes into its lane. The journal says so. Of what the first life did it may not have all, as that was killed.
func (o *outlive) wentAlong(user string, seq int64, writes []letterWrite) bool {
	newer := slices.IndexFunc(writes, func(w letterWrite) bool { return w.seq > seq })
	var list admin.EventList
	if newer < 0 || !o.ask(http.MethodGet, fmt.Sprintf("http://%s/api/events?user_id=%s&message_id=%s-%d", o.admin, user, user, seq), "", &list) {
		return false
	}
	told := slices.IndexFunc(list.Events, func(e admin.Event) bool { return e.Outcome == "delivered" })
	if told < 0 {
		return writes[newer].life == 1
	}
	e := list.Events[told]
	return e.MergedWith > 0 && slices.ContainsFunc(e.Fields, func(f admin.EventField) bool { return f.Field == "cf_seq" && f.Action == "set" })
}

// maxUnderWay is how many letters a replay has in the log at a time: more cannot be known to the account and not to the store.
const maxUnderWay = 100

func livesOf(writes []letterWrite, seq int64) (lives []int) {
	for _, w := range writes {
		if w.seq == seq {
			lives = append(lives, w.life)
		}
	}
	return lives
}

func (tt *terminal) press(t *testing.T, keys string) {
	t.Helper()
	if _, err := io.WriteString(tt.far, keys); err != nil {
		t.Error(err)
	}
}
