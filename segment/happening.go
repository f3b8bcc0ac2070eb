package segment

import "fmt"

// Happening is what a track or page call tells.
type Happening struct {
	Name       string         // of the event, or of the page; "" when absent
	Properties []Trait        // in document order, as Event.Traits are
	Call       map[string]any // the whole call, with values as in Trait
}

// Happens says that calls of the type tell of something that happened: track and page.
func (t Type) Happens() bool { return t == Track || t == Page }

// Named is the name by which a call of such a type is known: its event, or the page's name.
func (t Type) Named(call *Object) string {
	if t == Page {
		return Text(call.Get("name"))
	}
	return Text(call.Get("event"))
}

// Happening parses a track or page call. It fails with ErrCorrupt as Event does.
func (r Received) Happening() (Happening, error) {
	o, err := ParseObject(r.Body)
	if err != nil {
		return Happening{}, fmt.Errorf("%w: body: %w", ErrCorrupt, err)
	}
	h := Happening{Name: r.Type.Named(o)}
	if h.Properties, err = traits(o.Get("properties")); err != nil {
		return Happening{}, fmt.Errorf("%w: properties: %w", ErrCorrupt, err)
	}
	value, err := decodeValue(Trim(r.Body))
	if err != nil {
		return Happening{}, fmt.Errorf("%w: body: %w", ErrCorrupt, err)
	}
	h.Call, _ = value.(map[string]any)
	return h, nil
}
