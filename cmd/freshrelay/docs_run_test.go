package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// elsewhere are commands that do not end, that make a store or a configuration, or that need servers; other tests run those.
var elsewhere = regexp.MustCompile(`^(serve|sandbox|migrate|init|check --public|events tail|--sandbox serve)`)

// incomplete is what is said of a command line that lacks what it is about: a page may speak of a command.
var incomplete = regexp.MustCompile(`expected |missing |it is not clear `)

// placeholders stand in command lines for what a reader fills in.
var placeholders = strings.NewReplacer(
	"<userId>", "user-1", "<id>", "unknown.1", "<messageId>", "message-1", "ID", "unknown.1", "FILE", "call.json", "FILE…", "call.json", "N", "1", "…", "",
)

// TestPagesCommandsRun runs every command line of README and docs against a service with calls in it. What a command answers is for
// other tests; here it must be one that the program understands and the service can answer.
func TestPagesCommandsRun(t *testing.T) {
	t.Parallel()
	w := &walk{t: t, dir: t.TempDir()}
	w.start("")
	t.Cleanup(func() { w.stop() })
	w.send(3)
	call := `{"type":"identify","userId":"user-1","messageId":"message-9","traits":{"email":"user-1@example.test","plan":"Gold"}}`
	for _, name := range []string{"call.json", "calls.json", "next.json", "identify.json", "fields.json", "record.json"} {
		writeFile(t, filepath.Join(w.dir, name), call)
	}
	lines := pageCommands(t)
	if len(lines) < 40 {
		t.Errorf("only %d different command lines were found", len(lines))
	}
	for _, line := range lines {
		if elsewhere.MatchString(line) {
			continue
		}
		got := w.run(wordsOf(placeholders.Replace(line))...)
		if got.code == exitUnreachable || got.code == exitUsage && !incomplete.MatchString(got.errOut) {
			t.Errorf("freshrelay %s: exit %d\n%s%s", line, got.code, got.out, got.errOut)
		}
	}
}

// pageCommands are the different command lines of README and docs, sorted.
func pageCommands(t *testing.T) []string {
	t.Helper()
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range commandLines(string(text)) {
			if line != "" && !notCommands.MatchString(line) {
				lines = append(lines, line)
			}
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

// wordsOf splits a command line as a shell would.
func wordsOf(line string) []string {
	words := regexp.MustCompile(`'[^']*'|"[^"]*"|\S+`).FindAllString(line, -1)
	for i, word := range words {
		words[i] = strings.Trim(word, `'"[]`)
	}
	return words
}
