package mapping

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// show writes a result as the cases have it: what is sent, what became of each call, what is remembered.
func (g *golden) show(res Result) string {
	var b strings.Builder
	if g.company && !res.Change.Empty() {
		to := fmt.Sprintf("make or find the account by name, as %q", res.Change.MadeAs)
		if res.Record.ContactID != "" {
			to = "update account " + res.Record.ContactID
		}
		b.WriteString(to + "\n")
		showFields(&b, res.Change.Fields)
	} else {
		showChange(&b, res)
	}
	for i, o := range res.Outcomes {
		showOutcome(&b, i, o)
	}
	showRecord(&b, res.Record)
	return b.String()
}

func showChange(b *strings.Builder, res Result) {
	switch c := res.Change; {
	case c.Empty():
		b.WriteString("nothing to send\n")
	case res.Record.ContactID == "":
		user := "without a userId"
		if c.UserID != "" {
			user = "for user " + c.UserID
		}
		fmt.Fprintf(b, "create %s %s\n", c.Email, user)
	default:
		fmt.Fprintf(b, "update contact %s\n", res.Record.ContactID)
	}
	showFields(b, res.Change.Fields)
	for _, company := range res.Change.Links {
		fmt.Fprintf(b, "  link to %s\n", company)
	}
	if len(res.Change.Defaults) > 0 {
		b.WriteString("and if the contact is new\n")
		showFields(b, res.Change.Defaults)
	}
}

func showFields(b *strings.Builder, fields []FieldChange) {
	for _, f := range fields {
		where := "  "
		if f.Custom {
			where = "  custom_field."
		}
		fmt.Fprintf(b, "%s%s = %s", where, f.Name, compactJSON(f.Value))
		if f.Add {
			b.WriteString("   added")
		}
		if f.Trait != "" {
			fmt.Fprintf(b, "   from %s", f.Trait)
		}
		b.WriteByte('\n')
	}
}

func showOutcome(b *strings.Builder, i int, o Outcome) {
	fmt.Fprintf(b, "call %d ", i+1)
	if o.Delivered {
		b.WriteString("delivered\n")
	} else {
		fmt.Fprintf(b, "discarded: %s\n", o.Reason)
	}
	for _, f := range o.Fields {
		if f.Trait == "" {
			fmt.Fprintf(b, "  (left out): %s %q\n", f.Action, f.Label)
			continue
		}
		fmt.Fprintf(b, "  %s: %s %q, found by %s\n", f.Trait, f.Action, f.Label, f.Rule)
	}
	for _, l := range o.LeftOut {
		fmt.Fprintf(b, "  %s: left out", l.Trait)
		if l.Field != "" {
			fmt.Fprintf(b, " of %s", l.Field)
		}
		fmt.Fprintf(b, ", %s\n", l.Reason)
	}
	if o.More > 0 {
		fmt.Fprintf(b, "  and %d more left out\n", o.More)
	}
}

func showRecord(b *strings.Builder, rec Record) {
	fmt.Fprintf(b, "record: %d message ids\n", rec.Ring.Len())
	for _, name := range slices.Sorted(maps.Keys(rec.Fields)) {
		f := rec.Fields[name]
		state := "value"
		switch f.Hash {
		case hashEmpty:
			state = "empty"
		case hashUnknown:
			state = "unknown"
		}
		if f.Sent == 0 {
			state += ", not sent"
		}
		by := f.Src
		if by == "" {
			by = "a partial call"
		}
		fmt.Fprintf(b, "  %s: %s, %s by %s\n", name, state, showClock(f.Clock), by)
		for _, src := range slices.Sorted(maps.Keys(f.Omitted)) {
			fmt.Fprintf(b, "    last left out by %s: %s\n", src, showClock(f.Omitted[src]))
		}
	}
	if rec.Given {
		b.WriteString("  the contact is another user's\n")
	} else if len(rec.Aliased) > 0 {
		b.WriteString("  the contact may be another user's\n")
	}
	for _, company := range slices.Sorted(maps.Keys(rec.Links)) {
		state := "wanted"
		switch l := rec.Links[company]; {
		case l.Full:
			state = "no room for it"
		case l.Sent != 0:
			state = "linked"
		}
		fmt.Fprintf(b, "  %s: %s\n", company, state)
	}
	for _, src := range slices.Sorted(maps.Keys(rec.Replaced)) {
		fmt.Fprintf(b, "  newest ordinary call of %s: %s\n", src, showClock(rec.Replaced[src]))
	}
}

func showClock(c Clock) string {
	if c == (Clock{}) {
		return "never"
	}
	return fmt.Sprintf("%s #%d", time.Unix(0, c.Time).UTC().Format("01-02T15:04:05.999"), c.Pos)
}
