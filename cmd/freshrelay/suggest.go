package main

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/freshrelay/freshrelay/admin"
	"github.com/freshrelay/freshrelay/app"
)

type suggestCmd struct {
	Files []string `arg:"" optional:"" name:"file" help:"With --catalogue or --api: calls to look at, as JSON. The service looks at its own report."`
	fieldSource
}

// Help is the long help of the subcommand.
func (suggestCmd) Help() string {
	return `Compares the names of traits that find no field with the account's fields and prints a block to paste into the configuration, the most frequent trait first, each with how often it came, how sure the line is and why. Lines that need a decision are commented out. Nothing is changed.`
}

// Run prints the block; with -o json the suggestions.
func (c *suggestCmd) Run(ctx context.Context, p *program, g *globals) error {
	list, err := c.suggestions(ctx, p, g)
	if err != nil {
		return err
	}
	if g.Output == "json" {
		return p.printJSON(admin.SuggestionList{Suggestions: append([]admin.Suggestion{}, list...)})
	}
	fmt.Fprint(p.stdout, suggestionBlock(list))
	return nil
}

func (c *suggestCmd) suggestions(ctx context.Context, p *program, g *globals) ([]admin.Suggestion, error) {
	if !c.local() {
		if len(c.Files) > 0 {
			return nil, &failure{exitUsage, "the service suggests from its own report, not from files", "leave the files out, or give --catalogue or --api"}
		}
		service, err := p.connect(g)
		if err != nil {
			return nil, err
		}
		var got admin.SuggestionList
		err = service.get(ctx, "/api/mapping/suggestions", nil, &got)
		return got.Suggestions, err
	}
	calls, err := p.readCalls(c.Files)
	if err != nil {
		return nil, err
	}
	if len(calls) == 0 {
		return nil, &failure{exitUsage, "there are no calls to look at", "name files with calls as JSON, or ask the running service: leave out --catalogue and --api"}
	}
	cfg, err := c.config(p, g)
	if err != nil {
		return nil, err
	}
	o := app.ExplainOptions{Config: cfg, Source: "files", Now: time.Now(), Version: version()}
	if o.Fields, err = c.read(p); err != nil {
		return nil, err
	}
	list, err := app.Suggest(ctx, o, calls)
	if err != nil {
		return nil, fieldError(err)
	}
	return list, nil
}

// suggestionBlock is YAML to paste. Only what is sure stands there as a line; the rest is there to be decided upon.
func suggestionBlock(list []admin.Suggestion) string {
	if len(list) == 0 {
		return "every trait finds its field\n"
	}
	var b, lines strings.Builder
	var none []string
	for _, s := range list {
		if s.Field == "" {
			none = append(none, fmt.Sprintf("%s (%s)", clean(s.Trait, 60), times(s.Count)))
			continue
		}
		mark, note := "    ", ""
		if s.Confidence != "high" || s.Guarded {
			mark = "    # "
		}
		if s.Guarded {
			note = "; the field is guarded, think before you take it"
		}
		line := mark + yamlText(s.Trait) + ": " + yamlText(s.Target)
		fmt.Fprintf(&lines, "%-50s # %s from %s; %s: %s%s\n", line, times(s.Count), clean(strings.Join(s.Sources, ", "), 60), s.Confidence, s.Why, note)
	}
	if lines.Len() > 0 {
		b.WriteString("mapping:\n  traits:\n" + lines.String())
	}
	if len(none) > 0 {
		b.WriteString("# no field comes near: " + strings.Join(none, ", ") + "\n")
		b.WriteString("# make fields with these labels in Freshmarketer, or do not send the traits\n")
	}
	return b.String()
}

func times(n int64) string {
	if n == 1 {
		return "1 call"
	}
	return fmt.Sprintf("%d calls", n)
}

// yamlText writes a text so that YAML reads it as it is; JSON's strings are YAML's too.
func yamlText(s string) string {
	plain := regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_. -]*[A-Za-z0-9_]$`)
	word := strings.ToLower(s)
	if plain.MatchString(s) && !slices.Contains([]string{"yes", "no", "on", "off", "true", "false", "null"}, word) {
		return s
	}
	quoted, err := json.Marshal(clean(s, 0))
	if err != nil {
		return `""`
	}
	return string(quoted)
}
