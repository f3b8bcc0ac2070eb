package app

import (
	"strings"

	"github.com/freshrelay/freshrelay/app/config"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/segment"
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

// activityFates says what happens to track, page and screen calls, and how to switch them on.
func activityFates(c config.Config) []CallFate {
	fates := []CallFate{}
	become := "become an activity of type " + c.Activities.Type + " in the contact's timeline"
	if c.Activities.As == config.ActivitiesAsEvent {
		become = "become a custom event of the contact (undocumented by Freshworks)"
	}
	for _, typ := range []segment.Type{segment.Track, segment.Page} {
		var some []string
		for _, s := range c.Sources {
			names := s.Forward.Track
			if typ == segment.Page {
				names = s.Forward.Page
			}
			if len(names) > 0 {
				some = append(some, s.Name+": "+strings.Join(names, ", "))
			}
		}
		fate := "answered with 200 and dropped (not_forwarded); to send some on, name them in sources[].forward." + string(typ)
		if len(some) > 0 {
			fate = become + ", if named (" + strings.Join(some, "; ") + ") and the user has a contact; others are dropped (not_forwarded)"
		}
		fates = append(fates, CallFate{string(typ), fate})
	}
	return append(fates, CallFate{"screen", "answered with 200 and dropped; Freshmarketer has no use for it"})
}
