package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The lists stand a step deeper than a source's other keys; the environment names them all the same.
func TestForwardFromTheEnvironment(t *testing.T) {
	t.Parallel()
	cfg := mustLoad(t, good, "FRESHRELAY_SOURCES_0_FORWARD_TRACK=Order Completed, Trial Started", "FRESHRELAY_SOURCES_0_FORWARD_PAGE=*",
		"FRESHRELAY_ACTIVITIES_TYPE=Task", "FRESHRELAY_ACTIVITIES_OWNER=jane@example.com")
	want := Forward{Track: []string{"Order Completed", "Trial Started"}, Page: []string{ForwardAll}}
	if diff := cmp.Diff(want, cfg.Sources[0].Forward); diff != "" || !cfg.Forwards() {
		t.Error(diff)
	}
	if mustLoad(t, good).Forwards() {
		t.Error("something is forwarded without being named")
	}
}
