package config

import (
	"fmt"
	"strings"

	"github.com/freshrelay/freshrelay/mapping"
)

// validateActivities checks what forwarded track and page calls become. Whether the account has the type and the owner is found
// out by the running service.
func validateActivities(c Config, p *problems) {
	a := c.Activities
	oneOf("activities.as", a.As, p, ActivitiesAsActivity, ActivitiesAsEvent)
	for key, text := range map[string]string{"activities.title": a.Title, "activities.notes": a.Notes} {
		if _, err := mapping.ParseTemplate(text); err != nil {
			what, mend, _ := strings.Cut(err.Error(), ": ")
			p.add(key, quoted(text), what, mend)
		}
	}
	validatePairs("activities.types", a.Types, "name both the event and the activity's type", p)
	for i, s := range c.Sources {
		for kind, names := range map[string][]string{"track": s.Forward.Track, "page": s.Forward.Page} {
			key := fmt.Sprintf("sources[%d].forward.%s", i, kind)
			for _, name := range names {
				if strings.TrimSpace(name) == "" {
					p.add(key, quoted(name), "is no name", "name an event or a page, or write \"*\" for all")
				}
			}
		}
	}
	if !c.Forwards() || a.As == ActivitiesAsEvent {
		return
	}
	const why = "is empty, and a source forwards track or page calls"
	if strings.TrimSpace(a.Type) == "" {
		p.add("activities.type", quoted(a.Type), why, "name a type of sales activities that the account has; the list: Admin Settings > Sales activities")
	}
	if strings.TrimSpace(a.Owner) == "" {
		p.add("activities.owner", quoted(a.Owner), why, "name the sales owner that activities get, by address, name or id: Freshmarketer takes none without one")
	}
}
