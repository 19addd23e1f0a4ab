package instance

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"pli/certs/keyring"
	"pli/mss"
)

// Config is what one instance is told. Paths are absolute after LoadConfig.
type Config struct {
	Dir            string // data folder
	Name           string // host name of the operator, in greetings and Received lines
	TestIdentities bool   // accept INS of the test OIDs; never in production

	PatientDomain string   // where holders have their addresses
	LocalDomains  []string // where members have theirs

	Listen struct {
		Web, MX, Submissions, Submission, IMAPS, IMAP, Metrics string // host:port, "" is off
	}
	Certificate, Key string   // PEM files of the server's own certificate
	Trust            []string // PEM files of the authorities that peers and members are checked against

	StoreEngine string // engineBolt, or a postgres:// URL
	StoreShards int    // of the bolt engine, fixed when the store is made
	BlobEngine  string // engineDir, or an s3:// URL
	InlineBytes int64  // bodies up to this lie with the records, larger ones as blobs
	HeapPercent int    // garbage kept, as a share of what is in use
	Notices     string // folder that takes, as .eml files, what goes outside

	RepliesOnly   bool
	MessageBytes  int64
	HolderQuota   int64
	MemberQuota   int64
	Recipients    int
	UnknownShare  float64
	UnknownLeast  int
	UnknownMost   int
	UnknownWindow time.Duration
	UnknownPause  time.Duration
	RepeatDays    int
	RepeatNoID    time.Duration
	SessionIdle   time.Duration
	SessionLife   time.Duration
	CodeLife      time.Duration
	CodeTries     int
	Argon         keyring.Params

	RecoveryOperators []string // files of the two public keys that recover accounts together; none: nobody can

	ConnsPerSource  int
	ConnsPerAccount int    // over IMAP
	WebURL          string // where people reach the portal; "": where it listens

	Keep struct { // house-keeping
		SweepEvery, CompactEvery time.Duration // 0 is never
		SweepGrace               time.Duration // a younger blob may have its record still to come
		SweepShare               float64       // of all blobs: if more are unnamed, something else is wrong
		CompactFree              float64       // share of a file that is free before it is compacted
		CompactLeast             int64         // and so many bytes of it
	}
}

// setting is one line of the configuration file: where it is kept, what it
// means, and what a good value is.
type setting struct {
	key   string // table.name
	to    any    // *string, *bool, *int, *int64, *uint8, *uint32, *float64, *[]string or *time.Duration
	help  string
	check func() error
}

// settings is the one list of what a file may say: reading, checking and
// `pli init` all follow it.
func (c *Config) settings() []setting {
	addr := func(p *string) func() error { return func() error { return checkAddr(*p) } }
	return []setting{
		{"instance.dir", &c.Dir, "folder of all data; relative paths start at this file's folder", nonEmpty(&c.Dir)},
		{"instance.name", &c.Name, "host name of this operator, as peers see it", nonEmpty(&c.Name)},
		{"instance.test_identities", &c.TestIdentities, "accept test INS (OID …4.10 and …4.11); never in production", nil},
		{"domains.patient", &c.PatientDomain, "domain of the holders' addresses (INS@domain)", nonEmpty(&c.PatientDomain)},
		{"domains.local", &c.LocalDomains, "domains of the members' addresses", nil},
		{"listen.web", &c.Listen.Web, "portal (HTTPS)", addr(&c.Listen.Web)},
		{"listen.web_url", &c.WebURL, "where people reach the portal, if not there: https://host", nil},
		{"listen.mx", &c.Listen.MX, "SMTP for peer operators (STARTTLS)", addr(&c.Listen.MX)},
		{"listen.submissions", &c.Listen.Submissions, "SMTP for members (implicit TLS)", addr(&c.Listen.Submissions)},
		{"listen.submission", &c.Listen.Submission, "SMTP for members (STARTTLS)", addr(&c.Listen.Submission)},
		{"listen.imaps", &c.Listen.IMAPS, "IMAP (implicit TLS)", addr(&c.Listen.IMAPS)},
		{"listen.imap", &c.Listen.IMAP, "IMAP (STARTTLS)", addr(&c.Listen.IMAP)},
		{"listen.metrics", &c.Listen.Metrics, "metrics and health (plain HTTP, loopback only)", loopback(&c.Listen.Metrics)},
		{"tls.certificate", &c.Certificate, "PEM file of the server's certificate chain", nonEmpty(&c.Certificate)},
		{"tls.key", &c.Key, "PEM file of its private key", nonEmpty(&c.Key)},
		{"tls.trust", &c.Trust, "PEM files of the authorities that issue peers' and members' certificates", nil},
		{"store.engine", &c.StoreEngine, `"bolt": files in instance.dir; or a PostgreSQL URL, postgres://USER@HOST/DATABASE`, engine(&c.StoreEngine, engineBolt, "postgres", "postgresql")},
		{"store.shards", &c.StoreShards, "files of the bolt engine, fixed when the store is made", atLeast(&c.StoreShards, 1)},
		{"store.inline_bytes", &c.InlineBytes, "message bodies up to this size lie with the records, larger ones as blobs; at most 524288", atLeast(&c.InlineBytes, 1)},
		{"store.heap_percent", &c.HeapPercent, "memory spent to collect garbage less often (GOGC); what is unused is given back when quiet", atLeast(&c.HeapPercent, 20)},
		{"blobs.engine", &c.BlobEngine, `"dir": files in instance.dir; or an S3 URL, s3://ACCESS:SECRET@HOST/BUCKET/PREFIX`, engine(&c.BlobEngine, engineDir, "s3")},
		{"notices.folder", &c.Notices, "folder that takes what goes outside (codes, notices) as .eml files", nonEmpty(&c.Notices)},
		{"exchange.replies_only", &c.RepliesOnly, "holders may only answer a message, not write anew to a professional who wrote to them", nil},
		{"limits.message_bytes", &c.MessageBytes, "largest message, in bytes", atLeast(&c.MessageBytes, 1000)},
		{"limits.holder_bytes", &c.HolderQuota, "what a holder's mail may hold, in bytes, unless «pli quota» says otherwise; 0 is no limit", atLeast(&c.HolderQuota, 0)},
		{"limits.member_bytes", &c.MemberQuota, "what a member's mail may hold, in bytes, unless «pli quota» says otherwise; 0 is no limit", atLeast(&c.MemberQuota, 0)},
		{"limits.recipients", &c.Recipients, "recipients of one message", atLeast(&c.Recipients, 1)},
		{"limits.unknown_share", &c.UnknownShare, "share of unknown holders in a peer's recipients that pauses it", share(&c.UnknownShare)},
		{"limits.unknown_least", &c.UnknownLeast, "recipients of a peer before that share counts", atLeast(&c.UnknownLeast, 1)},
		{"limits.unknown_most", &c.UnknownMost, "different unknown holders that pause a peer whatever their share", atLeast(&c.UnknownMost, 1)},
		{"limits.unknown_window", &c.UnknownWindow, "over which that share is taken", atLeast(&c.UnknownWindow, 1)},
		{"limits.unknown_pause", &c.UnknownPause, "how long holder addresses then answer 450", atLeast(&c.UnknownPause, 1)},
		{"limits.repeat_days", &c.RepeatDays, "days for which a repeated message adds nothing", atLeast(&c.RepeatDays, 1)},
		{"limits.repeat_without_id", &c.RepeatNoID, "for how long it adds nothing if it came without a Message-ID", atLeast(&c.RepeatNoID, 1)},
		{"limits.connections_per_source", &c.ConnsPerSource, "connections of one address to one port", atLeast(&c.ConnsPerSource, 1)},
		{"limits.connections_per_account", &c.ConnsPerAccount, "IMAP connections signed in to one account", atLeast(&c.ConnsPerAccount, 1)},
		{"keep.sweep_every", &c.Keep.SweepEvery, "how often blobs that no record names are removed; \"0s\" is never", neverOr(&c.Keep.SweepEvery, leastEvery)},
		{"keep.sweep_grace", &c.Keep.SweepGrace, "a blob younger than this is left: its record may be still to come; at least 1h", atLeast(&c.Keep.SweepGrace, leastGrace)},
		{"keep.sweep_share", &c.Keep.SweepShare, "if more than this share of all blobs is named by no record, none is removed", share(&c.Keep.SweepShare)},
		{"keep.compact_every", &c.Keep.CompactEvery, "how often the bolt engine's files are looked at for free room; \"0s\" is never", neverOr(&c.Keep.CompactEvery, leastEvery)},
		{"keep.compact_free", &c.Keep.CompactFree, "a file is compacted when more than this share of it is free", share(&c.Keep.CompactFree)},
		{"keep.compact_least", &c.Keep.CompactLeast, "and at least so many bytes are free", atLeast(&c.Keep.CompactLeast, 1)},
		{"signin.session_idle", &c.SessionIdle, "a portal session ends after this long without a request", atLeast(&c.SessionIdle, 1)},
		{"signin.session_life", &c.SessionLife, "a portal session ends after this long", atLeast(&c.SessionLife, 1)},
		{"signin.code_life", &c.CodeLife, "a one-time code is good for this long", atLeast(&c.CodeLife, 1)},
		{"signin.code_tries", &c.CodeTries, "wrong codes before a new one is needed", atLeast(&c.CodeTries, 1)},
		{"signin.argon2_memory_kib", &c.Argon.Memory, "memory of one password derivation, in KiB", atLeast(&c.Argon.Memory, 8)},
		{"signin.argon2_passes", &c.Argon.Passes, "passes of one password derivation", atLeast(&c.Argon.Passes, 1)},
		{"signin.argon2_lanes", &c.Argon.Threads, "lanes of one password derivation", atLeast(&c.Argon.Threads, 1)},
		{"recovery.operators", &c.RecoveryOperators, "files of two operators' public keys (pli key operator), which together recover an account; empty: nobody can", noneOrTwo(&c.RecoveryOperators)},
	}
}

// DefaultConfig is what a file leaves unsaid.
func DefaultConfig() *Config {
	c := &Config{
		Dir: "data", Name: "localhost", PatientDomain: "patient.pli.test",
		LocalDomains: []string{"medecin.pli.test", "labo.pli.test"},
		Certificate:  "server.pem", Key: "server.key", Trust: []string{"ca.pem"},
		StoreEngine: engineBolt, StoreShards: 1, BlobEngine: engineDir, InlineBytes: 256 << 10, HeapPercent: 400, Notices: "outbox",
		MessageBytes: 25_000_000, HolderQuota: 5_000_000_000, MemberQuota: 5_000_000_000, Recipients: 100,
		UnknownShare: 0.3, UnknownLeast: 20, UnknownMost: 1000, UnknownWindow: time.Hour, UnknownPause: 15 * time.Minute,
		RepeatDays: 7, RepeatNoID: 10 * time.Minute, ConnsPerSource: 2000, ConnsPerAccount: 1000,
		SessionIdle: 30 * time.Minute, SessionLife: 12 * time.Hour, CodeLife: 10 * time.Minute, CodeTries: 5,
		Argon: keyring.DefaultParams(),
	}
	k := &c.Keep
	k.SweepEvery, k.SweepGrace, k.SweepShare = 24*time.Hour, 24*time.Hour, 0.2
	k.CompactEvery, k.CompactFree, k.CompactLeast = 24*time.Hour, 0.5, 64<<20
	l := &c.Listen
	l.Web, l.MX, l.Submissions, l.Submission = "127.0.0.1:8443", "127.0.0.1:2525", "127.0.0.1:2465", "127.0.0.1:2587"
	l.IMAPS, l.IMAP, l.Metrics = "127.0.0.1:2993", "127.0.0.1:2143", "127.0.0.1:9464"
	return c
}

// LoadConfig reads one TOML file. Every fault is told at once, with its line:
// the error is a Faults.
func LoadConfig(path string) (*Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c := DefaultConfig()
	if faults := c.parse(string(text)); len(faults) > 0 {
		return nil, &Faults{File: path, List: faults}
	}
	base, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	c.resolve(base)
	return c, nil
}

// resolve makes every path absolute, from the file's own folder.
func (c *Config) resolve(base string) {
	paths := []*string{&c.Dir, &c.Certificate, &c.Key, &c.Notices}
	for i := range c.Trust {
		paths = append(paths, &c.Trust[i])
	}
	for i := range c.RecoveryOperators {
		paths = append(paths, &c.RecoveryOperators[i])
	}
	for _, p := range paths {
		if !filepath.IsAbs(*p) {
			*p = filepath.Join(base, *p)
		}
	}
}

// Faults is everything that is wrong in one configuration file.
type Faults struct {
	File string
	List []Fault
}

// Fault is one mistake; Line counts from 1 and is 0 where the file says nothing.
type Fault struct {
	Line int
	Text string
}

// Error lists the faults, one a line, as file:line: text.
func (f *Faults) Error() string {
	var b strings.Builder
	for i, x := range f.List {
		if i > 0 {
			b.WriteByte('\n')
		}
		if x.Line > 0 {
			fmt.Fprintf(&b, "%s:%d: %s", f.File, x.Line, x.Text)
		} else {
			fmt.Fprintf(&b, "%s: %s", f.File, x.Text)
		}
	}
	return b.String()
}

func nonEmpty(p *string) func() error {
	return func() error {
		if *p == "" {
			return fmt.Errorf("must not be empty")
		}
		return nil
	}
}

func atLeast[T int | int64 | uint8 | uint32 | time.Duration](p *T, least T) func() error {
	return func() error {
		if *p < least {
			return fmt.Errorf("is %v; at least %v", *p, least)
		}
		return nil
	}
}

func share(p *float64) func() error {
	return func() error {
		if *p <= 0 || *p > 1 {
			return fmt.Errorf("is %v; a share above 0 and up to 1", *p)
		}
		return nil
	}
}

func checkAddr(s string) error {
	if s == "" {
		return nil
	}
	if _, _, err := net.SplitHostPort(s); err != nil {
		return fmt.Errorf("is %q; an address like 127.0.0.1:8443, or \"\" for none", s)
	}
	return nil
}

// loopback keeps metrics on the machine: they tell an operator's volumes.
func loopback(p *string) func() error {
	return func() error {
		if err := checkAddr(*p); err != nil || *p == "" {
			return err
		}
		host, _, _ := net.SplitHostPort(*p)
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return fmt.Errorf("is %q; only a loopback address: metrics have no sign-in", *p)
		}
		return nil
	}
}

// limits returns what the messaging space is told of them.
func (c *Config) limits() mss.Limits {
	return mss.Limits{MaxMessage: c.MessageBytes, MaxRecipients: c.Recipients,
		UnknownShare: c.UnknownShare, UnknownLeast: c.UnknownLeast,
		UnknownWindow: c.UnknownWindow, UnknownPause: c.UnknownPause, UnknownMost: c.UnknownMost,
		RepeatDays: c.RepeatDays, RepeatWithoutID: c.RepeatNoID}
}
