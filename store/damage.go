package store

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
)

// Damage is the error of a record that does not open: an ErrCorrupt that says
// which record it is. Its text names the record by a digest alone.
type Damage struct {
	Owner Owner
	Key   []byte
	Why   string
}

func (d *Damage) Error() string {
	sum := sha256.Sum256(d.Key)
	return fmt.Sprintf("%v: %s, record %x: %s", ErrCorrupt, d.Owner, sum[:8], d.Why)
}

// Is reports that damage is an ErrCorrupt.
func (d *Damage) Is(target error) bool { return target == ErrCorrupt }

// ScanAround is tx.Scan that goes on around records which do not open: bad
// (nil: nobody) is told of each in its place. An error of bad ends the scan as
// one of fn does. What an engine cannot ascribe to one record ends it too.
func ScanAround(tx Tx, from, to []byte, fn func(key, value []byte) error, bad func(*Damage) error) error {
	for {
		hit, err := scanSome(tx.Scan, from, to, fn, bad)
		if hit == nil {
			return err
		}
		from = append(slices.Clone(hit.Key), 0)
	}
}

// ScanBackAround is tx.ScanBack that goes on as ScanAround does.
func ScanBackAround(tx Tx, from, to []byte, fn func(key, value []byte) error, bad func(*Damage) error) error {
	for {
		hit, err := scanSome(tx.ScanBack, from, to, fn, bad)
		if hit == nil {
			return err
		}
		to = slices.Clone(hit.Key)
	}
}

// scanSome scans to the end, or to the damaged record that it returns.
func scanSome(scan func(from, to []byte, fn func(key, value []byte) error) error, from, to []byte,
	fn func(key, value []byte) error, bad func(*Damage) error) (*Damage, error) {
	var ended error // of fn, which may have met damage of its own
	err := scan(from, to, func(k, v []byte) error {
		ended = fn(k, v)
		return ended
	})
	var hit *Damage
	if err == nil || ended != nil || !errors.As(err, &hit) {
		return nil, err
	}
	if bad == nil {
		return hit, nil
	}
	switch err := bad(hit); {
	case errors.Is(err, Stop):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return hit, nil
}
