package imapd

import (
	"net/netip"
	"sync"

	"pli/store"
)

// limits counts connections by address and by account.
type limits struct {
	max, maxSigningIn, maxAddr, maxNewAddr, maxAccount int

	mu       sync.Mutex
	open     int
	signedIn int
	addrs    map[netip.Addr]ofAddress
	accounts map[store.Owner]int
}

// ofAddress is what one address has.
type ofAddress struct{ open, signedIn int }

func newLimits(cfg Config) *limits {
	return &limits{
		max: cfg.MaxConnections, maxSigningIn: cfg.MaxSigningIn, maxAddr: cfg.MaxPerAddress, maxNewAddr: cfg.MaxNewPerAddr, maxAccount: cfg.MaxPerAccount,
		addrs: make(map[netip.Addr]ofAddress), accounts: make(map[store.Owner]int),
	}
}

// enter counts a connection, or says that there are too many.
func (l *limits) enter(addr netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.addrs[addr]
	if l.open >= l.max || l.open-l.signedIn >= l.maxSigningIn || a.open >= l.maxAddr || a.open-a.signedIn >= l.maxNewAddr {
		return false
	}
	l.open++
	a.open++
	l.addrs[addr] = a
	return true
}

func (l *limits) leave(addr netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	a := l.addrs[addr]
	if a.open--; a.open <= 0 {
		delete(l.addrs, addr)
		return
	}
	l.addrs[addr] = a
}

// signIn counts a session of an account, or says that there are too many.
func (l *limits) signIn(account store.Owner, addr netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.accounts[account] >= l.maxAccount {
		return false
	}
	l.accounts[account]++
	l.signedIn++
	a := l.addrs[addr]
	a.signedIn++
	l.addrs[addr] = a
	return true
}

// signOut is the end of a session, before its connection leaves.
func (l *limits) signOut(account store.Owner, addr netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.signedIn--
	a := l.addrs[addr]
	a.signedIn--
	l.addrs[addr] = a
	if l.accounts[account]--; l.accounts[account] <= 0 {
		delete(l.accounts, account)
	}
}

func (l *limits) stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Stats{Connections: l.open, SignedIn: l.signedIn}
}
