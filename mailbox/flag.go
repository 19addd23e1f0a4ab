package mailbox

// Flag is a system flag, which begins with a backslash, or a keyword. Flags
// compare without regard to case (RFC 9051 2.3.2).
type Flag string

// The system flags that are kept (RFC 9051 2.3.2).
const (
	Seen     Flag = `\Seen`
	Answered Flag = `\Answered`
	Flagged  Flag = `\Flagged`
	Deleted  Flag = `\Deleted`
	Draft    Flag = `\Draft`
)

// FlagOp says what Store does with flags.
type FlagOp uint8

// The operations of Store.
const (
	FlagsSet FlagOp = iota
	FlagsAdd
	FlagsRemove
)

const maxKeywordBits = 123
