package sandbox

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// userID is the account's only user: owner and author of everything.
const userID = firstOtherID

func owners() []choice { return []choice{{ID: userID, Value: "Sandbox User", Position: 1}} }

// textIDs are numbered choices whose ids are strings, as some fields have them.
func textIDs(field int, values ...string) []choice {
	choices := numberedChoices(field, values)
	for i := range choices {
		choices[i].ID = fmt.Sprint(choices[i].ID)
	}
	return choices
}

// counted choices have small numbers, as strings, for ids.
func counted(from int, values ...string) []choice {
	choices := make([]choice, len(values))
	for i, value := range values {
		choices[i] = choice{ID: strconv.Itoa(from + i), Value: value, Position: i + 1}
	}
	return choices
}

// named choices are their own ids.
func named(values ...string) []choice {
	choices := make([]choice, len(values))
	for i, value := range values {
		choices[i] = choice{ID: value, Value: value, Position: i + 1}
	}
	return choices
}

// choiceID accepts the id of one of the field's choices, as a number or as text.
func (f standardField) choiceID(v any) (json.Number, bool) {
	switch v.(type) {
	case json.Number, string:
	default:
		return "", false
	}
	id := fmt.Sprint(v)
	for _, c := range f.choices {
		if fmt.Sprint(c.ID) == id {
			return json.Number(id), true
		}
	}
	return "", false
}
