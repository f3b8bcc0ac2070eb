package mapping

import (
	"slices"
	"time"
)

// MissingTraits says what an ordinary identify does to the fields it leaves out.
type MissingTraits string

const (
	// Clear empties fields that ordinary identifies of the same source set before and this one leaves out.
	// It is the default. Source: Segment docs, Freshmarketer destination, "Identify".
	Clear MissingTraits = "clear"
	// Keep leaves them as they are.
	Keep MissingTraits = "keep"
)

// DefaultResendAfter is how long an unchanged value is not sent again.
const DefaultResendAfter = 7 * 24 * time.Hour

// Options are the choices of whoever runs the service. The zero value is the default.
type Options struct {
	MissingTraits MissingTraits // "" is Clear

	// StrictLabels takes the destination page literally: a trait's key is a field's label or it is ignored, and the
	// email is under the key email. It is NoSpelling and NoReserved together.
	StrictLabels bool

	// Rules of matching that are switched off. The email's own key is always found.
	NoLabels   bool // by the field's label
	NoSpelling bool // by the label without regard to case, spaces, '_', '-' and camelCase
	NoReserved bool // by Segment's reserved names

	// ResendAfter is how long an unchanged value is not sent again; 0 is DefaultResendAfter.
	ResendAfter time.Duration

	// Traits maps a trait's key, or a dotted path into nested traits, to a field's label or API name. It goes before
	// all other matching and is the only way to guarded fields.
	Traits map[string]string

	// EmailFallback lets a call without traits.email use context.traits.email, or else a userId that is an address, to
	// find or create the contact. It never changes a known contact's address.
	// Source: seen in the code of segmentio/facade (the userId).
	EmailFallback bool

	// WithoutUserID says what becomes of calls that have no userId.
	WithoutUserID WithoutUserID

	// OnCreate gives new contacts their defaults: field (label, API name or one of the short names of Defaults) to value.
	OnCreate map[string]string
}

// WithoutUserID says what becomes of calls that have no userId.
type WithoutUserID string

const (
	// DiscardThem is the default. Source: Segment docs, Freshmarketer destination: a userId is required.
	DiscardThem WithoutUserID = ""
	// ByEmail finds their contact by the address. They are partial: they never empty a field.
	ByEmail WithoutUserID = "by_email"
)

func (o Options) clear() bool     { return o.MissingTraits != Keep }
func (o *Options) spelling() bool { return !o.StrictLabels && !o.NoSpelling }
func (o *Options) reserved() bool { return !o.StrictLabels && !o.NoReserved }

func (o Options) resendAfter() time.Duration {
	if o.ResendAfter <= 0 {
		return DefaultResendAfter
	}
	return o.ResendAfter
}

// Unresolved returns the keys of o.Traits whose field the catalogue does not have, sorted: a misspelt label, or a field
// nobody has made yet.
func (c *Catalogue) Unresolved(o Options) []string {
	var keys []string
	for key, target := range o.Traits {
		if _, ok := c.resolve(target); !ok {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}
