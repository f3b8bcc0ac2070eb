package deploy_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const runbooks = "https://github.com/freshrelay/freshrelay/blob/main/docs/operations.md#"

// TestAlertsAreComplete: who is woken is told what is the matter and where it says what to do.
func TestAlertsAreComplete(t *testing.T) {
	t.Parallel()
	page := read(t, "../docs/operations.md")
	names := map[string]bool{}
	for _, r := range allRules(t) {
		if r.Alert == "" {
			continue
		}
		if names[r.Alert] {
			t.Errorf("%s is there twice", r.Alert)
		}
		names[r.Alert] = true
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" || len(r.Annotations) != 3 {
			t.Errorf("%s needs a summary, a description and a runbook_url: %v", r.Alert, r.Annotations)
		}
		if want := runbooks + strings.ToLower(r.Alert); r.Annotations["runbook_url"] != want {
			t.Errorf("%s: runbook_url is %s, want %s", r.Alert, r.Annotations["runbook_url"], want)
		}
		if !strings.Contains(page, "\n### "+r.Alert+"\n") {
			t.Errorf("docs/operations.md has no chapter %s", r.Alert)
		}
		if !slices.Contains([]string{"page", "ticket", "none"}, r.Labels["severity"]) {
			t.Errorf("%s: severity %q", r.Alert, r.Labels["severity"])
		}
	}
	for _, chapter := range regexp.MustCompile(`(?m)^### (Freshrelay\w+)$`).FindAllStringSubmatch(page, -1) {
		if !names[chapter[1]] {
			t.Errorf("docs/operations.md has a chapter %s, and there is no such alert", chapter[1])
		}
	}
}

// ruleTest are the parts of a promtool test that the tests look at.
type ruleTest struct {
	RuleFiles          []string `yaml:"rule_files"`
	EvaluationInterval string   `yaml:"evaluation_interval"`
	Tests              []struct {
		Interval    string
		InputSeries []struct{ Series, Values string } `yaml:"input_series"`
		Expressions []struct {
			Expr       string
			EvalTime   string `yaml:"eval_time"`
			ExpSamples []struct {
				Labels string
				Value  float64
			} `yaml:"exp_samples"`
		} `yaml:"promql_expr_test"`
	}
}

// TestAlertsAreTestedBothWays: each alert has a test in which it fires and then no longer does. Whether they pass is
// promtool's to say.
func TestAlertsAreTestedBothWays(t *testing.T) {
	t.Parallel()
	fires, resolves := map[string]bool{}, map[string]bool{}
	for _, name := range glob(t, "prometheus/tests/*.test.yml") {
		var file ruleTest
		readYAML(t, name, &file)
		for _, test := range file.Tests {
			fired := map[string]bool{}
			for _, e := range test.Expressions {
				if len(e.ExpSamples) > 0 {
					fired[e.Expr], fires[e.Expr] = true, true
				} else if fired[e.Expr] {
					resolves[e.Expr] = true
				}
			}
		}
	}
	for _, r := range allRules(t) {
		if r.Alert == "" {
			continue
		}
		if expr := `ALERTS{alertname="` + r.Alert + `",alertstate="firing"}`; !fires[expr] || !resolves[expr] {
			t.Errorf("%s: a test where it fires: %v, and then resolves: %v", r.Alert, fires[expr], resolves[expr])
		}
	}
}

func TestPromtoolTestRules(t *testing.T) {
	t.Parallel()
	promtool := tool(t, "promtool")
	for _, name := range glob(t, "prometheus/tests/*.test.yml") {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			run(t, promtool, "test", "rules", name)
		})
	}
}

func TestPromtoolCheckConfig(t *testing.T) {
	t.Parallel()
	run(t, tool(t, "promtool"), "check", "config", "prometheus/prometheus.yml")
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		t.Errorf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
}
