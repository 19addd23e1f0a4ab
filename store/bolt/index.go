package bolt

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"time"

	bbolt "go.etcd.io/bbolt"

	"pli/store"
)

// Due returns at most n records due by then, of all files, earliest first.
func (db *DB) Due(ctx context.Context, before time.Time, n int) ([]store.Due, error) {
	var all []store.Due
	err := db.each(ctx, func(tx *bbolt.Tx) error {
		found := 0
		c := tx.Bucket(bucketDue).Cursor()
		for k, _ := c.First(); k != nil && found < n; k, _ = c.Next() {
			ms, at, ok := splitDueKey(k)
			if !ok || ms > millis(before) {
				break
			}
			if owner, key, ok := splitRecordKey(at); ok {
				all = append(all, store.Due{Owner: owner, Key: bytes.Clone(key), At: time.UnixMilli(ms).UTC()})
				found++
			}
		}
		return nil
	})
	slices.SortFunc(all, func(a, b store.Due) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Owner, b.Owner), bytes.Compare(a.Key, b.Key))
	})
	return all[:min(len(all), max(n, 0))], err
}

// Owners returns at most n owners after the given one, of all files, in order.
func (db *DB) Owners(ctx context.Context, after store.Owner, n int) ([]store.Owner, error) {
	var all []store.Owner
	err := db.each(ctx, func(tx *bbolt.Tx) error {
		found := 0
		c := tx.Bucket(bucketRecord).Cursor()
		from := []byte{}
		if after != "" {
			from = afterOwner(after)
		}
		for k, _ := c.Seek(from); k != nil && found < n; found++ {
			owner, _, ok := splitRecordKey(k)
			if !ok {
				break
			}
			all = append(all, owner)
			k, _ = c.Seek(afterOwner(owner))
		}
		return nil
	})
	slices.Sort(all)
	return all[:min(len(all), max(n, 0))], err
}

// each runs fn on a read transaction of every file.
func (db *DB) each(ctx context.Context, fn func(*bbolt.Tx) error) error {
	if err := db.begin(); err != nil {
		return err
	}
	defer db.end()
	for _, s := range db.shards {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.read(fn); err != nil {
			return err
		}
	}
	return nil
}
