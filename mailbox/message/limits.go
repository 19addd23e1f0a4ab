package message

// Limits bound what one message may cost. A zero field takes its default.
type Limits struct {
	MaxHeaderBytes int // bytes of all headers together, the embedded ones included: 1 MiB
	MaxParts       int // entities, the message itself included: 10 000
	MaxDepth       int // entities within each other, the message itself included: 100
	MaxParams      int // parameters of one header field: 200
	MaxAddresses   int // addresses of all envelopes together: 10 000
	MaxIndex       int // bytes that the index keeps but for Text and Preview: 768 KiB
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
	def(&l.MaxIndex, 768<<10)
	def(&l.MaxText, 64<<10)
	def(&l.MaxTextSource, 512<<10)
	return l
}
