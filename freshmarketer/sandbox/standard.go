package sandbox

// how says what a built-in field takes on write.
type how int

const (
	writeNothing how = iota // the account computes it, or it has endpoints of its own; a write is ignored
	writeEmails             // the addresses, see emails.go
	writeText               // text of at most 255 characters
	writePhone              // text, stored without its separators
	writeID                 // the numeric id of a choice
	writeIDs                // ids of choices, joined by ";"
	writeZone               // the name of a Rails time zone
	writeTags               // a list of strings
	writeLinks              // the sales accounts of a contact, see accounts.go
	writeWebsite            // the address of a web page
	writeNumber             // a number
)

// standardField is one built-in field.
type standardField struct {
	name, label, kind string
	write             how
	choices           []choice
	unlisted          bool // in the contact object but not in the metadata
	hidden            bool // in the metadata but not in the contact object, unless included
	unique            string
	multiple          bool
	suggest           string
	creatable         bool
}

// standardFields are the 49 built-in contact fields. Source: field metadata of a recorded answer; what each takes on
// write is inferred from the types and from client code.
//
// hidden: accounts show these only through ?include=, if at all (seen in client code and live).
func standardFields() []standardField {
	return []standardField{
		{name: "first_name", label: "First name", kind: TypeText, write: writeText},
		{name: "last_name", label: "Last name", kind: TypeText, write: writeText},
		{name: "sales_accounts", label: "Accounts", kind: "group_field", write: writeLinks},
		{name: "emails", label: "Emails", kind: "group_field", write: writeEmails, choices: textIDs(4, "Work", "Personal", "Other")},
		{name: "mobile_number", label: "Mobile", kind: TypeText, write: writePhone, unique: "MobileNumber"},
		{name: "work_number", label: "Work", kind: TypeText, write: writePhone},
		{name: "external_id", label: "External ID", kind: TypeText, write: writeText, unique: "ExternalId"},
		{name: "owner_id", label: "Sales owner", kind: TypeDropdown, write: writeID, choices: owners(), hidden: true},
		{
			name: "subscription_status", label: "Subscription status", kind: TypeDropdown, write: writeID,
			choices: counted(0, "Unsubscribed", "Subscribed", "Not subscribed", "Reported as spam", "Bounced"),
		},
		{
			name: "subscription_types", label: "Subscription types", kind: TypeMultiSelect, write: writeIDs,
			choices: counted(1, "Non-marketing emails from our company", "Newsletter", "Promotional", "Product updates", "Conferences & Events"),
		},
		{
			name: "whatsapp_subscription_status", label: "WhatsApp subscription status", kind: TypeDropdown, write: writeID,
			choices: counted(0, "Unsubscribed", "Subscribed", "Not subscribed"),
		},
		{
			name: "sms_subscription_status", label: "SMS subscription status", kind: TypeDropdown, write: writeID, unlisted: true,
			choices: counted(0, "Unsubscribed", "Subscribed", "Not subscribed"),
		},
		{
			name: "lifecycle_stage_id", label: "Lifecycle stage", kind: TypeDropdown, write: writeID, hidden: true,
			choices: textIDs(atStages, choiceNames["stages"]...),
		},
		{
			name: "contact_status_id", label: "Status", kind: TypeDropdown, write: writeID, hidden: true,
			choices: numberedChoices(atStatuses, choiceNames["statuses"]),
		},
		{
			name: "lost_reason_id", label: "Lost reason", kind: TypeDropdown, write: writeID, hidden: true,
			choices: textIDs(14, "Junk Lead", "Not able to reach", "Not interested", "Budget", "Lost to competitor"),
		},
		{name: "work_email", label: "Work email", kind: TypeText, write: writeText},
		{
			name: "tags", label: "Tags", kind: "auto_complete", write: writeTags, multiple: true, creatable: true,
			suggest: "/search/auto_suggest/tags.json?&tag_type=contact&q=",
		},
		{name: "job_title", label: "Job title", kind: TypeText, write: writeText},
		{name: "time_zone", label: "Time zone", kind: TypeDropdown, write: writeZone, choices: timeZoneChoices()},
		{name: "phone_numbers", label: "Other phone numbers", kind: "group_field", choices: textIDs(19, "Personal", "Home", "Other")},
		{name: "address", label: "Address", kind: TypeText, write: writeText},
		{name: "city", label: "City", kind: TypeText, write: writeText},
		{name: "state", label: "State", kind: TypeText, write: writeText},
		{name: "zipcode", label: "Zipcode", kind: TypeText, write: writeText},
		{name: "country", label: "Country", kind: TypeText, write: writeText},
		{name: "facebook", label: "Facebook", kind: TypeText, write: writeText},
		{name: "twitter", label: "Twitter", kind: TypeText, write: writeText},
		{name: "linkedin", label: "LinkedIn", kind: TypeText, write: writeText},
		{
			name: "territory_id", label: "Territory", kind: TypeDropdown, write: writeID, hidden: true,
			choices: numberedChoices(atTerritories, choiceNames["territories"]),
		},
		{
			name: "lead_source_id", label: "Source", kind: TypeDropdown, write: writeID, hidden: true,
			choices: numberedChoices(atSources, choiceNames["sources"]),
		},
		{
			name: "campaign_id", label: "Campaign", kind: TypeDropdown, write: writeID, hidden: true,
			choices: numberedChoices(atCampaigns, choiceNames["campaigns"]),
		},
		{name: "medium", label: "Medium", kind: TypeText, write: writeText},
		{name: "keyword", label: "Keyword", kind: TypeText, write: writeText},
		{name: "lists", label: "Lists", kind: "auto_complete", multiple: true, suggest: "/search/auto_suggest/lists.json?&q="},
		{name: "last_contacted", label: "Last contacted time", kind: TypeDate},
		{name: "last_contacted_mode", label: "Last contacted mode", kind: TypeDropdown, choices: named("Email Incoming",
			"Email Outgoing", "Call Incoming", "Call Outgoing", "Email Opened", "Chat Conversation", "Sales Activity", "SMS")},
		{name: "last_contacted_sales_activity_mode", label: "Last activity type", kind: TypeDropdown, choices: named("Chat",
			"Phone", "Meeting", "Task", "Email", "SMS Outgoing", "Reminder", "SMS Incoming")},
		{name: "last_contacted_via_sales_activity", label: "Last activity date", kind: TypeDate},
		{name: "active_sales_sequences", label: "Active sales sequences", kind: TypeMultiSelect},
		{name: "completed_sales_sequences", label: "Completed sales sequences", kind: TypeMultiSelect},
		{name: "last_seen", label: "Last seen", kind: TypeDate},
		{name: "lead_score", label: "Score", kind: TypeNumber},
		{name: "customer_fit", label: "Customer fit", kind: TypeDropdown, choices: named("5", "4", "3", "2", "1", "0")},
		{name: "recent_note", label: "Recent note", kind: TypeTextarea},
		{name: "creater_id", label: "Created by", kind: TypeDropdown, choices: owners()},
		{name: "created_at", label: "Created at", kind: TypeDate},
		{name: "updater_id", label: "Updated by", kind: TypeDropdown, choices: owners()},
		{name: "updated_at", label: "Updated at", kind: TypeDate},
		{name: "web_form_ids", label: "Web forms", kind: TypeMultiSelect},
		{name: "last_assigned_at", label: "Last assigned at", kind: TypeDate},
	}
}

func (f standardField) metadata(model string, position int, required bool) fieldMeta {
	meta := fieldMeta{
		ID: int64(position), Label: f.label, Name: f.name, Type: f.kind, Default: true, Actionable: true,
		Position: position, Choices: f.choices, BaseModel: model, Required: required, Visible: position <= 14,
		AutoSuggestURL: f.suggest, Creatable: f.creatable, Multiple: f.multiple,
	}
	if meta.Choices == nil {
		meta.Choices = []choice{}
	}
	return meta
}
