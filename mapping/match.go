package mapping

import (
	"maps"
	"slices"
	"strings"

	"github.com/freshrelay/freshrelay/segment"
)

// rank says how well a trait matches its field; smaller is better.
type rank int8

const (
	byMap      rank = iota // a line in Options.Traits
	byLabel                // the field's label, or email
	byNormal               // the label but for case, spaces, '_' and '-'
	byReserved             // one of Segment's reserved names
	byPart                 // a part of the reserved trait name
	byFallback             // the email from elsewhere in the call
)

// rule is the rank in words for people.
func (r rank) rule() Rule {
	return [...]Rule{RuleMap, RuleLabel, RuleSpelling, RuleReserved, RuleReserved, RuleFallback}[r]
}

// carried is one field that a call speaks of.
type carried struct {
	field   int
	rank    rank
	trait   string
	value   any  // as sent; after coercion what the API takes, nil to empty
	refused bool // the value cannot be used: the field is neither set nor emptied
}

// reading is what one call says about the contact's fields.
type reading struct {
	cat     *Catalogue
	opt     *Options
	fields  []carried // at most one per field, in document order
	leftOut []LeftOut
	more    int // left out beyond maxLeftOut
	unknown int // traits without a field
}

// read matches the traits of a call to fields and coerces their values.
func read(cat *Catalogue, opt *Options, traits []segment.Trait) reading {
	r := reading{cat: cat, opt: opt, fields: make([]carried, 0, min(len(traits)+1, len(cat.fields)))}
	for i := range traits {
		r.trait(traits[i].Key, traits[i].Value)
	}
	for i := range r.fields {
		c := &r.fields[i]
		f := &cat.fields[c.field]
		var reason Reason
		if c.rank == byMap {
			c.value = f.flatten(c.value)
		}
		if c.value, reason = f.coerce(c.value); reason != "" {
			c.refused = true
			r.leaveOut(c.trait, f.Name, reason)
		}
	}
	return r
}

func (r *reading) hasEmail() bool {
	email := r.get(emailField)
	return email != nil && !email.refused
}

// fallback takes the address from elsewhere in the call: context.traits, or a userId that is one.
// Source: Segment docs, Spec: Common, "Context"; segmentio/facade, identify.
func (r *reading) fallback(ev *segment.Event) bool {
	for _, t := range ev.ContextTraits {
		var buf [64]byte
		if t.Key == emailName || r.opt.spelling() && string(appendNormal(buf[:0], t.Key)) == emailName {
			if r.fallTo("context.traits."+t.Key, t.Value) {
				return true
			}
		}
	}
	_, domain, _ := strings.Cut(ev.UserID, "@")
	return strings.Contains(strings.Trim(domain, "."), ".") && r.fallTo("userId", ev.UserID)
}

func (r *reading) fallTo(trait string, value any) bool {
	value, reason := r.cat.fields[emailField].coerce(value)
	if reason != "" {
		return false
	}
	c := carried{field: emailField, rank: byFallback, trait: trait, value: value}
	if had := r.get(emailField); had != nil { // of no use, and reported
		*had = c
	} else {
		r.fields = append(r.fields, c)
	}
	return true
}

// get returns what the call says about a field, nil if it says nothing.
func (r *reading) get(field int) *carried {
	for i := range r.fields {
		if r.fields[i].field == field {
			return &r.fields[i]
		}
	}
	return nil
}

func (r *reading) trait(key string, value any) {
	if r.explicit(key, value) || r.nested(key, value) {
		return
	}
	if key == emailName && !r.cat.accounts {
		r.claim(emailField, byLabel, key, value)
		return
	}
	if field, ok := r.cat.byLabel[clean(key)]; ok && !r.opt.NoLabels {
		r.claim(field, byLabel, key, value)
		return
	}
	if r.lenient(key, value) {
		return
	}
	r.leaveOut(key, "", ReasonUnmapped)
}

func (r *reading) explicit(key string, value any) bool {
	target, ok := r.opt.Traits[key]
	if !ok {
		return false
	}
	field, ok := r.cat.resolve(target)
	if !ok {
		r.leaveOut(key, target, ReasonNoSuchField)
		return true
	}
	r.claim(field, byMap, key, value)
	return true
}

// lenient is everything that strict labels switch off: labels but for their spelling, then Segment's reserved names. Each
// can be switched off by itself.
func (r *reading) lenient(key string, value any) bool {
	if !r.opt.spelling() && !r.opt.reserved() {
		return false
	}
	var buf [64]byte
	name := appendNormal(buf[:0], key)
	if string(name) == emailName && r.opt.spelling() && !r.cat.accounts {
		r.claim(emailField, byNormal, key, value)
		return true
	}
	field, near := r.cat.byNormal[string(name)]
	near = near && r.opt.spelling()
	if near && r.cat.fields[field].matchesNormally() {
		r.claim(field, byNormal, key, value)
		return true
	}
	if r.opt.reserved() && r.cat.accounts {
		if r.reserved(reservedAccountField(name), key, value) {
			return true
		}
	} else if r.opt.reserved() {
		if isReservedName(name) {
			return r.name(key, value)
		}
		if r.reserved(reservedField(name), key, value) {
			return true
		}
	}
	if !near || r.cat.fields[field].access == open {
		return false
	}
	// It would not be written under any spelling: the field's reason helps more than "unmapped".
	r.claim(field, byNormal, key, value)
	return true
}

// matchesNormally reports whether the field takes traits that are spelt differently from its label: free text and
// what the account made itself. The built-in dropdowns and ids deserve to be meant exactly.
func (f *field) matchesNormally() bool {
	return f.Custom || f.kind == kindText || f.kind == kindPhone || f.kind == kindEmail
}

func (r *reading) reserved(name, trait string, value any) bool {
	if name == "" {
		return false
	}
	field, ok := r.cat.byName[name]
	if ok {
		r.claim(field, byReserved, trait, value)
	}
	return ok
}

// name fills first and last name. A single word speaks of the first name only; empty, it empties both.
func (r *reading) name(trait string, value any) bool {
	first, hasFirst := r.cat.byName["first_name"]
	last, hasLast := r.cat.byName["last_name"]
	if !hasFirst && !hasLast {
		return false
	}
	firstValue, lastValue, both := value, value, true
	switch v := value.(type) {
	case string:
		if v = stripNUL(v); v != "" {
			word, rest := splitName(v)
			firstValue, lastValue, both = word, rest, rest != ""
		}
	case nil, []any, map[string]any:
	default:
		both = false
	}
	if hasFirst {
		r.claim(first, byPart, trait, firstValue)
	}
	if hasLast && both {
		r.claim(last, byPart, trait, lastValue)
	}
	return true
}

// claim notes that a trait speaks of a field. Of two traits for one field the better match stays, of two equal ones
// the first.
func (r *reading) claim(field int, rank rank, trait string, value any) {
	f := &r.cat.fields[field]
	switch {
	case f.access == derived:
		r.leaveOut(trait, f.Name, ReasonDerived)
		return
	case f.access == identity:
		r.leaveOut(trait, f.Name, ReasonIdentity)
		return
	case f.access == guarded && rank != byMap:
		r.leaveOut(trait, f.Name, ReasonGuarded)
		return
	}
	held := r.get(field)
	if held == nil {
		r.fields = append(r.fields, carried{field: field, rank: rank, trait: trait, value: value})
		return
	}
	literal := field == emailField && trait == emailName // the best of the labels an email can have
	if better := rank < held.rank || rank == held.rank && literal; !better {
		r.leaveOut(trait, f.Name, ReasonShadowed)
		return
	}
	r.leaveOut(held.trait, f.Name, ReasonShadowed)
	held.rank, held.trait, held.value = rank, trait, value
}

// maxDepth and maxPath bound how deep dotted paths reach and how long they get. Nobody configures more, and a hostile
// event must not make us build megabytes of paths.
const (
	maxDepth = 8
	maxPath  = 500
)

// nested looks for fields inside an object: by dotted paths of the map, and in the reserved trait address. Once one
// part has a field the others are reported one by one; without any, the object is judged as a whole.
func (r *reading) nested(key string, value any) bool {
	object, ok := value.(map[string]any)
	if !ok || len(object) == 0 {
		return false
	}
	var parts []string
	if !r.object(key, object, 1, &parts) {
		return false
	}
	for _, part := range parts {
		r.leaveOut(part, "", ReasonUnmapped)
	}
	return true
}

// object claims the parts of an object that have a field and appends the paths of the others to parts. The parser does
// not keep the order inside objects, so it is by name.
func (r *reading) object(path string, object map[string]any, depth int, parts *[]string) bool {
	var buf [64]byte
	address := depth == 1 && r.opt.reserved() && isReservedAddress(appendNormal(buf[:0], path))
	if !address && len(r.opt.Traits) == 0 || len(path) > maxPath {
		return false
	}
	found, start := false, len(*parts)
	for _, key := range slices.Sorted(maps.Keys(object)) {
		value, full := object[key], path+"."+key
		if r.explicit(full, value) {
			found = true
			continue
		}
		if inner, ok := value.(map[string]any); ok && depth < maxDepth && r.object(full, inner, depth+1, parts) {
			found = true
			continue
		}
		if address && r.reserved(addressField(appendNormal(buf[:0], key)), full, value) {
			found = true
			continue
		}
		*parts = append(*parts, full)
	}
	if !found {
		*parts = (*parts)[:start]
	}
	return found
}

// maxLeftOut bounds the list of one call: 32 KB of JSON can hold thousands of traits.
const maxLeftOut = 100

func (r *reading) leaveOut(trait, field string, reason Reason) {
	if reason == ReasonUnmapped {
		r.unknown++
	}
	if len(r.leftOut) >= maxLeftOut {
		r.more++
		return
	}
	name := shortName(trait)
	if reason == ReasonUnmapped {
		name = publicName(trait)
	}
	r.leftOut = append(r.leftOut, LeftOut{Trait: name, Field: field, Reason: reason})
}
