package instance

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"pli/store"
)

// leaseLife is how long a store that other machines can reach is left to an
// instance that gives no sign of life.
const leaseLife = 15 * time.Second

const leaseOwner = store.Owner("sys/lease")

var keyLease = []byte("lease")

var (
	// errLeased is told when another instance serves the store.
	errLeased = errors.New("another pli serves this store")
	// errLost is told when another has taken over from this one.
	errLost = errors.New("the lease was taken by another instance while the store could not be reached from here, or the store was replaced")
	// errReplaced is told to who waits when what was seen is there no more.
	errReplaced = errors.New("the store that was waited for has been replaced, by an empty one or one that is being restored: start again when it is whole")
)

// lease sees to it that one instance at a time serves a store: sessions of one
// account share what they know of it in memory. Where the store is a folder its
// own lock does that; a database can be reached from several machines, of which
// the others wait. The holder's beat changes as long as it lives. Whoever waits
// watches it by a clock of its own, so that clocks need not agree.
type lease struct {
	db   store.DB
	seat string // one to a folder; its lock proves that no other process has it
	turn string // of this process: folders are copied
	host string
	life time.Duration
	log  *slog.Logger
	lock *os.File
	lost chan struct{} // closed when another has taken the lease

	standby bool // waits for as long as another lives

	stop  context.CancelFunc // of the signs of life; nil before begin
	ended chan struct{}
}

// held is the record of who has the lease.
type held struct {
	Seat string `cbor:"1,keyasint"`
	Host string `cbor:"2,keyasint"`
	Beat uint64 `cbor:"3,keyasint"`
	Free bool   `cbor:"4,keyasint,omitempty"`
	Turn string `cbor:"5,keyasint,omitempty"`
}

// takeLease waits until nobody else serves the store: for the life of a lease
// whose holder has gone. While its holder lives the error is errLeased, or, on
// standby, it waits on.
func takeLease(ctx context.Context, db store.DB, dir string, life time.Duration, standby bool, log *slog.Logger) (*lease, error) {
	l := &lease{db: db, life: life, standby: standby, log: log, turn: token(), lost: make(chan struct{})}
	l.host, _ = os.Hostname()
	if err := l.sit(dir); err != nil {
		return nil, err
	}
	if err := l.wait(ctx); err != nil {
		return nil, errors.Join(err, l.lock.Close())
	}
	return l, nil
}

// sit locks the folder and reads the name of its seat, or makes one.
func (l *lease) sit(dir string) (err error) {
	path := filepath.Join(dir, "seat")
	if l.lock, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			l.lock.Close()
		}
	}()
	if err := syscall.Flock(int(l.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("another pli runs on this folder (%s is locked)", path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if l.seat = strings.TrimSpace(string(b)); l.seat != "" {
		return nil
	}
	l.seat = token()
	_, err = l.lock.WriteString(l.seat + "\n")
	return errors.Join(err, l.lock.Sync())
}

func token() string {
	var id [16]byte
	rand.Read(id[:])
	return hex.EncodeToString(id[:])
}

// wait takes the lease at once if it is free or this seat's own, else when its
// beat has not changed for its life. A seat that was copied to another machine
// is another's.
func (l *lease) wait(ctx context.Context) error {
	var seen held
	since := time.Now()
	for {
		gone := seen.Seat != "" && time.Since(since) >= l.life
		now, err := l.try(ctx, func(h held) bool {
			if h.Seat == "" {
				return seen.Seat == ""
			}
			return h.Free || h.Seat == l.seat && h.Host == l.host || gone && h.Beat == seen.Beat
		})
		switch {
		case errors.Is(err, errLeased) && now.Seat == "":
			return errReplaced
		case errors.Is(err, errLeased):
		case l.standby && errors.Is(err, store.ErrUnavailable):
			now = seen // the engine is away for its holder too
			since = time.Now()
		default:
			return err
		}
		switch {
		case seen.Seat == "":
			l.log.Info("another instance serves the store, or did; waiting whether it lives", "host", now.Host, "for", l.life)
			seen, since = now, time.Now()
		case now.Beat != seen.Beat && !l.standby:
			return fmt.Errorf("%w, on %s: stop that one first, or wait for it with «pli serve --standby»", errLeased, now.Host)
		case now.Beat != seen.Beat:
			seen, since = now, time.Now()
		}
		if err := sleep(ctx, l.life/10); err != nil {
			return err
		}
	}
}

// try writes the next beat if may says so of what is there, the zero value if
// there is nothing, else returns that with errLeased.
func (l *lease) try(ctx context.Context, may func(held) bool) (now held, err error) {
	err = l.db.Update(ctx, leaseOwner, func(tx store.Tx) error {
		h, err := store.Load[held](tx, keyLease)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if now = h; !may(h) {
			return errLeased
		}
		return store.Save(tx, keyLease, held{Seat: l.seat, Host: l.host, Beat: h.Beat + 1, Turn: l.turn})
	})
	return now, err
}

// begin gives signs of life until release: whoever has the store open, to serve
// it or for one operation, has it alone.
func (l *lease) begin() {
	ctx, stop := context.WithCancel(context.Background())
	l.stop, l.ended = stop, make(chan struct{})
	go func() {
		defer close(l.ended)
		l.live(ctx)
	}()
}

// live gives signs of life until the context ends, or another has the lease. An
// engine that is away is waited for.
func (l *lease) live(ctx context.Context) {
	for sleep(ctx, l.life/5) == nil {
		_, err := l.try(ctx, func(h held) bool { return h.Seat == l.seat && h.Turn == l.turn && !h.Free })
		if errors.Is(err, errLeased) {
			close(l.lost)
			return
		}
		if err != nil && ctx.Err() == nil {
			l.log.Warn("the store does not answer", "error", err)
		}
	}
}

// keep returns errLost when the lease is lost, or the context's error.
func (l *lease) keep(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-l.lost:
		return errLost
	}
}

// release lets the next instance begin at once.
func (l *lease) release() error {
	if l.stop != nil {
		l.stop()
		<-l.ended
	}
	ctx, cancel := context.WithTimeout(context.Background(), l.life/3)
	defer cancel()
	err := l.db.Update(ctx, leaseOwner, func(tx store.Tx) error {
		h, err := store.Load[held](tx, keyLease)
		if err != nil || h.Seat != l.seat || h.Turn != l.turn {
			return err
		}
		h.Free = true
		return store.Save(tx, keyLease, h)
	})
	return errors.Join(err, l.lock.Close())
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
