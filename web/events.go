package web

import (
	"net/http"
	"sync"
	"time"

	"pli/mailbox"
)

// streams is the open event streams: they end with their session.
type streams struct {
	places
	mu   sync.Mutex
	open map[string]map[chan struct{}]bool // by session token
}

// begin takes a place for a stream; the channel closes when the session ends.
func (s *streams) begin(token string) (chan struct{}, error) {
	if err := s.take(token); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[string]map[chan struct{}]bool{}
	}
	if s.open[token] == nil {
		s.open[token] = map[chan struct{}]bool{}
	}
	over := make(chan struct{})
	s.open[token][over] = true
	return over, nil
}

// leave gives a stream's place back.
func (s *streams) leave(token string, over chan struct{}) {
	s.give(token)
	s.mu.Lock()
	defer s.mu.Unlock()
	if delete(s.open[token], over); len(s.open[token]) == 0 {
		delete(s.open, token)
	}
}

// end closes every stream of a session.
func (s *streams) end(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for over := range s.open[token] {
		close(over)
	}
	delete(s.open, token)
}

// Times of an event stream. A stream lives less long than an idle session, so
// that none outlives its session unseen: the browser asks for the next one,
// and is then asked who it is.
const (
	streamBeat = 25 * time.Second
	streamLife = 10 * time.Minute
)

// events tells an open page that a message has arrived: server-sent events,
// with nothing of the message in them.
func (v *visit) events() error {
	over, err := v.streams.begin(v.session.Token)
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
	beat, end := time.NewTicker(streamBeat), time.NewTimer(streamLife)
	defer beat.Stop()
	defer end.Stop()
	line := "retry: 5000\n\n"
	for {
		v.moreTime(2 * streamBeat)
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
