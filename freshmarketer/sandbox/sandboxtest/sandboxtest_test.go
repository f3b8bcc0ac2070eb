package sandboxtest_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox/sandboxtest"
)

func start(t *testing.T, opt sandbox.Options) (*sandbox.Sandbox, *freshmarketer.Client) {
	t.Helper()
	box, cfg := sandboxtest.Start(t, opt)
	client, err := freshmarketer.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return box, client
}

type fields = freshmarketer.Fields

// The client and the sandbox agree on every call, and on its name.
func TestClientAgainstSandbox(t *testing.T) {
	t.Parallel()
	box, client := start(t, sandbox.Options{})
	ctx := t.Context()
	if err := client.Probe(ctx); err != nil {
		t.Fatal(err)
	}
	metas, err := client.ContactFields(ctx)
	if err != nil || len(metas) != 49+len(sandbox.DefaultCustomFields()) {
		t.Fatalf("%d fields, %v", len(metas), err)
	}
	tier := metas[slices.IndexFunc(metas, func(m freshmarketer.FieldMeta) bool { return m.Name == "cf_plan_tier" })]
	if tier.Label != "Plan tier" || tier.Default || len(tier.Choices) != 3 || tier.Choices[1].Value != "Growth" {
		t.Errorf("got %+v", tier)
	}

	created, err := client.UpsertContact(ctx, "external_id", "ключ-1", freshmarketer.ContactWrite{
		Fields: fields{"email": "zoë.müller@bücher.test", "first_name": "Zoë", "city": "İstanbul"},
		Custom: fields{"cf_plan_tier": "Growth", "cf_interests": []string{"Sailing", "Music"}, "cf_seq": 1},
	})
	if err != nil || created.ExternalID != "ключ-1" || created.Email != "zoë.müller@bücher.test" || string(created.Custom["cf_interests"]) != `"Sailing;Music"` {
		t.Fatalf("got %+v, %v", created, err)
	}
	updated, err := client.UpdateContact(ctx, created.ID, freshmarketer.ContactWrite{
		Fields: fields{"email": "zoe@x.test", "city": nil}, Custom: fields{"cf_seq": 2, "cf_plan_tier": nil},
	})
	if err != nil || updated.ID != created.ID || updated.Email != "zoe@x.test" || string(updated.Fields["city"]) != "null" {
		t.Fatalf("got %+v, %v", updated, err)
	}
	read, err := client.GetContact(ctx, created.ID)
	if diff := cmp.Diff(updated, read); diff != "" || err != nil {
		t.Errorf("read differs from what the update answered: %v\n%s", err, diff)
	}
	found, err := client.LookupContacts(ctx, "external_id", "ключ-1")
	if err != nil || len(found) != 1 || found[0].ID != created.ID {
		t.Errorf("lookup: got %+v, %v", found, err)
	}
	if none, err := client.LookupContacts(ctx, "email", "zoë.müller@bücher.test"); err != nil || len(none) != 0 {
		t.Errorf("lookup of the old address: got %+v, %v", none, err)
	}
	if err := client.DeleteContact(ctx, created.ID); err != nil {
		t.Errorf("delete: %v", err)
	}
	if _, err := client.GetContact(ctx, created.ID); freshmarketer.KindOf(err) != freshmarketer.KindGone {
		t.Errorf("read after delete: got %v, want kind gone", err)
	}
	var ops []string
	for _, call := range box.Calls() {
		ops = append(ops, call.Operation)
	}
	want := []string{
		freshmarketer.OpContactFilters, freshmarketer.OpContactFields, freshmarketer.OpUpsertContact, freshmarketer.OpUpdateContact,
		freshmarketer.OpGetContact, freshmarketer.OpLookupContacts, freshmarketer.OpLookupContacts, freshmarketer.OpDeleteContact, freshmarketer.OpGetContact,
	}
	if diff := cmp.Diff(want, ops); diff != "" {
		t.Errorf("operations (-client +sandbox):\n%s", diff)
	}
}

// What the sandbox refuses arrives as the right kind, and names its field where the account speaks English.
func TestRefusalsArriveAsKinds(t *testing.T) {
	t.Parallel()
	write := func(f fields) freshmarketer.ContactWrite { return freshmarketer.ContactWrite{Fields: f} }
	tests := []struct {
		name     string
		language sandbox.Language
		change   fields
		kind     freshmarketer.Kind
		field    string
		text     string
	}{
		{"email taken", sandbox.English, fields{"email": "ann@x.test"}, freshmarketer.KindConflict, "email", "[email] already exists."},
		{"email taken, Dutch", sandbox.Dutch, fields{"email": "ann@x.test"}, freshmarketer.KindInvalid, "email", "[email] bestaat al."},
		{"mobile taken", sandbox.English, fields{"mobile_number": "+1 415 555 0102"}, freshmarketer.KindConflict, "mobile_number", "MobileNumber is not unique"},
		{"external id taken", sandbox.English, fields{"external_id": "u-1"}, freshmarketer.KindConflict, "external_id", "ExternalId is not unique"},
		{"bad email", sandbox.English, fields{"email": "no address"}, freshmarketer.KindInvalid, "email", "[value] is an invalid email address."},
		{"bad zone", sandbox.English, fields{"time_zone": "Europe/Berlin"}, freshmarketer.KindInvalid, "time_zone", "Not a supported time zone"},
		{"bad stage, Spanish", sandbox.Spanish, fields{"lifecycle_stage_id": 1}, freshmarketer.KindInvalid, "lifecycle_stage_id", "Se proporcionó un valor no válido para lifecycle stage."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			box, client := start(t, sandbox.Options{Language: tt.language})
			if _, err := box.Add(map[string]any{"email": "Ann@x.test", "mobile_number": "+14155550102", "external_id": "u-1"}); err != nil {
				t.Fatal(err)
			}
			other, err := client.UpsertContact(t.Context(), "emails", "bob@x.test", write(nil))
			if err != nil {
				t.Fatal(err)
			}
			_, err = client.UpdateContact(t.Context(), other.ID, write(tt.change))
			var e *freshmarketer.Error
			if !errors.As(err, &e) || e.Kind != tt.kind || e.Field != tt.field || e.Text != tt.text || e.Status != 400 {
				t.Errorf("got %+v, want kind %s, field %q, text %q", e, tt.kind, tt.field, tt.text)
			}
		})
	}
}

func TestKeyTrouble(t *testing.T) {
	t.Parallel()
	_, cfg := sandboxtest.Start(t, sandbox.Options{APIKeys: []string{"one"}, ReadOnlyKeys: []string{"reader"}})
	for key, want := range map[string]freshmarketer.Kind{"one": "", "two": freshmarketer.KindAuth, "reader": freshmarketer.KindPermission} {
		cfg.APIKey = key
		client, err := freshmarketer.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.UpsertContact(t.Context(), "emails", "a@x.test", freshmarketer.ContactWrite{})
		if freshmarketer.KindOf(err) != want {
			t.Errorf("key %s: got %v, want kind %q", key, err, want)
		}
	}
}

// A whole conversation on fake time: a stall, the client's timeout, Retry-After, success.
func TestInsideABubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		box, client := start(t, sandbox.Options{})
		for _, fault := range []sandbox.Fault{
			{Next: 1, Delay: time.Hour},
			{Next: 1, Status: 429, Headers: map[string]string{"Retry-After": "8"}},
		} {
			if err := box.AddFault(fault); err != nil {
				t.Fatal(err)
			}
		}
		begin := time.Now()
		if err := client.Probe(t.Context()); freshmarketer.KindOf(err) != freshmarketer.KindTemporary || time.Since(begin) != freshmarketer.DefaultTimeout {
			t.Errorf("got %v after %s, want kind temporary after %s", err, time.Since(begin), freshmarketer.DefaultTimeout)
		}
		var e *freshmarketer.Error
		if err := client.Probe(t.Context()); !errors.As(err, &e) || e.RetryAfter != 8*time.Second {
			t.Errorf("got %v, want to be told to wait 8s", err)
		}
		if err := client.Probe(t.Context()); err != nil {
			t.Errorf("got %v, want success", err)
		}
	})
}

func TestListener(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		listener := sandboxtest.Listen()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := listener.Dial(ctx, "", ""); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("nobody accepts: got %v, want the deadline", err)
		}
		if err := errors.Join(listener.Close(), listener.Close()); err != nil {
			t.Errorf("closing twice: %v", err)
		}
		if _, err := listener.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept after Close: got %v", err)
		}
		if _, err := listener.Client().Get("http://anywhere.test/"); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Dial after Close: got %v", err)
		}
	})
}

func TestServeServesAnyHandler(t *testing.T) {
	t.Parallel()
	client := sandboxtest.Serve(t, http.RedirectHandler("/there", http.StatusSeeOther))
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Get("http://any.test/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusSeeOther {
		t.Errorf("got %d", resp.StatusCode)
	}
}
