package config

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// hidden stands for a secret wherever a configuration is shown.
const hidden = "[set]"

// Secret is a string that shows itself to nobody who does not ask by name: every way of printing, marshalling or
// logging it gives "[set]", or "" if there is none. string(s) is the value.
type Secret string

// String implements fmt.Stringer.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// Format implements fmt.Formatter, so that no verb, not even %x or %#v, gives the value away.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// MarshalText implements encoding.TextMarshaler; JSON and YAML use it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Reveal returns the values of secrets, for handing them to the code that compares them.
func Reveal(secrets []Secret) []string {
	out := make([]string, len(secrets))
	for i, s := range secrets {
		out[i] = string(s)
	}
	return out
}

// YAML returns the configuration as a YAML file would state it, with secrets as "[set]".
func (c Config) YAML() ([]byte, error) {
	b, err := yaml.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("write the configuration as YAML: %w", err)
	}
	return b, nil
}

// String returns the YAML, secrets hidden.
func (c Config) String() string {
	b, err := c.YAML()
	if err != nil {
		return err.Error()
	}
	return string(b)
}
