package mapping

import "slices"

// Field is one contact field of the account, as its metadata describes it.
type Field struct {
	Name     string // API name, such as job_title or cf_plan
	Label    string // what people see, such as Job title
	Type     string // text, number, dropdown, …
	Custom   bool
	Choices  []Choice
	Required bool // the API refuses to empty it
}

// Choice is one value of a dropdown. ID is kept as text: the API writes it as a number or as a string.
type Choice struct{ ID, Value string }

// Duplicate is a label that several fields share, so that a trait can mean only one of them.
type Duplicate struct {
	Label      string   // the label, or its normalised form
	Normalised bool     // the labels differ, and are the same only when case, spaces, '_' and '-' are ignored
	Kept       string   // API name of the field the label means
	Dropped    []string // API names of the others; an explicit map line reaches them by these
}

// Catalogue is the account's contact fields, ready for matching. It is read-only and may be shared.
type Catalogue struct {
	fields     []field
	byName     map[string]int
	byLabel    map[string]int // cleaned label
	byNormal   map[string]int // normalised label
	duplicates []Duplicate
	accounts   bool // they are the fields of sales accounts
}

type field struct {
	Field
	access access
	kind   kind
	exact  map[string]int // cleaned choice value → index in Choices
	folded map[string]int // the same without case; the first of several
}

// emailField is where every catalogue keeps the email. The metadata lists it as emails, a group of addresses; what is
// written is the primary one, under the name email.
// Source: Freshworks CRM API reference, "Gotchas" (changing the address).
const (
	emailField = 0
	emailName  = "email"
)

// NewCatalogue prepares the account's fields. Of several fields with one label it prefers those that may be written,
// then built-in ones, then the first; Duplicates tells.
func NewCatalogue(fields []Field) *Catalogue { return newCatalogue(fields, false) }

func newCatalogue(fields []Field, accounts bool) *Catalogue {
	c := &Catalogue{
		fields:   make([]field, 1, len(fields)+1),
		byName:   make(map[string]int, len(fields)+1),
		accounts: accounts,
	}
	email := Field{Name: emailName, Label: "Email", Type: emailName}
	for _, f := range fields {
		if IsEmail(f) && !accounts {
			if label := clean(f.Label); label != "" {
				email.Label = label
			}
			continue
		}
		if _, taken := c.byName[f.Name]; taken || f.Name == "" {
			continue
		}
		c.byName[f.Name] = len(c.fields)
		c.fields = append(c.fields, newField(f))
	}
	if accounts { // whose place for the email stays empty: no label and no name leads there
		c.fields[emailField] = field{access: derived}
	} else {
		c.fields[emailField] = field{Field: email, kind: kindEmail}
		c.byName[emailName] = emailField
	}
	c.index()
	return c
}

func isEmailName(name string) bool { return name == emailName || name == "emails" }

func newField(f Field) field {
	f.Label = clean(f.Label)
	f.Choices = slices.Clone(f.Choices)
	out := field{Field: f, access: accessOf(&f), kind: kindOf(&f)}
	out.exact = make(map[string]int, len(f.Choices))
	out.folded = make(map[string]int, len(f.Choices))
	for i, choice := range f.Choices {
		first(out.exact, clean(choice.Value), i)
		first(out.folded, foldChoice(choice.Value), i)
	}
	return out
}

func first(m map[string]int, key string, i int) {
	if _, taken := m[key]; !taken {
		m[key] = i
	}
}

// index builds the two label indexes, best field first, and notes who lost.
func (c *Catalogue) index() {
	order := make([]int, len(c.fields))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return c.fields[a].weight() - c.fields[b].weight() })
	var exact, normalised duplicates
	c.byLabel = make(map[string]int, len(order))
	c.byNormal = make(map[string]int, len(order))
	for _, i := range order {
		f := &c.fields[i]
		if f.Label == "" {
			continue
		}
		if kept, taken := c.byLabel[f.Label]; taken {
			exact.add(f.Label, c.fields[kept].Name, f.Name)
			continue
		}
		c.byLabel[f.Label] = i
		key := normal(f.Label)
		if kept, taken := c.byNormal[key]; taken {
			normalised.add(key, c.fields[kept].Name, f.Name)
		} else if key != "" {
			c.byNormal[key] = i
		}
	}
	for i := range normalised {
		normalised[i].Normalised = true
	}
	c.duplicates = append(exact, normalised...)
}

// weight orders fields that share a label: smaller is better. A field that is never written loses against one that can
// be, otherwise the label would mean nothing at all.
func (f *field) weight() int {
	w := 0
	if f.access == derived || f.access == identity {
		w += 2
	}
	if f.Custom {
		w++
	}
	return w
}

type duplicates []Duplicate

func (d *duplicates) add(label, kept, dropped string) {
	for i := range *d {
		if (*d)[i].Label == label {
			(*d)[i].Dropped = append((*d)[i].Dropped, dropped)
			return
		}
	}
	*d = append(*d, Duplicate{Label: label, Kept: kept, Dropped: []string{dropped}})
}

// Duplicates returns the labels that several fields share.
func (c *Catalogue) Duplicates() []Duplicate { return slices.Clone(c.duplicates) }

// Field returns the field a label or API name means in an explicit map: exact label, then API name, then the label
// without regard to case, spaces, '_' and '-'.
func (c *Catalogue) Field(labelOrName string) (Field, bool) {
	i, ok := c.resolve(labelOrName)
	if !ok {
		return Field{}, false
	}
	return c.fields[i].Field, true
}

func (c *Catalogue) resolve(target string) (int, bool) {
	target = clean(target)
	if i, ok := c.byLabel[target]; ok {
		return i, true
	}
	if i, ok := c.byName[target]; ok {
		return i, true
	}
	name := normal(target)
	if isEmailName(name) && !c.accounts {
		return emailField, true
	}
	i, ok := c.byNormal[name]
	return i, ok
}
