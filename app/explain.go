package app

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/freshrelay/freshrelay/app/config"
	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/segment"
	"github.com/freshrelay/freshrelay/worker"
)

// ExplainOptions say what to explain calls with, when no service is asked.
type ExplainOptions struct {
	Config config.Config // its mapping, identity and contacts are used; its account if Fields is nil
	Fields []byte        // a saved answer of the account's fields; nil: the API is asked
	Record []byte        // what is remembered: an ExplainReport with records, or one record, of the calls' users; nil: nothing
	Source string
	Now    time.Time
	// Version goes into the User-Agent.
	Version string
}

// ExplainReport is what calls would do, and what would be remembered then: by userId, for ExplainOptions.Record.
type ExplainReport struct {
	Explanations []mapping.Explanation      `json:"explanations"`
	Records      map[string]json.RawMessage `json:"records,omitempty"`
}

// Explain says what calls would do without a service: with a saved list of fields, or with one asked of the API.
func Explain(ctx context.Context, o ExplainOptions, calls [][]byte) (ExplainReport, error) {
	fields, err := Fields(ctx, o.Config, o.Fields, o.Version)
	if err != nil {
		return ExplainReport{}, err
	}
	e := worker.Explainer{
		Fields: mapping.NewCatalogue(fields), Options: mappingOptions(o.Config), Custom: customFields(o.Config), Now: o.Now,
		Activities: activities(o.Config), Forward: forwarded(o.Config), Deletion: deletion(o.Config), UpdateOnly: !o.Config.Contacts.Create,
	}
	if o.Fields == nil && e.Options.Accounts && slices.ContainsFunc(calls, isGroup) {
		if e.Accounts, err = accountFields(ctx, o.Config, o.Version); err != nil {
			e.Accounts = nil // what group calls do is unknown then, which is said of them
		}
	}
	if e.Record, err = remembering(o.Record, calls); err != nil {
		return ExplainReport{}, err
	}
	r := ExplainReport{Records: map[string]json.RawMessage{}}
	list, records, err := e.Explain(ctx, o.Source, calls)
	if err != nil {
		return r, err
	}
	r.Explanations = list
	for lane, record := range records {
		if r.Records[lane], err = record.Encode(); err != nil {
			return r, err
		}
	}
	return r, nil
}

// remembering gives what is remembered of a lane. A record by itself is that of the userIds of the calls, and of nobody whom an
// alias call names as its previousId.
func remembering(saved []byte, calls [][]byte) (func(context.Context, string) (mapping.Record, error), error) {
	if saved == nil {
		return func(context.Context, string) (mapping.Record, error) { return mapping.Record{}, nil }, nil
	}
	var report ExplainReport
	byLane := map[string]mapping.Record{}
	if json.Unmarshal(saved, &report) == nil && report.Records != nil {
		for lane, data := range report.Records {
			var err error
			if byLane[lane], err = mapping.DecodeRecord(data); err != nil {
				return nil, fmt.Errorf("the record of %q: %w", lane, err)
			}
		}
		return func(_ context.Context, lane string) (mapping.Record, error) { return byLane[lane].Clone(), nil }, nil
	}
	record, err := mapping.DecodeRecord(saved)
	if err != nil {
		return nil, fmt.Errorf("the record: %w", err)
	}
	others := map[string]bool{}
	for _, body := range calls {
		r := segment.Received{Body: body}
		others[segment.Received{UserID: r.PreviousID()}.Lane()] = true
	}
	return func(_ context.Context, lane string) (mapping.Record, error) {
		if others[lane] || strings.HasPrefix(lane, segment.GroupLane("")) {
			return mapping.Record{}, nil
		}
		return record.Clone(), nil
	}, nil
}

func isGroup(call []byte) bool {
	o, err := segment.ParseObject(call)
	return err == nil && segment.Text(o.Get("type")) == string(segment.Group)
}

// accountFields asks the API for the fields of sales accounts.
func accountFields(ctx context.Context, c config.Config, version string) (*mapping.Catalogue, error) {
	client, err := newClient(c.Freshmarketer, freshmarketer.Config{UserAgent: "freshrelay/" + version})
	if err != nil {
		return nil, err
	}
	defer client.CloseIdleConnections()
	metas, err := client.AccountFields(ctx)
	if err != nil {
		return nil, err
	}
	return mapping.NewAccountCatalogue(worker.FieldsOf(metas)), nil
}

// Fields are the account's contact fields: saved ones, or asked of the API.
func Fields(ctx context.Context, c config.Config, saved []byte, version string) ([]mapping.Field, error) {
	if saved != nil {
		return mapping.ParseFields(saved)
	}
	client, err := newClient(c.Freshmarketer, freshmarketer.Config{UserAgent: "freshrelay/" + version})
	if err != nil {
		return nil, err
	}
	defer client.CloseIdleConnections()
	return readFields(ctx, client)
}

// FieldFile is the account's contact fields as a file for ExplainOptions.Fields.
func FieldFile(ctx context.Context, c config.Config, saved []byte, version string) ([]byte, error) {
	fields, err := Fields(ctx, c, saved, version)
	if err != nil {
		return nil, err
	}
	return mapping.EncodeFields(fields)
}

// FieldLine describes one contact field for people.
type FieldLine struct {
	Label, Name, Type string
	Written           string // yes, by an explicit line, or never
	Choices           []string
}

// DescribeFields reads a file of contact fields and says of each how traits reach it.
func DescribeFields(file []byte) ([]FieldLine, error) {
	fields, err := mapping.ParseFields(file)
	if err != nil {
		return nil, err
	}
	cat := mapping.NewCatalogue(fields)
	lines := make([]FieldLine, len(fields))
	for i, f := range fields {
		lines[i] = FieldLine{Label: f.Label, Name: f.Name, Type: f.Type, Written: "yes"}
		switch {
		case mapping.IsEmail(f):
		case cat.NeverWritten(f.Name) != "":
			lines[i].Written = "never"
		case cat.Guarded(f.Name):
			lines[i].Written = "by a line"
		}
		for _, c := range f.Choices {
			lines[i].Choices = append(lines[i].Choices, c.Value)
		}
	}
	return lines, nil
}

// Suggest proposes lines for mapping.traits from calls, without a service.
func Suggest(ctx context.Context, o ExplainOptions, calls [][]byte) ([]mapping.Suggestion, error) {
	fields, err := Fields(ctx, o.Config, o.Fields, o.Version)
	if err != nil {
		return nil, err
	}
	e := worker.Explainer{Fields: mapping.NewCatalogue(fields), Options: mappingOptions(o.Config), Now: o.Now}
	var list []mapping.Unmapped
	explained, _, err := e.Explain(ctx, o.Source, calls)
	if err != nil {
		return nil, err
	}
	for _, x := range explained {
		for _, fate := range x.Traits {
			if fate.Reason == mapping.ReasonUnmapped {
				list = append(list, mapping.Unmapped{Trait: fate.Trait, Source: o.Source, Count: 1})
			}
		}
	}
	return mapping.Suggest(e.Fields, list), nil
}
