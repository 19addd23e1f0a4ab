package mailbox

import (
	"sync/atomic"

	"pli/store/blob"
)

// The states of a letter.
const (
	letterFresh     = iota
	letterTaken     // a transaction took it; whether that commits is not known
	letterDelivered // committed
	letterGone      // discarded
)

// Letter is one message sealed for one account.
type Letter struct {
	id     messageID
	record []byte // stored, encoded
	body   []byte // sealed; nil if it is a blob
	blob   blob.ID
	size   int64
	state  atomic.Int32
}

// ID returns the message's opaque name in its account, the same in whatever
// boxes it lies later: what traces and documents name it by.
func (l *Letter) ID() string { return l.id.String() }

// Size returns the message's length in bytes.
func (l *Letter) Size() int64 { return l.size }
