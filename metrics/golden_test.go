package metrics

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
)

var update = flag.Bool("update", false, "write the tables of docs/metrics.md")

const goldenPage = "../docs/metrics.md"

// TestGolden keeps names, types, labels and help texts: dashboards and alerts are written against them, ours and those of
// others. The page is the golden list.
func TestGolden(t *testing.T) {
	families, err := everything(t).registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	keep(t, "metrics", metricRows(families))
}

// TestGoldenLabels keeps the closed lists: an alert on a reason must notice when the reason is called otherwise.
func TestGoldenLabels(t *testing.T) {
	keep(t, "labels", labelRows(closedLists()))
}

func metricRows(families []*dto.MetricFamily) []string {
	rows := []string{"| Metric | Type | Labels | Meaning |", "|---|---|---|---|"}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), namespace+"_") {
			continue
		}
		var labels []string
		for _, pair := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, "`"+pair.GetName()+"`")
		}
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s | %s |",
			f.GetName(), strings.ToLower(f.GetType().String()), strings.Join(labels, " "), f.GetHelp()))
	}
	return rows
}

func labelRows(l lists) []string {
	var reasons []string
	for _, outcome := range l.outcomes {
		if outcome != OutcomeDelivered && outcome != Other {
			reasons = append(reasons, l.reasons[outcome]...)
		}
	}
	slices.Sort(reasons)
	rows := []string{"| Label | Of | Values |", "|---|---|---|"}
	for _, row := range []struct {
		label, of string
		values    []string
	}{
		{"type", "events_received_total, events_total", l.types},
		{"outcome", "events_total", l.outcomes},
		{"reason", "events_total, dead_letters", slices.Compact(reasons)},
		{"reason", "requests_rejected_total", l.rejections},
		{"reason", "paused, holds_total", l.pauses},
		{"result", "request_duration_seconds", l.results},
		{"way", "attempts_total", l.ways},
		{"outcome", "attempts_total", l.attempts},
		{"outcome", "bulk_jobs_total", l.bulks},
		{"write", "store_repeats_total", l.writes},
		{"operation", "api_requests_total", l.operations},
		{"window", "quota_*", l.windows},
		{"stream", "store_bytes, store_limit_bytes", l.streams},
		{"level", "log_lines_total", l.levels},
	} {
		rows = append(rows, fmt.Sprintf("| `%s` | %s | `%s` |", row.label, row.of, strings.Join(row.values, "` `")))
	}
	return rows
}

// keep compares the rows with those between the page's two marks, or writes them there.
func keep(t *testing.T, mark string, rows []string) {
	t.Helper()
	text, err := os.ReadFile(goldenPage)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- "+mark+": go test ./metrics -update -->\n", "<!-- end of "+mark+" -->"
	before, rest, found := strings.Cut(string(text), begin)
	kept, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no marks of %s", goldenPage, mark)
	}
	got := "\n" + strings.Join(rows, "\n") + "\n\n"
	if *update {
		if err := os.WriteFile(goldenPage, []byte(before+begin+got+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(kept, got); diff != "" {
		t.Errorf("the metrics changed, and dashboards and alerts depend on them. If that is meant: go test ./metrics -update, and a line in CHANGELOG.md.\n%s", diff)
	}
}
