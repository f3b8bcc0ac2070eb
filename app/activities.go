package app

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/freshrelay/freshrelay/app/config"
	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/segment"
	"github.com/freshrelay/freshrelay/worker"
)

// activities are the parts of the configuration that decide what a forwarded track or page call becomes.
func activities(c config.Config) mapping.Activities {
	a := c.Activities
	title, _ := mapping.ParseTemplate(a.Title) // checked by config
	notes, _ := mapping.ParseTemplate(a.Notes)
	return mapping.Activities{As: mapping.ActivityAs(a.As), Type: a.Type, Types: a.Types, Owner: a.Owner, Title: title, Notes: notes}
}

// forward says which track and page calls of a source are let in.
func forward(f config.Forward) func(segment.Type, string) bool {
	return func(typ segment.Type, name string) bool { return f.Takes(string(typ), name) }
}

// forwarded is forward for all sources, by their names.
func forwarded(c config.Config) worker.Forward {
	sources := map[string]func(segment.Type, string) bool{}
	for _, s := range c.Sources {
		sources[s.Name] = forward(s.Forward)
	}
	return func(source string, typ segment.Type, name string) bool {
		lets := sources[source]
		return lets != nil && lets(typ, name)
	}
}

// forwards says what forwarding track and page calls means for the quota.
func (r *CheckReport) forwards() {
	for _, s := range r.cfg.Sources {
		for _, list := range []struct {
			kind  string
			names []string
		}{{"track", s.Forward.Track}, {"page", s.Forward.Page}} {
			if slices.Contains(list.names, config.ForwardAll) {
				r.Add("activities", LevelWarning, fmt.Sprintf("%s forwards every %s call, and each costs an API call: %d an hour are all that contacts and activities have together",
					s.Name, list.kind, r.cfg.Freshmarketer.Quota.PerHour), "name the events that people look at: sources[].forward."+list.kind)
			}
		}
	}
	if r.cfg.Forwards() && r.cfg.Activities.As == config.ActivitiesAsEvent {
		r.Add("activities", LevelWarning, "activities.as: event uses an address that Freshworks does not document; whether the account has it shows with the first event (freshrelay status)",
			"activities.as: activity does without")
	}
}

// kinds looks for the types and the owner of activities in the account.
func (r *CheckReport) kinds(ctx context.Context, client *freshmarketer.Client) {
	a := r.cfg.Activities
	if !r.cfg.Forwards() || a.As == config.ActivitiesAsEvent {
		return
	}
	types, err := client.Select(ctx, freshmarketer.SelectActivityTypes)
	if err != nil {
		r.apiTrouble("activities", err)
		return
	}
	owners, err := client.Select(ctx, freshmarketer.SelectOwners)
	if err != nil {
		r.apiTrouble("activities", err)
		return
	}
	wanted := []string{a.Type}
	for _, name := range slices.Sorted(maps.Keys(a.Types)) {
		wanted = append(wanted, a.Types[name])
	}
	slices.Sort(wanted)
	for _, typ := range slices.Compact(wanted) {
		_, _, what := worker.FindKinds(types, owners, typ, a.Owner)
		if what == "" {
			r.Add("activities", LevelOK, fmt.Sprintf("the account has the type %q and the owner", typ), "")
			continue
		}
		what, mend, _ := strings.Cut(what, ": ")
		key := what
		what, mend, _ = strings.Cut(mend, ": ")
		r.Add("activities", LevelProblem, key+": "+what, mend)
	}
}
