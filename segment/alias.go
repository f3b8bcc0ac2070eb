package segment

// Previous is the half of an alias call that is about the previousId. It is no call of the spec: an alias call is stored twice,
// once for each of its ids, so that it takes effect after what came before for either.
const Previous Type = "alias_previous"

// Previous is the entry of an alias call in the lane of its previousId; false if the call is none, or names no two users.
func (r Received) Previous() (Received, bool) {
	if r.Type != Alias || r.UserID == "" {
		return r, false
	}
	previous := r.PreviousID()
	if previous == "" || previous == r.UserID {
		return r, false
	}
	r.Type, r.UserID = Previous, previous
	return r, true
}

// PreviousID is that of an alias call, "" if it has none.
func (r Received) PreviousID() string {
	o, err := ParseObject(r.Body)
	if err != nil {
		return ""
	}
	return ID(o.Get("previousId"))
}
