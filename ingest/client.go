package ingest

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// forwardedHeader lists the addresses a request came by, each written by the proxy that it reached, behind what was
// already there: whatever stands left of the entry of a trusted proxy is hearsay.
const forwardedHeader = "X-Forwarded-For"

// checkProxies refuses networks that no address would be found in, or every address.
func checkProxies(proxies []netip.Prefix) error {
	for _, p := range proxies {
		if !p.IsValid() || p.Bits() == 0 || p.Addr().Is4In6() {
			return fmt.Errorf("ingest: trusted proxies %s: use a network like 10.0.0.0/8 or 2001:db8::/32, that of your proxies alone", p)
		}
	}
	return nil
}

// client is the address that sent a request, as far as somebody trustworthy saw it: that of the peer, or, if the peer is
// a trusted proxy, the right-most of X-Forwarded-For that is not one itself. What is not an address ends the search, and
// then the last trusted one on the way is the answer. It is invalid if the connection has no address, as of a socket
// file. Zones are left out, because behind the % a header may say anything.
func (h *Handler) client(r *http.Request) netip.Addr {
	seen := parseAddr(r.RemoteAddr)
	for _, hops := range slices.Backward(r.Header.Values(forwardedHeader)) {
		for rest := hops; rest != ""; {
			if !h.trusts(seen) {
				return seen
			}
			at := strings.LastIndexByte(rest, ',')
			entry := strings.TrimSpace(rest[at+1:])
			rest = rest[:max(at, 0)]
			if entry == "" { // lists may have holes (RFC 9110, "Lists")
				continue
			}
			addr := parseAddr(entry)
			if !addr.IsValid() {
				return seen
			}
			seen = addr
		}
	}
	return seen
}

func (h *Handler) trusts(addr netip.Addr) bool {
	for _, p := range h.proxies {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// parseAddr reads an address with or without a port, and an IPv6 address in brackets or bare: some proxies write the
// port too. It is invalid if s is none.
// Source: documentation of Azure Application Gateway (the port).
func parseAddr(s string) netip.Addr {
	addr, err := netip.ParseAddr(s)
	if err != nil {
		var withPort netip.AddrPort
		if withPort, err = netip.ParseAddrPort(s); err == nil {
			addr = withPort.Addr()
		} else if inner, ok := strings.CutPrefix(s, "["); ok && strings.HasSuffix(inner, "]") {
			addr, _ = netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		}
	}
	return addr.Unmap().WithZone("")
}
