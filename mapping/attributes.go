package mapping

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/freshrelay/freshrelay/segment"
)

// Bounds of what is remembered about events, and of what one event carries.
const (
	maxAttributes   = 100  // of one event
	maxKnown        = 5000 // of all events: what is remembered has to fit into one message of the broker
	maxDropped      = 100  // properties that are named as left out
	maxAttributeLen = 1000
)

// Attributes remembers the type of each attribute of each event: the account fixes it with the first value, and does not
// record values of another type. Source: Freshworks support, "Custom events".
type Attributes map[string]map[string]AttributeType

// AttributeType is the type of an attribute's values.
type AttributeType string

// The types that are told apart.
const (
	AttributeText    AttributeType = "text"
	AttributeNumber  AttributeType = "number"
	AttributeBoolean AttributeType = "boolean"
)

// DecodeAttributes reads what Encode wrote; nothing is no event.
func DecodeAttributes(data []byte) (Attributes, error) {
	a := Attributes{}
	if len(data) == 0 {
		return a, nil
	}
	if err := json.Unmarshal(data, &a); err != nil {
		return Attributes{}, fmt.Errorf("decode the events' attributes: %w", err)
	}
	return a, nil
}

// Encode gives the stored form.
func (a Attributes) Encode() ([]byte, error) {
	b, err := json.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("encode the events' attributes: %w", err)
	}
	return b, nil
}

// Fit makes the attributes of an event: flat, each of the type that it had when it was seen first. What does not fit is left
// out. next is what is to be remembered, nil if nothing is new.
func (a Attributes) Fit(event string, properties []segment.Trait) (fields map[string]any, leftOut []LeftOut, next Attributes) {
	fields = map[string]any{}
	known := maps.Clone(a[event])
	if known == nil {
		known = map[string]AttributeType{}
	}
	before := len(known)
	drop := func(key string, why Reason) {
		if len(leftOut) >= maxDropped {
			return
		}
		leftOut = append(leftOut, LeftOut{Trait: shortName("properties." + key), Reason: why})
	}
	for _, p := range flat("", properties) {
		value, typ := attributeOf(p.Value)
		have, fixed := known[p.Key]
		switch {
		case value == nil:
			continue // an event says what was, so what was not is not said
		case typ == "":
			drop(p.Key, ReasonNotScalar)
			continue
		case p.Key == "" || utf8.RuneCountInString(p.Key) > maxEventName:
			drop(p.Key, ReasonAttributeName)
			continue
		case len(fields) >= maxAttributes || !fixed && len(known) >= maxAttributes:
			drop(p.Key, ReasonTooManyAttributes)
			continue
		}
		if fixed && typ != have {
			if value = convert(value, have); value == nil {
				drop(p.Key, ReasonAttributeType)
				continue
			}
		}
		if !fixed {
			known[p.Key] = typ
		}
		fields[p.Key] = value
	}
	if len(known) > before && a.known()+len(known)-before <= maxKnown {
		next = maps.Clone(a)
		if next == nil {
			next = Attributes{}
		}
		next[event] = known
	}
	return fields, leftOut, next
}

// known is how many attributes are remembered in all.
func (a Attributes) known() (n int) {
	for _, attributes := range a {
		n += len(attributes)
	}
	return n
}

// flat takes nested objects apart: {address: {city}} is address_city.
func flat(prefix string, list []segment.Trait) []segment.Trait {
	var out []segment.Trait
	for _, p := range list {
		object, nested := p.Value.(map[string]any)
		if !nested {
			out = append(out, segment.Trait{Key: prefix + p.Key, Value: p.Value})
			continue
		}
		var members []segment.Trait
		for _, key := range slices.Sorted(maps.Keys(object)) {
			members = append(members, segment.Trait{Key: key, Value: object[key]})
		}
		out = append(out, flat(prefix+p.Key+"_", members)...)
	}
	return out
}

func attributeOf(v any) (any, AttributeType) {
	switch v := v.(type) {
	case nil:
		return nil, ""
	case string:
		return clip(printable(v), maxAttributeLen), AttributeText
	case json.Number:
		return v, AttributeNumber
	case bool:
		return v, AttributeBoolean
	}
	return v, ""
}

// convert makes a value one of another type where nothing is lost by it; nil if something would be.
func convert(v any, to AttributeType) any {
	text := valueText(v)
	switch to {
	case AttributeText:
		return text
	case AttributeNumber:
		if _, err := strconv.ParseFloat(text, 64); err == nil && json.Valid([]byte(text)) {
			return json.Number(text)
		}
	case AttributeBoolean:
		if b := strings.ToLower(text); b == "true" || b == "false" {
			return b == "true"
		}
	}
	return nil
}
