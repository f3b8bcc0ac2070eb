package mapping

import "encoding/json"

// kind is how values for a field are read. Types of the metadata that are not written are unsupported.
type kind int8

const (
	kindUnsupported kind = iota
	kindEmail
	kindText
	kindTextarea
	kindNumber
	kindCheckbox
	kindDate
	kindDatetime
	kindChoice   // custom dropdown or radio: the choice's label is sent
	kindChoiceID // built-in dropdown: the choice's number is sent
	kindChoices  // custom multi-select: labels joined by ';'
	kindPhone
	kindTimeZone // the name of a Rails time zone
	kindTags     // a list that is added to
)

// kindOf reads a field's type. Source: Freshworks CRM API reference, "Value formats and limits on write".
func kindOf(f *Field) kind {
	switch f.Type {
	case "phone":
		return kindPhone
	case "text":
		if !f.Custom && (f.Name == "mobile_number" || f.Name == "work_number" || f.Name == "phone") {
			return kindPhone
		}
		return kindText
	case "textarea":
		return kindTextarea
	case "number":
		return kindNumber
	case "checkbox":
		return kindCheckbox
	case "date":
		return kindDate
	case "datetime":
		return kindDatetime
	case "dropdown", "radio":
		if f.Custom {
			return kindChoice
		}
		if f.Name == "time_zone" {
			return kindTimeZone
		}
		return kindChoiceID
	case "auto_complete":
		if f.Name == "tags" && !f.Custom {
			return kindTags
		}
	case "multi_select_dropdown":
		if f.Custom { // the built-in ones are derived, but for subscription_types: that list is the contact's own
			return kindChoices
		}
	}
	return kindUnsupported
}

// coerce turns a trait's value into what the API takes for the field: a string, json.Number or bool, or nil to empty it.
// With a reason the value cannot be used and the field stays as it is.
func (f *field) coerce(v any) (any, Reason) {
	if f.kind == kindUnsupported {
		return nil, ReasonUnsupportedType
	}
	out, reason := f.coerceKind(v)
	if reason != "" {
		return nil, reason
	}
	switch {
	case out != nil:
	case f.Required || f.kind == kindEmail:
		return nil, ReasonRequired
	case f.kind == kindTags:
		return nil, ReasonAddOnly
	}
	if f.access == guarded {
		id, _ := out.(json.Number)
		if subscribes(f, id.String()) {
			return nil, ReasonWouldSubscribe
		}
	}
	return out, ""
}

func (f *field) coerceKind(v any) (any, Reason) {
	if s, ok := v.(string); ok {
		plain := stripNUL(s)
		if plain == "" {
			return nil, ""
		}
		if len(plain) < len(s) {
			v = plain // only then: putting a string into an interface allocates
		}
	}
	switch list := v.(type) {
	case nil:
		return nil, ""
	case []any:
		switch f.kind {
		case kindChoices:
			return f.choices(list)
		case kindTags:
			return toTags(list)
		}
		return nil, ReasonNotScalar
	case string, json.Number, bool:
	default:
		return nil, ReasonNotScalar
	}
	switch f.kind {
	case kindEmail:
		return toEmail(v)
	case kindText:
		return toText(v, maxText)
	case kindTextarea:
		return toText(v, maxTextarea)
	case kindNumber:
		return toNumber(v)
	case kindCheckbox:
		return toCheckbox(v)
	case kindDate:
		return toDate(v)
	case kindDatetime:
		return toDatetime(v)
	case kindChoice:
		return f.choice(v)
	case kindChoices:
		return f.choices(splitChoices(f, v))
	case kindChoiceID:
		return f.choiceID(v)
	case kindPhone:
		return toPhone(v)
	case kindTimeZone:
		return f.timeZone(v)
	case kindTags:
		return toTags(splitList(v))
	default:
		return nil, ReasonUnsupportedType
	}
}
