package deploy_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// around are the labels that a scrape or a rule adds to those of a metric.
var around = []string{"job", "instance", "role", "alertname", "alertstate", "severity"}

// foreign are the metrics that are not ours, with the labels we use of them.
var foreign = map[string][]string{
	"up": nil, "ALERTS": nil, "process_start_time_seconds": nil, "process_resident_memory_bytes": nil, "process_cpu_seconds_total": nil,
	"process_open_fds": nil, "go_goroutines": nil,
}

// TestQueriesAskForMetricsThatExist parses every expression of rules and dashboards and compares names and labels with
// the golden list: a metric that is renamed leaves no dark panel and no alert that can never fire.
func TestQueriesAskForMetricsThatExist(t *testing.T) {
	t.Parallel()
	known := knownMetrics(t)
	n := 0
	for _, r := range allRules(t) {
		n++
		for _, problem := range queryProblems(known, r.Expr) {
			t.Errorf("%s%s: %s", r.Alert, r.Record, problem)
		}
	}
	for _, q := range allQueries(t) {
		n++
		for _, problem := range queryProblems(known, q.concrete()) {
			t.Errorf("%s: %s", q.where, problem)
		}
	}
	if n < 150 {
		t.Errorf("only %d expressions found", n)
	}
}

// TestQueryProblems tries what must and must not be found.
func TestQueryProblems(t *testing.T) {
	t.Parallel()
	known := knownMetrics(t)
	for expr, ok := range map[string]bool{
		`sum by (reason) (freshrelay_paused{job="x"})`:                                                  true,
		`histogram_quantile(0.9, sum by (le) (rate(freshrelay_delivery_lag_seconds_bucket[5m])))`:       true,
		`freshrelay_request_duration_seconds_count{result="stored"}`:                                    true,
		`job:freshrelay_pending_events:sum`:                                                             true,
		`freshrelay_pausd`:                                                                              false,
		`freshrelay_paused{cause="x"}`:                                                                  false,
		`sum by (cause) (freshrelay_paused)`:                                                            false,
		`freshrelay_paused_bucket`:                                                                      false,
		`rate(freshrelay_paused[5m])`:                                                                   false, // a gauge
		`freshrelay_events_total > 5`:                                                                   false, // a counter by itself
		`sum by (job) (rate(freshrelay_events_total{outcome="deliverd"}[5m]))`:                          false,
		`sum(rate(freshrelay_events_total[5m])`:                                                         false,
		`freshrelay_paused == on (cause) freshrelay_ready`:                                              false,
		`sum by (job) (increase(freshrelay_events_total{reason=~"missing_email|missing_usr_id"}[1h]))`:  false,
		`job:freshrelay_pending_event:sum`:                                                              false,
		`sum by (job) (increase(freshrelay_events_total{reason=~"missing_email|missing_user_id"}[1h]))`: true,
		`max by (job, instance) (freshrelay_ready) and on (instance) (freshrelay_partition_owned == 1)`: true,
	} {
		if problems := queryProblems(known, expr); (len(problems) == 0) != ok {
			t.Errorf("%s: %q, want problems: %v", expr, problems, !ok)
		}
	}
}

type knowledge struct {
	metrics  map[string]metric
	records  map[string]bool
	recorded []string            // labels of recorded series
	values   map[string][]string // of labels with a closed list
}

func knownMetrics(t *testing.T) knowledge {
	t.Helper()
	k := knowledge{golden(t), map[string]bool{}, nil, labelValues(t)}
	for _, r := range allRules(t) {
		if r.Record != "" {
			k.records[r.Record] = true
		}
	}
	k.recorded = []string{"outcome", "source", "stream"}
	return k
}

// labelValues reads the second table of docs/metrics.md. Lists of one label that belong to several metrics are put together.
func labelValues(t *testing.T) map[string][]string {
	t.Helper()
	_, table, _ := strings.Cut(read(t, "../docs/metrics.md"), "<!-- labels:")
	values := map[string][]string{}
	for line := range strings.SplitSeq(table, "\n") {
		cells := strings.Split(line, "|")
		if len(cells) == 5 && strings.HasPrefix(strings.TrimSpace(cells[1]), "`") {
			label := strings.Trim(cells[1], " `")
			values[label] = append(values[label], strings.Fields(strings.ReplaceAll(cells[3], "`", " "))...)
		}
	}
	if len(values) < 8 {
		t.Fatalf("docs/metrics.md: values of only %d labels found", len(values))
	}
	return values
}

// queryProblems says what an expression asks for that does not exist.
func queryProblems(k knowledge, expr string) (problems []string) {
	root, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		return []string{fmt.Sprintf("%v in %s", err, expr)}
	}
	say := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	allowed := append(slices.Clone(around), "le")
	grouped := map[string]bool{}
	parser.Inspect(root, func(node parser.Node, path []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			m, ok := k.find(n.Name)
			if !ok {
				say("there is no metric %s", n.Name)
				return nil
			}
			allowed = append(allowed, m.labels...)
			for _, match := range n.LabelMatchers {
				if match.Name != model.MetricNameLabel && !slices.Contains(append(m.labels, around...), match.Name) && match.Name != "le" {
					say("%s has no label %s", n.Name, match.Name)
				}
				problems = append(problems, k.strangeValues(match)...)
			}
			if m.typ == "counter" != counted(path) && m.typ != "" {
				say("%s is a %s: rate and increase are for counters, and counters are for them", n.Name, m.typ)
			}
		case *parser.AggregateExpr:
			for _, l := range n.Grouping {
				grouped[l] = true
			}
		case *parser.BinaryExpr:
			if n.VectorMatching != nil {
				for _, l := range n.VectorMatching.MatchingLabels {
					grouped[l] = true
				}
			}
		}
		return nil
	})
	for l := range grouped {
		if !slices.Contains(allowed, l) {
			say("it groups by %s, which none of its metrics has", l)
		}
	}
	return problems
}

// find returns what is known of a metric; the type is "" where nothing is asked of its use.
func (k knowledge) find(name string) (metric, bool) {
	if k.records[name] {
		return metric{"", k.recorded}, true
	}
	if l, ok := foreign[name]; ok {
		return metric{"", l}, true
	}
	if m, ok := k.metrics[name]; ok {
		return m, m.typ != "histogram"
	}
	for _, suffix := range []string{"_bucket", "_count", "_sum"} {
		if m, ok := k.metrics[strings.TrimSuffix(name, suffix)]; ok && strings.HasSuffix(name, suffix) && m.typ == "histogram" {
			return metric{"", m.labels}, true
		}
	}
	return metric{}, false
}

// strangeValues are those that a label of a closed list never has.
func (k knowledge) strangeValues(match *labels.Matcher) (problems []string) {
	closed := k.values[match.Name]
	if closed == nil || strings.ContainsAny(match.Value, ".*+[(") {
		return nil
	}
	for value := range strings.SplitSeq(match.Value, "|") {
		if value != "" && !slices.Contains(closed, value) {
			problems = append(problems, fmt.Sprintf("%s is never %q", match.Name, value))
		}
	}
	return problems
}

// counted says whether the selector's values are only used as a counter's.
func counted(path []parser.Node) bool {
	for _, node := range path {
		if call, ok := node.(*parser.Call); ok && slices.Contains([]string{"rate", "increase", "irate"}, call.Func.Name) {
			return true
		}
	}
	return false
}

// query is an expression of a dashboard.
type query struct{ where, expr string }

// concrete puts values in for Grafana's variables.
func (q query) concrete() string {
	return strings.NewReplacer("$__rate_interval", "1m", "$__range", "1h", "$source", ".*", "$instance", ".*").Replace(q.expr)
}

func allQueries(t *testing.T) (all []query) {
	t.Helper()
	for _, name := range glob(t, "grafana/dashboards/*.json") {
		var d dashboard
		if err := json.Unmarshal([]byte(read(t, name)), &d); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				all = append(all, query{filepath.Base(name) + ": " + p.Title + " " + target.RefID, target.Expr})
			}
		}
		for _, a := range d.Annotations.List {
			all = append(all, query{filepath.Base(name) + ": annotation " + a.Name, a.Expr})
		}
	}
	return all
}
