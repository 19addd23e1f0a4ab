package backup

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"pli/internal/errs"
	"pli/store"
	"pli/store/sealed"
)

// The keys file begins with a line that says what it is, then a line of JSON;
// the data keys follow as they lie, each wrapped by the master key, as a CBOR
// sequence of records; an HMAC-SHA256 of all before ends it.
const (
	keysMagic   = "pli-backup-keys-1\n"
	keysMACLen  = sha256.Size
	maxKeysHead = 4096
)

// keysHead is the keys file's line about itself.
type keysHead struct {
	Instance string    `json:"instance"`
	Key      string    `json:"key"` // which master key
	At       time.Time `json:"at"`
}

func keysMAC(m *sealed.Master) hash.Hash {
	key := m.Derive("backup keys file")
	return hmac.New(sha256.New, key[:])
}

// refuseKeysFile refuses a place for the keys that would bring them together
// with what they open, or would overwrite something else.
func refuseKeysFile(cfg Config, path string) error {
	if path == "" {
		return errs.New(errs.Invalid, "say where the data keys go: a file on another medium than the repository")
	}
	if f, ok := cfg.Repo.(*Folder); ok && within(f.path, path) {
		return errs.New(errs.Invalid, "%s lies inside the repository %s: whoever took one would have the other; name a file elsewhere", path, f.path)
	}
	head, err := readKeysHead(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case head.Key != keyName(cfg.Master):
		return errs.New(errs.Conflict, "%s holds the keys of another instance (%s): name another file", path, head.Instance)
	}
	return nil
}

// within reports whether path lies in a folder, by whatever links.
func within(folder, path string) bool {
	return inside(resolve(folder), resolve(path))
}

func inside(folder, path string) bool {
	rel, err := filepath.Rel(folder, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// resolve follows the links of what there is of a path.
func resolve(path string) string {
	path, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	if real, err := filepath.EvalSymlinks(path); err == nil || filepath.Dir(path) == path {
		return real
	}
	return filepath.Join(resolve(filepath.Dir(path)), filepath.Base(path))
}

func readKeysHead(path string) (h keysHead, err error) {
	f, err := os.Open(path)
	if err != nil {
		return h, err
	}
	defer f.Close()
	h, _, err = parseKeysHead(f, path)
	return h, err
}

// parseKeysHead returns the head and how many bytes it takes.
func parseKeysHead(r io.Reader, path string) (h keysHead, n int, err error) {
	b := make([]byte, maxKeysHead)
	n, err = io.ReadFull(r, b)
	if err != nil && err != io.ErrUnexpectedEOF && err != io.EOF {
		return h, 0, err
	}
	rest, ok := bytes.CutPrefix(b[:n], []byte(keysMagic))
	line, _, whole := bytes.Cut(rest, []byte("\n"))
	if !ok || !whole || json.Unmarshal(line, &h) != nil {
		return h, 0, errs.New(errs.Conflict, "%s is not a file of data keys", path)
	}
	return h, len(keysMagic) + len(line) + 1, nil
}

// writeKeys writes the one current copy of the data keys in place of the one
// before.
func writeKeys(ctx context.Context, cfg Config, o Options, keys store.DB) (err error) {
	// One name for all runs: what one that was killed has left holds keys that
	// may be destroyed by now.
	unfinished := filepath.Join(filepath.Dir(o.Keys), "."+filepath.Base(o.Keys)+".pli-new")
	if err := os.Remove(unfinished); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the file of data keys: %w", err)
	}
	f, err := os.OpenFile(unfinished, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("the file of data keys: %w", err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	mac := keysMAC(cfg.Master)
	buf := bufio.NewWriterSize(f, 1<<20)
	w := io.MultiWriter(buf, mac)
	head, err := json.Marshal(keysHead{o.Name, keyName(cfg.Master), cfg.Now().UTC()})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s%s\n", keysMagic, head)
	if err := copyKeys(ctx, keys, w); err != nil {
		return err
	}
	buf.Write(mac.Sum(nil))
	if err := errors.Join(buf.Flush(), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("the file of data keys: %w", err)
	}
	if err := os.Rename(f.Name(), o.Keys); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(o.Keys))
}

// copyKeys writes every record of the key store, those of destroyed keys among
// them: what was destroyed stays so.
func copyKeys(ctx context.Context, keys store.DB, w io.Writer) error {
	for after := store.Owner(""); ; {
		page, err := keys.Owners(ctx, after, ownersPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, owner := range page {
			var items []byte
			err := keys.View(ctx, owner, func(tx store.Tx) error {
				items = items[:0]
				return tx.Scan(nil, nil, func(key, value []byte) error {
					item, err := newRecord(owner, key, value, time.Time{})
					items = append(items, item...)
					return err
				})
			})
			if err != nil {
				return fmt.Errorf("data keys of %s: %w", owner, err)
			}
			if _, err := w.Write(items); err != nil {
				return err
			}
		}
		after = page[len(page)-1]
	}
}

// OwnerKeys returns the records of one owner's data keys that a file holds, by
// class, as they lie: wrapped, or a destroyed key's tombstone.
func OwnerKeys(master *sealed.Master, path string, owner store.Owner) (map[string][]byte, error) {
	found := make(map[string][]byte)
	_, err := readKeys(master, path, func(r record) error {
		if r.Owner == owner {
			found[string(r.Key)] = r.Value
		}
		return nil
	})
	return found, err
}

// readKeys calls fn for each record of the key store that a file holds, after
// it has checked that the file is whole and of this master key.
func readKeys(master *sealed.Master, path string, fn func(record) error) (keysHead, error) {
	f, err := os.Open(path)
	if err != nil {
		return keysHead{}, fmt.Errorf("the file of data keys: %w", err)
	}
	defer f.Close()
	head, at, err := parseKeysHead(f, path)
	if err != nil {
		return head, err
	}
	if head.Key != keyName(master) {
		return head, errs.New(errs.Denied, "the data keys of %s are wrapped by another master key", path)
	}
	info, err := f.Stat()
	if err != nil {
		return head, err
	}
	end := info.Size() - keysMACLen
	mac, written := keysMAC(master), make([]byte, keysMACLen)
	if end < int64(at) {
		return head, errs.New(errs.Invalid, "%s is damaged: it ends too early", path)
	}
	if _, err := io.Copy(mac, io.NewSectionReader(f, 0, end)); err != nil {
		return head, err
	}
	if _, err := f.ReadAt(written, end); err != nil {
		return head, err
	}
	if !hmac.Equal(mac.Sum(nil), written) {
		return head, errs.New(errs.Invalid, "%s is damaged: its HMAC does not fit", path)
	}
	d := decoding.NewDecoder(bufio.NewReaderSize(io.NewSectionReader(f, int64(at), end-int64(at)), 1<<20))
	for {
		var r record
		if err := d.Decode(&r); err == io.EOF {
			return head, nil
		} else if err != nil {
			return head, fmt.Errorf("%s: %w", path, err)
		}
		if err := fn(r); err != nil {
			return head, err
		}
	}
}
