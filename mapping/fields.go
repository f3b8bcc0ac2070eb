package mapping

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// ErrNotFields says that a file does not hold the account's contact fields.
var ErrNotFields = errors.New("not a list of contact fields")

// ParseFields reads contact fields as the API answers GET /settings/contacts/fields: {"fields":[…]}, or the bare list. Ids
// may be numbers or text. A field without "default" is custom if its name starts with cf_. Keys that are not needed here
// are ignored. The error wraps ErrNotFields.
// Source: Freshworks CRM API reference, "Field metadata".
func ParseFields(b []byte) ([]Field, error) {
	var wire struct {
		Fields []wireField `json:"fields"`
	}
	var err error
	if b = bytes.TrimSpace(b); bytes.HasPrefix(b, []byte("[")) {
		err = json.Unmarshal(b, &wire.Fields)
	} else {
		err = json.Unmarshal(b, &wire)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotFields, err)
	}
	fields := make([]Field, len(wire.Fields))
	for i, f := range wire.Fields {
		if f.Name == "" || f.Type == "" {
			return nil, fmt.Errorf("%w: entry %d has no name or no type", ErrNotFields, i+1)
		}
		fields[i] = f.field()
	}
	if len(fields) == 0 {
		return nil, fmt.Errorf("%w: there are none", ErrNotFields)
	}
	return fields, nil
}

// EncodeFields writes fields in the API's shape, for ParseFields.
func EncodeFields(fields []Field) ([]byte, error) {
	wire := make([]wireField, len(fields))
	for i, f := range fields {
		builtIn := !f.Custom
		wire[i] = wireField{Name: f.Name, Label: f.Label, Type: f.Type, Default: &builtIn, Required: f.Required, Choices: []wireChoice{}}
		for _, c := range f.Choices {
			wire[i].Choices = append(wire[i].Choices, wireChoice{ID: wireID(c.ID), Value: c.Value})
		}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(map[string]any{"fields": wire}); err != nil {
		return nil, fmt.Errorf("encode contact fields: %w", err)
	}
	return b.Bytes(), nil
}

// wireField is a field as the API writes it, as far as it matters here.
type wireField struct {
	Name     string       `json:"name"`
	Label    string       `json:"label"`
	Type     string       `json:"type"`
	Default  *bool        `json:"default,omitempty"` // built in
	Required bool         `json:"required"`
	Choices  []wireChoice `json:"choices"`
}

type wireChoice struct {
	ID    wireID `json:"id"`
	Value string `json:"value"`
}

// wireID is a number or text, differing from field to field.
type wireID string

// UnmarshalJSON reads either, and null as "".
func (id *wireID) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err == nil {
		*id = wireID(s)
		return nil
	}
	var n json.Number
	if err := json.Unmarshal(b, &n); err != nil {
		return err
	}
	*id = wireID(n)
	return nil
}

func (f wireField) field() Field {
	out := Field{Name: f.Name, Label: f.Label, Type: f.Type, Required: f.Required, Custom: strings.HasPrefix(f.Name, "cf_")}
	if f.Default != nil {
		out.Custom = !*f.Default
	}
	for _, c := range f.Choices {
		out.Choices = append(out.Choices, Choice{ID: string(c.ID), Value: c.Value})
	}
	return out
}
