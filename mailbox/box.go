package mailbox

// UID is a message's number in its box, never used again (RFC 9051 2.3.1.1).
type UID uint32

// SpecialUse says what a box is for (RFC 6154), "" for an ordinary one.
type SpecialUse string

// The special uses that Provision gives. Where a method takes the name of a
// box, the special use stands for the box that has it, whatever its name is.
const (
	UseSent    SpecialUse = `\Sent`
	UseDrafts  SpecialUse = `\Drafts`
	UseTrash   SpecialUse = `\Trash`
	UseArchive SpecialUse = `\Archive`
	UseJunk    SpecialUse = `\Junk`
)

// Inbox is the name of the box that every account has.
const Inbox = "INBOX"

// Box is one folder as it stood when it was asked for.
type Box struct {
	Name          string // UTF-8 in NFC, levels divided by "/"
	Use           SpecialUse
	Subscribed    bool
	UIDValidity   uint32
	UIDNext       UID
	HighestModSeq uint64 // at least 1 (RFC 7162 3.1.2.1)
	Messages      uint32
	Unseen        uint32
	Deleted       uint32 // messages flagged \Deleted
	Size          int64  // bytes of all messages
}
