package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

// firstLive is the first value that live calls have; those of letters are smaller.
const firstLive = 1_000_000

// valve stands before a sandbox. It holds writes of letters once so many have passed, so that something can be done in the
// middle of a replay however fast the machine is. Live calls always pass.
type valve struct {
	next http.Handler

	mu     sync.Mutex
	most   int           // writes of letters to let through
	passed int           // of them so far
	opened chan struct{} // closed when most grows
}

// seqOf finds the value that a request writes.
var seqOf = regexp.MustCompile(`"cf_seq":"?(\d+)`)

const wideOpen = 1 << 40

func newValve(next http.Handler) *valve {
	return &valve{next: next, most: wideOpen, opened: make(chan struct{})}
}

// close begins to count, and lets so many through.
func (v *valve) close(most int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.passed, v.most = 0, most
}

// open lets so many through, those that have passed included.
func (v *valve) open(most int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.most = most
	close(v.opened)
	v.opened = make(chan struct{})
}

// reached says whether so many letters have passed.
func (v *valve) reached(n int) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.passed >= n
}

func (v *valve) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if found := seqOf.FindSubmatch(body); found != nil {
		if seq, _ := strconv.Atoi(string(found[1])); seq < firstLive && !v.pass(r) {
			return // whoever asked is gone
		}
	}
	v.next.ServeHTTP(w, r)
}

func (v *valve) pass(r *http.Request) bool {
	for {
		v.mu.Lock()
		if v.passed < v.most {
			v.passed++
			v.mu.Unlock()
			return true
		}
		opened := v.opened
		v.mu.Unlock()
		select {
		case <-opened:
		case <-r.Context().Done():
			return false
		}
	}
}

// letterWrite is a write of a letter's or a live call's value, which life of the service has asked for it, from 1, and when it
// took effect.
type letterWrite struct {
	seq  int64
	life int
	at   time.Time
}

// written notes what an effect has written; the sandbox calls it once for each.
func (o *outlive) written(c sandbox.Call) {
	for _, state := range slices.Backward(o.box.History(c.ContactID)) {
		if state.N != c.N {
			continue
		}
		number, _ := state.Contact.Custom["cf_seq"].(json.Number)
		seq, err := number.Int64()
		if err != nil {
			return
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		user := state.Contact.ExternalID
		w := letterWrite{seq: seq, at: time.Now()}
		for w.life < len(o.lives) && o.lives[w.life].Before(c.Time) { // by when it was asked: what the dead have asked for may come late
			w.life++
		}
		o.writes[user] = append(o.writes[user], w)
		return
	}
}

// liveTraffic posts calls, and knows how long they have waited until the account had them.
type liveTraffic struct {
	o    *outlive
	mu   sync.Mutex
	n    int64
	now  string // the phase in which calls are measured; "": none
	post map[int64]livePost
}

// livePost is a call as it was posted.
type livePost struct {
	user, phase string
	at          time.Time
}

// run posts forty calls a second until stop is closed: of users of its own, and of a few of the letters' users.
func (l *liveTraffic) run(letterUsers int, stop <-chan struct{}) {
	touch := max(1, letterUsers/20)
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-tick.C:
		case <-stop:
			return
		}
		user := fmt.Sprint("live-", i%liveUsers)
		if i%20 == 7 {
			user = fmt.Sprint("user-", i/20%touch)
		}
		l.send(user)
	}
}

// send posts one call until it is taken. One that had to be repeated came while there was no service, and is not measured.
func (l *liveTraffic) send(user string) {
	l.mu.Lock()
	l.n++
	seq := firstLive + l.n
	p := livePost{user: user, phase: l.now, at: time.Now()}
	l.mu.Unlock()
	if strings.HasPrefix(user, "user-") {
		p.phase = "" // it waits for the letters of its own user, as it must
	}
	for !l.o.ask(http.MethodPost, "http://"+l.o.ingest+"/v1/identify", identifyCall(user, int(seq)), nil) {
		if l.o.t.Context().Err() != nil {
			return
		}
		p.phase = ""
		time.Sleep(20 * time.Millisecond)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.post[seq] = p
}

// liveUsers are users of live traffic alone.
const liveUsers = 40

// measure lets a phase last until each live user has been written in it.
func (l *liveTraffic) measure(phase string) {
	l.phase(phase)
	for _, _, n := l.mean(phase); n < 2*liveUsers; _, _, n = l.mean(phase) {
		l.o.pause()
	}
	l.phase("")
}

// phase names what is measured from now on.
func (l *liveTraffic) phase(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = name
}

// touched says whether a user had live calls.
func (l *liveTraffic) touched(user string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.post {
		if p.user == user {
			return true
		}
	}
	return false
}

// mean is how long the calls of a phase waited from their post until they were written; n is how many of them there are.
func (l *liveTraffic) mean(phase string) (mean, longest time.Duration, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.o.mu.Lock()
	defer l.o.mu.Unlock()
	var sum time.Duration
	for _, writes := range l.o.writes {
		for _, w := range writes {
			p, ok := l.post[w.seq]
			if !ok || p.phase != phase {
				continue
			}
			wait := w.at.Sub(p.at)
			sum, longest, n = sum+wait, max(longest, wait), n+1
		}
	}
	return sum / time.Duration(max(n, 1)), longest, n
}
