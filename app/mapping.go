package app

import (
	"github.com/freshrelay/freshrelay/app/config"
	"github.com/freshrelay/freshrelay/mapping"
)

// mappingOptions are the parts of the configuration that decide what a call does to a contact.
func mappingOptions(c config.Config) mapping.Options {
	m := c.Mapping
	o := mapping.Options{
		MissingTraits: mapping.MissingTraits(m.MissingTraits), StrictLabels: m.StrictLabels, ResendAfter: m.ResendAfter, Traits: m.Traits,
		NoLabels: !m.Match.Label, NoSpelling: !m.Match.Spelling, NoReserved: !m.Match.Reserved,
		EmailFallback: c.Identity.EmailFallback, OnCreate: c.Contacts.OnCreate,
	}
	if c.Identity.WithoutUserID == config.UserIDByEmail {
		o.WithoutUserID = mapping.ByEmail
	}
	return o
}
