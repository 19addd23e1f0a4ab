package dossier

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"pli/consent"
	"pli/identity"
	"pli/internal/errs"
	"pli/store"
	"pli/store/blob"
)

// record is the stored form of a Document. A number, once given, keeps its
// meaning.
type record struct {
	Title           string         `cbor:"1,keyasint"`
	Type            string         `cbor:"2,keyasint"`
	Class           string         `cbor:"3,keyasint,omitempty"`
	Date            time.Time      `cbor:"4,keyasint"`
	Author          identity.Actor `cbor:"5,keyasint"`
	FiledBy         identity.Actor `cbor:"6,keyasint"`
	Filed           int64          `cbor:"7,keyasint"` // milliseconds since 1970, UTC
	MIME            string         `cbor:"8,keyasint"`
	Filename        string         `cbor:"9,keyasint,omitempty"`
	Size            int64          `cbor:"10,keyasint"`
	SHA256          [32]byte       `cbor:"11,keyasint"`
	Confidentiality []string       `cbor:"12,keyasint"`
	Source          string         `cbor:"13,keyasint,omitempty"`
	Blob            blob.ID        `cbor:"14,keyasint"`
}

// The records of a space's dossier:
//
//	dossier/d/ID      a document
//	dossier/s/HASH    the ID of the document filed from a source, the latest
//	dossier/n         how many documents there are
//	dossier/l         when the holder's listing was last traced
//	dossier/r/ID      when the holder's reading of a document was last traced
const (
	documentPrefix = "dossier/d/"
	sourcePrefix   = "dossier/s/"
	countKey       = "dossier/n"
	listedKey      = "dossier/l"
	readPrefix     = "dossier/r/"
)

func documentKey(id string) []byte { return []byte(documentPrefix + id) }

// sourceKey hides the source, which names a message.
func sourceKey(key [32]byte, source string) []byte {
	mac := hmac.New(sha256.New, key[:])
	mac.Write([]byte("dossier source\x00" + source))
	return []byte(sourcePrefix + hex.EncodeToString(mac.Sum(nil)[:16]))
}

// contentAD binds a sealed content to its document.
func contentAD(space store.Owner, id string) string { return "dossier " + string(space) + " " + id }

func newID() string { return strings.ToLower(rand.Text()) }

// validID reports whether id has the form of a document's: 26 of [a-z2-7].
func validID(id string) bool {
	if len(id) != 26 {
		return false
	}
	for _, c := range []byte(id) {
		if (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return false
		}
	}
	return true
}

// load returns a document's record, or an error of kind NotFound.
func load(tx store.Tx, id string) (record, error) {
	r, err := store.Load[record](tx, documentKey(id))
	if errors.Is(err, store.ErrNotFound) {
		return r, errs.Wrap(err, errs.NotFound, "there is no such document")
	}
	return r, err
}

func (r record) document(id string) Document {
	return Document{
		ID: id, Title: r.Title, Type: r.Type, Class: r.Class, Date: r.Date, Author: r.Author, FiledBy: r.FiledBy,
		Filed: time.UnixMilli(r.Filed).UTC(), MIME: r.MIME, Filename: r.Filename, Size: r.Size, SHA256: r.SHA256,
		Confidentiality: r.Confidentiality, Source: r.Source,
	}
}

// facts are what a decision needs to know. The author of a decision is who
// brought the document, as signed in then: whom the document names has no
// right by that.
func (r record) facts(id string) *consent.DocumentFacts {
	return &consent.DocumentFacts{ID: id, Type: r.Type, Class: r.Class, Author: r.FiledBy, Confidentiality: r.Confidentiality}
}

// traceTitle returns what the trace calls the document: its title, but for one
// that the holder, who reads the trace, is not to know of yet (mission B7).
func (r record) traceTitle() string {
	if slices.Contains(r.Confidentiality, consent.InvisibleToPatient) {
		return ""
	}
	return r.Title
}

// same reports whether two filings say the same of the same content.
func (r record) same(o record) bool {
	return r.SHA256 == o.SHA256 && r.Title == o.Title && r.Type == o.Type && r.Date.Equal(o.Date) &&
		strings.Join(r.Confidentiality, " ") == strings.Join(o.Confidentiality, " ")
}

// missing reports whether a record is not there, or damaged: what it said is
// lost, and may be said anew.
func missing(err error) bool {
	return errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt)
}

// count returns how many documents there are. A damaged number is counted anew.
func count(tx store.Tx) (int, error) {
	n, err := store.Load[int](tx, []byte(countKey))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return 0, nil
	case errors.Is(err, store.ErrCorrupt):
		return recount(tx)
	}
	return n, err
}

// recount counts the documents, damaged ones too.
func recount(tx store.Tx) (n int, err error) {
	err = each(tx, func(string, record) error {
		n++
		return nil
	}, func(string) error {
		n++
		return nil
	})
	return n, err
}
