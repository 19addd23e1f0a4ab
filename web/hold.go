package web

import (
	"sync"
	"time"

	"pli/internal/errs"
	"pli/mailbox"
	"pli/signin"
	"pli/store"
)

// holds keeps the mail of whoever is at the portal open between requests, so
// that each finds loaded what the one before has loaded. A hold is asked for
// nothing: every request opens the mail itself, and passes the gate for it.
type holds struct {
	max  int
	life time.Duration // without a request, after which a hold ends

	mu     sync.Mutex
	closed bool
	by     map[string]*hold // by session token
}

type hold struct {
	session *signin.Session
	mail    *mailbox.Account
	end     *time.Timer
}

// used gives a session's hold its whole life again, and reports whether there
// is one or no more room for one.
func (h *holds) used(token string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if k := h.by[token]; k != nil {
		k.end.Reset(h.life)
		return true
	}
	return h.closed || len(h.by) >= h.max
}

// keep takes an account over as a session's hold.
func (h *holds) keep(session *signin.Session, mail *mailbox.Account) {
	h.mu.Lock()
	defer h.mu.Unlock()
	token := session.Token
	if h.closed || len(h.by) >= h.max || h.by[token] != nil {
		mail.Close()
		return
	}
	if h.by == nil {
		h.by = map[string]*hold{}
	}
	h.by[token] = &hold{session, mail, time.AfterFunc(h.life, func() { h.end(token) })}
}

// end ends a session's hold.
func (h *holds) end(token string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if k := h.by[token]; k != nil {
		delete(h.by, token)
		k.end.Stop()
		k.mail.Close()
	}
}

// of adds to list the sessions of an account that have a hold.
func (h *holds) of(account store.Owner, list map[string]*signin.Session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for token, k := range h.by {
		if k.session.Account == account {
			list[token] = k.session
		}
	}
}

func (h *holds) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.by)
}

// close ends every hold; none is taken after it.
func (h *holds) close() {
	h.mu.Lock()
	h.closed = true
	var tokens []string
	for token := range h.by {
		tokens = append(tokens, token)
	}
	h.mu.Unlock()
	for _, token := range tokens {
		h.end(token)
	}
}

// hold keeps the visitor's mail open for a while. Where that fails the next
// request merely takes longer.
func (v *visit) hold() {
	if v.holds.used(v.session.Token) {
		return
	}
	mail, err := v.Mail.Open(v.r.Context(), v.session.Actor, v.session.Account, v.session.Keys)
	if err != nil {
		if errs.KindOf(err) == errs.Internal {
			v.Log.Warn("mail not held open", "err", err)
		}
		return
	}
	v.holds.keep(v.session, mail)
}
