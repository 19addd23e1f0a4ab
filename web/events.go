package web

import (
	"net/http"
	"sync"
	"time"

	"pli/internal/errs"
)

// streams counts the event streams, and ends those of a session that ends.
type streams struct {
	mu   sync.Mutex
	max  int
	all  int
	open map[string][]chan struct{} // by session token
}

// perSession is how many streams one session may hold: as many tabs.
const perSession = 8

// begin takes a place for a stream; the channel closes when the session ends.
func (s *streams) begin(token string) (<-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= s.max || len(s.open[token]) >= perSession {
		return nil, errs.New(errs.Unavailable, "too many event streams")
	}
	if s.open == nil {
		s.open = map[string][]chan struct{}{}
	}
	over := make(chan struct{})
	s.open[token] = append(s.open[token], over)
	s.all++
	return over, nil
}

// leave gives a stream's place back.
func (s *streams) leave(token string, over <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	list := s.open[token]
	for i, c := range list {
		if c == over {
			list = append(list[:i], list[i+1:]...)
			break
		}
	}
	if s.open[token] = list; len(list) == 0 {
		delete(s.open, token)
	}
}

// end closes every stream of a session.
func (s *streams) end(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.open[token] {
		close(c)
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

// events tells an open page that there is something new: server-sent events
// with no content of the message.
func (v *visit) events() error {
	over, err := v.streams.begin(v.session.Token)
	if err != nil {
		return err
	}
	defer v.streams.leave(v.session.Token, over)
	wake, cancel := v.Hub.Subscribe(v.session.Account)
	defer cancel()
	v.w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(v.w)
	beat := time.NewTicker(streamBeat)
	defer beat.Stop()
	end := time.NewTimer(streamLife)
	defer end.Stop()
	line := "retry: 5000\n\n"
	for {
		v.moreTime(2 * streamBeat)
		if _, err := v.w.Write([]byte(line)); err != nil {
			return nil
		}
		if err := out.Flush(); err != nil {
			return nil
		}
		select {
		case <-wake:
			line = "event: mail\ndata: new\n\n"
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

// alive answers a page in which somebody writes: the session goes on.
func (v *visit) alive() error {
	v.w.WriteHeader(http.StatusNoContent)
	return nil
}

// moreTime moves the connection's deadlines to life from now. A server without
// deadlines needs none.
func (v *visit) moreTime(life time.Duration) {
	c := http.NewResponseController(v.w)
	_ = c.SetReadDeadline(v.Now().Add(life))
	_ = c.SetWriteDeadline(v.Now().Add(life))
}
