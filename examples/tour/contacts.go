package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

// contact is a contact as the sandbox lists it: id, email, external_id, and what has a value in fields and custom_field.
// Numbers keep the way they were written.
type contact map[string]any

func (c contact) text(key string) string {
	s, _ := c[key].(string)
	return s
}

func (c contact) group(key string) map[string]any {
	m, _ := c[key].(map[string]any)
	return m
}

func fetchContacts(ctx context.Context, sandbox string) ([]contact, error) {
	body, err := get(ctx, sandbox+"/_sandbox/contacts")
	if err != nil {
		return nil, err
	}
	contacts, err := decodeContacts(body)
	if err != nil {
		return nil, fmt.Errorf("the sandbox's contacts: %w", err)
	}
	return contacts, nil
}

func readExpected(file string) ([]contact, error) {
	body, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	contacts, err := decodeContacts(body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(contacts) == 0 {
		return nil, fmt.Errorf("%s: expects no contact at all", file)
	}
	return contacts, nil
}

// decodeContacts reads {"contacts":[…]} and sorts by external id, so that lists can be compared and look the same each time.
func decodeContacts(body []byte) ([]contact, error) {
	var list struct {
		Contacts []contact `json:"contacts"`
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if err := dec.Decode(&list); err != nil {
		return nil, err
	}
	slices.SortFunc(list.Contacts, func(a, b contact) int { return strings.Compare(a.text("external_id"), b.text("external_id")) })
	return list.Contacts, nil
}

func printContacts(out io.Writer, contacts []contact) {
	for _, c := range contacts {
		fmt.Fprintf(out, "  contact %v  %s  <%s>\n", c["id"], c.text("external_id"), c.text("email"))
		for _, group := range []string{"fields", "custom_field"} {
			fields := c.group(group)
			for _, key := range slices.Sorted(maps.Keys(fields)) {
				if !empty(fields[key]) && !strings.Contains(key, "subscription_") { // the account's defaults, never ours
					fmt.Fprintf(out, "      %-32s %v\n", key, fields[key])
				}
			}
		}
		fmt.Fprintln(out)
	}
}

// compare returns one line for every difference. Only the keys an expected contact names are looked at, but there must be no
// contact that is not expected.
func compare(expected, actual []contact) []string {
	var diff []string
	byID := make(map[string]contact, len(actual))
	for _, c := range actual {
		byID[c.text("external_id")] = c
	}
	for _, want := range expected {
		id := want.text("external_id")
		got, ok := byID[id]
		if !ok {
			diff = append(diff, id+": there is no such contact")
			continue
		}
		delete(byID, id)
		diff = append(diff, compareObject(id, want, got)...)
	}
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		diff = append(diff, fmt.Sprintf("%s: nobody expects this contact", id))
	}
	if extra := len(actual) - len(expected); extra > 0 && len(diff) == 0 {
		diff = append(diff, fmt.Sprintf("%d contacts more than expected share an external id", extra))
	}
	return diff
}

func compareObject(where string, want, got map[string]any) []string {
	var diff []string
	for _, key := range slices.Sorted(maps.Keys(want)) {
		w, g := want[key], got[key]
		if nested, ok := w.(map[string]any); ok {
			inner, _ := g.(map[string]any)
			diff = append(diff, compareObject(where+" "+key, nested, inner)...)
			continue
		}
		if empty(w) && empty(g) {
			continue
		}
		if ws, gs := asJSON(w), asJSON(g); ws != gs {
			diff = append(diff, fmt.Sprintf("%s %s: is %s, expected %s", where, key, gs, ws))
		}
	}
	return diff
}

// empty says whether a field holds nothing: for a person, null, absent and "" are the same.
func empty(v any) bool { return v == nil || v == "" }

func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(text)
}
