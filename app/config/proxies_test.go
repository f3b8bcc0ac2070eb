package config

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func sameNetwork() cmp.Option {
	return cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
}

func TestTrustedProxies(t *testing.T) {
	t.Parallel()
	want := []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.7/32"),
		netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("192.0.2.8/32"),
	}
	for name, c := range map[string]Config{
		"file":        mustLoad(t, good+`trusted_proxies: [10.0.0.0/8, 192.0.2.7, "2001:db8::/32", "::1", "::ffff:192.0.2.8"]`),
		"environment": mustLoad(t, good+"trusted_proxies: [1.1.1.1]", "FRESHRELAY_TRUSTED_PROXIES=10.0.0.0/8, 192.0.2.7,2001:db8::/32,::1,::ffff:192.0.2.8"),
	} {
		if diff := cmp.Diff(want, c.TrustedProxies, sameNetwork()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if got := mustLoad(t, good+"trusted_proxies: 10.0.0.1").TrustedProxies; len(got) != 1 || got[0].String() != "10.0.0.1/32" {
		t.Errorf("one alone: %v", got)
	}
	if got := mustLoad(t, good).TrustedProxies; len(got) != 0 {
		t.Errorf("somebody is trusted without being named: %v", got)
	}
}
