// Package house_test keeps the shape of the house without a linter: who may import whom, what a package may be called,
// and how long a file may grow. The same directions stand in .golangci.yml; change both or neither.
package house_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/freshrelay/freshrelay"

// rooms says for every room which of our packages its product code may import. A room is a top-level folder, or a folder
// that is listed here by itself; folders below a room belong to it, and a room may always import its own folders.
var rooms = map[string][]string{
	"failpoint":             {},
	"segment":               {},
	"queue":                 {"segment", "failpoint"},
	"mapping":               {"segment"},
	"freshmarketer":         {"segment"},
	"metrics":               {"segment"},
	"freshmarketer/sandbox": {}, // written from the API reference: it must not share our client's misunderstandings
	"ingest":                {"queue", "mapping", "freshmarketer", "metrics", "segment"},
	"worker":                {"queue", "mapping", "freshmarketer", "metrics", "segment", "failpoint"},
	"replay":                {"queue"},
	"admin":                 {"replay", "queue", "mapping", "freshmarketer", "metrics", "segment"},
	"app":                   {"ingest", "worker", "admin", "replay", "queue", "mapping", "freshmarketer", "freshmarketer/sandbox", "metrics", "segment"},
	"cmd":                   {"app", "admin", "freshmarketer/sandbox"},
	"examples":              {}, // like a user: they run the binary and speak HTTP
}

// outside says which parts of the outside world are reserved to one room.
var outside = map[string]string{
	"github.com/nats-io/":    "queue",
	"github.com/synadia-io/": "queue",
	"github.com/prometheus/": "metrics",
}

// impure is what the rooms that do no I/O may not import; a trailing slash means everything below.
var impure = []string{"net", "net/http", "net/http/", "net/rpc", "net/smtp", "os", "os/", "io/fs", "math/rand", "math/rand/", "go.uber.org/zap", "go.uber.org/zap/"}

var pure = []string{"mapping", "segment"}

// vague names say nothing about what is inside, so everything ends up there.
var vague = []string{"base", "common", "helper", "helpers", "misc", "pkg", "shared", "types", "util", "utils"}

// maxLines is where a file has surely become two concepts. The aim is 200.
const maxLines = 500

type pkg struct {
	ImportPath string
	Imports    []string // of product code; imports of tests are in fields we do not read
}

func TestHouseImportDirections(t *testing.T) {
	t.Parallel()
	for _, p := range listPackages(t) {
		for _, problem := range importProblems(p) {
			t.Error(problem)
		}
	}
}

func TestHousePackageNames(t *testing.T) {
	t.Parallel()
	for _, p := range listPackages(t) {
		rel := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		for part := range strings.SplitSeq(rel, "/") {
			if slices.Contains(vague, part) {
				t.Errorf("%s: %q says nothing about what is inside; name it after what it does", p.ImportPath, part)
			}
		}
	}
}

func TestHouseFileLengths(t *testing.T) {
	t.Parallel()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "bin" || d.Name() == "testdata" || name != "." && strings.HasPrefix(d.Name(), ".")) {
			return fs.SkipDir
		}
		if d.IsDir() || path.Ext(name) != ".go" {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if n := bytes.Count(text, []byte("\n")); n > maxLines {
			t.Errorf("%s has %d lines; split it at %d or before: one concept a file", name, n, maxLines)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestHouseRules tries the rules on imports that must and must not be found, so that a rule that sees nothing is noticed.
func TestHouseRules(t *testing.T) {
	t.Parallel()
	tests := []struct {
		from, imports string
		ok            bool
	}{
		{"app", module + "/worker", true},
		{"worker", module + "/queue", true},
		{"queue/inner", module + "/queue", true},
		{"queue", "github.com/nats-io/nats.go", true},
		{"metrics", "github.com/prometheus/client_golang/prometheus", true},
		{"mapping", "time", true},
		{"app", module + "/freshmarketer/sandbox", true},

		{"queue", module + "/worker", false},
		{"worker", module + "/ingest", false},
		{"mapping", module + "/queue", false},
		{"segment", module + "/mapping", false},
		{"freshmarketer/sandbox", module + "/freshmarketer", false},
		{"freshmarketer", module + "/freshmarketer/sandbox", false},
		{"worker", module + "/freshmarketer/sandbox", false},
		{"ingest", module + "/app", false},
		{"worker", "github.com/nats-io/nats.go/jetstream", false},
		{"admin", "github.com/prometheus/client_golang/prometheus/promhttp", false},
		{"mapping", "net/http", false},
		{"segment", "os", false},
		{"attic", "time", false},

		{"freshmarketer/sandbox/sandboxtest", module + "/freshmarketer", true},
		{"worker", module + "/freshmarketer/sandbox/sandboxtest", false},
		{"worker", "net/http/httptest", true},
	}
	for _, tt := range tests {
		p := pkg{ImportPath: module + "/" + tt.from, Imports: []string{tt.imports}}
		if got := importProblems(p); (len(got) == 0) != tt.ok {
			t.Errorf("%s imports %s: allowed = %v, want %v (%q)", tt.from, tt.imports, len(got) == 0, tt.ok, got)
		}
	}
}

// importProblems returns a sentence for every import of p that goes against the arrows.
func importProblems(p pkg) []string {
	if p.ImportPath == module {
		return nil // this test
	}
	var problems []string
	say := func(imported, why string) { problems = append(problems, p.ImportPath+" imports "+imported+": "+why) }

	if isTestSupport(p.ImportPath) {
		return nil
	}
	room := roomOf(p.ImportPath)
	if room == "" {
		return []string{p.ImportPath + " stands in no room; say in house_test.go and .golangci.yml what it may import"}
	}
	for _, imported := range p.Imports {
		if isTestSupport(imported) {
			say(imported, "that is for tests alone")
			continue
		}
		if imported == module || strings.HasPrefix(imported, module+"/") {
			if to := roomOf(imported); to != room && !slices.Contains(rooms[room], to) {
				say(imported, "arrows go down only; declare a small interface in "+room+" and let app fill it in")
			}
			continue
		}
		for prefix, owner := range outside {
			if strings.HasPrefix(imported, prefix) && room != owner {
				say(imported, "that is for "+owner+" alone; give "+owner+" a method and call that")
			}
		}
		if slices.Contains(pure, room) && slices.ContainsFunc(impure, func(i string) bool {
			return imported == i || strings.HasSuffix(i, "/") && strings.HasPrefix(imported, i)
		}) {
			say(imported, room+" does no I/O; do it further up and pass the result in")
		}
	}
	return problems
}

// isTestSupport says whether a package of ours is there for tests of several packages. Like a test it may import what it
// needs, and nothing but tests (and its like) may import it.
func isTestSupport(importPath string) bool {
	return strings.HasPrefix(importPath, module+"/") && strings.HasSuffix(importPath, "test")
}

// roomOf returns the room an import path of ours stands in: the longest match, "" if there is none.
func roomOf(importPath string) string {
	rel := strings.TrimPrefix(importPath, module+"/")
	for {
		if _, ok := rooms[rel]; ok {
			return rel
		}
		parent := path.Dir(rel)
		if parent == "." || parent == rel {
			return ""
		}
		rel = parent
	}
}

func listPackages(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatalf("go list: %v", err)
	}
	var packages []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		packages = append(packages, p)
	}
	if len(packages) == 0 {
		t.Fatal("go list found no packages")
	}
	return packages
}
