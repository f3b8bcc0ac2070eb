package config

import (
	"fmt"
	"math"
)

// minCalls is what a window of the quota must leave us: one change takes several calls. The workers refuse less.
const minCalls = 10

// validateQuota refuses a quota with which nothing could be sent.
func validateQuota(q Quota, p *problems) {
	const at = "freshmarketer.quota."
	if q.Reserve < 0 || q.Reserve >= 1 {
		p.add(at+"reserve", quoted(q.Reserve), "is not a part of the quota", "use 0 to below 1; 0.1 keeps a tenth for people and other integrations")
		return
	}
	for key, limit := range map[string]int{at + "per_hour": q.PerHour, at + "per_minute": q.PerMinute} {
		switch ours := limit - int(math.Ceil(float64(limit)*q.Reserve-1e-9)); {
		case limit < 0:
			p.add(key, quoted(limit), "is below 0", "say how many calls the plan gives, or 0 for no limit of ours")
		case limit > 0 && ours < minCalls:
			p.add(key, quoted(limit), fmt.Sprintf("leaves us %d calls after the reserve, and one change can take several", ours),
				fmt.Sprintf("leave at least %d, or use 0 for no limit of ours", minCalls))
		}
	}
}

// validateMode checks who is to be written.
func validateMode(d Delivery, p *problems) {
	oneOf("delivery.mode", d.Mode, p, ModeLive, ModeCanary, ModeObserve)
	if d.Mode == ModeCanary && len(d.Canary) == 0 && !p.has("delivery.canary") {
		p.add("delivery.canary", "[]", "is empty, so nobody would be written", "list the userIds to begin with, or use the mode observe")
	}
}
