package app_test

import (
	"testing"

	"github.com/freshrelay/freshrelay/app/config"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

// What an answer's headers say of the account's quota gets as far as the pool, and from there to the status.
func TestTheServiceBelievesTheHeadersOfAnswers(t *testing.T) {
	t.Parallel()
	p := startOn(t, sandbox.Options{PerHour: 200, LimitHeaders: true}, t.TempDir(), func(cfg *config.Config) {
		cfg.Freshmarketer.Quota = config.Quota{PerHour: 5000, PerMinute: 400, Reserve: 0.1}
	})
	if status, answer := p.post("/webhook/website", sample(t, "01")); status != 200 {
		t.Fatal(status, answer)
	}
	quota := p.drained().Quota
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	if len(quota) != 2 || quota[0].Limit != 5000 || quota[0].Left <= 0 || quota[0].Left > 180 {
		t.Errorf("the account has 200 calls an hour, 20 of them for people, and says so: %+v", quota)
	}
}
