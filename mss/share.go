package mss

import (
	"sync"
	"time"
)

// shares counts, for each sender, how many of its holder recipients were
// unknown of late: whoever tries numbers out is put off (RFC 5321 7.3).
type shares struct {
	limits Limits
	mu     sync.Mutex
	of     map[string]*share
}

// slices of the window: what is older falls out in steps of a twelfth.
const windowSlices = 12

// maxShares bounds the senders that are counted at once.
const maxShares = 20_000

type share struct {
	slot           [windowSlices]int64 // which stretch of time the slice counts
	total, unknown [windowSlices]int
	pausedUntil    time.Time
	seen           int64
}

func (s *shares) init(l Limits) { s.limits, s.of = l, make(map[string]*share) }

// paused reports whether a sender's holder recipients are put off.
func (s *shares) paused(sender string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh := s.of[sender]
	return sh != nil && now.Before(sh.pausedUntil)
}

// note counts one holder recipient of a sender's.
func (s *shares) note(sender string, unknown bool, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slot := now.UnixNano() / max(1, int64(s.limits.UnknownWindow/windowSlices))
	sh := s.of[sender]
	if sh == nil {
		s.makeRoom(slot)
		sh = &share{}
		s.of[sender] = sh
	}
	sh.seen = slot
	i := int(slot % windowSlices)
	if sh.slot[i] != slot {
		sh.slot[i], sh.total[i], sh.unknown[i] = slot, 0, 0
	}
	sh.total[i]++
	if !unknown {
		return
	}
	sh.unknown[i]++
	total, bad := sh.sum(slot)
	if total >= s.limits.UnknownLeast && float64(bad) > s.limits.UnknownShare*float64(total) {
		*sh = share{pausedUntil: now.Add(s.limits.UnknownPause), seen: slot}
	}
}

// sum adds up what the window holds.
func (sh *share) sum(slot int64) (total, unknown int) {
	for i := range windowSlices {
		if slot-sh.slot[i] < windowSlices {
			total += sh.total[i]
			unknown += sh.unknown[i]
		}
	}
	return total, unknown
}

// makeRoom drops the senders that were not heard of for a whole window.
func (s *shares) makeRoom(slot int64) {
	if len(s.of) < maxShares {
		return
	}
	for key, sh := range s.of {
		if slot-sh.seen >= windowSlices {
			delete(s.of, key)
		}
	}
	if len(s.of) >= maxShares {
		clear(s.of)
	}
}
