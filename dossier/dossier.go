// Package dossier keeps the documents of a space: filed, listed and opened
// only through the gate, their contents sealed under the space's data key.
package dossier

import (
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

	MaxSize      int64 // bytes of a document that comes from a message (NewDocument.Source): 25 000 000
	MaxOwnSize   int64 // bytes of a document that the filer brings themselves: 5 000 000
	MaxTitle     int   // characters of a title: 200
	MaxDocuments int   // documents of one space: 20 000

	// TraceEvery is how long after a traced one a holder's listing of their
	// own dossier, or reading of the same document of theirs, is not traced
	// again: 1 h. Anybody else's is traced each time.
	TraceEvery time.Duration
}

// Service files, lists and opens documents. All methods may run at once.
type Service struct {
	cfg     Config
	types   []Type
	classes []Class
	byCode  map[string]int // code of a type: its place in types
}

// New returns a service. It fails only if the program was built with broken tables.
func New(cfg Config) (*Service, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.MaxSize <= 0 {
		cfg.MaxSize = 25_000_000
	}
	if cfg.MaxOwnSize <= 0 {
		cfg.MaxOwnSize = 5_000_000
	}
	if cfg.MaxTitle <= 0 {
		cfg.MaxTitle = 200
	}
	if cfg.MaxDocuments <= 0 {
		cfg.MaxDocuments = 20_000
	}
	if cfg.TraceEvery <= 0 {
		cfg.TraceEvery = time.Hour
	}
	s := &Service{cfg: cfg}
	return s, s.loadTypes()
}

// dataClass is the class of the data key that contents are sealed under, the
// same as that of the records.
const dataClass = "data"

// What a space's data key is used for here, each under a key of its own.
const (
	roleContents = "dossier contents"
	roleSources  = "dossier sources"
)

// Document is what is known of a filed document; its content is opened apart.
type Document struct {
	ID              string         // 26 lower-case letters and digits, random
	Title           string         // one line
	Type            string         // code of JDV_J07 (XDS typeCode)
	Class           string         // code of TRE_A03 (XDS classCode), derived from Type; may be empty
	Date            time.Time      // of the act that it documents, to the day or better
	Author          identity.Actor // who wrote it, as its filer says: a name to show, never a right; may be zero
	FiledBy         identity.Actor // who put it here
	Filed           time.Time      // UTC, to the millisecond
	MIME            string         // one of MediaTypes, as found in the content
	Filename        string         // without folder; may be empty
	Size            int64          // bytes of the content
	SHA256          [32]byte       // of the content
	Confidentiality []string       // codes of JDV_J08, one of N, R, V first
	Source          string         // opaque reference to what it came from; may be empty
}

// NewDocument is what the one who files says of a document.
type NewDocument struct {
	Title           string // 1 to Config.MaxTitle characters; white space is made single blanks
	Type            string // code of JDV_J07
	Date            time.Time
	Author          identity.Actor
	MIME            string // as declared; "" or application/octet-stream: as found
	Filename        string
	Confidentiality []string // codes of JDV_J08; default N
	// Source names the message part that it comes from, opaque, at most 200
	// bytes, or is empty for a document that the filer brings themselves.
	Source string
	// Again files the same Source once more, as a document of its own.
	Again bool
}
