package house_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/freshrelay/freshrelay/admin"
	"github.com/freshrelay/freshrelay/app"
	"github.com/freshrelay/freshrelay/app/config"
	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/ingest"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/worker"
)

var update = flag.Bool("update", false, "write the tables of docs/errors.md")

// TestDocsConfigurationListsEveryKey compares the table with what the program knows, defaults included.
func TestDocsConfigurationListsEveryKey(t *testing.T) {
	t.Parallel()
	rows := tableRows(t, "docs/configuration.md")
	defaults := config.Defaults()
	defaults.Sources = config.SandboxDefaults().Sources
	text, err := yaml.Marshal(defaults)
	if err != nil {
		t.Fatal(err)
	}
	var tree map[string]any
	if err := yaml.Unmarshal(text, &tree); err != nil {
		t.Fatal(err)
	}
	keys := map[string]string{}
	flatten(keys, "", tree)
	if len(keys) < 20 {
		t.Fatalf("found only %d keys", len(keys))
	}
	for key, value := range keys {
		row, ok := rows[key]
		if !ok {
			t.Errorf("docs/configuration.md says nothing about %s", key)
			continue
		}
		env := "FRESHRELAY_" + strings.ToUpper(strings.NewReplacer("[]", "_0", ".", "_").Replace(key))
		if !strings.Contains(row, "`"+env+"`") {
			t.Errorf("docs/configuration.md: the row of %s does not name %s", key, env)
		}
		if value != "" && !strings.Contains(row, "`"+value+"`") {
			t.Errorf("docs/configuration.md: the row of %s does not name the default %s", key, value)
		}
	}
	for key := range rows {
		if _, ok := keys[key]; !ok && regexp.MustCompile(`^[a-z_.\[\]]+$`).MatchString(key) {
			t.Errorf("docs/configuration.md has a row for %s, which is no key", key)
		}
	}
}

// flatten turns the tree into dotted keys with their default; lists become name[].
func flatten(into map[string]string, at string, v any) {
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 0 {
			into[at] = ""
		}
		for name, inner := range v {
			flatten(into, strings.TrimPrefix(at+"."+name, "."), inner)
		}
	case []any:
		if len(v) == 0 {
			into[at] = ""
		}
		for _, inner := range v {
			if group, ok := inner.(map[string]any); ok {
				flatten(into, at+"[]", group)
			} else {
				into[at] = ""
			}
		}
	default:
		value := ""
		if v != nil {
			value = fmt.Sprint(v)
		}
		// Durations as people write them: 15m0s is 15m, 168h0m0s is 168h.
		if strings.HasSuffix(value, "m0s") {
			value = strings.TrimSuffix(value, "0s")
		}
		if strings.HasSuffix(value, "h0m") {
			value = strings.TrimSuffix(value, "0m")
		}
		if strings.Contains(at, "[]") {
			value = "" // a sandbox value, not a default
		}
		into[at] = value
	}
}

// TestDocsErrorsSaysWhatAdminSays keeps the sentences in one place: the tables of the page are written from package admin.
func TestDocsErrorsSaysWhatAdminSays(t *testing.T) { // not parallel: with -update it writes what others read
	const file = "docs/errors.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	reasons := map[admin.About][]string{
		admin.AboutDead:    metrics.Reasons(metrics.OutcomeDead),
		admin.AboutPause:   metrics.Pauses(),
		admin.AboutDiscard: append(texts(mapping.DiscardReasons()), "by_operator", "expired", "not_live"),
		admin.AboutWaiting: worker.WaitReasons(),
		admin.AboutLeftOut: append(texts(mapping.LeftOutReasons()), "sent_not_stored", "email_conflict"),
	}
	table := regexp.MustCompile(`(?s)(<!-- ([a-z_]+): [^\n]*\n).*?(<!-- end -->)`)
	found := 0
	want := table.ReplaceAllStringFunc(string(text), func(part string) string {
		m := table.FindStringSubmatch(part)
		var out strings.Builder
		out.WriteString(m[1] + "| Reason | Meaning | Mend |\n|---|---|---|\n")
		for _, reason := range reasons[admin.About(m[2])] {
			if reason == metrics.Other {
				continue
			}
			found++
			advice := admin.Advise(admin.About(m[2]), reason)
			fmt.Fprintf(&out, "| `%s` | %s | %s |\n", reason, sentence(advice.Meaning), strings.ReplaceAll(advice.Mend, "<", "&lt;"))
		}
		out.WriteString(m[3])
		return out.String()
	})
	if found < 30 {
		t.Fatalf("found tables for only %d reasons", found)
	}
	if want == string(text) {
		return
	}
	if !*update {
		t.Fatalf("%s is not what package admin says; run: go test -run TestDocsErrors -update .", file)
	}
	if err := os.WriteFile(file, []byte(want), 0o600); err != nil {
		t.Fatal(err)
	}
}

func texts(reasons []mapping.Reason) []string {
	out := make([]string, len(reasons))
	for i, r := range reasons {
		out[i] = string(r)
	}
	return out
}

// sentence begins with a capital and ends with a full stop; trait reasons are clauses, for a line after the trait's name.
func sentence(s string) string {
	if first, _, _ := strings.Cut(s, " "); !strings.Contains(first, ".") { // mapping.traits stays as it is
		s = strings.ToUpper(s[:1]) + s[1:]
	}
	return strings.TrimSuffix(s, ".") + "."
}

// TestDocsErrorsListsEveryRefusalAndKind compares the hand-written tables with the closed lists.
func TestDocsErrorsListsEveryRefusalAndKind(t *testing.T) {
	t.Parallel()
	rows := tableRows(t, "docs/errors.md")
	known := append([]string{
		metrics.RejectedMalformed, metrics.RejectedInvalid, metrics.RejectedUnauthorized, metrics.RejectedSignature,
		metrics.RejectedTooLarge, metrics.RejectedEncoding, metrics.RejectedNotFound, metrics.RejectedMethod,
		metrics.RejectedAborted, metrics.RejectedRateLimited, metrics.RejectedOverloaded, metrics.RejectedFull, metrics.RejectedUnavailable,
	}, ingest.DropReasons()...)
	for _, kind := range []freshmarketer.Kind{
		freshmarketer.KindAuth, freshmarketer.KindPermission, freshmarketer.KindThrottled, freshmarketer.KindConflict,
		freshmarketer.KindInvalid, freshmarketer.KindGone, freshmarketer.KindMisrouted, freshmarketer.KindTemporary,
		freshmarketer.KindCanceled, freshmarketer.KindUnknown, freshmarketer.KindUnsupported,
	} {
		known = append(known, string(kind))
	}
	for _, reason := range known {
		if _, ok := rows[reason]; !ok {
			t.Errorf("docs/errors.md says nothing about %s", reason)
		}
	}
}

// tableRows returns the rows of all tables of a page whose first cell is a word in backticks, by that word.
func tableRows(t *testing.T, file string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if cells := strings.SplitN(line, "`", 3); len(cells) == 3 && cells[0] == "| " {
			rows[cells[1]] = line
		}
	}
	if len(rows) == 0 {
		t.Fatalf("%s has no tables", file)
	}
	return rows
}

// TestDocsReadmeSaysOfEachCallWhatCheckSays: one line for each type, in the words of the program, for a configuration that
// says nothing about calls.
func TestDocsReadmeSaysOfEachCallWhatCheckSays(t *testing.T) {
	t.Parallel()
	cfg := config.Defaults()
	cfg.Sources = []config.Source{{Name: "website", WriteKeys: []config.Secret{"wk_of_the_test"}}}
	rows := tableRows(t, "README.md")
	types := 0
	for _, f := range app.CallFates(cfg) {
		if f.Which != "" {
			continue
		}
		types++
		if want := fmt.Sprintf("| `%s` | %s | %s |\n", f.Type, f.Fate, f.Switch); rows[f.Type] != want {
			t.Errorf("README.md says of %s calls\n%swant\n%s", f.Type, rows[f.Type], want)
		}
	}
	if types != 7 {
		t.Errorf("%d types of call", types)
	}
}

// TestDocsExampleConfigurationLoads reads examples/freshrelay.yaml as the program would, with secrets in place of its files.
func TestDocsExampleConfigurationLoads(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("examples/freshrelay.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	const secrets = "/run/secrets"
	if !strings.Contains(string(text), secrets) {
		t.Fatalf("the example no longer keeps its secrets in %s", secrets)
	}
	for _, name := range []string{"freshmarketer", "website-write-keys", "website-webhook-secret"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("secret-of-"+name+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "freshrelay.yaml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), secrets, dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := config.Load(config.Options{Path: file, Environ: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	if want := config.Defaults(); got.Retry != want.Retry || got.Log != want.Log || got.NATS != want.NATS ||
		got.Listen != want.Listen || got.Admin != want.Admin || !cmp.Equal(got.Delivery, want.Delivery) || got.Freshmarketer.Quota != want.Freshmarketer.Quota || got.DataDir != want.DataDir {
		t.Errorf("the example shows other values than the defaults it promises:\n%s", got)
	}
	if len(got.Sources) != 1 || len(got.Sources[0].WriteKeys) != 1 || len(got.Sources[0].WebhookSecrets) != 1 || got.Freshmarketer.APIKey == "" {
		t.Errorf("the example does not read its secret files:\n%s", got)
	}
}

// TestDocsContractNamesTestsThatExist keeps the promise that each promise has a test.
func TestDocsContractNamesTestsThatExist(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("docs/contract.md")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile("`(Test[A-Za-z0-9]+)`").FindAllStringSubmatch(string(text), -1)
	if len(names) < 10 {
		t.Fatalf("docs/contract.md names only %d tests", len(names))
	}
	files, err := filepath.Glob("*/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	deeper, err := filepath.Glob("*/*/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, deeper...)
	var code strings.Builder
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		code.Write(source)
	}
	for _, name := range names {
		if !strings.Contains(code.String(), "func "+name[1]+"(t *testing.T)") {
			t.Errorf("docs/contract.md names %s, and there is no such test", name[1])
		}
	}
}
