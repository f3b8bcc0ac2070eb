package app

import (
	"fmt"
	"strings"

	"github.com/freshrelay/freshrelay/admin"
	"github.com/freshrelay/freshrelay/app/config"
	"github.com/freshrelay/freshrelay/segment"
)

// dropped is what happens to a call that nobody asked for.
const dropped = "answered 200 and dropped"

// CallFates says in a line for each type of call what happens to it and how to have it otherwise; then come those that go
// another way than the others of their type. It is the one source for check, status and README.
func CallFates(c config.Config) []admin.CallFate {
	fates := []admin.CallFate{identifyFate(c), groupFate(c), aliasFate(c), deleteFate(c)}
	for _, typ := range []segment.Type{segment.Track, segment.Page} {
		fates = append(fates, activityFate(c, typ))
	}
	fates = append(fates, admin.CallFate{Type: string(segment.Screen), Fate: dropped + " (screen)", Switch: "not to be had"})
	return append(fates, exceptions(c)...)
}

func identifyFate(c config.Config) admin.CallFate {
	f := admin.CallFate{Type: string(segment.Identify), Fate: "stored; its user's contact is made or updated", Switch: "always on"}
	if !c.Contacts.Create {
		f.Fate, f.Switch = "stored; its user's contact is updated, and none is made", "contacts.create: true makes contacts"
	}
	if c.Mapping.MissingTraits == config.MissingClear {
		f.Fate += "; what we set and it omits is emptied"
		f.Switch += "; mapping.missing_traits: keep"
	}
	return f
}

func groupFate(c config.Config) admin.CallFate {
	if c.Group == config.GroupOff {
		return admin.CallFate{Type: string(segment.Group), Fate: "stored and discarded (not_forwarded)", Switch: "off; group: account"}
	}
	return admin.CallFate{
		Type: string(segment.Group), Fate: "stored; its account is found or made by traits.name, the contact linked to it",
		Switch: "on; group: off",
	}
}

func aliasFate(c config.Config) admin.CallFate {
	if !c.Alias {
		return admin.CallFate{Type: string(segment.Alias), Fate: "stored and discarded (not_forwarded)", Switch: "off; alias: true"}
	}
	return admin.CallFate{Type: string(segment.Alias), Fate: "stored; the contact of the previousId becomes the userId's", Switch: "on; alias: false"}
}

func deleteFate(c config.Config) admin.CallFate {
	f := admin.CallFate{Type: string(segment.Delete), Switch: "on; deletion.webhooks: false"}
	switch {
	case !c.Deletion.Webhooks:
		f.Fate, f.Switch = "stored and discarded (not_forwarded)", "off; deletion.webhooks: true erases the user"
	case c.Deletion.Contact == config.ContactRecycleBin:
		f.Fate = "stored; its user is erased here, the contact moved to the recycle bin; later calls are discarded (suppressed)"
	default:
		f.Fate = "stored; its user is erased here, the contact deleted for good; later calls are discarded (suppressed)"
	}
	return f
}

// activityFate says what becomes of track or page calls.
func activityFate(c config.Config, typ segment.Type) admin.CallFate {
	key := "sources[].forward." + string(typ)
	become := "an activity of type " + c.Activities.Type
	if c.Activities.As == config.ActivitiesAsEvent {
		become = "a custom event of the contact (undocumented by Freshworks)"
	}
	var some []string
	for _, s := range c.Sources {
		names := s.Forward.Track
		if typ == segment.Page {
			names = s.Forward.Page
		}
		if len(names) > 0 {
			some = append(some, s.Name+": "+listed(names))
		}
	}
	if len(some) == 0 {
		return admin.CallFate{Type: string(typ), Fate: dropped + " (not_forwarded)", Switch: "off; " + key + " names those to make activities of"}
	}
	return admin.CallFate{
		Type:   string(typ),
		Fate:   "stored and made " + become + " if named (" + strings.Join(some, "; ") + "), else dropped (not_forwarded)",
		Switch: "on; " + key + " names them",
	}
}

// listed names a few, so that a line stays one.
func listed(names []string) string {
	const few = 5
	if more := len(names) - few; more > 0 {
		return strings.Join(names[:few], ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(names, ", ")
}

// exceptions are calls that go another way than most of their type.
func exceptions(c config.Config) []admin.CallFate {
	engage := admin.CallFate{Type: string(segment.Identify), Which: "of Engage", Fate: "stored; what it carries is set, nothing emptied, a known contact's address left alone"}
	user := admin.CallFate{
		Type: string(segment.Identify), Which: "without userId", Fate: "stored and discarded (missing_user_id)",
		Switch: "identity.without_user_id: by_email finds the contact by its address",
	}
	if c.Identity.WithoutUserID == config.UserIDByEmail {
		user.Fate, user.Switch = "stored; the contact with its address is updated, and nothing emptied", "identity.without_user_id: discard"
	}
	email := admin.CallFate{
		Type: string(segment.Identify), Which: "without email", Fate: "stored; a known contact is updated if it is a partial call, else it is discarded (missing_email)",
		Switch: "identity.email_fallback: true looks for an address elsewhere in the call",
	}
	if c.Identity.EmailFallback {
		email.Fate, email.Switch = "stored; context.traits.email or a userId that is an address is taken, else it is discarded (missing_email)", "identity.email_fallback: false"
	}
	return []admin.CallFate{engage, user, email}
}
