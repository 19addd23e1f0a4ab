package web

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
)

// note is what the next page tells of the last act: a sentence, perhaps with a
// way back or a way on. It travels in a cookie, so it holds no content.
type note struct {
	Key   string   `json:"k"`           // of the book, begins with "note."
	Count int      `json:"n,omitempty"` // how many, for sentences that count
	Undo  *undo    `json:"u,omitempty"`
	Link  *noteRef `json:"l,omitempty"`
}

// undo is the form that takes a move back.
type undo struct {
	Box  string   `json:"b"` // where the messages are now (slug)
	UIDs []uint32 `json:"i"`
	To   string   `json:"t"` // where they were (slug)
}

// noteRef is a link to go on with.
type noteRef struct {
	Href string `json:"h"`
	Key  string `json:"k"`
}

// noteLife is how long a note waits for its page.
const noteLife = time.Minute

// maxNote is how many bytes of a note a cookie carries.
const maxNote = 2000

// leave keeps a note for the next page.
func (v *visit) leave(n note) {
	b, err := json.Marshal(n)
	if len(b) > maxNote { // too many messages to take back by a cookie
		n.Undo = nil
		b, err = json.Marshal(n)
	}
	if err != nil || len(b) > maxNote {
		return
	}
	v.setCookie(cookieNote, base64.RawURLEncoding.EncodeToString(b), noteLife)
}

// takeNote returns the note that waits, once.
func (v *visit) takeNote() *note {
	value := v.cookie(cookieNote)
	if value == "" {
		return nil
	}
	v.dropCookie(cookieNote)
	b, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil {
		return nil
	}
	var n note
	if json.Unmarshal(b, &n) != nil || !strings.HasPrefix(n.Key, "note.") || !v.book.Has(n.Key) {
		return nil
	}
	if n.Count == 0 && strings.Contains(v.say(n.Key), "%") {
		return nil
	}
	if n.Link != nil && (localPath(n.Link.Href) == "" || !v.book.Has(n.Link.Key)) {
		n.Link = nil
	}
	return &n
}
