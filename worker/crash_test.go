package worker_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing/synctest"
	"time"
)

// wire is a process's connection to the account; once it is cut nothing leaves that process any more.
type wire struct {
	http.RoundTripper

	isCut atomic.Bool
}

func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	if w.isCut.Load() {
		return nil, errors.New("the process is dead")
	}
	return w.RoundTripper.RoundTrip(req)
}

// crash ends the process as a kill does, and starts the next one: on what is on disk at this moment, by a copy, so that nothing
// counts that the old one could do to end in good order. Its requests under way arrive, and it sends no other.
func (r *rig) crash() {
	r.t.Helper()
	synctest.Wait() // all that is to be done at this moment is done: what is open waits for time to pass
	old, dir := r.dir, r.t.TempDir()
	if w, ok := r.api.HTTPClient.Transport.(*wire); ok {
		w.isCut.Store(true)
	}
	if err := os.CopyFS(dir, os.DirFS(old)); err != nil {
		r.t.Fatal(err)
	}
	r.close()
	if err := os.RemoveAll(filepath.Join(old, "jetstream")); err != nil { // a day of crashes would fill the disk
		r.t.Fatal(err)
	}
	r.dir = dir
	r.rewire()
	r.open()
}

// rewire gives the next process a connection of its own, so that crash can cut it.
func (r *rig) rewire() {
	inner := r.api.HTTPClient.Transport
	if w, ok := inner.(*wire); ok {
		inner = w.RoundTripper
	}
	r.api.HTTPClient = &http.Client{Transport: &wire{RoundTripper: inner}}
}

// untilUnderWay waits for calls that are not answered yet, for a minute at most, and says how many there are.
func (r *rig) untilUnderWay() int {
	for range 600 {
		n := 0
		for _, c := range r.box.Calls() {
			if c.Status == 0 {
				n++
			}
		}
		if n > 0 {
			return n
		}
		time.Sleep(100 * time.Millisecond)
	}
	return 0
}
