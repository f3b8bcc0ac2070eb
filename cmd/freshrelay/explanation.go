package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/freshrelay/freshrelay/admin"
)

// printExplanation shows what one call would do.
func (p *program) printExplanation(e admin.Explanation) {
	out := func(format string, args ...any) { fmt.Fprintf(p.stdout, format+"\n", args...) }
	head := fmt.Sprintf("%s of %s, source %s", clean(e.Type, 12), orNobody(clean(e.UserID, 60)), clean(e.Source, 40))
	if e.Partial {
		head += ", partial: it empties nothing"
	}
	if e.Type == "account" {
		head = fmt.Sprintf("%s (the company of a group call), source %s", e.Type, clean(e.Source, 40))
	}
	out("%s", head)
	switch e.Outcome {
	case outcomeDelivered:
	case outcomeUnknown:
		out("  unknown: what is needed to tell is not at hand")
	default:
		about := map[string]admin.About{outcomeDead: admin.AboutDead, outcomeDropped: admin.AboutDropped}[e.Outcome]
		advice := admin.Advise(cmp.Or(about, admin.AboutDiscard), string(e.Reason))
		out("  %s: %s\n  %s\n  %s", e.Outcome, e.Reason, advice.Meaning, advice.Mend)
	}
	rows := make([]table.Row, 0, len(e.Traits))
	for _, f := range e.Traits {
		rows = append(rows, fateRow(f))
	}
	for _, f := range e.Defaults {
		rows = append(rows, table.Row{"  (contacts.on_create)", "set if new", clean(f.Label, 40), shown(f.Value), "the call says nothing about it"})
	}
	if len(rows) > 0 {
		printTable(p.stdout, table.Row{"  TRAIT", "FATE", "FIELD", "VALUE", "WHY"}, rows)
	}
	if e.More > 0 {
		out("  and %d more traits are left out", e.More)
	}
	switch {
	case e.Outcome == outcomeDelivered && len(e.Requests) == 0:
		out("  no request: %s", e.Note)
	case e.Note != "":
		out("  note: %s", e.Note)
	}
	for i, r := range e.Requests {
		path := r.Path
		if !strings.HasPrefix(path, "/crm/") { // as that of an event does
			path = "/crm/sales/api" + path
		}
		out("  request %d: %s …%s", i+1, r.Method, path)
		if r.Body != nil {
			body, err := json.MarshalIndent(r.Body, "    ", "  ")
			if err == nil {
				out("    %s", body)
			}
		}
		if r.Note != "" {
			out("    (%s)", r.Note)
		}
	}
	out("")
}

func orNobody(user string) string {
	if user == "" {
		return "nobody (no userId)"
	}
	return user
}

func fateRow(f admin.Fate) table.Row {
	field := clean(f.Label, 40)
	if field == "" {
		field = clean(f.Field, 40)
	}
	trait, why, value := clean(f.Trait, 50), admin.RuleText(f.Rule), ""
	switch f.Action {
	case admin.FateLeftOut:
		why = admin.Advise(admin.AboutLeftOut, string(f.Reason)).Meaning
	case "set", admin.FateAdded:
		value = shown(f.Value)
	case "held":
		why = "a newer call has said something else"
	}
	if f.Trait == "" && f.Action != admin.FateLeftOut {
		trait, why = "(left out)", "an earlier call of this source set it"
	}
	return table.Row{"  " + trait, strings.ReplaceAll(f.Action, "_", " "), field, value, why}
}

// shown is a value as JSON, short.
func shown(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return clean(string(b), 50)
}
