package segment

import "strings"

// Account is the half of a group call that is about the company. It is no call of the spec and never comes in by the door:
// a group call is stored twice, once for its user, who is to belong to the company, and once for the company itself.
const Account Type = "account"

// Lanes that are no user's begin with a NUL, and those of users whose id begins so with userPrefix: nobody can get into
// the lane of a company by calling himself so.
const (
	groupPrefix = "\x00group:"
	userPrefix  = "\x00user:"
)

// GroupLane is what decides the lane of a company, by its groupId.
func GroupLane(groupID string) string { return groupPrefix + groupID }

// Account is the entry of a group call that is about the company; false if the call is none, or names no company.
func (r Received) Account() (Received, bool) {
	if r.Type != Group || r.groupID() == "" {
		return r, false
	}
	o, err := ParseObject(r.Body)
	if err != nil {
		return r, false
	}
	for _, key := range []string{"userId", "anonymousId", "context"} { // a company's calls outlive their users
		o.Cut(key)
	}
	r.Type, r.UserID, r.Body = Account, "", o.Bytes()
	return r, true
}

// Lane is what decides the call's lane: its company for the entry that Account makes, its userId for every other.
func (r Received) Lane() string {
	switch {
	case r.Type == Account:
		return GroupLane(r.groupID())
	case strings.HasPrefix(r.UserID, "\x00"):
		return userPrefix + r.UserID
	}
	return r.UserID
}

func (r Received) groupID() string {
	o, err := ParseObject(r.Body)
	if err != nil {
		return ""
	}
	return ID(o.Get("groupId"))
}

// ActivitiesHalf ends the message id of the half of a delete call that is about its user's track and page calls.
const ActivitiesHalf = "-activities"
