package instance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pli/certs/keyring"
	"pli/dossier"
	"pli/identity"
	"pli/internal/engines"
	"pli/internal/errs"
	"pli/mailbox"
	"pli/store"
	"pli/store/blob"
)

// house is an instance that listens nowhere, with one space, whose clock is
// moved by the test.
type house struct {
	*Instance
	t     *testing.T
	cfg   *Config
	owner store.Owner
	later time.Duration
}

func newHouse(t *testing.T, configure ...func(*Config)) *house {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "instance")
	cfg := DefaultConfig()
	cfg.InlineBytes = 100
	cfg.Argon.Memory, cfg.Argon.Passes, cfg.Argon.Threads = 8, 1, 1
	for _, f := range configure {
		f(cfg)
	}
	if err := Init(t.Context(), dir, cfg, true, time.Now); err != nil {
		t.Fatal(err)
	}
	cfg, err := LoadConfig(filepath.Join(dir, "pli.toml"))
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, cfg: cfg}
	h.open()
	t.Cleanup(h.shut)
	if _, err := h.AddSpace(t.Context(), SpaceAdd{INS: "279035121518989", Family: "DUPONT", Given: "Anne", Sex: "F", Birth: "1979-03-12",
		State: "active", Login: "anne.dupont", Password: "Une-phrase-assez-longue-7", Contact: "anne@example.org"}); err != nil {
		t.Fatal(err)
	}
	if h.owner, err = h.byINS(t.Context(), "279035121518989"); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *house) deps() Deps {
	return Deps{Now: func() time.Time { return time.Now().Add(h.later) }, Log: slog.New(slog.DiscardHandler)}
}

func (h *house) open() {
	h.t.Helper()
	in, err := Open(h.t.Context(), h.cfg, h.deps())
	if err != nil {
		h.t.Fatal(err)
	}
	h.Instance = in
}

func (h *house) shut() {
	h.t.Helper()
	if err := h.Close(); err != nil {
		h.t.Error(err)
	}
}

// orphan stores a blob that nobody names.
func (h *house) orphan() blob.ID {
	h.t.Helper()
	w, err := h.blobs.Create(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	w.Write([]byte("an orphan"))
	id, err := w.Commit()
	if err != nil {
		h.t.Fatal(err)
	}
	return id
}

// spool takes a message for the space up to where its blob is durable and
// nothing names it yet.
func (h *house) spool() *mailbox.Spool {
	h.t.Helper()
	to, err := h.signin.Recipient(h.t.Context(), h.owner)
	if err != nil {
		h.t.Fatal(err)
	}
	p, err := h.mail.Spool(h.t.Context(), []keyring.Recipient{to})
	if err != nil {
		h.t.Fatal(err)
	}
	if _, err := p.Write([]byte("Subject: Gros\r\n\r\n" + strings.Repeat("ligne\r\n", 100))); err != nil {
		h.t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		h.t.Fatal(err)
	}
	return p
}

func (h *house) deliver(p *mailbox.Spool) {
	h.t.Helper()
	err := h.db.Update(h.t.Context(), h.owner, func(tx store.Tx) error {
		_, err := h.mail.Deliver(tx, p.Letter(0), "INBOX", nil, h.deps().Now())
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	p.Discard()
}

// file puts a document into the dossier.
func (h *house) file() {
	h.t.Helper()
	holder := identity.Actor{Kind: identity.Holder, ID: string(h.owner), Account: string(h.owner)}
	_, err := h.dossier.File(h.t.Context(), holder, h.owner, dossier.NewDocument{Title: "Compte rendu", Type: "11502-2", Date: time.Now(), Author: holder, MIME: "text/plain"},
		strings.NewReader("Compte rendu."))
	if err != nil {
		h.t.Fatal(err)
	}
}

// stored lists all blobs.
func (h *house) stored() (ids []blob.ID) {
	h.t.Helper()
	if err := h.eachBlob(h.t.Context(), "", func(b blob.Info) error { ids = append(ids, b.ID); return nil }); err != nil {
		h.t.Fatal(err)
	}
	return ids
}

func (h *house) mustHold(when string, n int) {
	h.t.Helper()
	if got := len(h.stored()); got != n {
		h.t.Errorf("%s: %d blobs; want %d", when, got, n)
	}
}

func (h *house) mustVerify() {
	h.t.Helper()
	r, err := h.Verify(h.t.Context(), struct{}{})
	if err != nil || len(r.Problems) > 0 {
		h.t.Errorf("verify: %v, %v", r.Problems, err)
	}
}

func (h *house) sweep(a SweepArgs) SweepReport {
	h.t.Helper()
	r, err := h.Sweep(h.t.Context(), a)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

// day is past the default grace time.
const day = 25 * time.Hour

// What a crash left without a record goes, and nothing else: young blobs, and
// those of messages and documents, stay (issue 3, 7).
func TestSweep(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for range 3 {
		h.deliver(h.spool())
		h.orphan()
	}
	h.file()
	const named, orphans = 4, 3
	h.mustHold("before", named+orphans)
	if r := h.sweep(SweepArgs{}); r.Blobs != named+orphans || r.Unnamed != 0 || r.Removed != 0 || r.Stopped != "" {
		t.Errorf("within the grace time: %+v", r)
	}
	h.later = day
	if r := h.sweep(SweepArgs{DryRun: true}); r.Unnamed != orphans || r.Bytes != orphans*9 || r.Removed != 0 || !strings.Contains(r.String(), "dry run") {
		t.Errorf("a dry run: %+v", r)
	}
	h.mustHold("after a dry run", named+orphans)
	if r := h.sweep(SweepArgs{}); r.Unnamed != orphans || r.Removed != orphans || r.Freed != orphans*9 || r.Stopped != "" {
		t.Errorf("a sweep: %+v", r)
	}
	h.mustHold("after", named)
	h.mustVerify()
}

// The grace time ends at its end.
func TestSweepGrace(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, c := range []struct {
		age  time.Duration
		want int
	}{{h.cfg.Keep.SweepGrace, 0}, {h.cfg.Keep.SweepGrace + time.Millisecond, 1}} {
		id := h.orphan()
		now := time.Now()
		h.Instance.deps.Now = func() time.Time { return now }
		file := filepath.Join(h.cfg.Dir, "blobs", string(id[:2]), string(id[2:4]), string(id))
		if err := os.Chtimes(file, now, now.Add(-c.age)); err != nil {
			t.Fatal(err)
		}
		if r := h.sweep(SweepArgs{DryRun: true}); r.Unnamed != c.want {
			t.Errorf("%v old: %d unnamed; want %d", c.age, r.Unnamed, c.want)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
}

// More blobs than are held in memory are looked for in rounds, with the same
// outcome; what a run has no room for is left to the next.
func TestSweepInRounds(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const each = 4
	for range each {
		h.deliver(h.spool())
		h.orphan()
	}
	h.later = day
	at := func(n int) *sweep {
		c := &chore{in: h.Instance, ctx: t.Context(), since: time.Now(), told: time.Now()}
		return &sweep{chore: c, atOnce: n, told: &h.metrics.sweep, args: SweepArgs{DryRun: true}}
	}
	for n := 1; n <= 2*each+1; n++ {
		s := at(n)
		if err := s.run(); err != nil {
			t.Fatal(err)
		}
		if r := s.report; r.Blobs != 2*each || r.Unnamed != each || len(s.found) != min(n, each) {
			t.Errorf("%d at once: %+v, %d to remove", n, r, len(s.found))
		}
	}
	for left := each; left > 0; left -= 3 {
		s := at(3)
		s.args.DryRun = false
		if err := s.run(); err != nil || s.report.Removed != min(3, left) {
			t.Errorf("%d left, 3 at once: %+v, %v", left, s.report, err)
		}
	}
	h.mustHold("after", each)
	h.mustVerify()
}

// atLook is a store that calls fn when somebody begins to look at all owners
// for the nth time.
type atLook struct {
	store.DB
	n  int
	fn func()
}

func (d *atLook) Owners(ctx context.Context, after store.Owner, n int) ([]store.Owner, error) {
	if after == "" {
		if d.n--; d.n == 0 {
			d.fn()
		}
	}
	return d.DB.Owners(ctx, after, n)
}

// A blob that gets its record after it was listed stays, at whatever look.
func TestSweepKeepsWhatIsNamedMeanwhile(t *testing.T) {
	t.Parallel()
	for look := 1; look <= 2; look++ {
		t.Run(fmt.Sprint(look), func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.deliver(h.spool())
			p, orphan, delivered := h.spool(), h.orphan(), false
			h.later = day
			h.db = &atLook{h.db, look, func() { h.deliver(p); delivered = true }}
			r := h.sweep(SweepArgs{})
			if !delivered || r.Removed != 1 || r.Unnamed != look {
				t.Errorf("delivered: %v; %+v", delivered, r)
			}
			if got := h.stored(); len(got) != 2 || slices.Contains(got, orphan) {
				t.Errorf("%d blobs are left", len(got))
			}
			h.mustVerify()
		})
	}
}

// If an owner's records cannot be read whole, nothing is removed, and the
// report says whose.
func TestSweepStopsAtDamage(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(h *house){
		"a message":          func(h *house) { h.damage("mail/m/", valueOf) },
		"a document":         func(h *house) { h.damage("dossier/", valueOf) },
		"a message's key":    func(h *house) { h.damage("mail/m/", keyOf) },
		"a document's key":   func(h *house) { h.damage("dossier/", keyOf) },
		"what names no blob": func(h *house) { h.damage("audit/", valueOf) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.deliver(h.spool())
			h.file()
			h.orphan()
			h.later = day
			damage(h)
			r := h.sweep(SweepArgs{})
			if r.Removed != 0 || !strings.Contains(r.Stopped, string(h.owner)) || !strings.Contains(r.Stopped, "nothing is removed") {
				t.Errorf("%+v", r)
			}
			h.mustHold("after", 3)
			s, err := h.KeepStatus(t.Context(), struct{}{})
			if err != nil || s.Sweep == nil || s.Sweep.Stopped != r.Stopped {
				t.Errorf("the status does not say why: %+v, %v", s.Sweep, err)
			}
		})
	}
}

// Where a bit is changed.
func valueOf(key, value []byte) { value[len(value)-1] ^= 1 }
func keyOf(key, value []byte)   { key[5] ^= 1 } // it stays in the order of keys

// damage changes a bit of the first record of the space below a prefix.
func (h *house) damage(prefix string, change func(key, value []byte)) {
	h.t.Helper()
	err := h.raw.Update(h.t.Context(), h.owner, func(tx store.Tx) error {
		var key, value []byte
		err := tx.Scan([]byte(prefix), store.After([]byte(prefix)), func(k, v []byte) error {
			key, value = bytes.Clone(k), bytes.Clone(v)
			return store.Stop
		})
		if err != nil || key == nil {
			return fmt.Errorf("nothing to damage below %s: %w", prefix, err)
		}
		if err := tx.Delete(key); err != nil {
			return err
		}
		change(key, value)
		return tx.Put(key, value)
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// Nothing is removed while the records are out of reach, nor when the operator
// goes.
func TestSweepStopsWithoutRecords(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.orphan()
	h.later = day
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Sweep(ctx, SweepArgs{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := h.raw.Close(); err != nil {
		t.Fatal(err)
	}
	if r, err := h.Sweep(t.Context(), SweepArgs{}); err == nil || r.Removed != 0 || !strings.Contains(r.Stopped, "nothing is removed") {
		t.Errorf("without records: %+v, %v", r, err)
	}
	h.mustHold("after", 1)
}

// So many unnamed blobs that the records are probably another's are left,
// unless the operator knows better.
func TestSweepStopsAtTooMany(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	fill := func(n int) {
		for range n {
			h.orphan()
		}
	}
	h.deliver(h.spool())
	fill(sweepFew)
	h.later = day
	if r := h.sweep(SweepArgs{}); r.Removed != sweepFew {
		t.Errorf("few, nearly all of them unnamed: %+v", r)
	}
	fill(sweepFew + 1)
	if r := h.sweep(SweepArgs{}); r.Removed != 0 || !strings.Contains(r.Stopped, "keep.sweep_share") {
		t.Errorf("one more than few: %+v", r)
	}
	h.cfg.Keep.SweepShare = 1
	if r := h.sweep(SweepArgs{DryRun: true}); r.Stopped != "" {
		t.Errorf("as large a share as is allowed: %+v", r)
	}
	h.cfg.Keep.SweepShare = 0.99
	if r := h.sweep(SweepArgs{Many: true}); r.Removed != sweepFew+1 || r.Stopped != "" {
		t.Errorf("the operator knows better: %+v", r)
	}
	h.mustHold("after", 1)
}

// A new instance that is given the bucket of another removes nothing there,
// however few blobs there are, unless the operator knows better.
func TestSweepOfAnothersBlobs(t *testing.T) {
	t.Parallel()
	bucket := engines.S3(t)
	h := newHouse(t, func(c *Config) { c.UseEngines("", bucket) })
	for range 3 {
		h.deliver(h.spool())
	}
	wrong := newHouse(t, func(c *Config) { c.UseEngines("", bucket) })
	wrong.later = day
	if r := wrong.sweep(SweepArgs{}); r.Removed != 0 || !strings.Contains(r.Stopped, "--many") {
		t.Errorf("%+v", r)
	}
	h.mustVerify()
	if r := wrong.sweep(SweepArgs{Many: true}); r.Removed != 3 || r.Stopped != "" {
		t.Errorf("the operator knows better: %+v", r)
	}
}

// A sweep leaves the field to a backup or a restoration: it does not begin
// beside one, and if one has come between a look and a removal it ends, since a
// record that came back may name what was unnamed. The next one goes on.
func TestSweepYields(t *testing.T) {
	t.Parallel()
	for name, come := range map[string]func(h *house){
		"it runs":    func(h *house) { h.hold.Hold() },
		"it has run": func(h *house) { h.hold.Hold(); h.hold.Release(t.Context()) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.deliver(h.spool())
			h.orphan()
			h.later = day
			h.db = &atLook{h.db, 2, func() { come(h) }}
			if r := h.sweep(SweepArgs{}); r.Unnamed != 1 || r.Removed != 0 || !strings.Contains(r.Stopped, "next sweep") {
				t.Errorf("%+v", r)
			}
			if h.hold.holds > 0 {
				if _, err := h.Sweep(t.Context(), SweepArgs{}); !errs.Is(err, errs.Conflict) {
					t.Errorf("beside it: %v", err)
				}
				h.hold.Release(t.Context())
			}
			h.mustHold("after", 2)
			if r := h.sweep(SweepArgs{}); r.Removed != 1 || r.Stopped != "" {
				t.Errorf("the next one: %+v", r)
			}
		})
	}
}

// A deletion that stopped after the key was destroyed leaves blobs that nobody
// can open: they go.
func TestSweepAfterADeletion(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.deliver(h.spool())
	h.file()
	other := h.holder(1)
	if err := h.deliverText(other, letter(1, 5000)); err != nil {
		t.Fatal(err)
	}
	if err := h.keys.Destroy(t.Context(), h.owner, "data"); err != nil {
		t.Fatal(err)
	}
	h.later = day
	if r := h.sweep(SweepArgs{}); r.Removed != 2 || r.Stopped != "" {
		t.Errorf("%+v", r)
	}
	h.mustHold("after", 1)
}

// One chore at a time.
func TestOneChoreAtATime(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	err := h.chore(t.Context(), "a chore", func(*chore) error {
		_, sweep := h.Sweep(t.Context(), SweepArgs{})
		_, compact := h.Compact(t.Context(), struct{}{})
		for name, err := range map[string]error{"sweep": sweep, "compact": compact} {
			if !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "a chore") {
				t.Errorf("%s beside another chore: %v", name, err)
			}
		}
		s, err := h.KeepStatus(t.Context(), struct{}{})
		if s.Running != "a chore" {
			t.Errorf("the status says %q is under way", s.Running)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if r := h.sweep(SweepArgs{}); r.Stopped != "" {
		t.Errorf("after it: %+v", r)
	}
}

// The status keeps what was last done across a restart, and tells whoever
// watches how far it is.
func TestKeepStatus(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s, err := h.KeepStatus(t.Context(), struct{}{})
	if err != nil || s.Sweep != nil || s.Compaction != nil || s.Running != "" || s.Engine != "bolt" || s.BlobEngine != "dir" {
		t.Errorf("at first: %+v, %v", s, err)
	}
	h.orphan()
	var told []string
	want, err := h.Sweep(Watch(t.Context(), func(text string) { told = append(told, text) }), SweepArgs{})
	if err != nil || len(told) == 0 || !strings.Contains(told[len(told)-1], "1 blobs") {
		t.Errorf("told %q, %v", told, err)
	}
	if _, err := h.Compact(t.Context(), struct{}{}); err != nil {
		t.Fatal(err)
	}
	h.shut()
	h.open()
	s, err = h.KeepStatus(t.Context(), struct{}{})
	if err != nil || s.Sweep == nil || *s.Sweep != want || s.Compaction == nil || s.Blobs != 1 || s.BlobBytes != 9 {
		t.Errorf("after a restart: %+v, %v; want the sweep %+v", s, err, want)
	}
	h.mustVerify()
}

// engineName tells no password.
func TestEngineName(t *testing.T) {
	for engine, want := range map[string]string{"bolt": "bolt", "dir": "dir", "postgres://u:secret@db/pli": "postgres", "s3://k:secret@h/b": "s3"} {
		if got := engineName(engine); got != want {
			t.Errorf("%s: %s", want, got)
		}
	}
}

// Nor does the fault of a setting that is no engine, wherever in the URL the
// password stands.
func TestEngineFault(t *testing.T) {
	for _, line := range []string{"[store]\nengine = \"postgres:///pli?host=/run&password=secret\"\n", "[store]\nengine = \"mysql://u:secret@db/pli\"\n", "[blobs]\nengine = \"s3:///b?key=secret\"\n"} {
		faults := DefaultConfig().parse(line)
		if len(faults) != 1 || strings.Contains(faults[0].Text, "secret") {
			t.Errorf("%s: %v", line, faults)
		}
	}
}

// A file is compacted when enough of it is free, by share and by bytes.
func TestWorthCompacting(t *testing.T) {
	in := &Instance{cfg: DefaultConfig()}
	in.cfg.Keep.CompactFree, in.cfg.Keep.CompactLeast = 0.5, 1000
	for _, c := range []struct {
		bytes, free int64
		want        bool
	}{{1999, 1000, true}, {2000, 1000, false}, {1500, 999, false}, {1500, 1000, true}, {0, 0, false}} {
		if got := in.worthCompacting(StoreFile{Store: "store", Bytes: c.bytes, Free: c.free}); got != c.want || in.worthCompacting(StoreFile{Store: keysName, Bytes: c.bytes, Free: c.free}) {
			t.Errorf("%d of %d bytes free: %v", c.free, c.bytes, got)
		}
	}
}

// fill writes records that take about n MB of the store, or removes them.
func (h *house) fill(n int, remove bool) {
	h.t.Helper()
	value := bytes.Repeat([]byte{7}, 1<<20)
	for i := range n {
		err := h.db.Update(h.t.Context(), "sys/filling", func(tx store.Tx) error {
			if key := fmt.Append(nil, "filling/", i); remove {
				return tx.Delete(key)
			} else {
				return tx.Put(key, value)
			}
		})
		if err != nil {
			h.t.Fatal(err)
		}
	}
}

func (h *house) compact() CompactReport {
	h.t.Helper()
	r, err := h.Compact(h.t.Context(), struct{}{})
	if err != nil || r.Stopped != "" {
		h.t.Fatalf("%+v, %v", r, err)
	}
	return r
}

// A file of which much is free is compacted, and what is in it stays; one of
// which little is free is left alone. It is the same for an instance that has
// just been opened.
func TestCompact(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.cfg.Keep.CompactLeast = 1 << 20
	h.deliver(h.spool())
	const filling = 90 // MB, with what a new file has besides more than half
	for _, reopened := range []bool{false, true} {
		h.fill(filling, false)
		if r := h.compact(); len(r.Files) != 0 {
			t.Errorf("full: %+v", r)
		}
		h.fill(filling, true)
		if reopened {
			h.shut()
			h.open()
		}
		var told []string
		r, err := h.Compact(Watch(t.Context(), func(text string) { told = append(told, text) }), struct{}{})
		if err != nil || len(r.Files) != 1 || r.Files[0].Store != "store" || r.Files[0].Before < filling<<20 || r.Files[0].After > filling<<19 {
			t.Fatalf("reopened %v: %+v, %v; files %+v", reopened, r, err, h.files())
		}
		if f := h.files()[0]; f.Bytes > filling<<19 || len(told) < 2 || !strings.Contains(told[0], "store/"+f.File) {
			t.Errorf("afterwards: %+v; told %q", f, told)
		}
		if r := h.compact(); len(r.Files) != 0 {
			t.Errorf("once more: %+v", r)
		}
		h.mustVerify()
	}
	s, err := h.KeepStatus(t.Context(), struct{}{})
	if err != nil || len(s.Files) != 2 || s.Compaction == nil {
		t.Errorf("the status: %+v, %v", s, err)
	}
}

// A chore works for a spell, then rests for three times as long.
func TestChoresRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct{ worked, want time.Duration }{
			{workSpell - 1, 0}, {workSpell, restFactor * workSpell}, {time.Second, restFactor * time.Second},
		} {
			began := time.Now()
			chore := &chore{ctx: t.Context(), since: began.Add(-c.worked)}
			if err := chore.rest(); err != nil || time.Since(began) != c.want {
				t.Errorf("after %v: rested %v, %v; want %v", c.worked, time.Since(began), err, c.want)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := (&chore{ctx: ctx, since: time.Now().Add(-time.Hour)}).rest(); !errors.Is(err, context.Canceled) {
			t.Errorf("a rest does not end with its context: %v", err)
		}
	})
}

// The schedule: a while after the start, then every so often; sooner again when
// another chore was under way; never when it is off.
func TestSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := &Instance{deps: Deps{Log: slog.New(slog.DiscardHandler)}}
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		var at []time.Duration
		answers := []error{nil, errs.New(errs.Conflict, "another"), errors.New("it failed"), nil}
		err := in.regularly(time.Hour, func(context.Context) error {
			at = append(at, time.Since(began))
			if len(at) == len(answers) {
				cancel()
			}
			return answers[len(at)-1]
		})(ctx)
		want := []time.Duration{keepFirst, keepFirst + time.Hour, 2*keepFirst + time.Hour, 2*keepFirst + 2*time.Hour}
		if !slices.Equal(at, want) || !errors.Is(err, context.Canceled) {
			t.Errorf("done at %v, %v; want %v", at, err, want)
		}
		if err := in.regularly(0, func(context.Context) error { return errors.New("done") })(t.Context()); err != nil {
			t.Errorf("never: %v", err)
		}
	})
}

// Each limit of the settings, on both sides.
func TestKeepSettings(t *testing.T) {
	for _, c := range []struct {
		line string
		good bool
	}{
		{`sweep_every = "0s"`, true}, {`sweep_every = "59s"`, false}, {`sweep_every = "1m"`, true}, {`sweep_every = "-1h"`, false},
		{`sweep_grace = "59m59s"`, false}, {`sweep_grace = "1h"`, true},
		{`sweep_share = 0`, false}, {`sweep_share = 0.01`, true}, {`sweep_share = 1`, true}, {`sweep_share = 1.01`, false},
		{`compact_every = "0s"`, true}, {`compact_every = "59s"`, false}, {`compact_every = "1m"`, true},
		{`compact_free = 0`, false}, {`compact_free = 0.01`, true}, {`compact_free = 1`, true}, {`compact_free = 1.01`, false},
		{`compact_least = 0`, false}, {`compact_least = 1`, true},
	} {
		faults := DefaultConfig().parse("[keep]\n" + c.line + "\n")
		if (len(faults) == 0) != c.good {
			t.Errorf("%s: %v", c.line, faults)
		}
		if len(faults) > 0 && faults[0].Line != 2 {
			t.Errorf("%s: told at line %d", c.line, faults[0].Line)
		}
	}
}
