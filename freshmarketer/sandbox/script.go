package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"go.yaml.in/yaml/v3"
)

// ReadScript reads a YAML or JSON file that says what the account is like and how it misbehaves. Every key has the name
// of its field in Options or Fault, in small letters with underscores: see docs/sandbox.md. A key it does not know is an
// error, because a misspelt one would silently make another test.
func ReadScript(path string) (Options, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Options{}, fmt.Errorf("sandbox: %w", err)
	}
	opt, err := parseScript(text)
	if err != nil {
		return Options{}, fmt.Errorf("sandbox: %s: %w", path, err)
	}
	return opt, nil
}

// parseScript goes from YAML by way of JSON, so that faults are written in a file as they are posted to /_sandbox/faults.
func parseScript(text []byte) (Options, error) {
	var tree any
	if err := yaml.Unmarshal(text, &tree); err != nil {
		return Options{}, err
	}
	if tree == nil {
		return Options{}, errors.New("is empty")
	}
	asJSON, err := json.Marshal(tree)
	if err != nil {
		return Options{}, err
	}
	var wire scriptJSON
	decoder := json.NewDecoder(bytes.NewReader(asJSON))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&wire); err != nil {
		return Options{}, err
	}
	opt := wire.Account.options()
	opt.Seed, opt.Contacts, opt.Changes = wire.Seed, wire.Contacts, wire.Changes
	for i, f := range wire.Faults {
		fault := f.fault()
		if err := fault.validate(); err != nil {
			return Options{}, fmt.Errorf("fault %d: %w", i+1, err)
		}
		opt.Faults = append(opt.Faults, fault)
	}
	return opt, opt.withDefaults().validate()
}

type scriptJSON struct {
	Seed     uint64      `json:"seed"`
	Contacts int         `json:"contacts"`
	Changes  bool        `json:"changes"`
	Account  accountJSON `json:"account"`
	Faults   []faultJSON `json:"faults"`
}

// accountJSON is what of Options can be said in a file.
type accountJSON struct {
	CustomFields  []Field  `json:"custom_fields"`
	AccountFields []Field  `json:"account_fields"`
	Required      []string `json:"required"`
	ReadOnlyKeys  []string `json:"read_only_keys"`

	PerHour      int      `json:"per_hour"`
	PerMinute    int      `json:"per_minute"`
	Throttle     Throttle `json:"throttle"`
	LimitHeaders bool     `json:"limit_headers"`

	IndexLag               span     `json:"index_lag"`
	CustomFieldMode        Mode     `json:"custom_field_mode"`
	UpsertCustomFieldMode  Mode     `json:"upsert_custom_field_mode"`
	BulkCustomFieldMode    Mode     `json:"bulk_custom_field_mode"`
	UpsertAlways200        bool     `json:"upsert_always_200"`
	RefuseExternalIDUpsert bool     `json:"refuse_external_id_upsert"`
	SharedAddresses        bool     `json:"shared_addresses"`
	RestoreClearsCustom    bool     `json:"restore_clears_custom"`
	NoEvents               bool     `json:"no_events"`
	EventsNeedContact      bool     `json:"events_need_contact"`
	LenientBody            bool     `json:"lenient_body"`
	Language               Language `json:"language"`

	BulkWait     span `json:"bulk_wait"`
	BulkDuration span `json:"bulk_duration"`
	BulkPolls    int  `json:"bulk_polls"`
	MaxJobs      int  `json:"max_jobs"`
}

func (a accountJSON) options() Options {
	return Options{
		CustomFields: a.CustomFields, AccountFields: a.AccountFields, Required: a.Required, ReadOnlyKeys: a.ReadOnlyKeys,
		PerHour: a.PerHour, PerMinute: a.PerMinute, Throttle: a.Throttle, LimitHeaders: a.LimitHeaders,
		IndexLag: time.Duration(a.IndexLag), CustomFieldMode: a.CustomFieldMode, UpsertCustomFieldMode: a.UpsertCustomFieldMode,
		BulkCustomFieldMode: a.BulkCustomFieldMode, UpsertAlways200: a.UpsertAlways200, RefuseExternalIDUpsert: a.RefuseExternalIDUpsert,
		SharedAddresses: a.SharedAddresses, RestoreClearsCustom: a.RestoreClearsCustom, NoEvents: a.NoEvents, EventsNeedContact: a.EventsNeedContact,
		LenientBody: a.LenientBody, Language: a.Language,
		BulkWait: time.Duration(a.BulkWait), BulkDuration: time.Duration(a.BulkDuration), BulkPolls: a.BulkPolls, MaxJobs: a.MaxJobs,
	}
}

// span is a duration as text, like 20s.
type span time.Duration

func (s *span) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return fmt.Errorf("%s: a time (delay, after, for, index_lag, bulk_wait, bulk_duration) is written like 20s", data)
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("%q: a time (delay, after, for, index_lag, bulk_wait, bulk_duration) is written like 20s", text)
	}
	*s = span(d)
	return nil
}

func (s span) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(s).String()) }
