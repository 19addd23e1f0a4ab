package mailbox

import "time"

// Range is the numbers from First to Last, both included. In a set, 0 stands
// for the largest number in use ("*", RFC 9051 9, seq-number).
type Range struct{ First, Last uint32 }

// HeaderMatch asks for a header field whose text contains Value; an empty Value
// asks only that the field is there.
type HeaderMatch struct{ Name, Value string }

// ModSeqMatch asks for a mod-sequence of at least Since (RFC 7162 3.1.5).
type ModSeqMatch struct{ Since uint64 }

// Criteria says which messages a search is for. All that is set must hold; the
// zero Criteria matches every message. Texts compare by message.Fold.
type Criteria struct {
	Seq [][]Range // in each of these sets of sequence numbers
	UID [][]Range // in each of these sets of UIDs

	// Days: the time of day and the zone count for nothing (RFC 9051 6.4.4).
	Since, Before         time.Time // internal date on or after; before
	SentSince, SentBefore time.Time // the Date field on or after; before

	Header []HeaderMatch
	Text   []string // in header or body
	Body   []string // in the body

	Flags    []Flag // all of these
	NotFlags []Flag // none of these

	Larger  int64 // more bytes than; 0: any
	Smaller int64 // fewer bytes than; 0: any

	ModSeq *ModSeqMatch

	Not []Criteria
	Or  [][2]Criteria
}
