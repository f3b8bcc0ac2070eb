package app

import "github.com/freshrelay/freshrelay/app/config"

// groupFate says what becomes of group calls.
func groupFate(c config.Config) string {
	if c.Group == config.GroupOff {
		return "stored and discarded (not_forwarded); group: account makes sales accounts of companies"
	}
	return "finds or makes the sales account by traits.name, and links the user's contact to it; group: off discards it"
}

// deleteFate says what becomes of delete calls.
func deleteFate(c config.Config) string {
	if !c.Deletion.Webhooks {
		return "stored and discarded (not_forwarded); deletion.webhooks: true erases the user; freshrelay forget always does"
	}
	if c.Deletion.Contact == config.ContactRecycleBin {
		return "erases the user here and moves the contact to the recycle bin; later calls are discarded (suppressed)"
	}
	return "erases the user here and the contact for good; later calls are discarded (suppressed)"
}

// aliasFate says what becomes of alias calls.
func aliasFate(c config.Config) string {
	if !c.Alias {
		return "stored and discarded (not_forwarded); alias: true gives the contact of the previousId to the userId"
	}
	return "the contact of the previousId gets the userId as its external id; alias: false discards it"
}
