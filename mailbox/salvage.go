package mailbox

import (
	"bytes"
	"context"
	"errors"

	"pli/certs/keyring"
	"pli/store"
	"pli/store/blob"
)

// Salvageable says what may be done with a record that was found on a page
// which nothing leads to any more: it may be old, or deleted.
type Salvageable uint8

// The answers.
const (
	Useless Salvageable = iota // what the record says is made anew by Rebuild
	Placing                    // it may place a message that is certainly there: for Replant
	Useful                     // it is better than none
)

// Stale says what an old copy of a record is good for, by its key.
func Stale(key []byte) Salvageable {
	switch {
	case bytes.HasPrefix(key, []byte(prefixMessage)):
		if _, p, ok := partOf(key); ok && p != partRefs {
			return Useful
		}
	case bytes.HasPrefix(key, []byte(prefixEntry)):
		return Placing
	case string(key) == keyDirectory:
		return Useful
	}
	return Useless
}

// Newer reports whether of two old copies of a record the second is the newer
// one, as far as can be told.
func Newer(key, first, second []byte) bool {
	if string(key) != keyDirectory {
		return false // messages never change
	}
	var a, b directory
	if store.Decode(second, &b) != nil || store.Decode(first, &a) != nil {
		return false
	}
	if a.NextID != b.NextID {
		return b.NextID > a.NextID
	}
	return b.LastValidity > a.LastValidity || len(b.Keywords) > len(a.Keywords)
}

// Stray is an old copy of a record, opened.
type Stray struct{ Key, Value []byte }

// Replant gives messages that are there and that no entry names their places
// back from old copies of entries, the latest copy for each message, and
// returns how many. A message whose own record was not found is left alone: it
// may have been deleted.
func (s *Service) Replant(ctx context.Context, owner store.Owner, old []Stray) (n int, err error) {
	err = full(s.cfg.DB.Update(ctx, owner, func(tx store.Tx) error {
		n = 0
		type place struct {
			key []byte
			e   entry
		}
		best := make(map[messageID]place)
		var ids []messageID
		for _, r := range old {
			var e entry
			if store.Decode(r.Value, &e) != nil || len(e.ID) != len(messageID{}) {
				continue
			}
			id := messageID(e.ID)
			if p, ok := best[id]; ok && p.e.ModSeq >= e.ModSeq {
				continue
			}
			best[id] = place{r.Key, e}
			ids = append(ids, id)
		}
		named, err := entriesOf(tx, ids)
		if err != nil {
			return err
		}
		for _, id := range sortedIDs(best) {
			p := best[id]
			if _, err := store.Load[stored](tx, keyOf(partStored, id)); lost(err) || named[id] > 0 {
				continue
			} else if err != nil {
				return err
			}
			if _, err := tx.Get(p.key); !lost(err) {
				continue // its place is taken
			}
			if err := store.Save(tx, p.key, &p.e); err != nil {
				return err
			}
			n++
		}
		return nil
	}))
	return n, err
}

// Reclaim makes a message's record again from its blob, if the account has
// none that opens, and says whether it did. Rebuild gives it a place. Errors:
// errs.Invalid for a blob that is no message's, store.ErrCorrupt for one that
// is damaged.
func (s *Service) Reclaim(ctx context.Context, owner store.Owner, id blob.ID) (made bool, err error) {
	return s.reclaim(ctx, owner, id, lost)
}

// ReclaimDamaged is Reclaim for a message whose record is there and does not
// open: one that was deleted does not come back.
func (s *Service) ReclaimDamaged(ctx context.Context, owner store.Owner, id blob.ID) (made bool, err error) {
	return s.reclaim(ctx, owner, id, func(err error) bool { return errors.Is(err, store.ErrCorrupt) })
}

// reclaim is Reclaim where the failure to load the record is one that may be
// mended.
func (s *Service) reclaim(ctx context.Context, owner store.Owner, id blob.ID, may func(error) bool) (made bool, err error) {
	r, err := s.cfg.Blobs.Open(ctx, id)
	if err != nil {
		return false, err
	}
	defer r.Close()
	name, m, err := readStored(r, id)
	if err != nil {
		return false, err
	}
	record, err := store.Encode(&m)
	if err != nil {
		return false, err
	}
	err = s.cfg.DB.Update(ctx, owner, func(tx store.Tx) error {
		made = false
		_, err := store.Load[stored](tx, keyOf(partStored, name))
		if lost(err) && !may(err) {
			return nil
		}
		if !lost(err) {
			return err
		}
		made = true
		return tx.Put(keyOf(partStored, name), record)
	})
	return made, full(err)
}

// BlobKey returns the fingerprint of the account key that a message's blob is
// sealed to (keyring.Recipient), told by the blob itself. Errors: errs.Invalid
// for a blob that is no message's.
func (s *Service) BlobKey(ctx context.Context, id blob.ID) (fingerprint [32]byte, err error) {
	r, err := s.cfg.Blobs.Open(ctx, id)
	if err != nil {
		return fingerprint, err
	}
	defer r.Close()
	if _, err := readFooter(r); err != nil {
		return fingerprint, err
	}
	pkesk := make([]byte, keyring.WrapSize)
	if err := readAll(r, pkesk, 0); err != nil {
		return fingerprint, err
	}
	return keyring.WrappedFor(pkesk)
}
