package segment

import "fmt"

// Event parses the call in full. It fails with ErrCorrupt if Body is not a JSON object; whatever a JSON object
// holds in the wrong shape counts as absent, because Segment never refuses a call for it either.
func (r Received) Event() (Event, error) {
	e := Event{
		Type: r.Type, MessageID: r.MessageID, Source: r.Source, Surface: r.Surface, Received: r.At,
	}
	o, err := ParseObject(r.Body)
	if err != nil {
		return Event{}, fmt.Errorf("%w: body: %w", ErrCorrupt, err)
	}
	if e.Traits, err = traits(o.Get("traits")); err != nil {
		return Event{}, fmt.Errorf("%w: traits: %w", ErrCorrupt, err)
	}
	if err := e.readContext(o.Get("context")); err != nil {
		return Event{}, fmt.Errorf("%w: context: %w", ErrCorrupt, err)
	}
	if e.UserID = ID(o.Get("userId")); r.Type == Previous {
		e.UserID, e.AliasID = ID(o.Get("previousId")), e.UserID
	}
	e.AnonymousID = ID(o.Get("anonymousId"))
	switch r.Type {
	case Group, Account:
		e.GroupID = ID(o.Get("groupId"))
	case Alias:
		e.PreviousID = ID(o.Get("previousId"))
	}
	if e.Disabled, err = disabled(o.Get("integrations"), r.Surface, r.Addressed); err != nil {
		return Event{}, fmt.Errorf("%w: integrations: %w", ErrCorrupt, err)
	}
	e.Timestamp = eventTime(o.Get("timestamp"), r)
	return e, nil
}

func (e *Event) readContext(raw []byte) error {
	if !IsObject(raw) {
		return nil
	}
	o, err := ParseObject(raw)
	if err != nil {
		return err
	}
	if e.ContextTraits, err = traits(o.Get("traits")); err != nil {
		return err
	}
	// Anything but null counts: taking an ordinary call for a partial one empties no field, the reverse does.
	e.Partial = !absent(o.Get("personas"))
	return nil
}

// traits reads a traits object; any other value has no traits.
func traits(raw []byte) ([]Trait, error) {
	if !IsObject(raw) {
		return nil, nil
	}
	members, err := Members(raw)
	if err != nil || len(members) == 0 {
		return nil, err
	}
	members = lastWins(members)
	list := make([]Trait, len(members))
	for i, m := range members {
		value, err := decodeValue(m.Raw)
		if err != nil {
			return nil, err
		}
		list[i] = Trait{Key: m.Key, Value: value}
	}
	return list, nil
}
