package mapping

import (
	"slices"
	"strings"
	"time"

	"github.com/freshrelay/freshrelay/segment"
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

	// Aliases forwards alias calls: the contact of the previousId becomes that of the userId.
	Aliases bool
	// Accounts forwards group calls: to the sales account of their company, and to the link of their user to it.
	Accounts bool
	// AccountTraits is Traits for the traits of group calls and the fields of sales accounts.
	AccountTraits map[string]string

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

// NeverWritten says why no trait reaches the field that a line of o.Traits names, "" if traits do or there is no such field.
func (c *Catalogue) NeverWritten(target string) Reason {
	i, ok := c.resolve(target)
	if !ok {
		return ""
	}
	switch f := &c.fields[i]; {
	case f.access == derived:
		return ReasonDerived
	case f.access == identity:
		return ReasonIdentity
	case f.kind == kindUnsupported:
		return ReasonUnsupportedType
	}
	return ""
}

// Guarded reports whether only a line of o.Traits leads to the field that a label or API name means.
func (c *Catalogue) Guarded(target string) bool {
	i, ok := c.resolve(target)
	return ok && c.fields[i].access == guarded
}

// IsEmail reports whether a field holds the contact's addresses, which are written as one: the primary one.
func IsEmail(f Field) bool { return !f.Custom && isEmailName(f.Name) }

// addressPrefix begins the lane of a call that has no userId. No userId begins so: Segment's are printable.
const addressPrefix = "\x00address:"

// Lane returns what decides a call's lane: its userId, or where the options let a call do without one, its address. "" is a
// call that can only be discarded.
func (o Options) Lane(r segment.Received) string {
	if o.WithoutUserID != ByEmail || r.Type != segment.Identify || strings.TrimSpace(r.UserID) != "" {
		return r.Lane()
	}
	ev, err := r.Event()
	if err != nil {
		return r.Lane()
	}
	if address := o.address(&ev); address != "" {
		return addressPrefix + strings.ToLower(address)
	}
	return r.Lane()
}

// address is the address of a call without a userId: it must be the same for whoever looks, with the account's fields or
// without, so it goes by the trait's name and by lines of the map that name the address, not by labels.
func (o *Options) address(ev *segment.Event) string {
	rest := ""
	for _, t := range ev.Traits {
		target, mapped := o.Traits[t.Key]
		switch v, reason := toEmail(t.Value); {
		case reason != "" || v == nil:
		case t.Key == emailName && !mapped:
			return v.(string)
		case mapped && isEmailName(normal(target)), !mapped && o.spelling() && normal(t.Key) == emailName:
			if rest == "" {
				rest = v.(string)
			}
		}
	}
	for _, t := range ev.ContextTraits {
		if v, reason := toEmail(t.Value); o.EmailFallback && rest == "" && t.Key == emailName && reason == "" && v != nil {
			rest = v.(string)
		}
	}
	return rest
}
