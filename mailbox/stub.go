package mailbox

import (
	"context"
	"io"
	"time"

	"pli/certs/keyring"
	"pli/identity"
	"pli/mailbox/message"
	"pli/store"
)

type shared struct{}

// Provision gives an account its boxes: INBOX, Sent, Drafts, Trash, Archive and
// Junk with their special uses. An account that has them stays as it is.
func (s *Service) Provision(tx store.Tx) error { return nil }

// Spool takes one message's bytes as they arrive (io.Writer), for delivery to
// the accounts whose keys are to: parsed, counted and sealed on the way. More
// than MaxMessage bytes is an errs.TooLarge from Write. The caller defers
// Discard, ends with Close, then hands Letter(i) to Deliver for each recipient.
func (s *Service) Spool(ctx context.Context, to []keyring.Recipient) (*Spool, error) { return nil, nil }

// Spool is one message on its way in. It is for one goroutine.
type Spool struct{}

// Write takes the message's next bytes.
func (p *Spool) Write(b []byte) (int, error) { return 0, nil }

// Close ends the message: after it all that needs cryptography is done, and
// bodies above InlineMax are durable as blobs.
func (p *Spool) Close() error { return nil }

// Index returns what was parsed; valid after Close.
func (p *Spool) Index() *message.Index { return nil }

// Size returns the number of bytes taken so far.
func (p *Spool) Size() int64 { return 0 }

// Letter returns what to deliver to the i-th recipient given to Service.Spool;
// valid after Close.
func (p *Spool) Letter(i int) *Letter { return nil }

// Discard frees the spool, and removes the blobs of letters that were never
// given to Deliver. It may be called at any time, and again.
func (p *Spool) Discard() {}

// Letter is one message sealed for one account.
type Letter struct{}

// ID returns the message's opaque name in its account, the same in whatever
// boxes it lies later: what traces and documents name it by.
func (l *Letter) ID() string { return "" }

// Deliver puts a letter into a box of tx's owner, with flags, and at as its
// internal date. It does no cryptography. A letter is delivered once.
func (s *Service) Deliver(tx store.Tx, l *Letter, box string, flags []Flag, at time.Time) (UID, error) {
	return 0, nil
}

// Open opens owner's mail with its key bundle, which the caller keeps unwiped
// until Close. On a space ("s/…") it passes the gate (consent.ActMailOpen); one
// actor's opens within an hour make one line in the trace.
func (s *Service) Open(ctx context.Context, actor identity.Actor, owner store.Owner, keys *keyring.Bundle) (*Account, error) {
	return nil, nil
}

// Problem is one thing that Verify found wrong.
type Problem struct {
	Object string // box, message or blob, by its opaque name
	Text   string
}

// Verify checks the structure of an owner's mail.
func (s *Service) Verify(ctx context.Context, owner store.Owner) ([]Problem, error) { return nil, nil }

// Account is one session's hold on an owner's mail; what it reads is shared
// with the other sessions on the same owner.
type Account struct{}

// Close ends the hold. Views on it must be closed before.
func (a *Account) Close() {}

// Owner returns whose mail it is.
func (a *Account) Owner() store.Owner { return "" }

// Changed is ready after something changed in any box.
func (a *Account) Changed() <-chan struct{} { return nil }

// Boxes returns every box in order of name, INBOX first.
func (a *Account) Boxes(ctx context.Context) ([]Box, error) { return nil, nil }

// Box returns one box.
func (a *Account) Box(ctx context.Context, name string) (Box, error) { return Box{}, nil }

// Create makes a box, and those above it.
func (a *Account) Create(ctx context.Context, name string, use SpecialUse) error { return nil }

// Delete removes a box with its messages. ErrHasChildren (a Conflict) if boxes lie below it.
func (a *Account) Delete(ctx context.Context, name string) error { return nil }

// Rename gives a box, and those below it, another name.
func (a *Account) Rename(ctx context.Context, from, to string) error { return nil }

// Subscribe marks a box as one the person wants to see, or not.
func (a *Account) Subscribe(ctx context.Context, name string, on bool) error { return nil }

// Subscriptions returns the subscribed names, those of boxes that are gone too (RFC 9051 6.3.7).
func (a *Account) Subscriptions(ctx context.Context) ([]string, error) { return nil, nil }

// Appended says where a message went.
type Appended struct {
	UIDValidity uint32
	UID         UID
}

// Append adds a message to a box, sealed like all others. A zero at is now.
func (a *Account) Append(ctx context.Context, box string, flags []Flag, at time.Time, r io.Reader) (Appended, error) {
	return Appended{}, nil
}

// Select opens a numbered view of a box.
func (a *Account) Select(ctx context.Context, box string, readOnly bool) (*View, error) {
	return nil, nil
}

// View is one client's numbered view of a box. Its sequence numbers stay as
// they are until Poll. It is for one goroutine, but for Changed.
type View struct{}

// Box returns the box as it stands now.
func (v *View) Box() Box { return Box{} }

// ReadOnly reports whether the view refuses writes.
func (v *View) ReadOnly() bool { return false }

// Keywords returns the keywords in use in the account, and whether it can take new ones.
func (v *View) Keywords() ([]Flag, bool) { return nil, false }

// Close ends the view. It expunges nothing.
func (v *View) Close() {}

// Changed is ready when Poll has something to tell.
func (v *View) Changed() <-chan struct{} { return nil }

// Changes is what a client must be told, in this order: Expunged one by one,
// each number as it is after the ones before it are gone; then Exists if
// NewExists; then Flags, numbered as after both.
type Changes struct {
	Expunged  []uint32
	Exists    uint32
	NewExists bool
	Flags     []Message // without Index; never what this View itself stored
}

// Poll brings the view up to date and says what changed since the last Poll.
// With expunge false, messages that are gone keep their numbers for now.
//
// An expunge is told once, by Poll(true), WHOEVER made it: after this view's
// own Expunge or Move the messages keep their numbers until Poll(true) reports
// them. A face answers EXPUNGE by calling Expunge, then Poll(true).
func (v *View) Poll(expunge bool) Changes { return Changes{} }

// Len returns the number of messages in the view.
func (v *View) Len() uint32 { return 0 }

// UID returns the UID at a sequence number (from 1).
func (v *View) UID(seq uint32) (UID, bool) { return 0, false }

// Seq returns the sequence number of a UID.
func (v *View) Seq(uid UID) (uint32, bool) { return 0, false }

// Message is one message in a view.
type Message struct {
	ID      string // opaque, the same in every box of the account
	UID     UID
	Seq     uint32
	Flags   []Flag
	ModSeq  uint64
	Date    time.Time // internal date, to the second, with its zone
	Size    int64     // bytes
	Index   *message.Index
	Damaged bool // the sealed index does not open; Index is a stand-in
}

// Message returns one message with its index, or errs.NotFound.
func (v *View) Message(ctx context.Context, uid UID) (Message, error) { return Message{}, nil }

// Messages calls fn for each message of uids (nil: all) that is still there, in
// the order of uids. Index is set if withIndex.
func (v *View) Messages(ctx context.Context, uids []UID, withIndex bool, fn func(Message) error) error {
	return nil
}

// Body is a message's opened text. ReadAt may be called from several goroutines.
type Body struct{}

// ReadAt implements io.ReaderAt.
func (b *Body) ReadAt(p []byte, off int64) (int, error) { return 0, nil }

// Size returns the message's length in bytes.
func (b *Body) Size() int64 { return 0 }

// Close frees the body.
func (b *Body) Close() error { return nil }

// Open opens a message's text.
func (v *View) Open(ctx context.Context, uid UID) (*Body, error) { return nil, nil }

// Store changes flags and returns the messages of uids that were there and
// whose ModSeq was not above unchangedSince (0: no condition), as they are now.
// In a space, \Seen on a message for the first time passes the gate
// (consent.ActMailDisplay).
func (v *View) Store(ctx context.Context, uids []UID, op FlagOp, flags []Flag, unchangedSince uint64) ([]Message, error) {
	return nil, nil
}

// Expunge removes the messages of uids (nil: all of the view) that are flagged
// \Deleted, and returns which. Their numbers stay until Poll(true).
func (v *View) Expunge(ctx context.Context, uids []UID) ([]UID, error) { return nil, nil }

// Copied says where messages went; Source and Dest go in pairs.
type Copied struct {
	UIDValidity uint32
	Source      []UID
	Dest        []UID
}

// Copy puts messages into another box, all or none. A missing box is errs.NotFound.
func (v *View) Copy(ctx context.Context, uids []UID, dest string) (Copied, error) {
	return Copied{}, nil
}

// Move is Copy, after which the messages are gone here (RFC 6851). Their
// numbers stay until Poll(true).
func (v *View) Move(ctx context.Context, uids []UID, dest string) (Copied, error) {
	return Copied{}, nil
}

// Vanished returns the UIDs expunged after a mod-sequence; complete is false if
// the log no longer reaches back so far (RFC 7162 3.2.5.2).
func (v *View) Vanished(ctx context.Context, since uint64) (uids []UID, complete bool, err error) {
	return nil, false, nil
}

// Search returns the UIDs of the view's messages that match, ascending.
func (v *View) Search(ctx context.Context, c Criteria) ([]UID, error) { return nil, nil }
