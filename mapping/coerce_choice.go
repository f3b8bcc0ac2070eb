package mapping

import (
	"encoding/json"
	"strings"
)

// find returns the choice with this value: exactly, else without regard to case.
func (f *field) find(s string) (Choice, bool) {
	i, ok := f.exact[clean(s)]
	if !ok {
		i, ok = f.folded[foldChoice(s)]
	}
	if !ok {
		return Choice{}, false
	}
	return f.Choices[i], true
}

// choice is for custom dropdowns and radios. The API wants the label exactly as the choice has it; a number it silently
// ignores. Source: Freshworks CRM API reference, "Gotchas".
func (f *field) choice(v any) (any, Reason) {
	choice, ok := f.findValue(v)
	if !ok {
		return nil, ReasonNotAChoice
	}
	return choice.Value, ""
}

// findValue finds the choice for a scalar. true and false are Yes and No where there is such a choice and none of their
// own name: Engage sends nothing else, and its audiences end up in such dropdowns.
func (f *field) findValue(v any) (Choice, bool) {
	s, _ := text(v)
	choice, ok := f.find(s)
	if b, is := v.(bool); is && !ok {
		s = "no"
		if b {
			s = "yes"
		}
		choice, ok = f.find(s)
	}
	return choice, ok
}

// choiceID is for built-in dropdowns, which take the choice's number: found by the choice's label, or by the number
// itself if there is such a choice.
func (f *field) choiceID(v any) (any, Reason) {
	choice, ok := f.findValue(v)
	s, _ := text(v)
	for i := 0; !ok && i < len(f.Choices); i++ {
		choice, ok = f.Choices[i], f.Choices[i].ID == strings.TrimSpace(s)
	}
	if !ok {
		return nil, ReasonNotAChoice
	}
	id, ok := number(choice.ID)
	if !ok {
		return nil, ReasonUnsupportedType
	}
	return json.Number(id), ""
}

// splitChoices reads a ';' list, unless the whole of it is one choice.
func splitChoices(f *field, v any) []any {
	s, ok := v.(string)
	if !ok {
		return []any{v}
	}
	if _, one := f.find(s); one {
		return []any{s}
	}
	return splitList(v)
}

// splitList reads a ';' list; any other scalar is a list of itself.
func splitList(v any) []any {
	s, ok := v.(string)
	if !ok {
		return []any{v}
	}
	var items []any
	for part := range strings.SplitSeq(s, ";") {
		items = append(items, part)
	}
	return items
}

// choices is for custom multi-selects: every item must be a choice, blank ones are skipped, none at all empties.
// Source: Freshworks CRM API reference, "Value formats and limits on write" (joined by ';', inferred from
// subscription_types).
func (f *field) choices(items []any) (any, Reason) {
	var labels []string
	seen := map[string]bool{}
	for _, item := range items {
		switch item.(type) {
		case nil:
			continue
		case string, json.Number, bool:
		default:
			return nil, ReasonNotScalar
		}
		s, _ := text(item)
		if clean(s) == "" {
			continue
		}
		choice, ok := f.findValue(item)
		if !ok || strings.Contains(choice.Value, ";") { // such a label would be read as two
			return nil, ReasonNotAChoice
		}
		if !seen[choice.Value] {
			seen[choice.Value] = true
			labels = append(labels, choice.Value)
		}
	}
	if len(labels) == 0 {
		return nil, ""
	}
	return strings.Join(labels, ";"), ""
}
