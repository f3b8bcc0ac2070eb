package house_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDocsMappingShowsGoldenCases keeps the examples of docs/mapping.md what the mapping is tested with.
func TestDocsMappingShowsGoldenCases(t *testing.T) { // not parallel: with -update it writes what others read
	const file = "docs/mapping.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	example := regexp.MustCompile("(?s)(<!-- golden: ([a-z0-9-]+) -->\n```\n).*?(```\n)")
	found := 0
	want := example.ReplaceAllStringFunc(string(text), func(part string) string {
		m := example.FindStringSubmatch(part)
		golden, err := os.ReadFile(filepath.Join("mapping/testdata/golden", m[2]+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		found++
		return m[1] + shortCase(string(golden)) + m[3]
	})
	if n := strings.Count(string(text), "<!-- golden:"); found != n || n < 25 {
		t.Fatalf("%d examples, %d of them in their form", n, found)
	}
	if want == string(text) {
		return
	}
	if !*update {
		t.Fatalf("%s does not show the golden cases as they are; run: go test -run TestDocsMapping -update .", file)
	}
	if err := os.WriteFile(file, []byte(want), 0o600); err != nil {
		t.Fatal(err)
	}
}

// shortCase is a golden case without what it is about, which the page says, and without what is remembered.
func shortCase(text string) string {
	var b strings.Builder
	shown := false
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "-- "):
			shown = true
		case strings.HasPrefix(line, "record: "):
			shown = false
		}
		if shown {
			b.WriteString(line)
		}
	}
	return b.String()
}
