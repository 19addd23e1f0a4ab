package instance

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"pli/audit"
	"pli/certs/keyring"
	"pli/dossier"
	"pli/identity"
	"pli/internal/engines"
	"pli/internal/errs"
	"pli/mailbox"
	"pli/store"
	"pli/store/blob"
)

func TestMain(m *testing.M) { engines.Main(m) }

const phrase = "Une-phrase-assez-longue-7"

// places are where a test's backups lie.
func (h *house) places() (repository, keys string) {
	base := filepath.Dir(h.cfg.Dir)
	return filepath.Join(base, "repository"), filepath.Join(base, "data.keys")
}

// backup makes a backup of which nothing is wrong.
func (h *house) backup(ctx context.Context) BackupReport {
	h.t.Helper()
	to, keys := h.places()
	r, err := h.Backup(ctx, BackupArgs{To: to, Keys: keys})
	if err != nil || len(r.Problems) > 0 {
		h.t.Fatalf("backup: %v, %q", err, r.Problems)
	}
	return r
}

// restored brings a backup back into an instance of its own, on the engines
// that configure names, and opens it.
func (h *house) restored(manifest string, configure ...func(*Config)) *house {
	h.t.Helper()
	dir := filepath.Join(h.t.TempDir(), "restored")
	cfg := DefaultConfig()
	cfg.InlineBytes, cfg.Argon = h.cfg.InlineBytes, h.cfg.Argon
	for _, f := range configure {
		f(cfg)
	}
	if err := Init(h.t.Context(), dir, cfg, true, time.Now); err != nil {
		h.t.Fatal(err)
	}
	config := filepath.Join(dir, "pli.toml")
	from, keys := h.places()
	if _, err := Restore(h.t.Context(), config, masterPath(h.cfg.Dir), RestoreArgs{From: from, Keys: keys, Manifest: manifest}); err != nil {
		h.t.Fatalf("restore: %v", err)
	}
	cfg, err := LoadConfig(config)
	if err != nil {
		h.t.Fatal(err)
	}
	r := &house{t: h.t, cfg: cfg, owner: h.owner, later: h.later}
	r.open()
	h.t.Cleanup(r.shut)
	return r
}

// matricule returns the nth sample INS: a number with its key.
func matricule(n int) string {
	serial := 1790351215000 + n
	return fmt.Sprintf("%013d%02d", serial, 97-serial%97)
}

// holder adds an active space.
func (h *house) holder(n int) store.Owner {
	h.t.Helper()
	_, err := h.AddSpace(h.t.Context(), SpaceAdd{INS: matricule(n), Family: "MARTIN", Given: fmt.Sprint("Ana", n), Sex: "F", Birth: "1979-03-12",
		State: "active", Login: fmt.Sprint("ana.", n), Password: phrase, Contact: "ana@example.org"})
	if err != nil {
		h.t.Fatal(err)
	}
	id, err := h.byINS(h.t.Context(), matricule(n))
	if err != nil {
		h.t.Fatal(err)
	}
	return id
}

func letter(n, size int) string {
	head := fmt.Sprintf("From: Dr Rose <rose@medecin.pli.test>\r\nMessage-ID: <%d@medecin.pli.test>\r\nSubject: Lettre %d\r\n\r\n", n, n)
	return head + strings.Repeat(fmt.Sprintf("ligne de la lettre %d\r\n", n), max(1, size/24))
}

// deliverText delivers a message to a space, as a peer's delivery does.
func (h *house) deliverText(owner store.Owner, text string) error {
	ctx := context.Background()
	to, err := h.signin.Recipient(ctx, owner)
	if err != nil {
		return err
	}
	p, err := h.mail.Spool(ctx, []keyring.Recipient{to})
	if err != nil {
		return err
	}
	defer p.Discard()
	if _, err := io.WriteString(p, text); err != nil {
		return err
	}
	if err := p.Close(); err != nil {
		return err
	}
	return h.db.Update(ctx, owner, func(tx store.Tx) error {
		_, err := h.mail.Deliver(tx, p.Letter(0), "INBOX", nil, h.deps().Now())
		return err
	})
}

func holderOf(owner store.Owner) identity.Actor {
	return identity.Actor{Kind: identity.Holder, ID: string(owner), Account: string(owner)}
}

func (h *house) fileText(owner store.Owner, title, text string) error {
	_, err := h.dossier.File(context.Background(), holderOf(owner), owner, dossier.NewDocument{Title: title, Type: "11502-2",
		Date: time.Now(), Author: holderOf(owner), MIME: "text/plain"}, strings.NewReader(text))
	return err
}

// mailbox opens a space's INBOX with its holder's password.
func (h *house) mailbox(owner store.Owner) *mailbox.View {
	h.t.Helper()
	keys, err := h.signin.Unlock(h.t.Context(), owner, phrase)
	if err != nil {
		h.t.Fatal(err)
	}
	a, err := h.mail.Open(h.t.Context(), holderOf(owner), owner, keys)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(a.Close)
	v, err := a.Select(h.t.Context(), "INBOX", false)
	if err != nil {
		h.t.Fatal(err)
	}
	return v
}

// letters returns what the holder of a space reads: a digest of each message
// by its subject.
func (h *house) letters(owner store.Owner) map[string]string {
	h.t.Helper()
	v, read := h.mailbox(owner), make(map[string]string)
	err := v.Messages(h.t.Context(), nil, true, func(m mailbox.Message) error {
		b, err := v.Open(h.t.Context(), m.UID)
		if err != nil {
			return fmt.Errorf("%s: %w", m.Index.Envelope.Subject, err)
		}
		defer b.Close()
		sum := sha256.New()
		_, err = io.Copy(sum, io.NewSectionReader(b, 0, b.Size()))
		read[m.Index.Envelope.Subject] = fmt.Sprintf("%x", sum.Sum(nil))
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return read
}

// papers returns what the holder of a space reads in the dossier.
func (h *house) papers(owner store.Owner) map[string]string {
	h.t.Helper()
	list, err := h.dossier.List(h.t.Context(), holderOf(owner), owner)
	if err != nil {
		h.t.Fatal(err)
	}
	read := make(map[string]string)
	for _, d := range list {
		_, c, err := h.dossier.Open(h.t.Context(), holderOf(owner), owner, d.ID)
		if err != nil {
			h.t.Fatalf("%s: %v", d.Title, err)
		}
		text, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size()))
		if err = errors.Join(err, c.Close()); err != nil {
			h.t.Fatal(err)
		}
		read[d.Title] = string(text)
	}
	return read
}

// all returns every record with its due time, every data key and every blob,
// as they lie, each as a digest; but for who serves the store.
func (h *house) all() map[string]string {
	h.t.Helper()
	ctx, c := h.t.Context(), make(map[string]string)
	for kind, db := range map[string]store.DB{"record": h.raw, "key": h.rawKeys} {
		owners, err := db.Owners(ctx, "", 1<<20)
		for _, owner := range owners {
			if owner == leaseOwner {
				continue
			}
			err = errors.Join(err, db.View(ctx, owner, func(tx store.Tx) error {
				return tx.(store.DueScanner).ScanDue(nil, nil, func(key, value []byte, due time.Time) error {
					c[fmt.Sprintf("%s %s %q", kind, owner, key)] = fmt.Sprintf("%x %d", sha256.Sum256(value), due.UnixMilli())
					return nil
				})
			}))
		}
		if err != nil {
			h.t.Fatal(err)
		}
	}
	err := h.eachBlob(ctx, "", func(b blob.Info) error {
		r, err := h.blobs.Open(ctx, b.ID)
		if err != nil {
			return err
		}
		defer r.Close()
		sum := sha256.New()
		_, err = io.Copy(sum, io.NewSectionReader(r, 0, r.Size()))
		c["blob "+string(b.ID)] = fmt.Sprintf("%x", sum.Sum(nil))
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

func wantSame(t *testing.T, what string, got, expected map[string]string) {
	t.Helper()
	if len(expected) == 0 {
		t.Fatalf("%s: there is nothing to compare", what)
	}
	told := 0
	for _, name := range slices.Sorted(maps.Keys(expected)) {
		if got[name] != expected[name] && told < 5 {
			told++
			t.Errorf("%s: %s: %.100q, want %.100q", what, name, got[name], expected[name])
		}
	}
	if len(got) != len(expected) {
		t.Errorf("%s: %d, want %d", what, len(got), len(expected))
	}
}

// The drill (issue 3, 5): an instance of 10 000 messages and 1 000 documents is
// backed up while deliveries go on, restored elsewhere, and compared byte for
// byte, by what lies there and by what its holders read.
func TestDrill(t *testing.T) {
	t.Parallel()
	messages, documents, holders := 10_000, 1_000, 5
	if raceEnabled {
		messages, documents = 1_000, 100
	}
	h := newHouse(t, func(c *Config) { c.InlineBytes = 256 << 10 })
	owners := []store.Owner{h.owner}
	for n := 1; n < holders; n++ {
		owners = append(owners, h.holder(n))
	}
	group := new(errgroup.Group)
	group.SetLimit(32)
	blobs := 0
	for n := range messages {
		size := 1000 + n%1000
		switch {
		case n%200 == 0:
			size = 300_000 + 20*n // a blob
			blobs++
		case n%10 == 0:
			size = 20_000
		}
		group.Go(func() error { return h.deliverText(owners[n%holders], letter(n, size)) })
	}
	for n := range documents {
		group.Go(func() error {
			return h.fileText(owners[n%holders], fmt.Sprint("Document ", n), strings.Repeat(fmt.Sprintf("page %d\n", n), 1+n%300))
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}

	stop := make(chan struct{})
	var later atomic.Int64
	var during sync.WaitGroup
	for w := range 2 {
		during.Go(func() {
			for n := messages + w; ; n += 2 {
				select {
				case <-stop:
					return
				default:
				}
				if err := h.deliverText(owners[n%holders], letter(n, 2000)); err != nil {
					t.Error(err)
				}
				later.Add(1)
			}
		})
	}
	first := h.backup(t.Context())
	close(stop)
	during.Wait()
	total := first.RecordBytes + first.BlobBytes
	t.Logf("backed up %.1f MB in %.1f s (%.1f MB/s), %d deliveries meanwhile", float64(total)/1e6, first.Seconds, float64(total)/1e6/first.Seconds, later.Load())
	if later.Load() == 0 || first.Blobs < int64(blobs+documents) {
		t.Errorf("%d deliveries while it ran; %d blobs", later.Load(), first.Blobs)
	}

	second := h.backup(t.Context())
	if again := h.backup(t.Context()); again.Sent != 0 || again.NewBlobs+again.NewPieces != 0 {
		t.Errorf("nothing changed, and %d bytes were sent", again.Sent)
	}
	for n := range 3 {
		if err := h.deliverText(owners[1], letter(1_000_000+n, 2000)); err != nil {
			t.Fatal(err)
		}
	}
	few := h.backup(t.Context())
	t.Logf("three more messages: %d pieces, %.2f MB of %.1f MB", few.NewPieces, float64(few.Sent)/1e6, float64(few.RecordBytes)/1e6)
	if few.NewBlobs != 0 || few.NewPieces == 0 || few.NewPieces > 8 || few.Sent > 12<<20 {
		t.Errorf("three more messages: %+v", few)
	}

	began := time.Now()
	restored := h.restored("")
	t.Logf("restored in %.1f s", time.Since(began).Seconds())
	wantSame(t, "what lies there", restored.all(), h.all())
	restored.mustVerify()
	for _, owner := range owners {
		wantSame(t, "letters", restored.letters(owner), h.letters(owner))
		wantSame(t, "documents", restored.papers(owner), h.papers(owner))
	}
	h.restored(first.Backup).mustVerify()
	if r := h.restored(second.Backup); len(r.letters(owners[1])) != len(h.letters(owners[1]))-3 {
		t.Error("the second backup is not what it was when it was made")
	}
}

// A blob that is deleted while a backup runs, after its record was copied and
// before it was, is in the backup; it goes when the backup is done.
func TestDeletionsWaitForABackup(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for n := range 20 {
		if err := h.deliverText(h.owner, letter(n, 5000)); err != nil {
			t.Fatal(err)
		}
	}
	v, before := h.mailbox(h.owner), len(h.stored())
	deleted := false
	ctx := Watch(t.Context(), func(text string) {
		if deleted || !strings.HasPrefix(text, "blobs") {
			return
		}
		deleted = true // the records are copied, and no blob yet
		uids := slices.Clone(v.UIDs()[:10])
		_, err := v.Store(t.Context(), uids, mailbox.FlagsAdd, []mailbox.Flag{`\Deleted`}, 0)
		if err == nil {
			_, err = v.Expunge(t.Context(), uids)
		}
		if err != nil {
			t.Error(err)
		}
		if n := len(h.stored()); n != before {
			t.Errorf("%d blobs went while the backup ran", before-n)
		}
	})
	r := h.backup(ctx)
	if !deleted || r.Blobs != int64(before) {
		t.Errorf("deleted meanwhile: %v; %d of %d blobs are in the backup", deleted, r.Blobs, before)
	}
	h.mustHold("after the backup", before-10)
	restored := h.restored("")
	restored.mustVerify()
	if n := len(restored.letters(h.owner)); n != 20 {
		t.Errorf("%d of 20 messages came back", n)
	}
}

// A blob that waits to be deleted and comes back stays.
func TestHold(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	gone, back, kept := h.orphan(), h.orphan(), h.orphan()
	h.hold.Hold()
	h.hold.Hold()
	for _, id := range []blob.ID{gone, back} {
		if err := h.blobs.Delete(ctx, id); err != nil {
			t.Fatal(err)
		}
	}
	h.hold.Release(ctx)
	h.mustHold("while one still holds", 3)
	w, err := h.blobs.CreateAs(ctx, back)
	if err != nil {
		t.Fatal(err)
	}
	w.Write([]byte("another"))
	if _, err := w.Commit(); !errors.Is(err, blob.ErrExists) {
		t.Errorf("it is there: %v", err)
	}
	h.hold.Release(ctx)
	if got := h.stored(); len(got) != 2 || slices.Contains(got, gone) || !slices.Contains(got, kept) {
		t.Errorf("left: %v", got)
	}
	if err := h.blobs.Delete(ctx, kept); err != nil {
		t.Fatal(err)
	}
	h.mustHold("when nobody holds", 1)
}

// hung is a store of blobs that answers no deletion, and counts them.
type hung struct {
	blob.Store
	asked *int
}

func (h hung) Delete(context.Context, blob.ID) error {
	*h.asked++
	return blob.ErrUnavailable
}

// When a backup is done and the store of blobs is away, what waits to be deleted
// does not hold it up one by one: the next release or the sweeper takes it.
func TestReleaseWithoutTheStore(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	blobs, asked := h.hold.Store, 0
	h.hold.Hold()
	for range 5 {
		if err := h.blobs.Delete(t.Context(), h.orphan()); err != nil {
			t.Fatal(err)
		}
	}
	h.hold.Store = hung{blobs, &asked}
	h.hold.Release(t.Context())
	if asked != 1 {
		t.Errorf("it was asked %d times", asked)
	}
	h.hold.Store = blobs
	h.mustHold("when it was away", 5)
	h.hold.Hold()
	h.hold.Release(t.Context())
	h.mustHold("after the next release", 0)
}

// A backup of files comes back on PostgreSQL and S3, and from there on files.
func TestRestoreOnOtherEngines(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for n := range 30 {
		if err := errors.Join(h.deliverText(h.owner, letter(n, 100*n)), h.fileText(h.owner, fmt.Sprint("Document ", n), "texte")); err != nil {
			t.Fatal(err)
		}
	}
	h.backup(t.Context())
	there := h.restored("", func(c *Config) { c.UseEngines(engines.Postgres(t), engines.S3(t)) })
	wantSame(t, "on PostgreSQL and S3", there.all(), h.all())
	there.mustVerify()
	there.backup(t.Context())
	back := there.restored("")
	wantSame(t, "on files again", back.all(), there.all())
	back.mustVerify()
	for _, there := range []*house{there, back} { // last, as an open mailbox writes what it searches by
		wantSame(t, "letters", there.letters(h.owner), h.letters(h.owner))
	}
}

// An instance that is half restored does not start; one with anything in it is
// not restored over.
func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	if err := h.deliverText(h.owner, letter(1, 1000)); err != nil {
		t.Fatal(err)
	}
	h.backup(t.Context())
	from, keys := h.places()
	args := RestoreArgs{From: from, Keys: keys}
	r := h.restored("")
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(filepath.Dir(r.cfg.Dir), "pli.toml")
	if _, err := Restore(t.Context(), config, masterPath(h.cfg.Dir), args); !errs.Is(err, errs.Conflict) {
		t.Errorf("over a full instance: %v", err)
	}
	if unused, err := os.ReadFile(masterPath(r.cfg.Dir) + ".unused"); err != nil || len(unused) == 0 {
		t.Errorf("the key that init had made was thrown away: %v", err)
	}
	marker := filepath.Join(r.cfg.Dir, unfinished)
	if err := os.WriteFile(marker, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), r.cfg, r.deps()); !errors.Is(err, errUnfinished) {
		t.Errorf("half an instance was opened: %v", err)
	}
	if _, err := Restore(t.Context(), config, keys, args); err == nil {
		t.Error("a file that is no master key was taken")
	}
}

// What was deleted by right does not come back: not alone, and not with an
// older backup; its INS is free there.
func TestDeletedStaysDeleted(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	if err := errors.Join(h.deliverText(h.owner, letter(1, 1000)), h.fileText(h.owner, "Document", "texte")); err != nil {
		t.Fatal(err)
	}
	old := h.backup(t.Context())
	const ins = "279035121518989"
	for _, state := range []string{"closed", "archived", "deleted"} {
		if _, err := h.SetSpaceState(t.Context(), SpaceState{INS: ins, State: state}); err != nil {
			t.Fatalf("%s: %v", state, err)
		}
	}
	from, keys := h.places()
	args := RestoreAccountArgs{RestoreArgs: RestoreArgs{From: from, Keys: keys, Manifest: old.Backup}, INS: ins}
	if _, err := h.RestoreAccount(t.Context(), args); !errs.Is(err, errs.Denied) {
		t.Errorf("it was brought back: %v", err)
	}
	h.backup(t.Context()) // the file of keys has its tombstone now
	r := h.restored(old.Backup)
	r.mustVerify()
	if list, err := r.ListSpaces(t.Context(), ListArgs{Limit: 10}); err != nil || len(list) != 0 {
		t.Errorf("after a restore from before: %+v, %v", list, err)
	}
	_, err := r.AddSpace(t.Context(), SpaceAdd{INS: ins, Family: "DUPONT", Given: "Anne", Sex: "F", Birth: "1979-03-12",
		State: "active", Login: "anne.dupont", Password: phrase, Contact: "anne@example.org"})
	if err != nil {
		t.Errorf("its INS is not free: %v", err)
	}
}

// rawKeysOf returns the keys of an owner's records that want lets through.
func (h *house) rawKeysOf(owner store.Owner, want func(key string) bool) (keys [][]byte) {
	h.t.Helper()
	err := h.raw.View(h.t.Context(), owner, func(tx store.Tx) error {
		keys = nil
		return tx.Scan(nil, nil, func(key, _ []byte) error {
			if want(string(key)) {
				keys = append(keys, bytes.Clone(key))
			}
			return nil
		})
	})
	if err != nil || len(keys) == 0 {
		h.t.Fatalf("no such records: %v", err)
	}
	return keys
}

// spoil flips a bit in a record's stored value.
func (h *house) spoil(owner store.Owner, key []byte) {
	h.t.Helper()
	err := h.raw.Update(h.t.Context(), owner, func(tx store.Tx) error {
		v, err := tx.Get(key)
		if err != nil {
			return err
		}
		v = bytes.Clone(v)
		v[rand.IntN(len(v))] ^= 1
		return tx.Put(key, v)
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) lose(owner store.Owner, keys ...[]byte) {
	h.t.Helper()
	for part := range slices.Chunk(keys, 500) {
		err := h.raw.Update(h.t.Context(), owner, func(tx store.Tx) error {
			for _, k := range part {
				if err := tx.Delete(k); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			h.t.Fatal(err)
		}
	}
}

// acts lists what the space's trace tells of.
func (h *house) acts() (acts []string) {
	h.t.Helper()
	err := h.db.View(h.t.Context(), h.owner, func(tx store.Tx) error {
		page, err := audit.List(tx, 0, audit.MaxPage)
		acts = nil
		for _, e := range page {
			acts = append(acts, e.Act)
		}
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return acts
}

// The second drill: a message and a document are lost and the account is
// damaged while the instance runs; what came since stays, and all comes back.
func TestRestoreAccount(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *Config) { c.InlineBytes = 3000 })
	for n := range 20 {
		if err := errors.Join(h.deliverText(h.owner, letter(n, 250*n)), h.fileText(h.owner, fmt.Sprint("Document ", n), fmt.Sprint("texte ", n))); err != nil {
			t.Fatal(err)
		}
	}
	h.backup(t.Context())
	parts := h.rawKeysOf(h.owner, func(k string) bool { return strings.HasPrefix(k, "mail/m/") })
	documents := h.rawKeysOf(h.owner, func(k string) bool { return strings.HasPrefix(k, "dossier/d/") })
	blobs := h.stored()
	if err := errors.Join(h.deliverText(h.owner, letter(100, 500)), h.fileText(h.owner, "Document nouveau", "texte nouveau")); err != nil {
		t.Fatal(err)
	}
	letters, papers := h.letters(h.owner), h.papers(h.owner)

	h.lose(h.owner, parts[:2]...)
	h.spoil(h.owner, parts[5])
	h.lose(h.owner, documents[0])
	h.spoil(h.owner, documents[1])
	for _, key := range []string{"signin/ring", "space"} {
		h.spoil(h.owner, []byte(key))
	}
	h.lose(h.owner, []byte("signin/recipient"))
	for _, id := range blobs[:3] {
		if err := h.blobs.Delete(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := h.Verify(t.Context(), struct{}{}); err != nil || len(r.Problems) == 0 {
		t.Fatalf("nothing is wrong: %v", err)
	}

	from, keys := h.places()
	args := RestoreAccountArgs{RestoreArgs: RestoreArgs{From: from, Keys: keys}, INS: "279035121518989"}
	r, err := h.RestoreAccount(t.Context(), args)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", r)
	if r.Whole || r.Replaced != 3 || r.Messages == 0 || r.Documents < 2 || r.Blobs == 0 {
		t.Errorf("restored: %+v", r)
	}
	h.mustVerify()
	wantSame(t, "letters", h.letters(h.owner), letters)
	wantSame(t, "documents", h.papers(h.owner), papers)
	if acts := h.acts(); !slices.Contains(acts, "space.restore") {
		t.Errorf("the trace says %v", acts)
	}
	again, err := h.RestoreAccount(t.Context(), args)
	if err != nil || again.Messages+again.Documents+again.Replaced+again.Blobs+again.Folders != 0 {
		t.Errorf("a second time: %+v, %v", again, err)
	}
}

// An account of which nothing is left comes back whole, with the names that
// lead to it.
func TestRestoreAccountWhole(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	other := h.holder(1)
	for n := range 10 {
		if err := errors.Join(h.deliverText(h.owner, letter(n, 5000)), h.deliverText(other, letter(n, 50)), h.fileText(h.owner, fmt.Sprint("Document ", n), "texte")); err != nil {
			t.Fatal(err)
		}
	}
	letters, papers := h.letters(h.owner), h.papers(h.owner)
	h.backup(t.Context())
	h.lose(h.owner, h.rawKeysOf(h.owner, func(string) bool { return true })...)
	for i := range 256 {
		at := store.Owner(fmt.Sprintf("sys/names-%02x", i))
		var gone [][]byte
		err := h.db.Update(t.Context(), at, func(tx store.Tx) error {
			gone = nil
			return tx.Scan(nil, nil, func(key, bound []byte) error {
				if store.Owner(bound) == h.owner {
					gone = append(gone, bytes.Clone(key))
				}
				return nil
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		h.lose(at, gone...)
	}
	err := h.rawKeys.Update(t.Context(), h.owner, func(tx store.Tx) error {
		return errors.Join(tx.Delete([]byte("data")), tx.Delete([]byte("trace")))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil { // the keys it knows are gone too
		t.Fatal(err)
	}
	h.open()
	for _, id := range h.stored() {
		if err := h.blobs.Delete(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	const address = "279035121518989@patient.pli.test"
	if _, err := h.byINS(t.Context(), "279035121518989"); !errs.Is(err, errs.NotFound) {
		t.Fatalf("it is still there: %v", err)
	}
	from, keys := h.places()
	args := RestoreAccountArgs{RestoreArgs: RestoreArgs{From: from, Keys: keys}, Address: address}
	r, err := h.RestoreAccount(t.Context(), args)
	if err != nil || !r.Whole || r.Account != string(h.owner) || r.Blobs != 20 {
		t.Fatalf("restored: %+v, %v", r, err)
	}
	wantSame(t, "letters", h.letters(h.owner), letters)
	wantSame(t, "documents", h.papers(h.owner), papers)
	if id, err := h.byINS(t.Context(), "279035121518989"); id != h.owner || err != nil {
		t.Errorf("by its INS: %v, %v", id, err)
	}
	for name, a := range map[string]RestoreAccountArgs{
		"nobody": {RestoreArgs: args.RestoreArgs, INS: matricule(77)}, "both": {RestoreArgs: args.RestoreArgs, INS: matricule(1), Address: address}, "none": {RestoreArgs: args.RestoreArgs},
	} {
		if _, err := h.RestoreAccount(t.Context(), a); !errs.Is(err, errs.NotFound) && !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// away is a store of blobs that takes none that comes back.
type away struct{ blob.Store }

func (away) CreateAs(context.Context, blob.ID) (blob.Writer, error) {
	return nil, fmt.Errorf("out of reach: %w", blob.ErrUnavailable)
}

// The restore of an account of which nothing was left is stopped half way, and
// what comes before it is taken up again stays: the address leads to the
// account as soon as its records are there.
func TestRestoreAccountTakenUpAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for n := range 4 {
		if err := h.deliverText(h.owner, letter(n, 5000)); err != nil {
			t.Fatal(err)
		}
	}
	h.backup(t.Context())
	h.lose(h.owner, h.rawKeysOf(h.owner, func(string) bool { return true })...)
	for _, id := range h.stored() {
		if err := h.blobs.Delete(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	from, keys := h.places()
	args := RestoreAccountArgs{RestoreArgs: RestoreArgs{From: from, Keys: keys}, INS: "279035121518989"}
	blobs := h.hold.Store
	h.hold.Store = away{blobs}
	if _, err := h.RestoreAccount(t.Context(), args); !errs.Is(err, errs.Unavailable) {
		t.Fatalf("without the store of blobs: %v", err)
	}
	h.hold.Store = blobs
	if err := h.deliverText(h.owner, letter(100, 50)); err != nil {
		t.Fatal(err)
	}
	r, err := h.RestoreAccount(t.Context(), args)
	if err != nil || !r.Whole || len(r.Problems) > 0 || r.Blobs != 4 {
		t.Fatalf("taken up again: %+v, %v", r, err)
	}
	if got := h.letters(h.owner); len(got) != 5 {
		t.Errorf("%d letters: %v", len(got), got)
	}
	h.mustVerify()
}

// A letter and a document are deleted while a backup runs, and brought back
// from an earlier one before it is done: what waited to be deleted stays.
func TestRestoreAccountBesideABackup(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	if err := errors.Join(h.deliverText(h.owner, letter(1, 5000)), h.fileText(h.owner, "Document", "texte")); err != nil {
		t.Fatal(err)
	}
	letters := h.letters(h.owner)
	h.backup(t.Context())
	h.hold.Hold()
	v := h.mailbox(h.owner)
	uids := slices.Clone(v.UIDs())
	_, err := v.Store(t.Context(), uids, mailbox.FlagsAdd, []mailbox.Flag{`\Deleted`}, 0)
	if err == nil {
		_, err = v.Expunge(t.Context(), uids)
	}
	if err != nil {
		t.Fatal(err)
	}
	from, keys := h.places()
	r, err := h.RestoreAccount(t.Context(), RestoreAccountArgs{RestoreArgs: RestoreArgs{From: from, Keys: keys}, INS: "279035121518989"})
	if err != nil || r.Messages != 1 || len(r.Problems) > 0 {
		t.Errorf("%+v, %v", r, err)
	}
	h.hold.Release(t.Context())
	h.mustVerify()
	wantSame(t, "letters", h.letters(h.owner), letters)
}
