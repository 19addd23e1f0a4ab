package web

import (
	"pli/signin"
	"pli/store"
)

// forget ends what is open here for a session that has ended.
func (s *Server) forget(token string) {
	s.streams.end(token)
	s.holds.end(token)
	s.known.forget(token)
}

// forgetEnded is forget for those of an account's sessions that are no more.
func (s *Server) forgetEnded(account store.Owner) {
	open := map[string]*signin.Session{}
	s.streams.of(account, open)
	s.holds.of(account, open)
	there := s.Signin.Sessions(account)
	for token, session := range open {
		if !among(there, session) {
			s.forget(token)
		}
	}
}

// stillThere reports whether the visit's session goes on, without counting as
// a use of it.
func (v *visit) stillThere() bool { return among(v.Signin.Sessions(v.session.Account), v.session) }

// among reports whether a session is in the list of its account's: a list
// names no tokens, but no two sessions of an account begin at one moment.
func among(list []signin.Device, session *signin.Session) bool {
	for _, d := range list {
		if d.Started.Equal(session.Started) {
			return true
		}
	}
	return false
}
