package sealed

import (
	"bytes"
	"context"
	"errors"

	"pli/store"
)

// rewrapOwners is how many owners Rewrap lists at a time.
const rewrapOwners = 500

// Rewrap puts next, which the present master key's CreateNext has made, in its
// place: every data key is wrapped by it, an owner at a time, while all go on
// being used. Stopped at any point, it goes on when called again, or after
// OpenKeys with both. When it returns nil the other master key opens nothing
// here, and what it has wrapped is overwritten where the engine offers that
// (store.Scrubber). tell is called now and then with the number of owners done.
func (k *Keys) Rewrap(ctx context.Context, next *Master, tell func(owners int)) error {
	w := k.wraps.Load()
	if w.before == nil {
		w = &wraps{now: next.wrapping(), before: w.now}
		k.making.Lock()
		k.wraps.Store(w)
		k.making.Unlock()
	}
	done := 0
	for after := store.Owner(""); ; {
		owners, err := k.db.Owners(ctx, after, rewrapOwners)
		if err != nil {
			return err
		}
		for _, owner := range owners {
			if err := k.rewrap(ctx, w, owner); err != nil {
				return err
			}
			after = owner
		}
		if done += len(owners); len(owners) == 0 {
			break
		}
		tell(done)
	}
	if s, ok := k.db.(store.Scrubber); ok {
		if err := s.Scrub(ctx); err != nil {
			return err
		}
	}
	k.wraps.Store(&wraps{now: w.now})
	return nil
}

// rewrap wraps one owner's keys anew. What opens under neither master key is
// damaged, and stays as it is.
func (k *Keys) rewrap(ctx context.Context, w *wraps, owner store.Owner) error {
	old, err := k.oldKeys(ctx, w, owner)
	if err != nil || len(old) == 0 {
		return err
	}
	return k.db.Update(ctx, owner, func(tx store.Tx) error {
		for class, was := range old {
			now, err := tx.Get([]byte(class))
			if errors.Is(err, store.ErrNotFound) || err == nil && !bytes.Equal(now, was) {
				continue // destroyed meanwhile
			}
			if err != nil {
				return err
			}
			key, err := w.before.Open(nil, was[1:1+nonceSize], was[1+nonceSize:], keyAD(owner, class))
			if err != nil {
				return err
			}
			if err := tx.Put([]byte(class), k.seal(key, owner, class)); err != nil {
				return err
			}
			clear(key)
		}
		return nil
	})
}

// oldKeys returns an owner's keys that the master key of before has wrapped.
func (k *Keys) oldKeys(ctx context.Context, w *wraps, owner store.Owner) (old map[string][]byte, err error) {
	err = k.db.View(ctx, owner, func(tx store.Tx) error {
		old = make(map[string][]byte)
		return store.ScanAround(tx, nil, nil, func(class, v []byte) error {
			if len(v) < 1+nonceSize || v[0] != keyWrapped {
				return nil
			}
			if _, err := w.before.Open(nil, v[1:1+nonceSize], v[1+nonceSize:], keyAD(owner, string(class))); err == nil {
				old[string(class)] = bytes.Clone(v)
			}
			return nil
		}, func(*store.Damage) error { return nil })
	})
	return old, err
}
