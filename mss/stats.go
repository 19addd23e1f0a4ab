package mss

import "sync/atomic"

// Stats is what a Service has done since it began.
type Stats struct {
	Accepted  uint64            // messages answered 250
	Delivered uint64            // letters put into mailboxes
	Repeats   uint64            // letters that lay there already
	Failed    uint64            // messages that could not be taken for a reason of ours
	Refused   map[string]uint64 // by Reason
}

type counters struct {
	accepted, delivered, repeats, failed atomic.Uint64
	refused                              [len(laws)]atomic.Uint64
}

// count notes how a step ended and returns its error.
func (c *counters) count(err error) error {
	if err == nil {
		return nil
	}
	if r := ReasonOf(err); r > 0 {
		c.refused[r].Add(1)
	} else if !IsReadError(err) {
		c.failed.Add(1)
	}
	return err
}

// Stats returns the counts, for metrics.
func (s *Service) Stats() Stats {
	out := Stats{
		Accepted: s.stats.accepted.Load(), Delivered: s.stats.delivered.Load(),
		Repeats: s.stats.repeats.Load(), Failed: s.stats.failed.Load(),
		Refused: make(map[string]uint64),
	}
	for _, r := range Reasons() {
		out.Refused[r.String()] = s.stats.refused[r].Load()
	}
	return out
}
