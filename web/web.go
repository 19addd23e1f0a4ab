// Package web is the portal: the pages where people read, answer, file and
// look at who looked.
//
// It decides nothing. Each page is one call of a domain room, put into words;
// what a room refuses, status.go turns outward. Pages are made on the server,
// work without JavaScript, and carry a Content-Security-Policy without inline
// script or style.
package web

import (
	"log/slog"
	"net/http"
	"net/url"
	"time"
	_ "time/tzdata" // appointments name their time zones

	"pli/consent"
	"pli/dossier"
	"pli/internal/errs"
	"pli/mailbox"
	"pli/mss"
	"pli/mss/directory"
	"pli/notify"
	"pli/signin"
	"pli/space"
	"pli/web/safehtml"
	"pli/web/words"
)

// Config says what a Server works on and where its limits are. Every room is
// required; a zero limit is replaced by the default named beside it.
type Config struct {
	Signin    *signin.Service
	Mail      *mailbox.Service
	MSS       *mss.Service
	Directory *directory.Directory
	Dossier   *dossier.Service
	Spaces    *space.Service
	Gate      *consent.Gate
	Hub       *notify.Hub
	Now       func() time.Time
	Log       *slog.Logger // default: discards

	// BaseURL is where people reach the portal, "https://host:port".
	BaseURL string
	// Mailhost, IMAPPort and SubmissionPort are what a mail client is told;
	// the host defaults to BaseURL's, the ports to 993 and 465.
	MailHost                 string
	IMAPPort, SubmissionPort int
	// Zone is where dates are told (Europe/Paris).
	Zone *time.Location

	PageSize     int           // messages or trace lines on a page: 25
	MaxForm      int64         // bytes of a form without files: 64 KiB
	MaxText      int           // bytes of a text that someone writes: 200 000
	MaxShown     int           // bytes of a text that is shown: 500 000
	MaxFiles     int           // files of one message: 20
	MaxFileBytes int64         // bytes of all files of one message: 18 MB, which are 25 MB once encoded
	MaxUploads   int           // messages that are taken at once, in all: 200
	MaxUploadsOf int           // of one person: 3
	MaxStreams   int           // event streams in all: 10 000
	MaxStreamsOf int           // of one session, as many tabs: 8
	MaxHeld      int           // people whose mail stays open between requests: 500; that of others opens more slowly
	StreamBeat   time.Duration // between the signs of life of an event stream: 25 seconds
	HoldTime     time.Duration // without a request, after which it no longer does: 1 minute
	PageTime     time.Duration // for an ordinary request to arrive and be answered: 1 minute
	UploadTime   time.Duration // for a message or a file to arrive or to leave: 10 minutes
	HTML         safehtml.Limits
}

// withDefaults returns c with its zero limits replaced.
func (c Config) withDefaults() (Config, error) {
	base, err := url.Parse(c.BaseURL)
	if err != nil || base.Scheme != "https" || base.Host == "" {
		return c, errs.New(errs.Invalid, "BaseURL %q is not https://host", c.BaseURL)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.MailHost == "" {
		c.MailHost = base.Hostname()
	}
	if c.Zone == nil {
		if c.Zone, err = time.LoadLocation("Europe/Paris"); err != nil {
			return c, err
		}
	}
	set := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	set(&c.IMAPPort, 993)
	set(&c.SubmissionPort, 465)
	set(&c.PageSize, 25)
	set(&c.MaxText, 200_000)
	set(&c.MaxShown, 500_000)
	set(&c.MaxFiles, 20)
	set(&c.MaxUploads, 200)
	set(&c.MaxUploadsOf, 3)
	set(&c.MaxStreams, 10_000)
	set(&c.MaxStreamsOf, 8)
	set(&c.MaxHeld, 500)
	if c.MaxForm <= 0 {
		c.MaxForm = 64 << 10
	}
	if c.MaxFileBytes <= 0 {
		c.MaxFileBytes = 18 * 1000 * 1000
	}
	if c.StreamBeat <= 0 {
		c.StreamBeat = 25 * time.Second
	}
	if c.HoldTime <= 0 {
		c.HoldTime = time.Minute
	}
	if c.PageTime <= 0 {
		c.PageTime = time.Minute
	}
	if c.UploadTime <= 0 {
		c.UploadTime = 10 * time.Minute
	}
	return c, nil
}

// Server is the portal. It may serve many at once.
type Server struct {
	Config
	book    *words.Book
	pages   *pages
	assets  *assets
	cleaner *safehtml.Cleaner
	uploads places // a place for each message on its way
	turns   turns  // of requests that make the same letter
	streams streams
	holds   holds
	known   known
	mux     *http.ServeMux
}

// New returns the portal.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if cfg.Signin == nil || cfg.Mail == nil || cfg.MSS == nil || cfg.Directory == nil || cfg.Dossier == nil ||
		cfg.Spaces == nil || cfg.Gate == nil || cfg.Hub == nil || cfg.Now == nil {
		return nil, errs.New(errs.Invalid, "the portal lacks one of its rooms or its clock")
	}
	s := &Server{Config: cfg, cleaner: safehtml.New(cfg.HTML)}
	s.uploads.max, s.uploads.each = cfg.MaxUploads, cfg.MaxUploadsOf
	s.holds.max, s.holds.life = cfg.MaxHeld, cfg.HoldTime
	s.streams.max, s.streams.each = cfg.MaxStreams, cfg.MaxStreamsOf
	if s.book, err = words.Load(); err != nil {
		return nil, err
	}
	if s.assets, err = loadAssets(); err != nil {
		return nil, err
	}
	if s.pages, err = s.parsePages(); err != nil {
		return nil, err
	}
	s.mux = s.routes()
	return s, nil
}

// Close lets go of what is kept open between requests. Requests that still
// come are answered, more slowly.
func (s *Server) Close() { s.holds.close() }

// Held returns how many people's mail is open between requests just now.
func (s *Server) Held() int { return s.holds.count() }

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	s.mux.ServeHTTP(w, r)
}
