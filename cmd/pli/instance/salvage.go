package instance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pli/audit"
	"pli/backup"
	"pli/internal/errs"
	"pli/mailbox"
	"pli/store"
	"pli/store/blob"
	"pli/store/bolt"
	"pli/store/sealed"
)

// SalvageReport is what was saved of a damaged instance, and what was not.
type SalvageReport struct {
	Records   int          `json:"records"`   // saved as the last commit had them
	Old       int          `json:"old"`       // saved from pages that nothing leads to: they may be older, or were deleted
	Unsealed  int          `json:"unsealed"`  // found, but their seal does not open
	Lost      int          `json:"lost"`      // found without their value
	Keys      int          `json:"keys"`      // data keys saved
	Blobs     int          `json:"blobs"`     // files of bodies and contents
	Reclaimed int          `json:"reclaimed"` // messages made again from their blob alone
	Nobody    int          `json:"nobody"`    // blobs that no record names and that are no account's message
	Accounts  []Repaired   `json:"accounts"`  // those of which something was lost, or comes from old pages
	After     VerifyReport `json:"after"`     // of the new folder
}

// Print writes the report for people.
func (r SalvageReport) Print(w io.Writer) {
	for i := range r.Accounts {
		r.Accounts[i].Print(w)
	}
	for _, p := range r.After.Problems {
		fmt.Fprintln(w, p)
	}
	fmt.Fprintf(w, "%d records saved, %d from old pages, %d whose seal does not open, %d without their value; %d data keys; %d blobs, %d messages made again from theirs, %d that are nobody's\n",
		r.Records, r.Old, r.Unsealed, r.Lost, r.Keys, r.Blobs, r.Reclaimed, r.Nobody)
	fmt.Fprintf(w, "%d accounts, %d messages, %d documents, %d trace lines: %d problem(s) left\n",
		r.After.Accounts, r.After.Messages, r.After.Documents, r.After.TraceLines, len(r.After.Problems))
}

// Salvage makes a new data folder of what can still be read of a damaged,
// stopped instance, to which it never writes. What the last commit still leads
// to comes first; of what lies on other pages only records that are nowhere
// else, and only where they invent nothing. Every seal is opened to prove the
// record. Messages are made again from blobs that no record names. Then the
// rooms make their records agree, and everything is verified.
func Salvage(ctx context.Context, config, to string) (SalvageReport, error) {
	s := &salvaging{report: SalvageReport{Accounts: []Repaired{}}, marks: make(map[store.Owner]*marks)}
	cfg, err := LoadConfig(config)
	if err != nil {
		return s.report, err
	}
	if cfg.StoreEngine != engineBolt {
		return s.report, errs.New(errs.Invalid, "the records of this instance are in PostgreSQL, which repairs its own pages or none: bring back a backup with «pli restore», or one account with «pli restore account»")
	}
	if err := emptyFolder(to); err != nil {
		return s.report, err
	}
	s.old, s.cfg = cfg.Dir, *cfg
	s.cfg.Dir = to
	for _, step := range []func(context.Context) error{s.keys, s.reachable, s.linkBlobs, s.rest} {
		if err := errors.Join(step(ctx), ctx.Err()); err != nil {
			return s.report, errors.Join(err, s.close())
		}
	}
	return s.report, s.close()
}

// salvaging is one Salvage at work.
type salvaging struct {
	old    string // data folder of the damaged instance
	cfg    Config // of the new one
	in     *Instance
	raw    store.DB // in.raw, for values that are sealed
	marks  map[store.Owner]*marks
	report SalvageReport
}

// marks is what is to be told of one owner.
type marks struct {
	old      int  // records that come from old pages, or from blobs alone
	keys     bool // its sign-in among them
	unsealed int  // records that do not open, or have lost their value
}

func (s *salvaging) of(owner store.Owner) *marks {
	m := s.marks[owner]
	if m == nil {
		m = &marks{}
		s.marks[owner] = m
	}
	return m
}

// wide returns a bare store that takes sealed values of every length.
func wide(db store.DB) store.DB {
	if w, ok := db.(store.Widener); ok {
		return w.Widen(sealed.Overhead)
	}
	return db
}

func (s *salvaging) close() error {
	if s.in == nil {
		return nil
	}
	return s.in.Close()
}

// keys saves the master key and the data keys. A key that was destroyed stays
// destroyed, whatever older copies there are.
func (s *salvaging) keys(ctx context.Context) error {
	master, err := sealed.LoadMaster(masterPath(s.old))
	if err != nil {
		return fmt.Errorf("without the master key nothing opens: put the copy that was kept in its place: %w", err)
	}
	b, err := os.ReadFile(masterPath(s.old))
	if err != nil {
		return err
	}
	s.in = &Instance{cfg: &s.cfg, deps: here()}
	if err := s.in.openBare(ctx); err != nil {
		return err
	}
	if err := backup.ReplaceFile(masterPath(s.cfg.Dir), b); err != nil {
		return err
	}
	if s.in.keys, err = sealed.OpenKeys(s.in.rawKeys, master, sealed.KeysConfig{Log: s.in.deps.Log}); err != nil {
		return err
	}
	s.raw = wide(s.in.raw)
	_, err = bolt.Salvage(ctx, filepath.Join(s.old, "keys"), func(r bolt.Salvaged) error {
		if r.Lost || !isAccount(r.Owner) && !strings.HasPrefix(string(r.Owner), "sys/") || !r.Owner.Valid() {
			return nil
		}
		return s.key(ctx, r)
	})
	return err
}

func (s *salvaging) key(ctx context.Context, r bolt.Salvaged) error {
	opens, destroyed := s.in.keys.Prove(r.Owner, string(r.Key), r.Value)
	if !opens && !destroyed {
		return nil
	}
	return s.in.rawKeys.Update(ctx, r.Owner, func(tx store.Tx) error {
		if _, err := tx.Get(r.Key); !errors.Is(err, store.ErrNotFound) && !(destroyed && err == nil) {
			return err
		}
		s.report.Keys++
		return tx.Put(r.Key, r.Value)
	})
}

// reachable saves what the last commit leads to, as it lies.
func (s *salvaging) reachable(ctx context.Context) error {
	b := &batch{s: s}
	told := time.Now()
	report, err := bolt.Salvage(ctx, filepath.Join(s.old, "store"), func(r bolt.Salvaged) error {
		if !r.Reachable || !r.Owner.Valid() {
			return nil
		}
		if r.Lost {
			s.report.Lost++
			s.of(r.Owner).unsealed++
			return nil
		}
		if _, ok := s.prove(ctx, r); !ok {
			return nil
		}
		s.report.Records++
		if time.Since(told) > tellEvery {
			told = time.Now()
			tell(ctx, fmt.Sprintf("saved: %d records", s.report.Records))
		}
		return b.put(ctx, r)
	})
	if err != nil {
		return err
	}
	tell(ctx, fmt.Sprintf("read %d files of %d pages: %d damaged, %d records on pages that nothing leads to", report.Files, report.Pages, report.Damaged, report.Candidates))
	return b.flush(ctx)
}

// prove opens a record's seal. One of an account that was deleted by right is
// passed over.
func (s *salvaging) prove(ctx context.Context, r bolt.Salvaged) ([]byte, bool) {
	v, err := s.in.keys.OpenValue(ctx, r.Owner, r.Key, r.Value)
	if err != nil && !errors.Is(err, sealed.ErrDestroyed) && r.Reachable {
		s.report.Unsealed++
		s.of(r.Owner).unsealed++
	}
	return v, err == nil
}

// batch gathers records of one owner for one transaction.
type batch struct {
	s       *salvaging
	owner   store.Owner
	records []bolt.Salvaged
	size    int
}

// batchSize bounds what one transaction of a salvage writes, in bytes.
const batchSize = 4 << 20

func (b *batch) put(ctx context.Context, r bolt.Salvaged) error {
	if r.Owner != b.owner || b.size+len(r.Value) > batchSize || len(b.records) >= purgeAtOnce {
		if err := b.flush(ctx); err != nil {
			return err
		}
	}
	b.owner, b.size = r.Owner, b.size+len(r.Value)
	r.Key, r.Value = bytes.Clone(r.Key), bytes.Clone(r.Value)
	b.records = append(b.records, r)
	return nil
}

func (b *batch) flush(ctx context.Context) error {
	if len(b.records) == 0 {
		return nil
	}
	err := b.s.raw.Update(ctx, b.owner, func(tx store.Tx) error {
		for _, r := range b.records {
			if err := putSalvaged(tx, r); err != nil {
				return err
			}
		}
		return nil
	})
	b.records, b.size = nil, 0
	return err
}

func putSalvaged(tx store.Tx, r bolt.Salvaged) error {
	if r.Due.IsZero() {
		return tx.Put(r.Key, r.Value)
	}
	return tx.PutDue(r.Key, r.Value, r.Due)
}

// linkBlobs brings the blobs, by links where both folders are on one disk. An
// object store keeps them where they are.
func (s *salvaging) linkBlobs(ctx context.Context) error {
	if s.cfg.BlobEngine != engineDir {
		return nil
	}
	from, to := filepath.Join(s.old, "blobs"), filepath.Join(s.cfg.Dir, "blobs")
	folders := map[string]bool{}
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !blob.ID(d.Name()).Valid() {
			return errors.Join(err, ctx.Err())
		}
		rel, err := filepath.Rel(from, path)
		if err != nil || filepath.ToSlash(rel) != d.Name()[:2]+"/"+d.Name()[2:4]+"/"+d.Name() {
			return err // not finished, or not the store's
		}
		s.report.Blobs++
		place := filepath.Join(to, rel)
		for dir := filepath.Dir(place); !folders[dir] && len(dir) >= len(to); dir = filepath.Dir(dir) {
			folders[dir] = true
		}
		if err := os.MkdirAll(filepath.Dir(place), 0o700); err != nil {
			return err
		}
		if os.Link(path, place) == nil {
			return nil
		}
		return s.copyBlob(ctx, path, blob.ID(d.Name()))
	})
	for dir := range folders {
		err = errors.Join(err, syncFolder(dir))
	}
	return err
}

func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (s *salvaging) copyBlob(ctx context.Context, path string, id blob.ID) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w, err := s.in.hold.Store.CreateAs(ctx, id)
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := io.Copy(w, f); err != nil {
		return fmt.Errorf("blob %s: %w", id, err)
	}
	_, err = w.Commit()
	return err
}

// rest opens the new instance and lets its rooms take what is left.
func (s *salvaging) rest(ctx context.Context) error {
	err := s.in.closeStores()
	s.in = nil
	if err != nil {
		return err
	}
	if s.in, err = Open(ctx, &s.cfg, here()); err != nil {
		return err
	}
	s.raw = wide(s.in.raw)
	for _, step := range []func(context.Context) error{s.replant, s.candidates, s.reclaim, s.rebuild} {
		if err := errors.Join(step(ctx), ctx.Err()); err != nil {
			return err
		}
	}
	s.report.After, err = s.in.Verify(ctx, struct{}{})
	return err
}

// eachOld calls fn for each record of a page that nothing leads to.
func (s *salvaging) eachOld(ctx context.Context, fn func(r bolt.Salvaged) error) error {
	_, err := bolt.Salvage(ctx, filepath.Join(s.old, "store"), func(r bolt.Salvaged) error {
		if r.Reachable || r.Lost || !r.Owner.Valid() {
			return nil
		}
		return fn(r)
	})
	return err
}

// replant gives messages that are certainly there their places back, before
// those come that may have been deleted.
func (s *salvaging) replant(ctx context.Context) error {
	places := make(map[store.Owner][]mailbox.Stray)
	err := s.eachOld(ctx, func(r bolt.Salvaged) error {
		if mailbox.Stale(r.Key) != mailbox.Placing {
			return nil
		}
		if v, ok := s.prove(ctx, r); ok {
			places[r.Owner] = append(places[r.Owner], mailbox.Stray{Key: bytes.Clone(r.Key), Value: bytes.Clone(v)})
		}
		return nil
	})
	for owner, old := range places {
		for some := range slices.Chunk(old, 10*purgeAtOnce) {
			if err != nil {
				return err
			}
			n := 0
			n, err = s.in.mail.Replant(ctx, owner, some)
			s.report.Old += n
			s.of(owner).old += n
		}
	}
	return err
}

// candidates saves old copies of records that are nowhere else.
func (s *salvaging) candidates(ctx context.Context) error {
	mine := make(map[string]bool) // records that came so: another copy may be newer
	return s.eachOld(ctx, func(r bolt.Salvaged) error {
		if !useful(r.Key) {
			return nil
		}
		value, ok := s.prove(ctx, r)
		if !ok {
			return nil
		}
		name := string(r.Owner) + "\x00" + string(r.Key)
		return s.raw.Update(ctx, r.Owner, func(tx store.Tx) error {
			switch there, err := tx.Get(r.Key); {
			case errors.Is(err, store.ErrNotFound):
			case err != nil:
				return err
			case !mine[name]:
				return nil
			default:
				first, err := s.in.keys.OpenValue(ctx, r.Owner, r.Key, there)
				if err != nil || !newer(r.Key, first, value) {
					return err
				}
				return putSalvaged(tx, r)
			}
			mine[name] = true
			s.report.Old++
			s.note(r)
			return putSalvaged(tx, r)
		})
	})
}

// note notes that a record is an old copy.
func (s *salvaging) note(r bolt.Salvaged) {
	m := s.of(r.Owner)
	m.old++
	m.keys = m.keys || bytes.HasPrefix(r.Key, []byte("signin/"))
}

// useful reports whether an old copy of a record is better than none. Notices
// are not sent again, and what is made anew is made anew.
func useful(key []byte) bool {
	switch {
	case bytes.HasPrefix(key, []byte("mail/")):
		return mailbox.Stale(key) == mailbox.Useful
	case bytes.HasPrefix(key, []byte("notify/")):
		return false
	}
	return true
}

// newer reports whether the second of two old copies of a record is the newer
// one, as far as can be told.
func newer(key, first, second []byte) bool {
	switch {
	case bytes.HasPrefix(key, []byte("mail/")):
		return mailbox.Newer(key, first, second)
	case audit.Holds(key) && !audit.IsLine(key): // the head of a chain: its number comes first
		return bytes.Compare(second, first) > 0
	}
	return false
}

// reclaim makes messages again from blobs that no record names.
func (s *salvaging) reclaim(ctx context.Context) error {
	named, accounts := make(map[blob.ID]bool), make(map[[32]byte]store.Owner)
	err := s.in.eachAccount(ctx, func(owner store.Owner) error {
		note := func(id blob.ID, _ int64) error {
			named[id] = true
			return nil
		}
		keys, err := s.in.signin.Fingerprints(ctx, owner)
		if err != nil {
			s.in.deps.Log.Warn("the keys of an account are lost", "account", string(owner), "err", err)
		}
		for _, k := range keys {
			accounts[k] = owner
		}
		return errors.Join(s.in.mail.Blobs(ctx, owner, note), s.in.dossier.Blobs(ctx, owner, note))
	})
	for after := blob.ID(""); err == nil; {
		var list []blob.Info
		if list, err = s.in.blobs.List(ctx, after, 1000); err != nil || len(list) == 0 {
			break
		}
		for _, b := range list {
			if after = b.ID; !named[b.ID] && err == nil {
				err = s.reclaimOne(ctx, b.ID, accounts)
			}
		}
	}
	return err
}

func (s *salvaging) reclaimOne(ctx context.Context, id blob.ID, accounts map[[32]byte]store.Owner) error {
	key, err := s.in.mail.BlobKey(ctx, id)
	owner, known := accounts[key]
	made := false
	if err == nil && known {
		made, err = s.in.mail.Reclaim(ctx, owner, id)
	}
	switch {
	case made:
		s.report.Reclaimed++
		s.of(owner).old++
	case err == nil || errs.Is(err, errs.Invalid) || errors.Is(err, store.ErrCorrupt):
		s.report.Nobody++
		err = nil
	}
	return err
}

// rebuild makes the records of every account agree.
func (s *salvaging) rebuild(ctx context.Context) error {
	v := &verifying{in: s.in}
	return s.in.eachAccount(ctx, func(owner store.Owner) error {
		r, err := s.in.rebuild(ctx, owner)
		if err != nil {
			return fmt.Errorf("%s: %w", owner, err)
		}
		r.Address = v.addressOf(owner)
		r.Lost = append(r.Lost, s.told(owner)...)
		if !r.nothing() {
			s.report.Accounts = append(s.report.Accounts, r)
		}
		return nil
	})
}

// told says what else there is to know of an account.
func (s *salvaging) told(owner store.Owner) (out []Problem) {
	m := s.of(owner)
	tell := func(format string, args ...any) {
		out = append(out, Problem{Account: string(owner), Object: "record", Text: fmt.Sprintf(format, args...)})
	}
	if m.unsealed > 0 {
		tell("%d do not open", m.unsealed)
	}
	if m.old > 0 {
		tell("%d come from old pages or from blobs alone: what was deleted there may be back", m.old)
	}
	if m.keys {
		tell("its sign-in is an old copy: a password that was withdrawn may open it again; have the holder change it and withdraw the mail passwords")
	}
	return out
}
