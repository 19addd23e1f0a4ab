package smtpd

import (
	"errors"
	"net"
	"sync"
	"time"
)

// wire is a network connection that keeps time, below TLS: a phase has a
// deadline, and, while a message arrives, one that moves with every byte but
// no faster than the minimum rate allows. After a failed read nothing is read
// any more.
type wire struct {
	net.Conn
	limits *Limits
	now    func() time.Time

	mu     sync.Mutex
	kicked bool
	until  time.Time // the phase's deadline
	by     time.Time // when the client must have shown who it is; zero once it has
	idle   time.Duration
	began  time.Time // of the message that arrives
	got    int64     // bytes of it
	broken error
}

func newWire(c net.Conn, l *Limits, now func() time.Time) *wire {
	w := &wire{Conn: c, limits: l, now: now, by: now().Add(l.AuthTime)}
	w.phase(l.Handshake)
	return w
}

// phase begins something that must end within d.
func (w *wire) phase(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.idle, w.until = 0, w.now().Add(d)
	w.arm()
}

// awaitCommand begins the wait for one command.
func (w *wire) awaitCommand() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.idle, w.until = 0, w.now().Add(w.limits.CommandTimeout)
	w.arm()
}

// message begins the arrival of a message.
func (w *wire) message() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.idle, w.began, w.got = w.limits.DataTimeout, w.now(), 0
	w.move(w.began)
}

// more goes on with a message after the command that announced its next chunk.
func (w *wire) more() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.idle = w.limits.DataTimeout
	w.move(w.now())
}

// move sets the deadline of a message that arrives.
func (w *wire) move(now time.Time) {
	w.until = now.Add(w.idle)
	allowed := w.limits.RateGrace + time.Duration(float64(w.got)/float64(w.limits.MinRate)*float64(time.Second))
	if slow := w.began.Add(allowed); slow.Before(w.until) {
		w.until = slow
	}
	w.arm()
}

// known notes that the client has shown who it is.
func (w *wire) known() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.by = time.Time{}
}

// arm gives the connection its deadline.
func (w *wire) arm() {
	if w.idle == 0 && w.kicked { // no message is on its way
		w.until = time.Unix(1, 0) // long past, whatever the clock says
	}
	if !w.by.IsZero() && w.by.Before(w.until) {
		w.until = w.by
	}
	w.Conn.SetReadDeadline(w.until)
}

// kick ends a wait for a command or a handshake, now or as soon as one begins.
func (w *wire) kick() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kicked = true
	w.arm()
}

// Read reads within the phase's time.
func (w *wire) Read(p []byte) (int, error) {
	w.mu.Lock()
	err := w.broken
	w.mu.Unlock()
	if err != nil {
		return 0, err
	}
	n, err := w.Conn.Read(p)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.broken = err
	} else if w.idle > 0 {
		w.got += int64(n)
		w.move(w.now())
	}
	return n, err
}

// Write writes within the time that a reply may take.
func (w *wire) Write(p []byte) (int, error) {
	if err := w.Conn.SetWriteDeadline(w.now().Add(w.limits.WriteTimeout)); err != nil {
		return 0, err
	}
	return w.Conn.Write(p)
}

// SetReadDeadline does nothing: the phases are what counts.
func (w *wire) SetReadDeadline(time.Time) error { return nil }

// timedOut reports whether a failed read was one that took too long.
func timedOut(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
