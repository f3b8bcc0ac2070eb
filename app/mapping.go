package app

import (
	"context"
	"errors"
	"time"

	"github.com/freshrelay/freshrelay/admin"
	"github.com/freshrelay/freshrelay/app/config"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/worker"
)

// customFields is what is said of the account's custom fields.
func customFields(c config.Config) worker.CustomFields {
	switch c.Freshmarketer.CustomFields {
	case config.CustomMerge:
		return worker.CustomFieldsMerge
	case config.CustomReplace:
		return worker.CustomFieldsReplace
	}
	return worker.CustomFieldsAuto
}

// deletion is what delete calls do.
func deletion(c config.Config) worker.Deletion {
	return worker.Deletion{Webhooks: c.Deletion.Webhooks, RecycleBin: c.Deletion.Contact == config.ContactRecycleBin}
}

// mapping is what the admin API tells of it. A process that only takes calls in knows no fields.
func (s *service) mapping() admin.Mapping {
	if s.pool == nil {
		return admin.Mapping{
			Fields:   func() ([]mapping.Field, time.Time) { return nil, time.Time{} },
			Unmapped: func() []mapping.Unmapped { return nil },
			Resync:   func(context.Context, string) error { return admin.ErrNoWorker },
		}
	}
	return admin.Mapping{Fields: s.pool.ContactFields, Unmapped: s.pool.Unmapped, Explain: s.pool.Explain, Resync: s.resync}
}

// resync is the workers' Resync in the words of the admin API.
func (s *service) resync(ctx context.Context, user string) error {
	err := s.pool.Resync(ctx, user)
	if errors.Is(err, worker.ErrTooManyResyncs) {
		return admin.ErrResyncAll
	}
	return err
}

// mappingOptions are the parts of the configuration that decide what a call does to a contact.
func mappingOptions(c config.Config) mapping.Options {
	m := c.Mapping
	o := mapping.Options{
		MissingTraits: mapping.MissingTraits(m.MissingTraits), StrictLabels: m.StrictLabels, ResendAfter: m.ResendAfter, Traits: m.Traits,
		NoLabels: !m.Match.Label, NoSpelling: !m.Match.Spelling, NoReserved: !m.Match.Reserved,
		EmailFallback: c.Identity.EmailFallback, OnCreate: c.Contacts.OnCreate,
		Accounts: c.Group == config.GroupAccount, AccountTraits: m.GroupTraits, Aliases: c.Alias,
	}
	if c.Identity.WithoutUserID == config.UserIDByEmail {
		o.WithoutUserID = mapping.ByEmail
	}
	return o
}
