package config

import (
	"fmt"
	"net/netip"
)

func readNetworks(v any) ([]netip.Prefix, error) { return readItems(v, readNetwork) }

// readNetwork reads a network (10.0.0.0/8) or a single address. It wants a network by its first address: of 10.1.2.3/8
// nobody can say whether all of it is meant, and too much trust is not noticed.
func readNetwork(v any) (netip.Prefix, error) {
	s, err := readText(v)
	if err != nil {
		return netip.Prefix{}, err
	}
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	network, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return netip.Prefix{}, &badValue{fmt.Sprintf("has an entry that is no network: %s", quoted(s)), "write networks or addresses, like [10.0.0.0/8, 192.0.2.7]"}
	case network.Addr().Is4In6():
		return netip.Prefix{}, &badValue{fmt.Sprintf("has an IPv4 network in IPv6 form: %s", quoted(s)), "write it like 10.0.0.0/8"}
	case network != network.Masked():
		return netip.Prefix{}, &badValue{
			fmt.Sprintf("has an address with the size of a network: %s", quoted(s)),
			fmt.Sprintf("write %s for all of it, or %s for the address alone", network.Masked(), network.Addr()),
		}
	}
	return network, nil
}

func validateProxies(proxies []netip.Prefix, p *problems) {
	for _, network := range proxies {
		if network.Bits() == 0 {
			p.add("trusted_proxies", quoted(network), "trusts everybody, so every sender could choose the address we see",
				"name the networks of your proxies alone")
			return
		}
	}
}
