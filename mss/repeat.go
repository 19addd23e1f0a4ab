package mss

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"pli/identity"
	"pli/store"
)

// A sender that lost our answer sends again. What lies in a mailbox is known
// by a keyed digest of sender, recipient and content as it came, kept
// RepeatDays, so that a repeat is answered 250 and adds nothing. Two cases are
// no repeats:
//
//   - A message that came without Message-ID is like another of its kind that
//     somebody wrote ("Rappelez-moi"): it is a repeat for RepeatWithoutID only.
//   - A message to a holder that would change an exchange, because others came
//     in between that ended or opened it, is taken anew, however soon: it is
//     delivered, traced, and does what it asks for. A sender who was answered
//     250 relies on that; a retry so late that it comes twice is the lesser harm.
//
// Records: dup/<period>/<16 bytes of digest> → when, in milliseconds since 1970
// (8 bytes).
// A period is RepeatDays long: two of them are looked into, and what is older
// lies together and goes at the first delivery of a new period.
const prefixRepeat = "dup/"

// dropAtOnce bounds how many old digests one delivery removes.
const dropAtOnce = 256

// repeatDigest names a message for one recipient. content is the keyed digest
// of its bytes.
func (s *Service) repeatDigest(from, to identity.Address, owner store.Owner, content []byte) [16]byte {
	return s.hash("repeat", owner, from.Key(), to.Key(), string(content))
}

func (s *Service) repeatLife() time.Duration {
	return time.Duration(s.cfg.Limits.RepeatDays) * 24 * time.Hour
}

func repeatPrefix(period int64) []byte { return fmt.Appendf(nil, "%s%08x/", prefixRepeat, period) }

// repeatWindow is how long a message is known as a repeat.
func (s *Service) repeatWindow(f *facts) time.Duration {
	if f.ownID {
		return s.repeatLife()
	}
	return min(s.cfg.Limits.RepeatWithoutID, s.repeatLife())
}

func (s *Service) repeatPeriod(at time.Time) int64 {
	return at.UnixMilli() / s.repeatLife().Milliseconds()
}

// has reports whether tx's owner got the message less than window ago.
func (s *Service) has(tx store.Tx, digest [16]byte, window time.Duration, at time.Time) (bool, error) {
	period := s.repeatPeriod(at)
	for _, p := range []int64{period, period - 1} {
		v, err := tx.Get(append(repeatPrefix(p), digest[:]...))
		if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt) {
			continue
		}
		if err != nil {
			return false, err
		}
		if len(v) == 8 && at.Sub(time.UnixMilli(int64(binary.BigEndian.Uint64(v)))) < window {
			return true, nil
		}
	}
	return false, nil
}

// remember notes that tx's owner has the message now.
func (s *Service) remember(tx store.Tx, digest [16]byte, at time.Time) error {
	period := s.repeatPeriod(at)
	if err := dropRepeats(tx, period-1); err != nil {
		return err
	}
	return tx.Put(append(repeatPrefix(period), digest[:]...), binary.BigEndian.AppendUint64(nil, uint64(at.UnixMilli())))
}

// dropRepeats removes digests of the periods before one.
func dropRepeats(tx store.Tx, before int64) error {
	var old [][]byte
	take := func(key []byte) error {
		if old = append(old, slices.Clone(key)); len(old) == dropAtOnce {
			return store.Stop
		}
		return nil
	}
	err := store.ScanAround(tx, []byte(prefixRepeat), repeatPrefix(before),
		func(key, _ []byte) error { return take(key) }, func(d *store.Damage) error { return take(d.Key) })
	for _, key := range old {
		if err == nil {
			err = tx.Delete(key)
		}
	}
	return err
}
