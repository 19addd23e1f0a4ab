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

// errLeased is told when another instance serves the store.
var errLeased = errors.New("another pli serves this store")

// lease sees to it that one instance at a time serves a store: sessions of one
// account share what they know of it in memory. Where the store is a folder its
// own lock does that; a database can be reached from several machines, of which
// the others wait. The holder's beat changes as long as it lives. Whoever waits
// watches it by a clock of its own, so that clocks need not agree.
type lease struct {
	db   store.DB
	seat string // one to a folder; its lock proves that no other process has it
	life time.Duration
	log  *slog.Logger
	lock *os.File
	lost chan struct{} // closed when another has taken the lease

	standby bool // waits for as long as another lives
}

// held is the record of who has the lease.
type held struct {
	Seat string `cbor:"1,keyasint"`
	Host string `cbor:"2,keyasint"`
	Beat uint64 `cbor:"3,keyasint"`
	Free bool   `cbor:"4,keyasint,omitempty"`
}

// takeLease waits until nobody else serves the store: for the life of a lease
// whose holder has gone. While its holder lives the error is errLeased, or, on
// standby, it waits on.
func takeLease(ctx context.Context, db store.DB, dir string, life time.Duration, standby bool, log *slog.Logger) (*lease, error) {
	l := &lease{db: db, life: life, standby: standby, log: log, lost: make(chan struct{})}
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
	var id [16]byte
	rand.Read(id[:])
	l.seat = hex.EncodeToString(id[:])
	_, err = l.lock.WriteString(l.seat + "\n")
	return errors.Join(err, l.lock.Sync())
}

// wait takes the lease at once if it is free or this seat's own, else when its
// beat has not changed for its life.
func (l *lease) wait(ctx context.Context) error {
	var seen held
	since := time.Now()
	for {
		gone := seen.Seat != "" && time.Since(since) >= l.life
		now, err := l.try(ctx, func(h held) bool { return h.Free || h.Seat == l.seat || gone && h.Beat == seen.Beat })
		switch {
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

// try writes the next beat if may says so of what is there, else returns that
// with errLeased.
func (l *lease) try(ctx context.Context, may func(held) bool) (now held, err error) {
	host, _ := os.Hostname()
	err = l.db.Update(ctx, leaseOwner, func(tx store.Tx) error {
		h, err := store.Load[held](tx, keyLease)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if now = h; err == nil && !may(h) {
			return errLeased
		}
		return store.Save(tx, keyLease, held{Seat: l.seat, Host: host, Beat: h.Beat + 1})
	})
	return now, err
}

// keep gives signs of life until the context ends. An engine that is away is
// waited for; a lease that another has taken meanwhile is lost.
func (l *lease) keep(ctx context.Context) error {
	for {
		if err := sleep(ctx, l.life/5); err != nil {
			return err
		}
		_, err := l.try(ctx, func(h held) bool { return h.Seat == l.seat && !h.Free })
		if errors.Is(err, errLeased) {
			close(l.lost)
			return errors.New("the lease was taken by another instance while the store could not be reached from here")
		}
		if err != nil && ctx.Err() == nil {
			l.log.Warn("the store does not answer", "error", err)
		}
	}
}

// release lets the next instance begin at once.
func (l *lease) release() error {
	ctx, cancel := context.WithTimeout(context.Background(), l.life/3)
	defer cancel()
	err := l.db.Update(ctx, leaseOwner, func(tx store.Tx) error {
		h, err := store.Load[held](tx, keyLease)
		if err != nil || h.Seat != l.seat {
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
