package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// said is a command line in a page: in code between backticks, or at the beginning of a line of a block.
var said = regexp.MustCompile("(?m)`(?:\\./bin/)?freshrelay ([^`]+)`|^[ \t$]*(?:[A-Z_]+=\\S+ )*(?:\\./bin/)?freshrelay ([^\n]+)$")

// commandLines are the command lines of a page, without remarks.
func commandLines(text string) []string {
	var lines []string
	for _, m := range said.FindAllStringSubmatch(text, -1) {
		line := m[1] + m[2]
		line, _, _ = strings.Cut(line, " # ")
		line, _, _ = strings.Cut(line, "   ")
		line, _, _ = strings.Cut(line, " | ")
		line, _, _ = strings.Cut(line, " > ")
		line, _, _ = strings.Cut(line, " < ")
		lines = append(lines, strings.TrimRight(strings.TrimSpace(line), ".,;:\\&"))
	}
	return lines
}

// notCommands are sentences that begin a line with the program's name, and lists of commands in one.
var notCommands = regexp.MustCompile(`^[a-z]+( [a-z]+)?\|| \||…|^(is|has|takes|asks|will|does|says|keeps|reads|writes|recognises|knows|names|and|waits|answers|cannot|orders|itself|can) `)

// TestPagesNameCommandsThatExist parses every command line in README and docs: a command, a flag or a value that is not there fails.
func TestPagesNameCommandsThatExist(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, page := range append(pages, "../../README.md", "../../SECURITY.md", "../../CONTRIBUTING.md", "../../CHANGELOG.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range commandLines(string(text)) {
			if line == "" || notCommands.MatchString(line) {
				continue
			}
			seen++
			if problem := parses(line); problem != "" {
				t.Errorf("%s: freshrelay %s: %s", filepath.Base(page), line, problem)
			}
		}
	}
	if seen < 50 {
		t.Errorf("only %d command lines were found", seen)
	}
}

// parses says what is wrong with a command line. Arguments may be missing: a page may speak of a command.
func parses(line string) string {
	p := &program{stdout: io.Discard, stderr: io.Discard}
	var c cli
	var helped bool
	parser, err := p.parser(&c, &helped)
	if err != nil {
		return err.Error()
	}
	args := wordsOf(line)
	for i, arg := range args {
		if strings.HasPrefix(arg, "<") || arg == "N" {
			args[i] = "1"
		}
	}
	if _, err := parser.Parse(args); err != nil && !helped && !strings.HasPrefix(err.Error(), "expected ") && !strings.Contains(err.Error(), "missing ") {
		return err.Error()
	}
	return ""
}

func TestPagesWithAWrongCommandAreFound(t *testing.T) {
	t.Parallel()
	for line, good := range map[string]bool{
		"status": true, "status -o json": true, "dlq show": true, "dlq replay --all --yes": true, "serve --role ingest": true,
		"statas": false, "dlq reply": false, "dlq replay --everything": false, "serve --role everything": false, "status now": false,
	} {
		if problem := parses(line); (problem == "") != good {
			t.Errorf("%s: %q", line, problem)
		}
	}
	lines := commandLines("Use `freshrelay status -o json`, then:\n\n    freshrelay dlq list --group   # by cause\n    A=b ./bin/freshrelay serve\n")
	if strings.Join(lines, ";") != "status -o json;dlq list --group;serve" {
		t.Errorf("found %q", lines)
	}
}
