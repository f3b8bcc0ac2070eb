package config

import "slices"

// What `serve --sandbox` uses. Everybody knows these, so they are refused everywhere else.
const (
	SandboxDataDir       = "./data-sandbox"
	SandboxSource        = "website"
	SandboxWriteKey      = "wk_website"
	SandboxWebhookSecret = "sandbox-secret"
	SandboxDomain        = "sandbox"
	SandboxAPIKey        = "sandbox-api-key"
)

// SandboxDefaults returns the defaults of `serve --sandbox`: complete without a file, with a data directory of its
// own, one source with a known key and secret, and the account of the built-in sandbox. BaseURL is "": where the
// sandbox listens is known only once it does.
func SandboxDefaults() Config {
	c := Defaults()
	c.DataDir = SandboxDataDir
	c.Freshmarketer.Quota = Quota{} // the sandbox has no plan; a file may still say one, to try it
	c.Sources = []Source{{
		Name:           SandboxSource,
		WriteKeys:      []Secret{SandboxWriteKey},
		WebhookSecrets: []Secret{SandboxWebhookSecret},
		Forward:        Forward{Track: []string{"Order Completed"}},
	}}
	c.Activities.Type, c.Activities.Owner = "Task", "Sandbox User" // which the sandbox has
	return Sandbox(c)
}

// Sandbox returns c with the built-in sandbox as its account, whatever account c named: a trial must never reach a
// real one. Sources, mapping and the rest stay, so that one's own configuration can be tried.
func Sandbox(c Config) Config {
	f := c.Freshmarketer
	c.Freshmarketer = Freshmarketer{Domain: SandboxDomain, APIKey: SandboxAPIKey, Proxy: ProxyNone, Timeout: f.Timeout, Quota: f.Quota, CustomFields: f.CustomFields}
	return c
}

// known reports whether the secret is one that this package publishes.
func (s Secret) known() bool {
	return slices.Contains([]Secret{SandboxWriteKey, SandboxWebhookSecret, SandboxAPIKey}, s)
}
