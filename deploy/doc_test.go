// Package deploy_test checks what is shipped beside the program: rules, dashboards, compose file, Dockerfile, broker
// configuration, unit.
//
// It is a module of its own, because it parses with the parsers of Prometheus, Compose and NATS, and the product's go.mod
// should not grow by them. What needs promtool or Prometheus itself is skipped without them; `make prometheus` fetches both.
package deploy_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// readYAML decodes strictly: a key that is spelled wrong is an error.
func readYAML(t *testing.T, name string, into any) {
	t.Helper()
	dec := yaml.NewDecoder(strings.NewReader(read(t, name)))
	dec.KnownFields(true)
	if err := dec.Decode(into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: no files, %v", pattern, err)
	}
	return names
}

// tool finds a program that `make prometheus` has fetched, or that the machine has. Without it the test is skipped.
func tool(t *testing.T, name string) string {
	t.Helper()
	fetched, err := filepath.Abs(filepath.Join("..", "bin", "prometheus", name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(fetched); err == nil {
		return fetched
	}
	found, err := exec.LookPath(name)
	if errors.Is(err, exec.ErrNotFound) {
		t.Skipf("SKIPPED: no %s on this machine; make prometheus fetches it from Debian", name)
	}
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// metric is a line of the golden list.
type metric struct {
	typ    string
	labels []string
}

var goldenRow = regexp.MustCompile("(?m)^\\| `(freshrelay_[a-z_]+)` \\| (\\w+) \\| ([^|]*) \\|")

// golden reads docs/metrics.md, which package metrics keeps equal to the program.
func golden(t *testing.T) map[string]metric {
	t.Helper()
	list := map[string]metric{}
	for _, row := range goldenRow.FindAllStringSubmatch(read(t, "../docs/metrics.md"), -1) {
		list[row[1]] = metric{row[2], strings.Fields(strings.ReplaceAll(row[3], "`", " "))}
	}
	if len(list) < 30 {
		t.Fatalf("docs/metrics.md: only %d metrics found", len(list))
	}
	return list
}

// rules are the parts of a rule file that the tests look at.
type ruleFile struct {
	Groups []struct {
		Name  string
		Rules []rule
	}
}

type rule struct {
	Record, Alert, Expr, For string
	Labels, Annotations      map[string]string
}

func allRules(t *testing.T) (all []rule) {
	t.Helper()
	for _, name := range glob(t, "prometheus/rules/*.yml") {
		var file ruleFile
		readYAML(t, name, &file)
		for _, g := range file.Groups {
			all = append(all, g.Rules...)
		}
	}
	return all
}
