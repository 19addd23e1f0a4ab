// Package dossier keeps the documents of a space: filed, listed and opened
// only through the gate, their contents sealed under the space's data key.
package dossier

import (
	"context"
	"io"
	"log/slog"
	"time"

	"pli/consent"
	"pli/identity"
	"pli/store"
	"pli/store/blob"
	"pli/store/sealed"
)

// Config is what a Service needs. Zero limits take their defaults.
type Config struct {
	DB    store.DB      // the records, sealed; the one that Gate works on
	Blobs blob.Store    // the contents
	Gate  *consent.Gate // the only door
	Keys  *sealed.Keys  // the spaces' data keys
	Now   func() time.Time
	Log   *slog.Logger // default: discards

	MaxSize      int64 // bytes of a document that comes from a message or an establishment: 25 000 000
	MaxOwnSize   int64 // bytes of a document that the holder adds themselves: 5 000 000
	MaxTitle     int   // runes of a title: 200
	MaxDocuments int   // documents of one space: 20 000
}

// Service files, lists and opens documents.
type Service struct{ cfg Config }

// New returns a service on cfg.
func New(cfg Config) (*Service, error) { return &Service{cfg: cfg}, nil }

// Document is what is known of a filed document; its content is opened apart.
type Document struct {
	ID              string         // 26 lower-case letters and digits, random
	Title           string         // at most Config.MaxTitle runes
	Type            string         // code of JDV_J07 (XDS typeCode)
	Class           string         // code of TRE_A03 (XDS classCode), derived from Type
	Date            time.Time      // of the act that it documents, to the day or better
	Author          identity.Actor // who wrote it; zero if not known
	FiledBy         identity.Actor // who put it here
	Filed           time.Time      // UTC, to the millisecond
	MIME            string         // media type, as found in the content
	Filename        string         // without folder; may be empty
	Size            int64          // bytes of the content
	SHA256          [32]byte       // of the content
	Confidentiality []string       // codes of JDV_J08, "N" first
	Source          string         // opaque reference to what it came from; may be empty
}

// NewDocument is what the one who files says of a document.
type NewDocument struct {
	Title           string
	Type            string // code of JDV_J07
	Date            time.Time
	Author          identity.Actor
	MIME            string // as declared; "" or application/octet-stream: as found
	Filename        string
	Confidentiality []string // default: N
	// Source names the message part that it comes from, opaque, or is empty
	// for a document that the filer brings themselves (then MaxOwnSize holds).
	Source string
	// Again files the same Source once more, as a document of its own.
	Again bool
}

// File puts a document into a space (consent.ActDossierFile). It reads content
// to its end, seals it while it arrives, and returns when all is durable.
//
// The same Source with the same content, title, type and date again returns
// the document that is there and changes nothing. The same Source otherwise
// is errs.Conflict, with the document that is there, unless new.Again.
// Other errors: errs.Invalid (title, type, date, media type, content that is not what it
// says), errs.TooLarge, errs.Denied (the gate), errs.NotFound (no such space).
func (s *Service) File(ctx context.Context, actor identity.Actor, space store.Owner, n NewDocument, content io.Reader) (Document, error) {
	return Document{}, nil
}

// List returns the documents of a space that actor may see, the latest Date
// first (consent.ActDossierList). Errors: errs.Denied.
func (s *Service) List(ctx context.Context, actor identity.Actor, space store.Owner) ([]Document, error) {
	return nil, nil
}

// Open returns a document and its content (consent.ActDossierRead), which the
// caller closes. Errors: errs.NotFound, errs.Denied.
func (s *Service) Open(ctx context.Context, actor identity.Actor, space store.Owner, id string) (Document, *Content, error) {
	return Document{}, nil, nil
}

// Content is an opened document's content, unsealed as it is read. ReadAt may
// be called by several goroutines.
type Content struct {
	r    *sealed.Reader
	blob blob.Reader
}

// ReadAt reads at any place (io.ReaderAt); a damaged content is an error.
func (c *Content) ReadAt(p []byte, off int64) (int, error) { return c.r.ReadAt(p, off) }

// Size returns the content's length in bytes.
func (c *Content) Size() int64 { return c.r.Size() }

// Close frees the content.
func (c *Content) Close() error { return c.blob.Close() }

// Type is one kind of document.
type Type struct {
	Code    string // of JDV_J07, "11502-2"
	System  string // OID of the code's system
	Label   string // French, "CR d'examens biologiques"
	LabelEN string // English where the house has one, else the French
	Class   string // code of TRE_A03, "10"; "" where no table gives one
}

// Types returns the kinds of documents, in the order of their table. The
// slice is the caller's.
func (s *Service) Types() []Type { return nil }

// Class is a category of documents (TRE_A03).
type Class struct {
	Code    string // "10"
	Label   string // French, "Compte rendu"
	LabelEN string // English
}

// Classes returns the categories, in the order of their table.
func (s *Service) Classes() []Class { return nil }

// Problem is what Verify found wrong.
type Problem struct {
	Document string // ID, "" if it is about the space
	What     string
}

// Verify checks a space's documents: that each record decodes, and that its
// content is there, whole and as it was filed.
func (s *Service) Verify(ctx context.Context, space store.Owner) ([]Problem, error) { return nil, nil }
