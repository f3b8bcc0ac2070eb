package app

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/freshrelay/freshrelay/admin"
	"github.com/freshrelay/freshrelay/app/config"
	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/ingest"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/worker"
)

// NewValue is one field that a new contact gets whatever its call says.
type NewValue struct {
	Field string `json:"field"`
	Value string `json:"value"`
	By    string `json:"by"` // who gives it
}

func readFields(ctx context.Context, client *freshmarketer.Client) ([]mapping.Field, error) {
	metas, err := client.ContactFields(ctx)
	if err != nil {
		return nil, err
	}
	return worker.FieldsOf(metas), nil
}

// fields looks at the account's fields in the light of the configuration.
func (r *CheckReport) fields(cat *mapping.Catalogue, list []mapping.Field) {
	custom := 0
	for _, f := range list {
		if f.Custom {
			custom++
		}
	}
	r.Add("fields", LevelOK, fmt.Sprintf("%d contact fields, %d of them custom", len(list), custom), "")
	opt := mappingOptions(r.cfg)
	for _, d := range cat.Duplicates() {
		what := fmt.Sprintf("the label %q is that of %s and of %s; traits go to the first", d.Label, d.Kept, strings.Join(d.Dropped, ", "))
		if d.Normalised {
			what = fmt.Sprintf("%s and %s have labels that differ in spelling alone; a trait that is spelt like neither goes to the first", d.Kept, strings.Join(d.Dropped, ", "))
		}
		r.Add("fields", LevelWarning, what, "rename one in Freshmarketer, or map the trait to the API name under mapping.traits")
	}
	for _, trait := range cat.Unresolved(opt) {
		r.Add("fields", LevelProblem, fmt.Sprintf("mapping.traits: %s: the account has no field %q", trait, opt.Traits[trait]),
			"make the field in Freshmarketer, or correct the line; what there is: freshrelay mapping fields")
	}
	for _, trait := range slices.Sorted(maps.Keys(opt.Traits)) {
		if reason := cat.NeverWritten(opt.Traits[trait]); reason != "" {
			r.Add("fields", LevelProblem, fmt.Sprintf("mapping.traits: %s: %q: %s", trait, opt.Traits[trait], admin.Advise(admin.AboutLeftOut, string(reason)).Meaning),
				"remove the line, or map the trait to another field")
		}
	}
	_, wrong := cat.Defaults(opt)
	for _, w := range wrong {
		r.Add("fields", LevelProblem, fmt.Sprintf("contacts.on_create: %s: %s: %s", w.Trait, opt.OnCreate[w.Trait], admin.Advise(admin.AboutLeftOut, string(w.Reason)).Meaning),
			"correct the line; the choices of a field: freshrelay mapping fields")
	}
	for _, f := range list {
		if f.Required && !mapping.IsEmail(f) {
			r.Add("fields", LevelWarning, fmt.Sprintf("the account requires %q (%s): contacts without it may be refused", f.Label, f.Name),
				"send it with every identify, give it in contacts.on_create, or make it optional in Freshmarketer")
		}
	}
}

// public asks our own door, by the way senders come, whether it is ours: without a key it must refuse in its own words.
func (r *CheckReport) public(ctx context.Context, client *http.Client) {
	base := r.cfg.Public()
	if base == "" {
		r.Add(AreaPublic, LevelProblem, "there is no public_url to try", "set public_url, or tls.acme_domain")
		return
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/v1/identify", strings.NewReader("{}"))
	if err != nil {
		r.Add(AreaPublic, LevelProblem, base+" is no address", "correct public_url")
		return
	}
	resp, err := client.Do(req)
	if err != nil {
		r.Add(AreaPublic, LevelProblem, base+" cannot be reached from here: "+listenCause(err), "is the service running? look at DNS, firewall, certificate and proxy")
		return
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if resp.StatusCode != http.StatusUnauthorized || !strings.Contains(string(body), `"code":"`+ingest.CodeNoWriteKey+`"`) {
		r.Add(AreaPublic, LevelProblem, fmt.Sprintf("what answers at %s is not this service (status %d)", base, resp.StatusCode), "let the proxy pass /v1 and /webhook on to "+r.cfg.Listen)
		return
	}
	r.Reachable = true
	r.Add(AreaPublic, LevelOK, base+" reaches this service", "")
}

// newValues says what new contacts get besides what their call says.
func newValues(c config.Config, fields []mapping.Field) []NewValue {
	if !c.Contacts.Create {
		return []NewValue{}
	}
	out := []NewValue{{"External ID", "the userId", "freshrelay"}}
	given, wrong := map[string]bool{}, map[string]bool{}
	if fields != nil {
		defaults, bad := mapping.NewCatalogue(fields).Defaults(mappingOptions(c))
		for _, d := range defaults {
			given[d.Name] = true
		}
		for _, w := range bad {
			wrong[w.Trait] = true
		}
	}
	for _, key := range slices.Sorted(maps.Keys(c.Contacts.OnCreate)) {
		if fields == nil {
			given[mapping.DefaultField(key)] = true
		}
		if !wrong[key] {
			out = append(out, NewValue{key, c.Contacts.OnCreate[key], "contacts.on_create"})
		}
	}
	// Source: seen in recorded answers to creates: subscription_status 1, all subscription types.
	for _, f := range [][3]string{
		{"subscription_status", "Subscription status", "what the account gives, usually Subscribed"},
		{"lifecycle_stage_id", "Lifecycle stage", "what the account gives"},
		{"lead_source_id", "Source", "what the account gives"},
		{"owner_id", "Sales owner", "what the account gives"},
	} {
		if !given[f[0]] {
			out = append(out, NewValue{f[1], f[2], "Freshmarketer"})
		}
	}
	return out
}
