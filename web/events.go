package web

import (
	"net/http"
	"sync"
	"time"

	"pli/mailbox"
	"pli/signin"
	"pli/store"
)

// streams is the open event streams: they end with their session.
type streams struct {
	places
	mu   sync.Mutex
	open map[string]*streamsOf // by session token
}

// streamsOf is the streams of one session; each channel closes when it ends.
type streamsOf struct {
	session *signin.Session
	over    map[chan struct{}]bool
}

// begin takes a place for a stream; the channel closes when the session ends.
func (s *streams) begin(session *signin.Session) (chan struct{}, error) {
	token := session.Token
	if err := s.take(token); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[string]*streamsOf{}
	}
	if s.open[token] == nil {
		s.open[token] = &streamsOf{session, map[chan struct{}]bool{}}
	}
	over := make(chan struct{})
	s.open[token].over[over] = true
	return over, nil
}

// leave gives a stream's place back.
func (s *streams) leave(token string, over chan struct{}) {
	s.give(token)
	s.mu.Lock()
	defer s.mu.Unlock()
	if of := s.open[token]; of != nil {
		if delete(of.over, over); len(of.over) == 0 {
			delete(s.open, token)
		}
	}
}

// end closes every stream of a session.
func (s *streams) end(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if of := s.open[token]; of != nil {
		for over := range of.over {
			close(over)
		}
		delete(s.open, token)
	}
}

// of adds to list the sessions of an account that have streams.
func (s *streams) of(account store.Owner, list map[string]*signin.Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for token, of := range s.open {
		if of.session.Account == account {
			list[token] = of.session
		}
	}
}

// streamLife is how long an event stream lives: less long than an idle session,
// so that the browser asks for the next one, and is then asked who it is.
const streamLife = 10 * time.Minute

// events tells an open page that a message has arrived: server-sent events,
// with nothing of the message in them. At each beat the stream asks whether its
// session goes on.
func (v *visit) events() error {
	over, err := v.streams.begin(v.session)
	if err != nil {
		return err
	}
	defer v.streams.leave(v.session.Token, over)
	wake, cancel := v.Hub.Subscribe(v.session.Account)
	defer cancel()
	last, err := v.inboxNext()
	if err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(v.w)
	beat, end := time.NewTicker(v.StreamBeat), time.NewTimer(streamLife)
	defer beat.Stop()
	defer end.Stop()
	line := "retry: 5000\n\n"
	for {
		v.moreTime(v.StreamBeat + time.Minute)
		if line != "" {
			if _, err := v.w.Write([]byte(line)); err != nil {
				return nil
			}
			if err := out.Flush(); err != nil {
				return nil
			}
		}
		select {
		case <-wake: // something changed; only an arrival is news
			line = ""
			next, err := v.inboxNext()
			if err != nil {
				return nil
			}
			if next != last {
				last, line = next, "event: mail\ndata: new\n\n"
			}
		case <-beat.C:
			if !v.stillThere() {
				return nil
			}
			line = ": still here\n\n"
		case <-end.C:
			return nil
		case <-over:
			return nil
		case <-v.r.Context().Done():
			return nil
		}
	}
}

// inboxNext returns what moves when a message arrives in the inbox.
func (v *visit) inboxNext() (mailbox.UID, error) {
	d, err := v.open()
	if err != nil {
		return 0, err
	}
	defer d.Close()
	box, err := d.Box(v.r.Context(), mailbox.Inbox)
	return box.UIDNext, err
}

// alive answers a page in which somebody writes: the session goes on.
func (v *visit) alive() error {
	v.w.WriteHeader(http.StatusNoContent)
	return nil
}

// moreTime moves the connection's deadlines to life from now.
func (v *visit) moreTime(life time.Duration) {
	c := http.NewResponseController(v.w)
	_ = c.SetReadDeadline(v.Now().Add(life))
	_ = c.SetWriteDeadline(v.Now().Add(life))
}
