package mailbox

import (
	"pli/mailbox/message"
	"pli/store"
)

// maxIndex keeps a stored message, with what seals it, within one record.
const maxIndex = store.MaxValue - 64<<10

// encodeIndex returns an index as it is sealed. The scanner's own bounds keep
// it within one record; an index made under wider Limits loses first its text,
// then its tree.
func encodeIndex(ix *message.Index) ([]byte, error) {
	b, err := store.Encode(ix)
	if err != nil || len(b) <= maxIndex {
		return b, err
	}
	cut := *ix
	cut.Text, cut.Truncated = "", "index"
	if b, err = store.Encode(&cut); err != nil || len(b) <= maxIndex {
		return b, err
	}
	return store.Encode(standIn(ix.Size))
}

// standIn is the index of a message whose own cannot be had: one opaque part.
func standIn(size int64) *message.Index {
	return &message.Index{
		Size:      size,
		Root:      message.Part{Type: "application", Subtype: "octet-stream", Encoding: "binary", End: size},
		Truncated: "index",
	}
}
