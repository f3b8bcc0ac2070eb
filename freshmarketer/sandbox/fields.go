package sandbox

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Types of custom fields. Source: field metadata of a recorded answer; radio, datetime and lookup are reported by
// integrators.
const (
	TypeText        = "text"
	TypeTextarea    = "textarea"
	TypeNumber      = "number"
	TypeCheckbox    = "checkbox"
	TypeDropdown    = "dropdown"
	TypeRadio       = "radio"
	TypeMultiSelect = "multi_select_dropdown"
	TypeDate        = "date"
	TypeDatetime    = "datetime"
)

// Field is a custom field of the account.
type Field struct {
	Name    string   `json:"name"`    // API name, starts with cf_
	Label   string   `json:"label"`   // what people see
	Type    string   `json:"type"`    // one of the Type… constants
	Choices []string `json:"choices"` // of a dropdown, radio or multi-select
}

// DefaultCustomFields are the custom fields of an account when Options names none.
func DefaultCustomFields() []Field {
	return []Field{
		{Name: "cf_industry", Label: "Industry", Type: TypeText},
		{Name: "cf_plan", Label: "Plan", Type: TypeText},
		{Name: "cf_plan_tier", Label: "Plan tier", Type: TypeDropdown, Choices: []string{"Free", "Growth", "Enterprise"}},
		{Name: "cf_logins", Label: "Logins", Type: TypeNumber},
		{Name: "cf_subscribed", Label: "Subscribed", Type: TypeCheckbox},
		{Name: "cf_order_completed_last_30days", Label: "Order completed last 30days", Type: TypeCheckbox},
		{Name: "cf_lifetime_value", Label: "Lifetime value", Type: TypeNumber},
		{Name: "cf_signed_up", Label: "Signed up", Type: TypeDate},
		{
			Name: "cf_interests", Label: "Interests", Type: TypeMultiSelect,
			Choices: []string{"Sailing", "Cooking", "Music", "Running", "Photography"},
		},
		{Name: "cf_notes", Label: "Notes", Type: TypeTextarea},
		{Name: "cf_seq", Label: "Seq", Type: TypeNumber},
	}
}

// catalogue is all the account knows about its fields. It never changes.
type catalogue struct {
	standard []standardField
	custom   []Field
	required []string
	byName   map[string]standardField
	metadata []fieldMeta // as GET /settings/contacts/fields answers it
}

// fieldMeta and choice are the wire forms of the field metadata.
type fieldMeta struct {
	ID               int64    `json:"id"`
	Label            string   `json:"label"`
	Name             string   `json:"name"`
	Type             string   `json:"type"`
	Default          bool     `json:"default"`
	Actionable       bool     `json:"actionable"` // true for every field, also derived ones (recorded)
	Position         int      `json:"position"`
	Choices          []choice `json:"choices"`
	BaseModel        string   `json:"base_model"`
	Required         bool     `json:"required"`
	QuickAddPosition *int     `json:"quick_add_position"`
	Visible          bool     `json:"visible"`
	AutoSuggestURL   string   `json:"auto_suggest_url,omitempty"`
	Creatable        bool     `json:"creatable,omitempty"`
	Multiple         bool     `json:"multiple,omitempty"`
}

type choice struct {
	ID       any    `json:"id"` // a string or a number, differing from field to field
	Value    string `json:"value"`
	Position int    `json:"position"`
}

func newCatalogue(model string, standard []standardField, custom []Field, required []string) (*catalogue, error) {
	c := &catalogue{standard: standard, custom: custom, required: required, byName: make(map[string]standardField)}
	for _, f := range c.standard {
		c.byName[f.name] = f
	}
	errs := []error{checkCustomFields(custom)}
	for _, name := range required {
		_, standard := c.byName[name]
		if _, ok := c.customField(name); !ok && !standard {
			errs = append(errs, fmt.Errorf("required field %q: there is no such field", name))
		}
	}
	for _, f := range c.standard {
		if !f.unlisted {
			c.metadata = append(c.metadata, f.metadata(model, len(c.metadata)+1, slices.Contains(required, f.name)))
		}
	}
	for _, f := range custom {
		c.metadata = append(c.metadata, f.metadata(model, len(c.metadata)+1, slices.Contains(required, f.Name)))
	}
	return c, errors.Join(errs...)
}

func checkCustomFields(fields []Field) error {
	var errs []error
	seen := make(map[string]bool)
	for _, f := range fields {
		hasChoices := f.Type == TypeDropdown || f.Type == TypeRadio || f.Type == TypeMultiSelect
		switch {
		case !strings.HasPrefix(f.Name, "cf_"):
			errs = append(errs, fmt.Errorf("custom field %q: the name must start with cf_", f.Name))
		case seen[f.Name]:
			errs = append(errs, fmt.Errorf("custom field %q: is given twice", f.Name))
		case strings.TrimSpace(f.Label) == "":
			errs = append(errs, fmt.Errorf("custom field %q: has no label", f.Name))
		case !hasChoices && !slices.Contains([]string{TypeText, TypeTextarea, TypeNumber, TypeCheckbox, TypeDate, TypeDatetime}, f.Type):
			errs = append(errs, fmt.Errorf("custom field %q: there is no type %q", f.Name, f.Type))
		case hasChoices != (len(f.Choices) > 0):
			errs = append(errs, fmt.Errorf("custom field %q: choices belong to dropdown, radio and multi-select, and only there", f.Name))
		}
		seen[f.Name] = true
	}
	return errors.Join(errs...)
}

func (c *catalogue) customField(name string) (Field, bool) {
	i := slices.IndexFunc(c.custom, func(f Field) bool { return f.Name == name })
	if i < 0 {
		return Field{}, false
	}
	return c.custom[i], true
}

func (c *catalogue) label(name string) string {
	if f, ok := c.byName[name]; ok {
		return f.label
	}
	f, _ := c.customField(name)
	return f.Label
}

func (f Field) metadata(model string, position int, required bool) fieldMeta {
	return fieldMeta{
		ID: firstOtherID + int64(position), Label: f.Label, Name: f.Name, Type: f.Type, Actionable: true,
		Position: position, Choices: numberedChoices(position, f.Choices), BaseModel: model, Required: required, Visible: true,
	}
}

// numberedChoices gives each choice an id of the sandbox's range, the same in every run.
func numberedChoices(field int, values []string) []choice {
	choices := make([]choice, len(values))
	for i, value := range values {
		choices[i] = choice{ID: firstOtherID + int64(field)*1000 + int64(i), Value: value, Position: i + 1}
	}
	return choices
}
