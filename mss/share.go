package mss

import (
	"hash/maphash"
	"sync"
	"time"
)

// shares counts, for each sender, how many different holders of late were
// unknown among those that it wrote to: whoever tries numbers out is put off
// (RFC 5321 7.3). Each holder counts once in a window, so that one known
// address said again and again hides nothing; and past UnknownMost unknown
// ones a sender is put off whatever the share.
type shares struct {
	limits Limits
	seed   maphash.Seed
	mu     sync.Mutex
	of     map[string]*share
	heard  int // holders remembered, of all senders
}

// slices of the window: what is older falls out in steps of a twelfth.
const windowSlices = 12

// What is remembered at once. Past maxHeard holders of one sender, or
// maxHeardAll of all, each mention counts.
const (
	maxShares   = 20_000
	maxHeard    = 4096
	maxHeardAll = 1 << 20
)

type share struct {
	slices      [windowSlices]slice
	heard       map[uint64]int64 // keyed hash of a holder → slot that it was counted in
	pausedUntil time.Time
	seen        int64 // the last slot
}

// slice counts what was heard in one stretch of time.
type slice struct {
	slot           int64 // which stretch
	total, unknown int   // since the last pause
	tried          int   // unknown, pauses or not
}

func (s *shares) init(l Limits) {
	s.limits, s.seed, s.of = l, maphash.MakeSeed(), make(map[string]*share)
}

// paused reports whether a sender's holder recipients are put off.
func (s *shares) paused(sender string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh := s.of[sender]
	return sh != nil && now.Before(sh.pausedUntil)
}

// note counts one holder recipient of a sender's. holder is what all spellings
// of a known one have in common, or else the address that is unknown.
func (s *shares) note(sender, holder string, unknown bool, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slot := now.UnixNano() / max(1, int64(s.limits.UnknownWindow/windowSlices))
	sh := s.of[sender]
	if sh == nil {
		s.makeRoom(slot)
		sh = &share{heard: make(map[uint64]int64)}
		s.of[sender] = sh
	}
	if s.again(sh, holder, slot) {
		return
	}
	c := &sh.slices[slot%windowSlices]
	if c.slot != slot {
		*c = slice{slot: slot}
	}
	c.total++
	if !unknown {
		return
	}
	c.unknown++
	c.tried++
	sum := sh.sum(slot)
	tooMany := sum.total >= s.limits.UnknownLeast && float64(sum.unknown) > s.limits.UnknownShare*float64(sum.total)
	if tooMany || sum.tried > s.limits.UnknownMost {
		s.pause(sh, now)
	}
}

// again reports whether a holder was counted in this window already, and
// remembers that it is now.
func (s *shares) again(sh *share, holder string, slot int64) bool {
	if sh.seen != slot {
		sh.seen = slot
		for h, counted := range sh.heard {
			if slot-counted >= windowSlices {
				delete(sh.heard, h)
				s.heard--
			}
		}
	}
	h := maphash.String(s.seed, holder)
	if _, ok := sh.heard[h]; ok {
		return true
	}
	if len(sh.heard) < maxHeard && s.heard < maxHeardAll {
		sh.heard[h] = slot
		s.heard++
	}
	return false
}

// pause puts a sender off. The share starts anew after it; how many unknown
// holders were tried in the window does not.
func (s *shares) pause(sh *share, now time.Time) {
	sh.pausedUntil = now.Add(s.limits.UnknownPause)
	s.heard -= len(sh.heard)
	sh.heard = make(map[uint64]int64)
	for i := range sh.slices {
		sh.slices[i].total, sh.slices[i].unknown = 0, 0
	}
}

// sum adds up what the window holds.
func (sh *share) sum(slot int64) (sum slice) {
	for _, c := range sh.slices {
		if slot-c.slot < windowSlices {
			sum.total += c.total
			sum.unknown += c.unknown
			sum.tried += c.tried
		}
	}
	return sum
}

// makeRoom drops the senders that were not heard of for a whole window.
func (s *shares) makeRoom(slot int64) {
	if len(s.of) < maxShares {
		return
	}
	for key, sh := range s.of {
		if slot-sh.seen >= windowSlices {
			s.heard -= len(sh.heard)
			delete(s.of, key)
		}
	}
	if len(s.of) >= maxShares {
		clear(s.of)
		s.heard = 0
	}
}
