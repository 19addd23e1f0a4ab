package message

// Limits bound what one message may cost. A zero field takes its default.
type Limits struct {
	MaxHeaderBytes int // bytes of all headers together, the embedded ones included: 1 MiB
	MaxParts       int // entities, the message itself included: 10 000
	MaxDepth       int // entities within each other, the message itself included: 100
	MaxParams      int // parameters of one header field: 200
	MaxAddresses   int // addresses of all envelopes together: 10 000
	MaxIndex       int // bytes that the index keeps but for Text and Preview, encoded: 896 KiB
	MaxText        int // bytes of Index.Text: 64 KiB
	MaxTextSource  int // bytes of text parts, still encoded, that are read for Text: 512 KiB
}

func (l Limits) withDefaults() Limits {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&l.MaxHeaderBytes, 1<<20)
	def(&l.MaxParts, 10_000)
	def(&l.MaxDepth, 100)
	def(&l.MaxParams, 200)
	def(&l.MaxAddresses, 10_000)
	def(&l.MaxIndex, 896<<10)
	def(&l.MaxText, 64<<10)
	def(&l.MaxTextSource, 512<<10)
	return l
}

// budget is what is left of the limits while a message is read.
type budget struct {
	headerBytes, parts, params, addresses, index int
	truncated                                    string
}

func newBudget(l Limits) budget {
	return budget{headerBytes: l.MaxHeaderBytes, parts: l.MaxParts, params: l.MaxParams, addresses: l.MaxAddresses, index: l.MaxIndex}
}

// met notes the first bound that was met.
func (b *budget) met(bound string) {
	if b.truncated == "" {
		b.truncated = bound
	}
}

// header takes n bytes of header, or nothing and reports false.
func (b *budget) header(n int) bool {
	if n > b.headerBytes {
		return false
	}
	b.headerBytes -= n
	return true
}

// headerBack gives back bytes that were taken for a header and are none.
func (b *budget) headerBack(n int) { b.headerBytes += n }

// What an index spends, encoded, beside its strings.
const (
	partCost    = 64 // offsets, type, encoding, default charset
	addressCost = 8
	stringCost  = 5
)

// part takes one part, or reports false.
func (b *budget) part() bool {
	if b.parts == 0 {
		b.met("parts")
		return false
	}
	if !b.keep(partCost) {
		return false
	}
	b.parts--
	return true
}

// keep takes n bytes of the index, or nothing and reports false.
func (b *budget) keep(n int) bool {
	if n > b.index {
		b.met("index")
		return false
	}
	b.index -= n
	return true
}

// str returns s if the index has room for it, "" otherwise.
func (b *budget) str(s string) string {
	if s == "" || !b.keep(len(s)+stringCost) {
		return ""
	}
	return s
}

// list appends a to as many of more as the index has room for.
func (b *budget) list(more []string) []string {
	for i, s := range more {
		if !b.keep(len(s) + stringCost) {
			return more[:i:i]
		}
	}
	return more
}

// addressList returns as many of list as there is room for.
func (b *budget) addressList(list []Address) []Address {
	for i, a := range list {
		if b.addresses == 0 {
			b.met("addresses")
			return list[:i:i]
		}
		if !b.keep(addressCost + len(a.Name) + len(a.Mailbox) + len(a.Host) + 3*stringCost) {
			return list[:i:i]
		}
		b.addresses--
	}
	return list
}
