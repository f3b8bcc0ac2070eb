package worker_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/queue"
)

// TestAliasTable plays short stories of a few users, one line each, and looks at who has a contact at the end and what became of the
// calls. Every story is played twice: with a pause after each step, and with all of it waiting together.
func TestAliasTable(t *testing.T) {
	for name, story := range map[string]struct {
		steps  string // ">": alias call; "!": forget; "?": undo; "-": the contact is removed by people; else an identify of the user
		want   string // users with a contact, and each one's newest plan: the number of its step
		calls  string // discarded and dead calls
		steady bool   // what people do has no place in the log, so only with pauses
	}{
		"one alias":                            {steps: "a a>b b", want: "b=3"},
		"late calls of the old id":             {steps: "a a>b a a", want: "b=1", calls: "identify aliased 2"},
		"a chain":                              {steps: "a a>b b>c a b c", want: "c=6", calls: "identify aliased 2"},
		"a chain, forgotten":                   {steps: "a a>b b>c c !c a b c", calls: "identify suppressed 3"},
		"a chain, forgotten and let come":      {steps: "a a>b b>c !c ?c a b c", want: "c=8", calls: "identify aliased 2"},
		"the first of a chain, forgotten":      {steps: "a a>b b>c !a a b c", want: "c=7", calls: "identify aliased 1, identify suppressed 1"},
		"a loop":                               {steps: "a a>b b>a b a", want: "a=5", calls: "identify aliased 1"},
		"a loop, forgotten":                    {steps: "a a>b b>a !a a b", calls: "identify suppressed 2"},
		"a loop, the wrong one forgotten":      {steps: "a a>b b>a !b b a", want: "a=6", calls: "delete stale 2, identify suppressed 1"},
		"three times round":                    {steps: "a a>b b>a a>b a b", want: "b=6", calls: "identify aliased 1"},
		"a loop of three":                      {steps: "a a>b b>c c>a b c a", want: "a=7", calls: "identify aliased 2"},
		"a loop of three, forgotten":           {steps: "a a>b b>c c>a !a a b c", calls: "identify suppressed 3"},
		"the same id":                          {steps: "a a>a a", want: "a=3", calls: "alias missing_previous_id 1"},
		"said twice":                           {steps: "a a>b a>b a b", want: "b=5", calls: "identify aliased 1"},
		"given away once, asked for again":     {steps: "a a>b a>c a b c", want: "b=5 c=6", calls: "alias unknown_previous 1, alias_previous unknown_previous 1, identify aliased 1"},
		"of nobody":                            {steps: "b a>b a b", want: "a=3 b=4", calls: "alias unknown_previous 1, alias_previous unknown_previous 1"},
		"of nobody, forgotten":                 {steps: "b a>b a !b a", want: "a=5", calls: "alias unknown_previous 1, alias_previous unknown_previous 1"},
		"to an erased user":                    {steps: "b !b a a>b a b", want: "a=5", calls: "alias suppressed 1, identify suppressed 1"},
		"to an erased user who may come":       {steps: "b !b a a>b ?b a>b a b", want: "b=8", calls: "alias suppressed 1, identify aliased 1"},
		"of an erased user":                    {steps: "a !a a>b a b", want: "b=5", calls: "alias unknown_previous 1, alias_previous suppressed 1, identify suppressed 1"},
		"of an erased user who may come":       {steps: "a !a ?a a a>b a b", want: "b=7", calls: "identify aliased 1"},
		"both have one":                        {steps: "a b a>b a b", want: "a=4 b=5", calls: "alias dead alias_conflict 1"},
		"both have one, one is forgotten":      {steps: "a b a>b !b a b", want: "a=5", calls: "alias erased 1, identify suppressed 1"},
		"the old contact is removed":           {steps: "a -a a>b a b", want: "b=5", calls: "alias unknown_previous 1, identify aliased 1", steady: true},
		"the old one is removed, forgotten":    {steps: "a -a a>b b !b a b", calls: "alias unknown_previous 1, identify suppressed 2", steady: true},
		"the new contact is removed":           {steps: "a b -b a>b a b", want: "b=6", calls: "identify aliased 1", steady: true},
		"the renamed contact is removed":       {steps: "a a>b -b a b", want: "b=5", calls: "identify aliased 1", steady: true},
		"the renamed contact is removed, a":    {steps: "a a>b -b a", calls: "identify aliased 1", steady: true},
		"both have one, people remove one":     {steps: "a b a>b -a a b", want: "b=6", calls: "alias dead alias_conflict 1, identify aliased 1", steady: true},
		"forgotten twice":                      {steps: "a a>b !b !b ?b a b", want: "b=7", calls: "identify aliased 1"},
		"old and new forgotten":                {steps: "a a>b !a !b a b", calls: "identify suppressed 2"},
		"old and new forgotten, new may":       {steps: "a a>b !a !b ?b a b", want: "b=7", calls: "identify aliased 1"},
		"given back, the former is no more":    {steps: "a a>b b>a c c>b !b a b c", want: "a=7", calls: "delete stale 2, identify suppressed 2"},
		"given back, and a contact of its own": {steps: "a a>b b>a c c>b !a b", want: "b=7", calls: "delete stale 2"},
		"given away, another one, in vain":     {steps: "a a>b c c>a !b a>b a", want: "a=7", calls: "alias suppressed 1, delete stale 2"},
		"given away, another one, of a chain":  {steps: "a a>b b>c d d>a !c a>c a", want: "a=8", calls: "alias suppressed 1, delete stale 2"},
		"given away, another one, given again": {steps: "a a>b c c>a !b ?b a>b a b", want: "b=9", calls: "delete stale 3, identify aliased 1"},
	} {
		for _, together := range []bool{false, true} {
			if together && story.steady {
				continue
			}
			t.Run(fmt.Sprintf("%s, together %v", name, together), func(t *testing.T) {
				aliasing(t, sandbox.Options{}, func(t *testing.T, r *rig) {
					r.tell(story.steps, together)
					l := r.drain(time.Hour)
					if got := r.plans(); got != story.want {
						t.Errorf("contacts: %q, not %q", got, story.want)
					}
					got, want := undelivered(l), story.calls
					if together { // then some are discarded because of the delete call before it has reached their id
						got, want = notIdentify(got), notIdentify(want)
					}
					if got != want {
						t.Errorf("calls: %q, not %q", got, want)
					}
				})
			})
		}
	}
}

// tell plays the steps of a story.
func (r *rig) tell(steps string, together bool) {
	r.t.Helper()
	var all []queue.Entry
	for i, step := range strings.Fields(steps) {
		user, to, isAlias := strings.Cut(step, ">")
		switch name := strings.TrimLeft(step, "!?-"); {
		case isAlias:
			all = append(all, r.alias(user, to)...)
		case step[0] == '!', step[0] == '?':
			all = append(all, r.forget(name, step[0] == '?'))
		case step[0] == '-':
			if err := r.box.Remove(r.contact(name).ID); err != nil {
				r.t.Fatal(err)
			}
		default:
			all = append(all, r.identify(name, map[string]any{"plan": fmt.Sprint(i + 1)}))
		}
		if !together {
			r.publish(all...)
			r.drain(time.Hour)
			all = nil
		}
	}
	r.publish(all...)
}

// plans are the sandbox's contacts with their plans.
func (r *rig) plans() string {
	var all []string
	for _, c := range r.box.Contacts() {
		if !c.Deleted {
			all = append(all, fmt.Sprintf("%s=%v", c.ExternalID, c.Custom["cf_plan"]))
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// undelivered are the ledger's counts of calls that were not delivered, but for what came before a delete call.
func undelivered(l queue.Ledger) string {
	var all []string
	for c, n := range maps.All(l.Counts) {
		switch {
		case n == 0, c.Type == "identify" && c.Reason == "erased":
		case c.Outcome == queue.Discarded:
			all = append(all, fmt.Sprintf("%s %s %d", c.Type, c.Reason, n))
		case c.Outcome == queue.Dead:
			all = append(all, fmt.Sprintf("%s dead %s %d", c.Type, c.Reason, n))
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// notIdentify leaves out what is said of identify calls, and how many delete calls were sent for ids that are no previous ones any more.
func notIdentify(calls string) string {
	return strings.Join(slices.DeleteFunc(strings.Split(calls, ", "), func(c string) bool {
		return strings.HasPrefix(c, "identify") || strings.HasPrefix(c, "delete stale")
	}), ", ")
}
