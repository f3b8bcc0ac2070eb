package mapping

import (
	"maps"
	"slices"
)

// refuse takes out what the API has refused of this very call. Such a field is as one whose value cannot be coerced:
// neither set nor emptied. A field that the call does not carry was to be emptied because of that.
func (r *reading) refuse(refused map[string]Reason) {
	if len(refused) == 0 {
		return // looking through nothing in order costs three allocations
	}
	for _, name := range slices.Sorted(maps.Keys(refused)) {
		i, ok := r.cat.byName[name]
		if !ok {
			continue
		}
		c := r.get(i)
		if c == nil {
			r.fields = append(r.fields, carried{field: i, refused: true})
			r.leaveOut("", name, refused[name])
			continue
		}
		if !c.refused {
			c.refused = true
			r.leaveOut(c.trait, name, refused[name])
		}
	}
}
