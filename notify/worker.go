package notify

import (
	"context"
	"errors"
	"sync"
	"time"

	"pli/internal/errs"
	"pli/store"
)

// maxLook bounds how many due records one look asks for where most of them
// belong to other rooms.
const maxLook = 1 << 14

// maxStuck bounds how many records that cannot be read are remembered.
const maxStuck = 1 << 12

// worker is one run of an outbox.
type worker struct {
	*Outbox
	mu    sync.Mutex
	stuck map[string]time.Time // owner and key of what the store does not give, until when it rests
}

// Run sends what is due until ctx ends, lets what is being sent end, and
// returns ctx's error.
func (o *Outbox) Run(ctx context.Context) error {
	w := &worker{Outbox: o, stuck: make(map[string]time.Time)}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-o.wake:
		case <-timer.C:
		}
		for w.pass(ctx) && ctx.Err() == nil {
		}
		timer.Reset(o.cfg.Poll)
	}
}

// pass sends what is due now, once; it reports whether there was anything.
func (w *worker) pass(ctx context.Context) bool {
	due, err := w.look(ctx)
	if err != nil {
		if ctx.Err() == nil {
			w.cfg.Log.Error("notices: cannot look for what is due", "err", err)
		}
		return false
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, w.cfg.Workers)
	for _, d := range due {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			w.deliver(ctx, d)
		})
	}
	wg.Wait()
	return len(due) > 0
}

// look returns the notices that are due. Other rooms' due records do not hide
// them: it asks for more until it finds one, or has seen all.
func (w *worker) look(ctx context.Context) ([]store.Due, error) {
	now := w.cfg.Now()
	for n := w.cfg.Batch; ; n *= 4 {
		all, err := w.cfg.DB.Due(ctx, now, min(n, maxLook))
		if err != nil {
			return nil, err
		}
		var mine []store.Due
		for _, d := range all {
			if isNotice(d.Key) && !w.rests(d, now) {
				mine = append(mine, d)
			}
		}
		if len(mine) > 0 || len(all) < n || n >= maxLook {
			return mine[:min(len(mine), w.cfg.Batch)], nil
		}
	}
}

func (w *worker) rests(d store.Due, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	until, ok := w.stuck[string(d.Owner)+" "+string(d.Key)]
	return ok && now.Before(until)
}

// rest leaves a record alone for a while: the store does not give it, or does
// not let it change.
func (w *worker) rest(d store.Due, err error) {
	w.cfg.Log.Error("notices: a record rests", "owner", string(d.Owner), "err", err)
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.stuck) >= maxStuck {
		clear(w.stuck)
	}
	w.stuck[string(d.Owner)+" "+string(d.Key)] = w.cfg.Now().Add(w.cfg.RetryMax)
}

// deliver tries to send one notice and writes down what became of it.
func (w *worker) deliver(ctx context.Context, d store.Due) {
	var rec record
	err := w.cfg.DB.View(ctx, d.Owner, func(tx store.Tx) (err error) {
		rec, err = store.Load[record](tx, d.Key)
		return err
	})
	if err != nil {
		if ctx.Err() == nil && !errors.Is(err, store.ErrNotFound) {
			w.rest(d, err)
		}
		return
	}
	sendCtx, cancel := context.WithTimeout(ctx, w.cfg.SendTime)
	err = w.cfg.Sender.Send(sendCtx, rec.Notice)
	cancel()
	if err != nil && ctx.Err() != nil {
		return // stopped on the way: it stays due
	}
	outcome := w.outcome(rec, err)
	// What was sent is written down even if ctx has just ended.
	saveCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.cfg.SendTime)
	defer cancel()
	if err := w.cfg.DB.Update(saveCtx, d.Owner, func(tx store.Tx) error { return w.settle(tx, d.Key, rec, outcome) }); err != nil {
		w.rest(d, err)
	}
	w.cfg.Sent(rec.Notice.Kind, outcome)
	if outcome != "sent" {
		w.cfg.Log.Warn("notices: not sent", "kind", rec.Notice.Kind, "owner", string(d.Owner), "tries", rec.Tries+1, "outcome", outcome)
	}
}

// outcome decides what becomes of a notice after an attempt.
func (w *worker) outcome(rec record, err error) string {
	switch {
	case err == nil:
		return "sent"
	case errs.Is(err, errs.Invalid), !w.cfg.Now().Before(rec.First.Add(w.cfg.GiveUp)):
		return "dropped"
	}
	return "retry"
}

// settle writes an outcome.
func (w *worker) settle(tx store.Tx, key []byte, rec record, outcome string) error {
	if outcome != "retry" {
		return tx.Delete(key)
	}
	wait := w.cfg.RetryMax
	if rec.Tries < 20 {
		wait = min(wait, w.cfg.RetryMin<<rec.Tries)
	}
	rec.Tries++
	return store.SaveDue(tx, key, rec, w.cfg.Now().Add(wait))
}
