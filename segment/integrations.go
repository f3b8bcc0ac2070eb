package segment

import (
	"slices"
	"strings"
)

// integrationName is this destination's name in an integrations object. Names are case-sensitive.
// Source: Segment docs, Freshmarketer destination; Segment docs, Spec, "Integrations".
const integrationName = "Freshmarketer"

// isWebhookName tells the names under which Segment's webhook destinations appear in an integrations object. Engage
// and Replay rewrite the object to {All: false, "<destination>": true}, and when Segment reaches us through a
// webhook that destination is the webhook.
// Source: Segment docs, Engage, "Using Engage data", and "What is Replay?"; the last name is seen in the source of
// action-destinations.
func isWebhookName(name string) bool {
	switch name {
	case "Webhooks", "Webhooks (Actions)", "Webhook", "Extensible Webhook":
		return true
	}
	return false
}

// Addressed says whether an integrations object sets one of these names to true. They are names under which a workspace
// knows the way to us besides the usual ones, such as that of a Destination Function. Whoever is not an object addresses
// nobody.
func Addressed(integrations []byte, names []string) bool {
	if len(names) == 0 || !IsObject(integrations) {
		return false
	}
	members, err := Members(integrations)
	if err != nil {
		return false
	}
	for _, m := range lastWins(members) {
		if string(m.Raw) == "true" && slices.Contains(names, m.Key) {
			return true
		}
	}
	return false
}

// disabled says whether an integrations object excludes Freshmarketer. The own name decides; then, on a webhook, a
// webhook's name set to true, or what the door found out about names of the source's own (addressed); then "all" in any case, for analytics-go writes it in lower case (seen in its code).
// A value that is not a boolean means enabled, with options; null is as if absent.
func disabled(raw []byte, surface Surface, addressed bool) (bool, error) {
	if !IsObject(raw) {
		return false, nil
	}
	members, err := Members(raw)
	if err != nil {
		return false, err
	}
	var own, all []byte
	exactAll, webhook := false, addressed && surface == SurfaceWebhook
	for _, m := range lastWins(members) {
		switch {
		case m.Key == integrationName:
			own = m.Raw
		case surface == SurfaceWebhook && isWebhookName(m.Key):
			// false is no veto: it was meant for another webhook than the one that reached us.
			webhook = webhook || string(m.Raw) == "true"
		case m.Key == "All":
			all, exactAll = m.Raw, true
		case strings.EqualFold(m.Key, "all") && !exactAll:
			all = m.Raw
		}
	}
	switch {
	case !absent(own):
		return string(own) == "false", nil
	case webhook:
		return false, nil
	default:
		return string(all) == "false", nil
	}
}
