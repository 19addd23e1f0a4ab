package imapd

// Unauthenticate answers UNAUTHENTICATE (RFC 8437): the connection is as before
// its sign-in, with as much time for another.
func (s *session) Unauthenticate() error {
	s.enter()
	defer s.leave()
	s.signOut()
	g := s.guard
	g.signedIn, g.recheck, g.utf8, g.quota = false, nil, nil, nil
	g.begin()
	return nil
}

// signOut gives back what the sign-in holds. The caller holds s.mu.
func (s *session) signOut() {
	s.closeView()
	if s.account != nil {
		s.account.Close()
		s.account = nil
	}
	if s.opened != nil {
		s.unwatch()
		s.opened.Keys.Wipe()
		s.srv.limits.signOut(s.opened.Account, s.guard.addr)
		s.opened = nil
	}
}
