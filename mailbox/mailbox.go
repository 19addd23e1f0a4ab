// Package mailbox keeps an account's mail: folders, messages, flags, search.
//
// Content is sealed to the account's public key before it is stored: delivery
// needs no secret, reading needs the account's opened key bundle. Names of
// boxes, flags, sizes and dates lie in the owner's ordinary records, under the
// owner's data key.
//
// One message is taken with Service.Spool, which parses and seals it while it
// arrives, and put into each recipient's account with Service.Deliver inside a
// transaction of that account. A signed-in session opens an Account and selects
// Views on its boxes. All but Spools and Views may be used from several goroutines.
package mailbox

import (
	"log/slog"
	"runtime"
	"sync"
	"time"

	"pli/consent"
	"pli/mailbox/message"
	"pli/notify"
	"pli/store"
	"pli/store/blob"
)

// Config says what a Service works on and where its limits are. A zero limit
// is replaced by the default named beside it.
type Config struct {
	DB    store.DB         // sealed records
	Blobs blob.Store       // bodies above InlineMax
	Gate  *consent.Gate    // the door to spaces; nil only where no account is a space
	Hub   *notify.Hub      // told of every change of an owner's mail; may be nil
	Now   func() time.Time // the clock; required
	Log   *slog.Logger     // default: discards

	Message message.Limits // bounds of parsing

	HolderQuota int64 // bytes that the mail of a space may hold, unless it has a limit of its own; 0: no limit
	MemberQuota int64 // and that of any other account

	InlineMax     int64 // bytes of body kept as a record, the rest as a blob: 64 KiB; at most 512 KiB
	MaxMessage    int64 // bytes of one message: 32 MiB
	MaxBoxes      int   // boxes of one account: 500
	MaxMessages   int   // messages of one box: 500 000
	MaxName       int   // bytes of a box's full name: 512
	MaxDepth      int   // levels of a box's name: 20
	MaxKeywords   int   // keywords of one account: 100; at most 123
	MaxKeyword    int   // bytes of one keyword: 64
	MaxCopy       int   // messages of one Copy, which is one transaction: 20 000
	MaxExpungeLog int   // records kept of a box's expunges: 1 000
	MaxSearchRead int64 // bytes of bodies that one Search reads: 256 MiB
	IndexCache    int64 // bytes of opened indexes kept per account: 4 MiB
	IndexCacheAll int64 // bytes of opened indexes kept in all: 128 MiB

	PageDelay time.Duration // how long mail is quiet before a session's pass over its pages: 1 s
}

// withDefaults returns c with its zero limits replaced.
func (c Config) withDefaults() Config {
	set64 := func(v *int64, d int64) {
		if *v == 0 {
			*v = d
		}
	}
	set := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	set64(&c.InlineMax, 64<<10)
	c.InlineMax = min(c.InlineMax, 512<<10)
	set64(&c.MaxMessage, 32<<20)
	set(&c.MaxBoxes, 500)
	set(&c.MaxMessages, 500_000)
	set(&c.MaxName, 512)
	set(&c.MaxDepth, 20)
	set(&c.MaxKeywords, 100)
	c.MaxKeywords = min(c.MaxKeywords, maxKeywordBits)
	set(&c.MaxKeyword, 64)
	set(&c.MaxCopy, 20_000)
	set(&c.MaxExpungeLog, 1_000)
	set64(&c.MaxSearchRead, 256<<20)
	set64(&c.IndexCache, 4<<20)
	set64(&c.IndexCacheAll, 128<<20)
	if c.PageDelay == 0 {
		c.PageDelay = time.Second
	}
	return c
}

// Service is the mail of all accounts of an instance.
type Service struct {
	cfg     Config
	buffers sync.Pool     // *[]byte: memory of inline messages, between them
	pages   sync.Pool     // *pageBuffer: opened pages, between searches
	passes  chan struct{} // one for each pass at work
	cache   *cache
	tight   sync.Map // store.Owner: accounts that are nearly full, of those that were written to
	hurt    sync.Map // blob.ID: blobs in which damage was met while they were read

	mu   sync.RWMutex
	live map[store.Owner]*shared // accounts that some session has opened
}

// New returns a Service.
func New(cfg Config) *Service {
	cfg = cfg.withDefaults()
	return &Service{cfg: cfg, passes: make(chan struct{}, runtime.GOMAXPROCS(0)), cache: newCache(cfg.IndexCache, cfg.IndexCacheAll), live: make(map[store.Owner]*shared)}
}
