package backup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pli/backup"
	"pli/internal/engines"
	"pli/internal/errs"
	"pli/store"
	"pli/store/blob"
	"pli/store/sealed"
)

// TestRoundTrip: every record with its due time, every data key and every blob
// comes back as it was.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.fill()
	r := h.run()
	if r.Owners != 42 || r.Blobs != 5 || r.Records == 0 || r.NewBlobs != 5 || r.Sent < r.BlobBytes+r.RecordBytes {
		t.Errorf("the run tells %+v", r)
	}
	wantSame(t, read(t, h.restore("")), read(t, h.Instance))
	if c := h.check(false); len(c.Damaged) > 0 || c.Backups != 1 || c.Objects < 10 {
		t.Errorf("check: %+v", c)
	}
}

// TestIncremental: of an unchanged instance only a manifest is written, and of
// a changed one little more than what changed.
func TestIncremental(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.fill()
	first := h.run()
	before := h.objects()
	again := h.run()
	if again.NewPieces != 0 || again.NewBlobs != 0 || again.Sent != 0 {
		t.Errorf("nothing changed, and %d pieces and %d blobs were sent", again.NewPieces, again.NewBlobs)
	}
	after := h.objects()
	if len(after) != len(before)+1 {
		t.Errorf("%d objects became %d", len(before), len(after))
	}
	for name, sum := range before {
		if after[name] != sum {
			t.Errorf("%s was changed", name)
		}
	}
	h.put("m/large", 500)
	h.blob(1000)
	more := h.run()
	if more.NewBlobs != 1 || more.NewPieces > 5 || more.Sent > 5<<20 || more.Sent == 0 {
		t.Errorf("one record and one blob more, and %d pieces of %d and %d blobs were sent: %d bytes", more.NewPieces, first.NewPieces, more.NewBlobs, more.Sent)
	}
	wantSame(t, read(t, h.restore("")), read(t, h.Instance))
	if old := read(t, h.restore(first.Name)); len(old) >= len(read(t, h.Instance)) {
		t.Error("the first backup is no longer as it was")
	}
}

// TestSecondView: an engine may run the function of a view more than once.
func TestSecondView(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.fill()
	once := h.run()
	h.Records = twice{h.Records}
	if r := h.run(); r.Records != once.Records || r.NewPieces != 0 {
		t.Errorf("%d records became %d, in %d new pieces", once.Records, r.Records, r.NewPieces)
	}
}

// twice runs the function of every view again, as an engine that retries does.
type twice struct{ store.DB }

func (d twice) View(ctx context.Context, owner store.Owner, fn func(store.Tx) error) error {
	return d.DB.View(ctx, owner, func(tx store.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return fn(tx)
	})
}

// TestKeysAreApart: no wrapped key is in the repository, and the keys go
// nowhere near it, nor over anything else.
func TestKeysAreApart(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.fill()
	link := filepath.Join(h.dir, "link")
	if err := os.Symlink(filepath.Join(h.dir, "repository"), link); err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(h.dir, "notes.txt")
	if err := os.WriteFile(foreign, []byte("shopping list\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"", filepath.Join(h.dir, "repository", "keys"), filepath.Join(link, "blobs", "keys"), foreign} {
		o := h.options()
		o.Keys = path
		if _, err := backup.Run(t.Context(), h.config(), h.Instance, o); err == nil || errs.KindOf(err) == errs.Internal {
			t.Errorf("keys in %q: %v", path, err)
		}
	}
	h.run()
	if b, err := os.ReadFile(foreign); string(b) != "shopping list\n" || err != nil {
		t.Errorf("a file of somebody's was overwritten: %q, %v", b, err)
	}
	info, err := os.Stat(h.keys)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file of keys: %v, %v", info, err)
	}
	var wrapped []byte
	h.Keys.View(t.Context(), "m/large", func(tx store.Tx) error {
		v, err := tx.Get([]byte("data"))
		wrapped = bytes.Clone(v)
		return err
	})
	if file, err := os.ReadFile(h.keys); err != nil || !bytes.Contains(file, wrapped) || len(wrapped) < 32 {
		t.Errorf("the wrapped key of %d bytes is not in the file of keys: %v", len(wrapped), err)
	}
	for name := range h.objects() {
		b, err := os.ReadFile(filepath.Join(h.dir, "repository", name))
		if err != nil || bytes.Contains(b, wrapped) {
			t.Errorf("%s holds a wrapped key, or cannot be read: %v", name, err)
		}
	}
}

// TestDeletionReachesOlderBackups: a data key that was destroyed is gone from
// the file of keys, and what any backup holds under it opens nowhere.
func TestDeletionReachesOlderBackups(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.fill()
	keys, err := sealed.OpenKeys(h.Keys, h.master, sealed.KeysConfig{})
	if err != nil {
		t.Fatal(err)
	}
	db := sealed.New(h.Records, keys, sealed.Config{})
	err = db.Update(t.Context(), "s/holder", func(tx store.Tx) error { return tx.Put([]byte("a"), []byte("secret")) })
	if err != nil {
		t.Fatal(err)
	}
	old := h.run()
	lookUp := func(name string) error {
		to := h.restore(name)
		keys, err := sealed.OpenKeys(to.Keys, h.master, sealed.KeysConfig{})
		if err != nil {
			t.Fatal(err)
		}
		return sealed.New(to.Records, keys, sealed.Config{}).View(t.Context(), "s/holder", func(tx store.Tx) error {
			v, err := tx.Get([]byte("a"))
			if err == nil && string(v) != "secret" {
				t.Errorf("restored: %q", v)
			}
			return err
		})
	}
	if err := lookUp(old.Name); err != nil {
		t.Fatalf("before: %v", err)
	}
	if err := keys.Destroy(t.Context(), "s/holder", ""); err != nil {
		t.Fatal(err)
	}
	h.run()
	if err := lookUp(old.Name); !errors.Is(err, sealed.ErrDestroyed) {
		t.Errorf("after the deletion the old backup says %v", err)
	}
}

// TestDamage: whatever bit is flipped is found by its object's name, by a
// check and by a restore, and all the rest can be brought back.
func TestDamage(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{"records/", "blobs/", "index/", "manifests/"} {
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.fill()
			r := h.run()
			name := h.one(folder)
			h.flip(name)
			if c := h.check(false); len(c.Damaged) != 1 || !mentions(c.Damaged, name) {
				t.Errorf("check: %+v", c)
			}
			if folder == "manifests/" {
				if _, err := backup.Open(t.Context(), h.config(), r.Name); !errors.Is(err, backup.ErrDamaged) || !strings.Contains(err.Error(), name) {
					t.Errorf("a changed manifest: %v", err)
				}
				return
			}
			to, o := newInstance(t), h.restoring()
			_, err := h.open("").Restore(t.Context(), to, o)
			if !errors.Is(err, backup.ErrDamaged) || !strings.Contains(err.Error(), name) {
				t.Fatalf("restore: %v", err)
			}
			o.SkipDamaged = true
			done, err := h.open("").Restore(t.Context(), to, o)
			if err != nil || len(done.Missing) != 1 || !mentions(done.Missing, name) {
				t.Fatalf("restore of the rest: %v, %+v", err, done)
			}
			whole, got := read(t, h.Instance), read(t, to)
			for thing, sum := range got {
				if whole[thing] != sum {
					t.Errorf("%s was brought back wrong", thing)
				}
			}
			if folder == "blobs/" && len(got) != len(whole)-1 || len(got) >= len(whole) || len(got) == 0 {
				t.Errorf("%d of %d things came back", len(got), len(whole))
			}
			if folder == "index/" {
				return
			}
			if c := h.check(true); c.Removed != 1 {
				t.Errorf("check with remove: %+v", c)
			}
			h.run()
			if c := h.check(false); len(c.Damaged) > 0 {
				t.Errorf("the next backup has not written it anew: %q", c.Damaged)
			}
		})
	}
}

// TestKeysFileDamage: a bit of the keys file that is not as it was keeps the
// whole from being used, before anything is written.
func TestKeysFileDamage(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.fill()
	h.run()
	good, err := os.ReadFile(h.keys)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{0, 30, len(good) / 2, len(good) - 1} {
		bad := bytes.Clone(good)
		bad[at] ^= 1
		os.WriteFile(h.keys, bad, 0o600)
		to := newInstance(t)
		if _, err := h.open("").Restore(t.Context(), to, h.restoring()); err == nil {
			t.Errorf("byte %d: a damaged file of keys was used", at)
		}
		if got := read(t, to); len(got) > 0 {
			t.Errorf("byte %d: %d things were written", at, len(got))
		}
	}
	os.WriteFile(h.keys, good[:len(good)-1], 0o600)
	if _, err := h.open("").Restore(t.Context(), newInstance(t), h.restoring()); err == nil {
		t.Error("a file of keys that was cut was used")
	}
}

// TestOtherMaster: another instance's master key opens nothing, and its backup
// does not go over these keys.
func TestOtherMaster(t *testing.T) {
	t.Parallel()
	h, other := newHouse(t), newHouse(t)
	h.fill()
	h.run()
	conf := h.config()
	conf.Master = other.master
	if _, err := backup.Open(t.Context(), conf, ""); !errs.Is(err, errs.NotFound) || !strings.Contains(err.Error(), "another master key") {
		t.Errorf("open: %v", err)
	}
	o := other.options()
	o.Keys = h.keys
	if _, err := backup.Run(t.Context(), other.config(), other.Instance, o); !errs.Is(err, errs.Conflict) {
		t.Errorf("keys over another's: %v", err)
	}
}

// failing is a repository of which the medium is taken away after a number of
// objects.
type failing struct {
	backup.Repository
	left atomic.Int64
	stop context.CancelFunc
}

func (f *failing) Put(ctx context.Context, name string, content io.ReaderAt, size int64) error {
	if f.left.Add(-1) == 0 {
		f.stop()
	}
	return f.Repository.Put(ctx, name, content, size)
}

// TestBackupIsTakenUpAgain: a run that ended early leaves no backup, and the
// next one writes only what is missing.
func TestBackupIsTakenUpAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.fill()
	ctx, stop := context.WithCancel(t.Context())
	conf := h.config()
	broken := &failing{Repository: h.repo, stop: stop}
	broken.left.Store(8)
	conf.Repo = broken
	if _, err := backup.Run(ctx, conf, h.Instance, h.options()); !errors.Is(err, context.Canceled) {
		t.Fatalf("the first run: %v", err)
	}
	if list, _, err := backup.List(t.Context(), h.config()); len(list) > 0 || err != nil {
		t.Errorf("an unfinished run is listed: %v, %v", list, err)
	}
	left := len(h.objects())
	r := h.run()
	if left == 0 || r.Sent >= r.BlobBytes+r.RecordBytes {
		t.Errorf("%d objects were left, and %d bytes were sent anew", left, r.Sent)
	}
	wantSame(t, read(t, h.restore("")), read(t, h.Instance))
}

// limited is a store of blobs whose machine stops in the middle.
type limited struct {
	blob.Store
	stop context.CancelFunc
}

func (l limited) CreateAs(ctx context.Context, id blob.ID) (blob.Writer, error) {
	l.stop()
	return l.Store.CreateAs(ctx, id)
}

// TestRestoreIsTakenUpAgain: a restore that ended early keeps its marker, goes
// on with the same backup, and with no other.
func TestRestoreIsTakenUpAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.fill()
	first := h.run()
	expected := read(t, h.Instance)
	h.put("s/small-00", 10)
	second := h.run()
	to, o := newInstance(t), h.restoring()
	ctx, stop := context.WithCancel(t.Context())
	broken := to
	broken.Blobs = limited{to.Blobs, stop}
	if _, err := h.open(first.Name).Restore(ctx, broken, o); err == nil {
		t.Fatal("the restore was to fail")
	}
	if _, err := os.Stat(o.Marker); err != nil {
		t.Errorf("no marker says that it is not done: %v", err)
	}
	if _, err := h.open(second.Name).Restore(t.Context(), to, o); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), first.Name) {
		t.Errorf("another backup over the unfinished one: %v", err)
	}
	if _, err := h.open(first.Name).Restore(t.Context(), to, o); err != nil {
		t.Fatal(err)
	}
	wantSame(t, read(t, to), expected)
	if _, err := h.open(first.Name).Restore(t.Context(), to, h.restoring()); !errs.Is(err, errs.Conflict) {
		t.Errorf("a restore over a full instance: %v", err)
	}
}

// TestRestoreTakenUpWithLessIndex: where an index piece is lost between two
// attempts, what it did not list is written all the same.
func TestRestoreTakenUpWithLessIndex(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.fill()
	name := h.run().Name
	lost := backup.Piece{Sum: strings.Repeat("0", 64), Size: 1, Items: 1}
	b, o := h.open(name), h.restoring()
	b.RecordIndex = append([]backup.Piece{lost}, b.RecordIndex...)
	o.SkipDamaged = true
	mark := fmt.Sprintf(`{"backup":%q,"pieces":2}`, name) // the lost one listed two
	if err := os.WriteFile(o.Marker, []byte(mark), 0o600); err != nil {
		t.Fatal(err)
	}
	to := newInstance(t)
	r, err := b.Restore(t.Context(), to, o)
	if err != nil || len(r.Missing) != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	wantSame(t, read(t, to), read(t, h.Instance))
}

// TestKeysOlderThanTheBackup: an old copy of the file of data keys lacks those
// of accounts that were made since, and nobody is to believe that they are back.
func TestKeysOlderThanTheBackup(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.fill()
	h.run()
	old := filepath.Join(t.TempDir(), "old.keys")
	b, err := os.ReadFile(h.keys)
	if err == nil {
		err = os.WriteFile(old, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	h.put("m/new", 100)
	h.key("m/new")
	name := h.run().Name
	o := h.restoring()
	o.Keys = old
	if _, err := h.open(name).Restore(t.Context(), newInstance(t), o); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), old) {
		t.Errorf("with an old file of keys: %v", err)
	}
	o = h.restoring()
	o.Keys, o.SkipDamaged = old, true
	if r, err := h.open(name).Restore(t.Context(), newInstance(t), o); err != nil || len(r.Missing) != 1 {
		t.Errorf("where nothing better is left: %+v, %v", r, err)
	}
}

// TestPrune: what only older backups hold goes, and what is kept is whole.
func TestPrune(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.fill()
	gone := h.blob(100_000)
	first := h.run()
	if err := h.Blobs.Delete(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	h.put("m/large", 200_000)
	h.put("s/small-03", 200_000)
	second := h.run()
	third := h.run()
	if _, err := backup.Prune(t.Context(), h.config(), 0); !errs.Is(err, errs.Invalid) {
		t.Errorf("keep none: %v", err)
	}
	if p, err := backup.Prune(t.Context(), h.config(), 3); err != nil || len(p.Removed) > 0 || p.Objects > 0 {
		t.Errorf("keep all: %+v, %v", p, err)
	}
	p, err := backup.Prune(t.Context(), h.config(), 2)
	if err != nil || len(p.Removed) != 1 || p.Removed[0] != first.Name || len(p.Kept) != 2 || p.Objects < 2 || p.Bytes < 100_000 {
		t.Errorf("keep two: %+v, %v", p, err)
	}
	if c := h.check(false); len(c.Damaged) > 0 || c.Backups != 2 {
		t.Errorf("check: %+v", c)
	}
	if _, ok := h.objects()["blobs/"+string(gone[:2])+"/"+string(gone)]; ok {
		t.Error("a blob that nobody names is still there")
	}
	for _, name := range []string{second.Name, third.Name} {
		wantSame(t, read(t, h.restore(name)), read(t, h.Instance))
	}
	if _, err := backup.Open(t.Context(), h.config(), first.Name); !errs.Is(err, errs.NotFound) {
		t.Errorf("the first: %v", err)
	}
}

// TestPruneWaits: a prune does not take away what a backup at work counts on,
// nor the other way round, but a lock that was left is not for ever.
func TestPruneWaits(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.fill()
	h.run()
	held := func(kind string, at time.Time) string {
		name := "locks/" + kind + "-x"
		content, n := reader([]byte(at.UTC().Format(time.RFC3339)))
		if err := h.repo.Put(t.Context(), name, content, n); err != nil {
			t.Fatal(err)
		}
		return name
	}
	lock := held("backup", time.Now())
	if _, err := backup.Prune(t.Context(), h.config(), 1); !errs.Is(err, errs.Conflict) {
		t.Errorf("a prune beside a backup: %v", err)
	}
	h.run() // backups do not hinder one another
	if _, err := backup.Check(t.Context(), h.config(), true); !errs.Is(err, errs.Conflict) {
		t.Errorf("damage is removed beside a backup, which counts on what is there: %v", err)
	}
	h.check(false)
	h.repo.Delete(t.Context(), lock)
	prune := held("prune", time.Now())
	if _, err := backup.Run(t.Context(), h.config(), h.Instance, h.options()); !errs.Is(err, errs.Conflict) {
		t.Errorf("a backup beside a prune: %v", err)
	}
	conf := h.config()
	conf.Repo = mute{h.repo, prune}
	if _, err := backup.Run(t.Context(), conf, h.Instance, h.options()); !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("a backup beside what may be a prune: %v", err)
	}
	held("prune", time.Now().Add(-11*time.Minute))
	h.run()
	left := 0
	h.repo.List(t.Context(), "locks/", func(backup.Object) error { left++; return nil })
	if left > 0 {
		t.Errorf("%d locks are left", left)
	}
}

// mute is a repository that does not answer when asked for one object.
type mute struct {
	backup.Repository
	name string
}

func (m mute) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	if name == m.name {
		return nil, blob.ErrUnavailable
	}
	return m.Repository.Get(ctx, name)
}

// TestLatestTellsWhatItPasses: who restores the latest backup hears that there
// is a later one which cannot be used.
func TestLatestTellsWhatItPasses(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.fill()
	first := h.run()
	second := h.run()
	h.flip("manifests/" + second.Name)
	var said bytes.Buffer
	conf := h.config()
	conf.Log = slog.New(slog.NewTextHandler(&said, nil))
	b, err := backup.Open(t.Context(), conf, "")
	if err != nil || b.Name != first.Name || !strings.Contains(said.String(), second.Name) {
		t.Errorf("opened %s, %v; said %q", b.Name, err, said.String())
	}
}

// TestKeysFileOfAKilledRun: what a run that was killed has left of the file of
// data keys goes with the next one, as it has keys that may be destroyed since.
func TestKeysFileOfAKilledRun(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.fill()
	o := h.options()
	o.Keys = filepath.Join(t.TempDir(), "pli.keys")
	files := func() (names []string) {
		list, err := os.ReadDir(filepath.Dir(o.Keys))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range list {
			names = append(names, f.Name())
		}
		return names
	}
	killed := h.Instance
	killed.Keys = atKeys{h.Keys, func() {
		for _, name := range files() { // as they lie when the process is killed here
			path := filepath.Join(filepath.Dir(o.Keys), name)
			if err := os.Link(path, path+".kept"); err != nil {
				t.Error(err)
			}
		}
	}}
	if _, err := backup.Run(t.Context(), h.config(), killed, o); err == nil {
		t.Fatal("it was not stopped")
	}
	left := files()
	if len(left) != 1 {
		t.Fatalf("left: %v", left)
	}
	path := filepath.Join(filepath.Dir(o.Keys), left[0])
	if err := os.Rename(path, strings.TrimSuffix(path, ".kept")); err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Run(t.Context(), h.config(), h.Instance, o); err != nil {
		t.Fatal(err)
	}
	if got := files(); len(got) != 1 {
		t.Errorf("left: %v", got)
	}
}

// atKeys is a store of keys of which nothing can be read once fn was called.
type atKeys struct {
	store.DB
	fn func()
}

func (d atKeys) Owners(context.Context, store.Owner, int) ([]store.Owner, error) {
	d.fn()
	return nil, store.ErrUnavailable
}

// TestDamagedInstance: what the instance cannot give is told, and the rest is
// copied.
func TestDamagedInstance(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.fill()
	lost := h.blob(50_000)
	h.Blobs = unreadable{h.Blobs, lost}
	r, err := backup.Run(t.Context(), h.config(), h.Instance, h.options())
	if err != nil || len(r.Problems) != 1 || !mentions(r.Problems, string(lost)) || r.Blobs != 5 {
		t.Fatalf("%v, %+v", err, r)
	}
	if m := h.open("").Manifest; !mentions(m.Problems, string(lost)) {
		t.Errorf("the manifest does not say so: %q", m.Problems)
	}
	expected := read(t, backup.Instance{Records: h.Records, Keys: h.Keys, Blobs: h.Blobs.(unreadable).Store})
	delete(expected, "blob "+string(lost))
	wantSame(t, read(t, h.restore("")), expected)
}

// TestDamagedRecord: one record that cannot be read leaves the rest of its
// owner's, and is told by a digest of its key.
func TestDamagedRecord(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.fill()
	whole := h.run()
	h.Records = damagedRecord{h.Records, "s/small-05"}
	r, err := backup.Run(t.Context(), h.config(), h.Instance, h.options())
	if err != nil || len(r.Problems) != 1 || !mentions(r.Problems, "s/small-05") || r.Records != whole.Records-1 {
		t.Errorf("%v, %q; %d of %d records", err, r.Problems, r.Records, whole.Records)
	}
}

// damagedRecord is a store in which the second record of an owner is damaged.
type damagedRecord struct {
	store.DB
	owner store.Owner
}

func (d damagedRecord) View(ctx context.Context, owner store.Owner, fn func(store.Tx) error) error {
	return d.DB.View(ctx, owner, func(tx store.Tx) error {
		if owner != d.owner {
			return fn(tx)
		}
		var second []byte
		tx.Scan(nil, nil, func(key, _ []byte) error {
			if second != nil {
				second = bytes.Clone(key)
				return store.Stop
			}
			second = []byte{}
			return nil
		})
		return fn(damagedTx{tx, second})
	})
}

type damagedTx struct {
	store.Tx
	bad []byte
}

func (d damagedTx) ScanDue(from, to []byte, fn func(key, value []byte, due time.Time) error) error {
	var met error
	err := d.Tx.(store.DueScanner).ScanDue(from, to, func(key, value []byte, due time.Time) error {
		if bytes.Equal(key, d.bad) {
			met = &store.Damage{Owner: d.Owner(), Key: d.bad, Why: "its page is damaged"}
			return store.Stop
		}
		return fn(key, value, due)
	})
	return errors.Join(err, met)
}

// unreadable is a store of blobs on a disk with a bad sector.
type unreadable struct {
	blob.Store
	bad blob.ID
}

func (u unreadable) Open(ctx context.Context, id blob.ID) (blob.Reader, error) {
	r, err := u.Store.Open(ctx, id)
	if err == nil && id == u.bad {
		return badSector{r}, nil
	}
	return r, err
}

type badSector struct{ blob.Reader }

func (badSector) ReadAt([]byte, int64) (int, error) { return 0, errors.New("input/output error") }

// TestBucket: a repository in a bucket is one in a folder, and a bit that
// flips there is found too.
func TestBucket(t *testing.T) {
	t.Parallel()
	gateway := engines.NewGateway(t)
	h := newHouse(t)
	h.fill()
	repo, err := backup.OpenRepository(t.Context(), gateway.URL(t)+"", false, nil)
	if err != nil {
		t.Fatal(err)
	}
	conf := h.config()
	conf.Repo = repo
	if _, err := backup.Run(t.Context(), conf, h.Instance, h.options()); err != nil {
		t.Fatal(err)
	}
	r, err := backup.Run(t.Context(), conf, h.Instance, h.options())
	if err != nil || r.Sent != 0 {
		t.Errorf("the second run sent %d bytes: %v", r.Sent, err)
	}
	b, err := backup.Open(t.Context(), conf, "")
	if err != nil {
		t.Fatal(err)
	}
	to := newInstance(t)
	if _, err := b.Restore(t.Context(), to, h.restoring()); err != nil {
		t.Fatal(err)
	}
	wantSame(t, read(t, to), read(t, h.Instance))
	if c, err := backup.Check(t.Context(), conf, false); err != nil || len(c.Damaged) > 0 || c.Backups != 2 {
		t.Errorf("check: %+v, %v", c, err)
	}
	if p, err := backup.Prune(t.Context(), conf, 1); err != nil || len(p.Removed) != 1 {
		t.Errorf("prune: %+v, %v", p, err)
	}
	name := flipBelow(t, gateway.Dir(), "records")
	c, err := backup.Check(t.Context(), conf, false)
	if err != nil || len(c.Damaged) != 1 || !mentions(c.Damaged, name) {
		t.Errorf("check of a damaged bucket: %+v, %v", c, err)
	}
}

// flipBelow turns a bit in a file below a folder of that name, and returns the
// file's name.
func flipBelow(t *testing.T, root, folder string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "*", folder, "*", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no file of %s: %v", folder, err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/3] ^= 16
	if err := os.WriteFile(files[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	return filepath.Base(files[0])
}

// TestPlaces: a repository is made only where nothing else lies, and found
// only where one is.
func TestPlaces(t *testing.T) {
	t.Parallel()
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "letter"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		place  string
		create bool
		kind   errs.Kind
	}{
		{full, true, errs.Conflict}, {t.TempDir(), false, errs.NotFound}, {filepath.Join(full, "none"), false, errs.NotFound},
		{"", true, errs.Invalid}, {"ftp://host/x", true, errs.Invalid},
	} {
		if _, err := backup.OpenRepository(t.Context(), c.place, c.create, nil); !errs.Is(err, c.kind) {
			t.Errorf("%q: %v", c.place, err)
		}
	}
	made := filepath.Join(t.TempDir(), "a", "b")
	for range 2 {
		if _, err := backup.OpenRepository(t.Context(), made, true, nil); err != nil {
			t.Error(err)
		}
	}
}

// TestOneAccount: the records of one owner, and one blob, can be had alone.
func TestOneAccount(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.fill()
	h.run()
	to := newInstance(t)
	n, err := h.open("").CopyOwners(t.Context(), "s/small-07", "s/small-08", to.Records)
	if err != nil || n == 0 {
		t.Fatal(n, err)
	}
	expected := read(t, h.Instance)
	for thing := range expected {
		if !strings.HasPrefix(thing, "record s/small-07 ") {
			delete(expected, thing)
		}
	}
	wantSame(t, read(t, to), expected)
	list, err := h.Blobs.List(t.Context(), "", 1)
	if err != nil {
		t.Fatal(err)
	}
	line, err := h.open("").Blob(t.Context(), list[0].ID)
	if err != nil || line.Size != list[0].Size {
		t.Errorf("%+v, %v", line, err)
	}
	for range 2 { // the second time it is there
		if err := h.open("").CopyBlob(t.Context(), line, to.Blobs); err != nil {
			t.Error(err)
		}
	}
	if _, err := h.open("").Blob(t.Context(), blob.ID(strings.Repeat("0", 32))); !errs.Is(err, errs.NotFound) {
		t.Errorf("a blob that is not in it: %v", err)
	}
}
