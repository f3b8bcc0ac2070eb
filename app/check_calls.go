package app

import "github.com/freshrelay/freshrelay/app/config"

// groupFate says what becomes of group calls.
func groupFate(c config.Config) string {
	if c.Group == config.GroupOff {
		return "stored and discarded (not_forwarded); group: account makes sales accounts of companies"
	}
	return "finds or makes the sales account by traits.name, and links the user's contact to it; group: off discards it"
}
