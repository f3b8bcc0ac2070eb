package sandbox

// accountFields are the built-in fields of sales accounts, by the keys of recorded answers; the labels, and what each
// takes on write, are inferred.
func accountFields() []standardField {
	return []standardField{
		{name: "name", label: "Name", kind: TypeText, write: writeText},
		{name: "address", label: "Address", kind: TypeText, write: writeText},
		{name: "city", label: "City", kind: TypeText, write: writeText},
		{name: "state", label: "State", kind: TypeText, write: writeText},
		{name: "zipcode", label: "Zipcode", kind: TypeText, write: writeText},
		{name: "country", label: "Country", kind: TypeText, write: writeText},
		{name: "phone", label: "Phone", kind: TypeText, write: writePhone},
		{name: "website", label: "Website", kind: TypeText, write: writeWebsite},
		{name: "number_of_employees", label: "Number of employees", kind: TypeNumber, write: writeNumber},
		{name: "annual_revenue", label: "Annual revenue", kind: TypeNumber, write: writeNumber},
		{name: "industry_type_id", label: "Industry type", kind: TypeDropdown, write: writeID, choices: numberedChoices(atIndustries, choiceNames["industries"])},
		{name: "business_type_id", label: "Business type", kind: TypeDropdown, write: writeID, choices: numberedChoices(atBusinesses, choiceNames["businesses"])},
		{name: "owner_id", label: "Sales owner", kind: TypeDropdown, write: writeID, choices: owners()},
		{name: "territory_id", label: "Territory", kind: TypeDropdown, write: writeID, choices: numberedChoices(atTerritories, choiceNames["territories"])},
		{name: "facebook", label: "Facebook", kind: TypeText, write: writeText},
		{name: "twitter", label: "Twitter", kind: TypeText, write: writeText},
		{name: "linkedin", label: "LinkedIn", kind: TypeText, write: writeText},
		{name: "created_at", label: "Created at", kind: TypeDate},
		{name: "updated_at", label: "Updated at", kind: TypeDate},
	}
}

// DefaultAccountFields are the custom fields of sales accounts when Options names none.
func DefaultAccountFields() []Field {
	return []Field{
		{Name: "cf_segment", Label: "Segment", Type: TypeText},
		{Name: "cf_tier", Label: "Tier", Type: TypeDropdown, Choices: []string{"Free", "Growth", "Enterprise"}},
		{Name: "cf_seats", Label: "Seats", Type: TypeNumber},
	}
}
