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
// by a keyed digest of sender, recipient and content, kept RepeatDays, so that
// a repeat is answered 250 and adds nothing.
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

// remember reports whether tx's owner has the message already; if not, it
// notes that it has now.
func (s *Service) remember(tx store.Tx, digest [16]byte, at time.Time) (repeated bool, err error) {
	period := at.UnixMilli() / s.repeatLife().Milliseconds()
	for _, p := range []int64{period, period - 1} {
		v, err := tx.Get(append(repeatPrefix(p), digest[:]...))
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return false, err
		}
		if len(v) == 8 && at.Sub(time.UnixMilli(int64(binary.BigEndian.Uint64(v)))) < s.repeatLife() {
			return true, nil
		}
	}
	if err := dropRepeats(tx, period-1); err != nil {
		return false, err
	}
	return false, tx.Put(append(repeatPrefix(period), digest[:]...), binary.BigEndian.AppendUint64(nil, uint64(at.UnixMilli())))
}

// dropRepeats removes digests of the periods before one.
func dropRepeats(tx store.Tx, before int64) error {
	var old [][]byte
	err := tx.Scan([]byte(prefixRepeat), repeatPrefix(before), func(key, _ []byte) error {
		if old = append(old, slices.Clone(key)); len(old) == dropAtOnce {
			return store.Stop
		}
		return nil
	})
	for _, key := range old {
		if err == nil {
			err = tx.Delete(key)
		}
	}
	return err
}
