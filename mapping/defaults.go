package mapping

import (
	"maps"
	"slices"
)

// DefaultField knows the short names of Options.OnCreate: what people call these fields, whatever the account's labels are. Any other
// key is returned as it is.
func DefaultField(key string) string {
	switch normal(key) {
	case "subscriptionstatus":
		return "subscription_status"
	case "lifecyclestage":
		return "lifecycle_stage_id"
	case "status":
		return "contact_status_id"
	case "source":
		return "lead_source_id"
	case "owner":
		return "owner_id"
	case "territory":
		return "territory_id"
	case "campaign":
		return "campaign_id"
	}
	return key
}

// Defaults returns what Options.OnCreate gives a new contact, sorted by field, and the lines that give nothing, with the
// reason. Guarded fields are allowed here, subscriptions too: whoever does not exist yet has not unsubscribed.
func (c *Catalogue) Defaults(o Options) ([]FieldChange, []LeftOut) {
	var fields []FieldChange
	var wrong []LeftOut
	for _, key := range slices.Sorted(maps.Keys(o.OnCreate)) {
		i, ok := c.byName[DefaultField(key)]
		if !ok {
			i, ok = c.resolve(key)
		}
		if !ok {
			wrong = append(wrong, LeftOut{Trait: key, Reason: ReasonNoSuchField})
			continue
		}
		change, reason := c.fields[i].byDefault(o.OnCreate[key])
		if reason != "" {
			wrong = append(wrong, LeftOut{Trait: key, Field: c.fields[i].Name, Reason: reason})
			continue
		}
		change.Trait = key
		fields = append(fields, change)
	}
	slices.SortFunc(fields, byFieldName)
	return slices.CompactFunc(fields, func(a, b FieldChange) bool { return a.Name == b.Name }), wrong
}

func (f *field) byDefault(value string) (FieldChange, Reason) {
	switch {
	case f.access == derived:
		return FieldChange{}, ReasonDerived
	case f.access == identity || f.kind == kindEmail:
		return FieldChange{}, ReasonIdentity
	}
	v, reason := f.coerceKind(value)
	switch {
	case reason != "":
		return FieldChange{}, reason
	case v == nil:
		return FieldChange{}, ReasonRequired
	}
	return FieldChange{Name: f.Name, Label: f.Label, Type: f.Type, Custom: f.Custom, Value: v, Add: f.kind == kindTags}, ""
}

// defaults are those for fields that the calls say nothing about.
func (f *folder) defaults(sent []FieldChange) []FieldChange {
	if len(f.opt.OnCreate) == 0 {
		return nil
	}
	fields, _ := f.cat.Defaults(*f.opt)
	return slices.DeleteFunc(fields, func(d FieldChange) bool {
		return slices.ContainsFunc(sent, func(s FieldChange) bool { return s.Name == d.Name })
	})
}
