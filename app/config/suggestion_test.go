package config

import "testing"

// TestNoWildGuesses: where nothing is near, the group's keys are listed.
func TestNoWildGuesses(t *testing.T) {
	t.Parallel()
	known := []string{"data_dir", "delivery.concurrency", "log.level", "retry.initial", "retry.max", "tls.cert_file"}
	for unknown, want := range map[string]string{
		"delivery.mode":       "these are known: delivery.concurrency",
		"retry.jitter_factor": "these are known: retry.initial, retry.max",
		"retry.initail":       "did you mean retry.initial?",
		"tls.cert":            "did you mean tls.cert_file?",
		"max":                 "did you mean retry.max?",
		"datadir":             "did you mean data_dir?",
	} {
		if got := suggestion("", unknown, known); got != want {
			t.Errorf("%s: %q, want %q", unknown, got, want)
		}
	}
}
