package dossier

import (
	"bytes"
	"context"
	"errors"

	"pli/store"
)

// Rebuilt is what Rebuild has done.
type Rebuilt struct {
	Documents int       // documents that are there now
	Damaged   int       // damaged records removed
	Problems  []Problem // what was lost
}

// Rebuild removes the damaged records of a space's dossier, and counts its
// documents again, after a salvage. A document that has lost its content alone
// stays. Nobody else may write to the space meanwhile; done again, it changes
// nothing.
func (s *Service) Rebuild(ctx context.Context, space store.Owner) (Rebuilt, error) {
	var done Rebuilt
	err := s.cfg.DB.Update(ctx, space, func(tx store.Tx) error {
		done = Rebuilt{}
		var keys [][]byte
		err := each(tx, func(string, record) error {
			done.Documents++
			return nil
		}, func(id string) error {
			done.Problems = append(done.Problems, Problem{id, "its record is damaged"})
			keys = append(keys, documentKey(id))
			return nil
		})
		for _, b := range beside {
			err = errors.Join(err, b.damaged(tx, func(d *store.Damage) error {
				keys = append(keys, bytes.Clone(d.Key))
				return nil
			}))
		}
		for _, k := range keys {
			err = errors.Join(err, tx.Delete(k))
		}
		done.Damaged = len(keys)
		return errors.Join(err, saveCount(tx, done.Documents))
	})
	return done, full(err)
}

// saveCount writes the number of documents, if it is another.
func saveCount(tx store.Tx, n int) error {
	old, err := store.Load[int](tx, []byte(countKey))
	switch {
	case err == nil && old == n, errors.Is(err, store.ErrNotFound) && n == 0:
		return nil
	case err != nil && !missing(err):
		return err
	}
	return store.Save(tx, []byte(countKey), n)
}
