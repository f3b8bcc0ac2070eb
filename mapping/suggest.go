package mapping

import (
	"cmp"
	"slices"
	"strings"
	"unicode"

	"github.com/agnivade/levenshtein"
)

// Confidence says how sure a suggestion is.
type Confidence string

// How sure a suggestion is. Only what is high should be taken without a look.
const (
	High   Confidence = "high"
	Medium Confidence = "medium"
	Low    Confidence = "low"
)

// Suggestion is a line for Options.Traits, or with Field "" the word that no field comes near.
type Suggestion struct {
	Trait      string     `json:"trait"`
	Count      int64      `json:"count"` // calls, of all sources
	Sources    []string   `json:"sources"`
	Field      string     `json:"field,omitempty"` // API name
	Label      string     `json:"label,omitempty"`
	Target     string     `json:"target,omitempty"` // what to write into the line: the label, or the API name if that is surer
	Confidence Confidence `json:"confidence,omitempty"`
	Why        string     `json:"why,omitempty"`
	Guarded    bool       `json:"guarded,omitempty"` // the field concerns consent, ownership or the like: think before taking it
}

// Suggest looks for the field that each trait of a report may mean, the most frequent trait first.
func Suggest(cat *Catalogue, list []Unmapped) []Suggestion {
	var out []Suggestion
	for _, u := range list {
		i := slices.IndexFunc(out, func(s Suggestion) bool { return s.Trait == u.Trait })
		if i < 0 {
			out = append(out, cat.suggest(u.Trait))
			i = len(out) - 1
		}
		out[i].Count += u.Count
		if !slices.Contains(out[i].Sources, u.Source) {
			out[i].Sources = append(out[i].Sources, u.Source)
			slices.Sort(out[i].Sources)
		}
	}
	slices.SortStableFunc(out, func(a, b Suggestion) int { return cmp.Compare(b.Count, a.Count) })
	return out
}

func (c *Catalogue) suggest(trait string) Suggestion {
	best, score := Suggestion{Trait: trait}, 0.0
	for i := range c.fields {
		f := &c.fields[i]
		if f.access == derived || f.access == identity || f.kind == kindUnsupported || f.Label == "" {
			continue
		}
		if s, confidence, why := f.likeness(trait); s > score {
			score = s
			best.Field, best.Label, best.Target = f.Name, f.Label, f.Label
			best.Confidence, best.Why, best.Guarded = confidence, why, f.access == guarded
			if meant, ok := c.byLabel[f.Label]; !ok || meant != i {
				best.Target = f.Name // another field has the label
			}
		}
	}
	return best
}

// likeness says how near a trait's name is to a field, from 0 (not at all) to 1.
func (f *field) likeness(trait string) (float64, Confidence, string) {
	name := strings.TrimPrefix(f.Name, "cf_")
	if norm := normal(trait); norm == normal(f.Label) || norm == normal(f.Name) || norm == normal(name) {
		return 1, High, "the name is the field's"
	}
	words := wordsOf(trait)
	best, confidence, why := 0.0, Low, ""
	for _, of := range [][]string{wordsOf(f.Label), wordsOf(strings.TrimSuffix(name, "_id"))} {
		common := 0
		for _, w := range of {
			if slices.Contains(words, w) {
				common++
			}
		}
		union := len(words) + len(of) - common
		switch share := float64(common) / float64(max(union, 1)); {
		case common == 0:
		case share == 1 && share > best:
			best, confidence, why = 0.95, High, "the same words"
		case common == len(of) && 0.5+share/3 > best:
			best, confidence, why = 0.5+share/3, Medium, "it has all words of the field's name"
		case share >= 0.5 && share/2 > best:
			best, confidence, why = share/2, Low, "half of the words are the same"
		}
	}
	// A slip of the pen: one letter in four, and at least four letters to be wrong in.
	a, b := strings.Join(words, ""), strings.Join(wordsOf(f.Label), "")
	if d := levenshtein.ComputeDistance(a, b); len(b) >= 4 && d*4 <= len(b) && 0.9-float64(d)/20 > best {
		return 0.9 - float64(d)/20, Medium, "it is spelt nearly like the field"
	}
	return best, confidence, why
}

// synonym brings words that mean the same into one form.
func synonym(word string) string {
	switch word {
	case "zip", "postal", "postcode", "postalcode", "zipcode", "plz":
		return "zip"
	case "cell", "cellphone", "cellular", "mobile":
		return "mobile"
	case "firm", "organisation", "organization", "org", "company", "employer":
		return "company"
	case "birthdate", "birthday", "dob":
		return "birthday"
	case "town", "city":
		return "city"
	case "province", "region", "state":
		return "state"
	case "surname", "lastname", "familyname":
		return "lastname"
	case "forename", "givenname", "firstname":
		return "firstname"
	case "position", "role", "job":
		return "job"
	case "tz", "timezone":
		return "timezone"
	case "code", "number", "the", "of", "a", "user", "customer", "contact", "is", "has":
		return ""
	}
	return word
}

// wordsOf takes a name apart: at what is neither letter nor digit, and where a capital begins a word.
func wordsOf(name string) []string {
	var b strings.Builder
	before := ' '
	for _, r := range clean(name) {
		if unicode.IsUpper(r) && (unicode.IsLower(before) || unicode.IsDigit(before)) {
			b.WriteByte(' ')
		}
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			b.WriteByte(' ')
		} else {
			b.WriteRune(r)
		}
		before = r
	}
	fields := strings.Fields(fold(b.String()))
	var words []string
	for i := 0; i < len(fields); i++ {
		w := fields[i]
		if i+1 < len(fields) { // "zip code", "last name", "time zone": one thing in two words
			if pair := w + fields[i+1]; synonym(pair) != pair || pair == "timezone" || pair == "lastname" || pair == "firstname" {
				w, i = pair, i+1
			}
		}
		if w = synonym(w); w != "" && !slices.Contains(words, w) {
			words = append(words, w)
		}
	}
	return words
}
