package replay_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/replay"
)

// inState says whether a file of STATE holds a text.
func (r *rig) inState(text string) (found bool) {
	r.t.Helper()
	err := filepath.WalkDir(r.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(path, "_STATE") {
			return nil //nolint:nilerr // the broker removes files meanwhile
		}
		content, err := os.ReadFile(path)
		found = found || err == nil && bytes.Contains(content, []byte(text))
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return found
}

// The values that a job changes are people's: they outlive restarts, but not the job, in no copy.
func TestTheValuesOfEditsEndWithTheirJob(t *testing.T) {
	bubble(t, sandbox.Options{}, 0, func(t *testing.T, r *rig) {
		const value = "zq-value-zq"
		edits := []queue.Edit{{Path: "traits.plan", Value: json.RawMessage(`"` + value + `"`)}}
		r.letters(300, 300)
		report := r.start(replay.Job{Edits: edits})
		for range 3 {
			time.Sleep(20 * time.Millisecond)
			r.restart()
		}
		if !r.inState(value) {
			t.Fatal("the job was done before it was stopped, or the test looks at the wrong place")
		}
		if report = r.wait(report, time.Hour); report.Deliver != 300 || len(report.Edited) != 1 {
			t.Errorf("%+v", report)
		}
		for _, c := range r.box.Contacts() {
			if c.Custom["cf_plan"] != value {
				t.Errorf("%+v", c)
			}
		}
		if r.inState(value) {
			t.Error("the value is still stored")
		}

		// A crash came between the job's end and that of its values, and another before a job was stored.
		now := uint64(time.Now().UnixMilli())
		for id, stays := range map[uint64]bool{mustParse(t, report.ID): false, now - 7_200_000: false, now: true} {
			text := fmt.Sprint(value, id)
			if _, err := r.store.PutState(t.Context(), fmt.Sprint("edits.", id), []byte(`[{"path":"a","value":"`+text+`"}]`), 0); err != nil {
				t.Fatal(err)
			}
			r.restart()
			time.Sleep(time.Second)
			if r.inState(text) != stays {
				t.Errorf("values of %d: there is %v", id, r.inState(text))
			}
		}
	})
}
