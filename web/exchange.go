package web

import (
	"sync"

	"pli/identity"
	"pli/mailbox"
	"pli/mailbox/message"
	"pli/mss"
	"pli/mss/directory"
	"pli/web/words"
)

// exchangeView is an exchange as pages show it.
type exchangeView struct {
	mss.Exchange
	Role      string
	Elsewhere bool // at another operator, where nothing can be sent yet
}

// exchanges lists whom the holder may write to, and who has ended it. Only a
// letter that arrives changes that: with the desk open, the list is asked for
// again when one has, so that reading does not fill the trace.
func (v *visit) exchanges(d *desk) ([]exchangeView, error) {
	var at mark
	if d != nil {
		box, err := d.Box(v.r.Context(), mailbox.Inbox)
		if err != nil {
			return nil, err
		}
		at = mark{box.UIDValidity, box.UIDNext, v.lang}
		if list, ok := v.known.get(v.session.Token, at); ok {
			return list, nil
		}
	}
	list, err := v.MSS.Exchanges(v.r.Context(), v.session.Actor, v.space())
	if err != nil {
		return nil, err
	}
	out := make([]exchangeView, len(list))
	for i, e := range list {
		out[i] = exchangeView{Exchange: e, Elsewhere: v.Directory.Kind(e.Mailbox.Domain()) != directory.Local}
		if m, err := v.Directory.Lookup(v.r.Context(), e.Mailbox); err == nil {
			out[i].Role = v.profession(m.Actor)
			if out[i].Name == "" {
				out[i].Name = m.Label
			}
		}
		if out[i].Name == "" {
			out[i].Name = e.Mailbox.String()
		}
	}
	if d != nil {
		v.known.put(v.session.Token, at, out)
	}
	return out, nil
}

// contact returns the exchange that an answer to a message would go to.
func (v *visit) contact(o *opened) (exchangeView, bool, error) {
	list, err := v.exchanges(o.desk)
	if err != nil {
		return exchangeView{}, false, err
	}
	// Reply-To first: the rules of the exchange say whether it counts, by
	// having opened it or not.
	env := o.Index.Envelope
	for _, a := range append(append([]message.Address(nil), env.ReplyTo...), env.From...) {
		addr, err := identity.ParseAddress(a.String())
		if err != nil {
			continue
		}
		for _, e := range list {
			if e.Mailbox.Key() == addr.Key() {
				return e, true, nil
			}
		}
	}
	return exchangeView{}, false, nil
}

// mark is a state of the inbox, which moves when a letter arrives, as told in
// a language.
type mark struct {
	validity uint32
	next     mailbox.UID
	lang     words.Lang
}

// known remembers each session's exchanges until its inbox moves.
type known struct {
	mu        sync.Mutex
	bySession map[string]remembered
}

type remembered struct {
	at   mark
	list []exchangeView
}

// maxKnown is how many sessions' exchanges are remembered; beyond it all are
// asked for again.
const maxKnown = 1000

func (k *known) get(token string, at mark) ([]exchangeView, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	r, ok := k.bySession[token]
	return r.list, ok && r.at == at
}

func (k *known) put(token string, at mark, list []exchangeView) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.bySession == nil || len(k.bySession) >= maxKnown {
		k.bySession = map[string]remembered{}
	}
	k.bySession[token] = remembered{at, list}
}

func (k *known) forget(token string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.bySession, token)
}
