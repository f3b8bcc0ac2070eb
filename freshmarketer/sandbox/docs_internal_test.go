package sandbox

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// TestDocsNameEverySwitch: what a file of --faults can say is in docs/sandbox.md, and the page names no operation that
// is not there.
func TestDocsNameEverySwitch(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "sandbox.md"))
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, typ := range []reflect.Type{reflect.TypeFor[scriptJSON](), reflect.TypeFor[accountJSON](), reflect.TypeFor[faultJSON](), reflect.TypeFor[Field]()} {
		for field := range typ.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			keys = append(keys, name)
		}
	}
	if len(keys) < 40 {
		t.Fatalf("found only %d keys", len(keys))
	}
	for _, key := range append(keys, operations()...) {
		if !strings.Contains(string(text), "`"+key+"`") {
			t.Errorf("docs/sandbox.md says nothing about %s", key)
		}
	}
	// Whatever else Options has is for Go code, or a file could not say what a test can.
	goOnly := map[string]bool{"APIKeys": true, "StateFile": true, "Now": true, "CallLog": true, "History": true, "OnEffect": true}
	inFile := map[string]bool{"Seed": true, "Contacts": true, "Changes": true, "Faults": true}
	for field := range reflect.TypeFor[accountJSON]().Fields() {
		inFile[field.Name] = true
	}
	for field := range reflect.TypeFor[Options]().Fields() {
		if !goOnly[field.Name] && !inFile[field.Name] {
			t.Errorf("Options.%s cannot be said in a file", field.Name)
		}
	}
}
