package app

import (
	"fmt"
	"os"

	"github.com/freshrelay/freshrelay/app/config"
	"github.com/freshrelay/freshrelay/freshmarketer"
)

// newClient makes the client of the configured account; c has what the configuration does not say.
func newClient(fm config.Freshmarketer, c freshmarketer.Config) (*freshmarketer.Client, error) {
	var err error
	if fm.CAFile != "" {
		if c.CACerts, err = os.ReadFile(fm.CAFile); err != nil {
			return nil, fmt.Errorf("freshmarketer.ca_file: %w", err)
		}
	}
	c.Domain, c.BaseURL, c.APIKey, c.Proxy, c.Timeout = fm.Domain, fm.BaseURL, string(fm.APIKey), string(fm.Proxy), fm.Timeout
	client, err := freshmarketer.New(c)
	if err != nil {
		return nil, fmt.Errorf("freshmarketer: %w", err)
	}
	return client, nil
}
