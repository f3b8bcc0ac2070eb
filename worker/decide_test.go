package worker

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/google/go-cmp/cmp"

	fm "github.com/freshrelay/freshrelay/freshmarketer"
)

var testRetry = Retry{Initial: 2 * time.Second, Max: 2 * time.Minute, MaxAge: 15 * time.Minute}

func TestDecide(t *testing.T) {
	t.Parallel()
	kinds := []fm.Kind{fm.KindAuth, fm.KindPermission, fm.KindThrottled, fm.KindConflict, fm.KindInvalid, fm.KindGone, fm.KindMisrouted, fm.KindTemporary, fm.KindCanceled, fm.KindUnknown}
	names := map[Action]string{ActionHold: "hold", ActionRetry: "retry", ActionProbe: "probe", ActionDropField: "drop the field", ActionSplit: "split", ActionSetAside: "set aside", ActionRecreate: "recreate"}
	rows := []struct {
		name string
		f    Failure
		want map[fm.Kind]string // what is not named: other
		rest string
	}{
		{"a first failure of one call", Failure{Counts: true, Merged: 1, Known: true}, map[fm.Kind]string{
			fm.KindAuth: "hold", fm.KindThrottled: "hold", fm.KindCanceled: "hold", fm.KindGone: "recreate", fm.KindConflict: "set aside",
			fm.KindInvalid: "set aside", fm.KindPermission: "probe", fm.KindMisrouted: "probe",
		}, "retry"},
		{"of a contact that was found or made anew", Failure{Counts: true, Merged: 1, Known: true, Recreated: true}, map[fm.Kind]string{
			fm.KindAuth: "hold", fm.KindThrottled: "hold", fm.KindCanceled: "hold", fm.KindConflict: "set aside",
			fm.KindInvalid: "set aside", fm.KindPermission: "probe", fm.KindMisrouted: "probe",
		}, "retry"},
		{"of a merged change", Failure{Counts: true, Merged: 2, Known: true}, map[fm.Kind]string{
			fm.KindAuth: "hold", fm.KindThrottled: "hold", fm.KindCanceled: "hold", fm.KindGone: "recreate", fm.KindConflict: "split",
			fm.KindInvalid: "split", fm.KindPermission: "probe", fm.KindMisrouted: "probe",
		}, "retry"},
		{"of a change with a field to drop", Failure{Counts: true, Merged: 2, Known: true, Field: "job_title"}, map[fm.Kind]string{
			fm.KindAuth: "hold", fm.KindThrottled: "hold", fm.KindCanceled: "hold", fm.KindGone: "recreate", fm.KindConflict: "drop the field",
			fm.KindInvalid: "drop the field", fm.KindPermission: "probe", fm.KindMisrouted: "probe",
		}, "retry"},
		{"after many dropped fields", Failure{Counts: true, Probed: true, Merged: 1, Field: "job_title", Dropped: maxDropped}, map[fm.Kind]string{
			fm.KindAuth: "hold", fm.KindThrottled: "hold", fm.KindCanceled: "hold", fm.KindConflict: "set aside", fm.KindInvalid: "set aside",
		}, "retry"},
		{"of a contact that is not known", Failure{Counts: true, Merged: 1}, map[fm.Kind]string{
			fm.KindAuth: "hold", fm.KindThrottled: "hold", fm.KindCanceled: "hold", fm.KindConflict: "set aside",
			fm.KindInvalid: "set aside", fm.KindPermission: "probe", fm.KindMisrouted: "probe",
		}, "retry"},
		{"after a probe that works", Failure{Counts: true, Probed: true, Merged: 1}, map[fm.Kind]string{
			fm.KindAuth: "hold", fm.KindThrottled: "hold", fm.KindCanceled: "hold", fm.KindConflict: "set aside", fm.KindInvalid: "set aside",
		}, "retry"},
		{"at the account's expense", Failure{Merged: 1}, map[fm.Kind]string{fm.KindConflict: "set aside", fm.KindInvalid: "set aside"}, "hold"},
		{"after max_age", Failure{Counts: true, Merged: 3, Age: 15 * time.Minute}, map[fm.Kind]string{
			fm.KindAuth: "hold", fm.KindThrottled: "hold", fm.KindCanceled: "hold", fm.KindConflict: "split", fm.KindInvalid: "split",
		}, "probe"},
		{"after max_age and a probe that works", Failure{Counts: true, Probed: true, Merged: 3, Age: 15 * time.Minute}, map[fm.Kind]string{
			fm.KindAuth: "hold", fm.KindThrottled: "hold", fm.KindCanceled: "hold", fm.KindConflict: "split", fm.KindInvalid: "split",
		}, "set aside"},
	}
	for _, row := range rows {
		for _, kind := range kinds {
			want := row.want[kind]
			if want == "" {
				want = row.rest
			}
			f := row.f
			f.Kind = kind
			if got := names[Decide(f, testRetry)]; got != want {
				t.Errorf("%s, %s: %s, want %s", kind, row.name, got, want)
			}
		}
	}
}

// The schedule of one user's trouble, without its jitter: readable here, so that a change of it is seen.
func TestTheScheduleOfRetries(t *testing.T) {
	t.Parallel()
	waits := newBackOff(testRetry.Initial, testRetry.Max)
	waits.RandomizationFactor = 0
	var at time.Duration
	var schedule []string
	for attempt := 1; at <= testRetry.MaxAge; attempt++ {
		schedule = append(schedule, fmt.Sprintf("%d %v", attempt, at))
		at += waits.NextBackOff()
	}
	want := "1 0s, 2 2s, 3 6s, 4 14s, 5 30s, 6 1m2s, 7 2m6s, 8 4m6s, 9 6m6s, 10 8m6s, 11 10m6s, 12 12m6s, 13 14m6s"
	if diff := cmp.Diff(want, strings.Join(schedule, ", ")); diff != "" {
		t.Error(diff)
	}
	jittered := newBackOff(testRetry.Initial, testRetry.Max)
	for range 10_000 {
		if wait := jittered.NextBackOff(); wait < time.Second || wait > testRetry.Max+testRetry.Max/5 || wait == backoff.Stop {
			t.Fatalf("a wait of %v", wait)
		}
	}
}

func TestSplittingNeverGoesBelowWhatMayHaveBeenSent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		items     int
		written   []int
		recovered int
		want      int
	}{
		{10, nil, 0, 5},
		{10, []int{7}, 0, 7},
		{7, []int{7}, 0, 3},
		{3, []int{7}, 0, 1},
		{2, nil, 0, 1},
		{1, nil, 0, 1},
		{13, []int{10, 13}, 0, 10},
		{13, []int{13, 10, 8}, 0, 10},
		{10, []int{13, 10}, 0, 5},
		{10, nil, 20, 9},
		{10, nil, 10, 9},
		{10, nil, 7, 7},
		{10, nil, 3, 5},
		{7, []int{6}, 4, 6},
		{2, nil, 2, 1},
	} {
		l := lane{written: c.written, recovered: c.recovered}
		if l.split(c.items); l.limit != c.want {
			t.Errorf("%d items, %v perhaps written, %d read again: %d, want %d", c.items, c.written, c.recovered, l.limit, c.want)
		}
	}
}
