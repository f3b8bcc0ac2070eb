package mapping

// access says whether a field may be written, and by which traits.
type access int8

const (
	open     access = iota // any trait that matches
	guarded                // only a trait named for it in Options.Traits
	derived                // never: Freshworks computes it, a write is refused or silently dropped
	identity               // never by a trait: it holds the userId or the contact's own id
)

// accessOf knows the built-in fields by their API name. The account's metadata cannot tell: it marks every field as
// actionable. Source: Freshworks CRM API reference, "Field metadata".
func accessOf(f *Field) access {
	if f.Custom {
		return open
	}
	switch f.Name {
	case "external_id", "id", "mcr_id":
		return identity
	case "subscription_status", "subscription_types", "unsubscription_reason", "other_unsubscription_reason",
		"whatsapp_subscription_status", "sms_subscription_status",
		"lifecycle_stage_id", "contact_status_id", "lost_reason_id",
		"owner_id", "territory_id", "lead_source_id", "campaign_id",
		"tags", "lists", "sales_accounts", "parent_sales_account_id":
		return guarded
	case "last_contacted", "last_contacted_mode", "last_contacted_sales_activity_mode", "last_contacted_via_sales_activity",
		"active_sales_sequences", "completed_sales_sequences",
		"last_seen", "lead_score", "customer_fit", "recent_note",
		"creater_id", "created_at", "updater_id", "updated_at",
		"web_form_ids", "last_assigned_at",
		"open_deals_amount", "open_deals_count", "won_deals_amount", "won_deals_count",
		"total_sessions", "first_seen_chat", "last_seen_chat",
		"system_tags", "team_user_ids", "is_deleted", "record_type_id", "links", "display_name":
		return derived
	}
	return open
}

// subscribes reports whether writing choice id to the field could subscribe somebody. Only the choice 0, Unsubscribed,
// surely does not. What the contact chose itself is not known here, and nobody who unsubscribed is subscribed again, so
// even an explicit line in the map may only unsubscribe.
// Source: Freshworks CRM API reference, "Field metadata" (0 Unsubscribed, 1 Subscribed, 2 Not subscribed; the numbers
// of whatsapp and sms are inferred from it).
func subscribes(f *field, id string) bool {
	switch f.Name {
	case "subscription_status", "whatsapp_subscription_status", "sms_subscription_status":
		return id != "0"
	}
	return false
}
