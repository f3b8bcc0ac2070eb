package mapping

import "strings"

// Segment's reserved traits, by their normalised names, and the built-in field each one means. They find their field by
// API name, so they work on accounts whose labels are in another language.
// Source: Segment docs, Spec: Identify, "Traits"; phone and title: Segment docs, Freshsales destinations.

// reservedField returns the API name of the field that a reserved trait means, "" if key is none. The trait name is not
// here, it may fill two fields; see splitName.
func reservedField(normalised []byte) string {
	switch string(normalised) {
	case "firstname":
		return "first_name"
	case "lastname":
		return "last_name"
	case "phone":
		return "work_number"
	case "title":
		return "job_title"
	case "address":
		return "address"
	}
	if head, part, ok := strings.Cut(string(normalised), "."); ok && head == "address" {
		return addressField([]byte(part))
	}
	return ""
}

// reservedAccountField is reservedField for the traits of group calls and the fields of sales accounts.
// Source: Segment docs, Spec: Group, "Traits".
func reservedAccountField(normalised []byte) string {
	switch name := string(normalised); name {
	case "name", "phone", "website", "address":
		return name
	case "employees":
		return "number_of_employees"
	case "industry":
		return "industry_type_id"
	}
	if head, part, ok := strings.Cut(string(normalised), "."); ok && head == "address" {
		return addressField([]byte(part))
	}
	return ""
}

func isReservedName(normalised []byte) bool    { return string(normalised) == "name" }
func isReservedAddress(normalised []byte) bool { return string(normalised) == "address" }

// addressField returns the API name of the field that a part of the reserved trait address means.
func addressField(normalised []byte) string {
	switch string(normalised) {
	case "street":
		return "address"
	case "city":
		return "city"
	case "state":
		return "state"
	case "postalcode":
		return "zipcode"
	case "country":
		return "country"
	}
	return ""
}

// splitName splits a name at its first space, as Segment's own integrations do: the first word and all the rest. A single
// word has no rest. A name of nothing but spaces is a value like any other and stays as it is.
// Source: segmentio/facade, identify.
func splitName(name string) (firstName, rest string) {
	trimmed := strings.TrimSpace(name)
	if trimmed == "" {
		return name, ""
	}
	i := strings.IndexFunc(trimmed, isSpace)
	if i < 0 {
		return trimmed, ""
	}
	return trimmed[:i], strings.TrimSpace(trimmed[i:])
}
