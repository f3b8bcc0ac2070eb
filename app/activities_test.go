package app_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshrelay/freshrelay/app"
	"github.com/freshrelay/freshrelay/app/config"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

// checked runs a check of a configuration against a sandbox.
func checked(t *testing.T, forward, activities string) app.CheckReport {
	t.Helper()
	box, err := sandbox.New(sandbox.Options{APIKeys: []string{"key"}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(box.Handler())
	t.Cleanup(server.Close)
	dir := t.TempDir()
	file := filepath.Join(dir, "freshrelay.yaml")
	text := fmt.Sprintf("data_dir: %s\nlisten: 127.0.0.1:0\nadmin: {listen: 127.0.0.1:0}\nsources: [{name: website, write_keys: [wk_a], forward: %s}]\nactivities: %s\nfreshmarketer: {base_url: %q, api_key: key}\n",
		dir, forward, activities, server.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return app.Check(t.Context(), app.CheckOptions{Config: config.Options{Path: file, Environ: []string{}}, Version: "v0", HTTP: http.DefaultClient})
}

func TestCheckLooksForTypesAndOwnersOfActivities(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		forward, activities string
		want                []string // "level what"
	}{
		"nothing is forwarded": {"{}", "{}", nil},
		"all is well":          {"{track: [Order Completed]}", "{type: task, owner: Sandbox User}", []string{`ok the account has the type "task" and the owner`}},
		"everything": {`{track: ["*"], page: ["*"]}`, "{type: Task, owner: sandbox user}", []string{
			"warning website forwards every track call", "warning website forwards every page call", `ok the account has the type "Task"`,
		}},
		"no such types": {"{track: [A]}", "{type: Website visit, types: {A: Nonsense}, owner: Sandbox User}", []string{
			`problem activities.type: the account has no type of sales activities "Nonsense"`, `problem activities.type: the account has no type of sales activities "Website visit"`,
		}},
		"no such owner":     {"{page: [A]}", "{type: Task, owner: nobody@x.test}", []string{"problem activities.owner: the account has no user"}},
		"events":            {"{track: [A]}", "{as: event}", []string{"warning activities.as: event uses an address that Freshworks does not document"}},
		"no type":           {"{track: [A]}", "{owner: a}", []string{"problem activities.type"}},
		"a broken template": {"{}", `{title: "{{name"}`, []string{"problem activities.title"}},
		"no name":           {`{track: [" "]}`, "{type: Task, owner: a}", []string{"problem sources[0].forward.track"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, f := range checked(t, c.forward, c.activities).Findings {
				if f.Area == "activities" || f.Area == "configuration" && f.Level != app.LevelOK {
					got = append(got, f.Level+" "+f.What)
					if f.Level != app.LevelOK && f.Mend == "" {
						t.Errorf("no mend: %+v", f)
					}
				}
			}
			if len(got) != len(c.want) {
				t.Fatalf("findings %q", got)
			}
			for i, want := range c.want {
				if !strings.HasPrefix(got[i], want) {
					t.Errorf("%q, want %q …", got[i], want)
				}
			}
		})
	}
}

func TestCheckSaysWhatBecomesOfTrackAndPage(t *testing.T) {
	t.Parallel()
	fates := func(forward, activities string) map[string]string {
		out := map[string]string{}
		for _, f := range checked(t, forward, activities).Calls {
			out[strings.TrimSpace(f.Type+" "+f.Which)] = f.Fate + "; " + f.Switch
		}
		return out
	}
	off := fates("{}", "{}")
	on := fates("{track: [Order Completed]}", "{type: Task, owner: Sandbox User}")
	if !strings.Contains(off["track"], "sources[].forward.track") || !strings.Contains(off["page"], "sources[].forward.page") || !strings.Contains(off["screen"], "dropped") {
		t.Errorf("off: %q", off)
	}
	if !strings.Contains(on["track"], "type Task") || !strings.Contains(on["track"], "website: Order Completed") || on["page"] != off["page"] {
		t.Errorf("on: %q", on)
	}
}
