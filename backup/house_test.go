package backup_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pli/backup"
	"pli/internal/engines"
	"pli/store"
	"pli/store/blob"
	blobdir "pli/store/blob/dir"
	"pli/store/bolt"
	"pli/store/sealed"
)

func TestMain(m *testing.M) { engines.Main(m) }

// house is an instance's stores with its master key, a repository and a keys
// file. Values are random, as sealed ones are.
type house struct {
	t      testing.TB
	dir    string
	master *sealed.Master
	repo   *backup.Folder
	keys   string // file
	random *rand.ChaCha8
	backup.Instance
}

func newHouse(t testing.TB) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir(), random: rand.NewChaCha8([32]byte{1})}
	var err error
	if h.master, err = sealed.CreateMaster(filepath.Join(h.dir, "master.key")); err != nil {
		t.Fatal(err)
	}
	if h.repo, err = backup.OpenFolder(filepath.Join(h.dir, "repository"), true); err != nil {
		t.Fatal(err)
	}
	h.keys = filepath.Join(h.dir, "data.keys")
	h.Instance = newInstance(t)
	return h
}

// newInstance returns empty stores.
func newInstance(t testing.TB) (i backup.Instance) {
	t.Helper()
	dir := t.TempDir()
	open := func(name string) store.DB {
		db, err := bolt.Open(bolt.Config{Dir: filepath.Join(dir, name)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		return db
	}
	i.Records, i.Keys = open("store"), open("keys")
	blobs, err := blobdir.Open(filepath.Join(dir, "blobs"), blobdir.Config{})
	if err != nil {
		t.Fatal(err)
	}
	i.Blobs = blobs
	return i
}

func (h *house) config() backup.Config {
	return backup.Config{Repo: h.repo, Master: h.master, Now: time.Now}
}

func (h *house) options() backup.Options {
	return backup.Options{Name: "mss.pli.test", Keys: h.keys, Spool: h.dir}
}

func (h *house) bytes(n int) []byte {
	b := make([]byte, n)
	h.random.Read(b)
	return b
}

// put writes records of an owner, of the given sizes, under ascending keys.
func (h *house) put(owner store.Owner, sizes ...int) {
	h.t.Helper()
	for part := range slices.Chunk(sizes, 8) {
		err := h.Records.Update(context.Background(), owner, func(tx store.Tx) error {
			for i, n := range part {
				key := fmt.Appendf(nil, "mail/m/%d %x", time.Now().UnixNano(), h.bytes(4))
				if err := tx.Put(key, h.bytes(n)); err != nil {
					return err
				}
				if i%3 == 0 {
					if err := tx.PutDue(append(key, 'd'), h.bytes(10), time.UnixMilli(int64(n))); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			h.t.Fatal(err)
		}
	}
}

// key gives an owner a data key.
func (h *house) key(owner store.Owner) {
	h.t.Helper()
	keys, err := sealed.OpenKeys(h.Keys, h.master, sealed.KeysConfig{})
	if err == nil {
		_, err = keys.Key(context.Background(), owner, "data", "role", true)
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) blob(n int) blob.ID {
	h.t.Helper()
	w, err := h.Blobs.Create(context.Background())
	if err != nil {
		h.t.Fatal(err)
	}
	w.Write(h.bytes(n))
	id, err := w.Commit()
	if err != nil {
		h.t.Fatal(err)
	}
	return id
}

// fill gives the instance owners small and large, keys and blobs.
func (h *house) fill() {
	h.t.Helper()
	for i := range 40 {
		owner := store.Owner(fmt.Sprintf("s/small-%02d", i))
		h.key(owner)
		h.put(owner, 100+i, 2000, 30_000)
	}
	h.key("m/large")
	var sizes []int
	for i := range 60 {
		sizes = append(sizes, 1000+i*1000, 300_000)
	}
	h.put("m/large", sizes...) // more than the spool holds in memory
	h.put("sys/names-00", 20, 20, 20)
	for _, n := range []int{0, 1, 300_000, 2_000_000, 70_000} {
		h.blob(n)
	}
}

// run makes a backup of which nothing is wrong.
func (h *house) run() backup.Result {
	h.t.Helper()
	r, err := backup.Run(context.Background(), h.config(), h.Instance, h.options())
	if err != nil || len(r.Problems) > 0 {
		h.t.Fatalf("backup: %v, problems %q", err, r.Problems)
	}
	return r
}

func (h *house) open(name string) *backup.Backup {
	h.t.Helper()
	b, err := backup.Open(context.Background(), h.config(), name)
	if err != nil {
		h.t.Fatal(err)
	}
	return b
}

func (h *house) restoring() backup.Restoring {
	return backup.Restoring{Keys: h.keys, Marker: filepath.Join(h.t.TempDir(), "marker")}
}

// restore brings a backup back whole and returns where it is.
func (h *house) restore(name string) backup.Instance {
	h.t.Helper()
	to := newInstance(h.t)
	if _, err := h.open(name).Restore(context.Background(), to, h.restoring()); err != nil {
		h.t.Fatalf("restore: %v", err)
	}
	return to
}

// content is all that an instance holds, each thing by a name of its own.
type content map[string]string

func read(t testing.TB, i backup.Instance) content {
	t.Helper()
	c := make(content)
	ctx := context.Background()
	for kind, db := range map[string]store.DB{"record": i.Records, "key": i.Keys} {
		owners, err := db.Owners(ctx, "", 1<<20)
		for _, owner := range owners {
			err = errors.Join(err, db.View(ctx, owner, func(tx store.Tx) error {
				return tx.(store.DueScanner).ScanDue(nil, nil, func(key, value []byte, due time.Time) error {
					c[fmt.Sprintf("%s %s %q", kind, owner, key)] = fmt.Sprintf("%x, due %d", sha256.Sum256(value), due.UnixMilli())
					return nil
				})
			}))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	list, err := i.Blobs.List(ctx, "", 1<<20)
	for _, info := range list {
		r, openErr := i.Blobs.Open(ctx, info.ID)
		if err = errors.Join(err, openErr); openErr != nil {
			continue
		}
		b, readErr := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
		err = errors.Join(err, readErr, r.Close())
		c["blob "+string(info.ID)] = fmt.Sprintf("%x", sha256.Sum256(b))
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// wantSame fails for each difference, up to a few.
func wantSame(t testing.TB, got, expected content) {
	t.Helper()
	if len(expected) == 0 {
		t.Fatal("there is nothing to compare")
	}
	told := 0
	for _, name := range slices.Sorted(maps.Keys(expected)) {
		if got[name] != expected[name] && told < 5 {
			told++
			t.Errorf("%s: %q, want %q", name, got[name], expected[name])
		}
	}
	for name := range got {
		if _, ok := expected[name]; !ok && told < 5 {
			told++
			t.Errorf("%s is one too many", name)
		}
	}
}

// objects lists the repository: names and digests, but for locks.
func (h *house) objects() content {
	h.t.Helper()
	c := make(content)
	root := filepath.Join(h.dir, "repository")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		name, _ := filepath.Rel(root, path)
		c[filepath.ToSlash(name)] = fmt.Sprintf("%x", sha256.Sum256(b))
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

// flip turns a bit in the middle of an object.
func (h *house) flip(name string) {
	h.t.Helper()
	path := filepath.Join(h.dir, "repository", filepath.FromSlash(name))
	b, err := os.ReadFile(path)
	if err != nil {
		h.t.Fatal(err)
	}
	b[len(b)/2] ^= 4
	if err := os.WriteFile(path, b, 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// one returns an object of a folder, the largest.
func (h *house) one(folder string) string {
	h.t.Helper()
	best, size := "", int64(-1)
	err := h.repo.List(context.Background(), folder, func(o backup.Object) error {
		if o.Size > size {
			best, size = o.Name, o.Size
		}
		return nil
	})
	if err != nil || best == "" {
		h.t.Fatalf("no object in %s: %v", folder, err)
	}
	return best
}

func (h *house) check(remove bool) backup.Checked {
	h.t.Helper()
	r, err := backup.Check(context.Background(), h.config(), remove)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

func mentions(list []string, word string) bool {
	return slices.ContainsFunc(list, func(s string) bool { return strings.Contains(s, word) })
}

func reader(b []byte) (io.ReaderAt, int64) { return bytes.NewReader(b), int64(len(b)) }
