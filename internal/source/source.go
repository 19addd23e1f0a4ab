// Package source says whom a connection counts against.
package source

import (
	"net"
	"net/netip"
)

// Of returns the IPv4 address of c's other end, or the first address of its
// IPv6 /64, which is what one subscriber is given. It is the zero address for
// a connection that has none, such as a pipe.
func Of(c net.Conn) netip.Addr {
	ap, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	a := ap.Addr().Unmap().WithZone("")
	if a.Is6() {
		p, _ := a.Prefix(64)
		return p.Addr()
	}
	return a
}
