package deploy_test

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// dashboard are the parts of a Grafana dashboard that the tests look at.
type dashboard struct {
	UID, Title    string
	SchemaVersion int
	Templating    struct {
		List []struct {
			Name, Definition string
			Datasource       datasource
		}
	}
	Annotations struct {
		List []struct{ Name, Expr string }
	}
	Panels []panel
}

type datasource struct{ Type, UID string }

type panel struct {
	ID          int
	Type, Title string
	Datasource  datasource
	GridPos     struct{ H, W, X, Y int }
	Targets     []struct {
		RefID, Expr string
		Datasource  datasource
	}
}

func TestDashboards(t *testing.T) {
	t.Parallel()
	var sources struct {
		APIVersion  int `yaml:"apiVersion"`
		Datasources []map[string]any
	}
	readYAML(t, "grafana/provisioning/datasources/prometheus.yml", &sources)
	source := datasource{"prometheus", sources.Datasources[0]["uid"].(string)}
	uids := map[string]bool{}
	for _, name := range glob(t, "grafana/dashboards/*.json") {
		var d dashboard
		if err := json.Unmarshal([]byte(read(t, name)), &d); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if d.UID == "" || uids[d.UID] || d.Title == "" || d.SchemaVersion == 0 {
			t.Errorf("%s: the uid %q must be its own, and title and schema version must be there", name, d.UID)
		}
		uids[d.UID] = true
		checkVariables(t, name, d, source)
		checkPanels(t, name, d, source)
	}
	for _, want := range []string{"overview", "delivery", "ingest", "dead-letters", "broker"} {
		if !uids["freshrelay-"+want] {
			t.Errorf("there is no dashboard %s", want)
		}
	}
}

var labelValuesOf = regexp.MustCompile(`^label_values\((\w+), (\w+)\)$`)

func checkVariables(t *testing.T, name string, d dashboard, source datasource) {
	t.Helper()
	list := golden(t)
	var names []string
	for _, v := range d.Templating.List {
		names = append(names, v.Name)
		of := labelValuesOf.FindStringSubmatch(v.Definition)
		if of == nil || list[of[1]].typ == "" || v.Datasource != source {
			t.Errorf("%s: the variable %s asks %q of %v", name, v.Name, v.Definition, v.Datasource)
		}
	}
	if got := strings.Join(names, " "); got != "source instance" {
		t.Errorf("%s has the variables %q", name, got)
	}
}

// checkPanels looks for panels that ask nobody, or lie on one another.
func checkPanels(t *testing.T, name string, d dashboard, source datasource) {
	t.Helper()
	taken := map[[2]int]string{}
	ids := map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("%s: two panels have the id %d", name, p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%s: %q lies on %q, or beside the page", name, p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Datasource != source || len(p.Targets) == 0 {
			t.Errorf("%s: %q has the datasource %v and %d queries", name, p.Title, p.Datasource, len(p.Targets))
		}
		for _, q := range p.Targets {
			if q.Datasource != source {
				t.Errorf("%s: a query of %q asks %v", name, p.Title, q.Datasource)
			}
		}
	}
}

// TestDashboardsAreProvisioned compares the folder that Grafana is told to read with the one that compose mounts there.
func TestDashboardsAreProvisioned(t *testing.T) {
	t.Parallel()
	var providers struct {
		APIVersion int `yaml:"apiVersion"`
		Providers  []struct {
			Name, Folder, Type string
			AllowUIUpdates     bool `yaml:"allowUiUpdates"`
			Options            struct{ Path string }
		}
	}
	readYAML(t, "grafana/provisioning/dashboards/freshrelay.yml", &providers)
	dashboards, err := filepath.Abs("grafana/dashboards")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range project(t, nil).Services["grafana"].Volumes {
		if v.Source == dashboards && v.Target == providers.Providers[0].Options.Path {
			return
		}
	}
	t.Errorf("nothing mounts %s at %s", dashboards, providers.Providers[0].Options.Path)
}
