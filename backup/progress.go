package backup

import (
	"fmt"
	"sync"
	"time"
)

// Progress is how far a run is.
type Progress struct {
	Phase   string  // what is being done
	Share   float64 // of the phase, 0 to 1; below 0: not known
	Records int64
	Blobs   int64
	Bytes   int64 // read from the instance, or written to it
	Sent    int64 // bytes written to the repository
	Took    time.Duration
}

// String returns one line for people.
func (p Progress) String() string {
	share := ""
	if p.Share >= 0 {
		share = fmt.Sprintf(" %.0f %%", 100*p.Share)
	}
	s := fmt.Sprintf("%s%s: %d records, %d blobs, %s", p.Phase, share, p.Records, p.Blobs, size(p.Bytes))
	if p.Sent > 0 {
		s += fmt.Sprintf(", %s new", size(p.Sent))
	}
	if p.Took > 0 {
		s += fmt.Sprintf(", %s/s", size(int64(float64(p.Bytes)/p.Took.Seconds())))
	}
	return s
}

// share returns how much of a whole is done; what was added meanwhile is none of
// it.
func share(done, total int64) float64 {
	return min(1, float64(done)/float64(max(1, total)))
}

// progressEvery is the least time between two words of progress.
const progressEvery = 500 * time.Millisecond

// meter counts what a run does and tells it, not too often.
type meter struct {
	mu    sync.Mutex
	now   func() time.Time
	tell  func(Progress)
	begin time.Time
	last  time.Time
	at    Progress
}

func newMeter(cfg Config) *meter {
	return &meter{now: cfg.Now, tell: cfg.Progress, begin: cfg.Now(), at: Progress{Share: -1}}
}

// count changes what is known and perhaps tells it.
func (m *meter) count(fn func(*Progress)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	phase := m.at.Phase
	fn(&m.at)
	now := m.now()
	m.at.Took = now.Sub(m.begin)
	if m.tell != nil && (m.at.Phase != phase || now.Sub(m.last) >= progressEvery) {
		m.last = now
		m.tell(m.at)
	}
}

func (m *meter) phase(name string) {
	m.count(func(p *Progress) { p.Phase, p.Share = name, -1 })
}

func (m *meter) sum() Progress {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.at
}
