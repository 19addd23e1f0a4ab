package backup

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"pli/internal/errs"
	"pli/store/sealed"
)

// manifestFormat is that of manifests and of all that they name.
const manifestFormat = 1

// maxManifest bounds what is read as a manifest, in bytes.
const maxManifest = 64 << 20

// Manifest is one run: what it holds and by which names.
type Manifest struct {
	Name     string    `json:"-"`        // of the object, without its folder
	Format   int       `json:"format"`   // 1
	Instance string    `json:"instance"` // host name of the operator
	Key      string    `json:"key"`      // which master key, by a digest of it
	Begin    time.Time `json:"begin"`
	End      time.Time `json:"end"`

	Owners      int64 `json:"owners"`
	Records     int64 `json:"records"`
	RecordBytes int64 `json:"record_bytes"` // of the pieces
	Blobs       int64 `json:"blobs"`
	BlobBytes   int64 `json:"blob_bytes"`

	RecordIndex []Piece `json:"record_index"` // each lists pieces of records
	BlobIndex   []Piece `json:"blob_index"`   // each lists blobs

	// Problems say what the instance could not give: the run is a backup
	// without it.
	Problems []string `json:"problems,omitempty"`
}

// Blob is one line of the index of blobs.
type Blob struct {
	ID   string `json:"id"`
	Size int64  `json:"size"` // bytes
	Sum  string `json:"sum"`  // SHA-256, hexadecimal
}

// keyName tells master keys apart without telling anything of them.
func keyName(m *sealed.Master) string {
	k := m.Derive("backup key name")
	return hex.EncodeToString(k[:8])
}

func manifestMAC(m *sealed.Master, name string, body []byte) []byte {
	key := m.Derive("backup manifests")
	mac := hmac.New(sha256.New, key[:])
	fmt.Fprintf(mac, "%s\n", name)
	mac.Write(body)
	return mac.Sum(nil)
}

// newManifestName returns a name that sorts by time.
func newManifestName(at time.Time) string {
	return at.UTC().Format("20060102T150405.000000Z") + "-" + strings.ToLower(rand.Text()[:8]) + ".json"
}

// macLine begins the last line of a manifest.
const macLine = "hmac-sha256 "

// write puts the manifest into the repository.
func (m Manifest) write(ctx context.Context, cfg Config) error {
	body, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return err
	}
	body = append(body, '\n')
	body = fmt.Appendf(body, "%s%x\n", macLine, manifestMAC(cfg.Master, m.Name, body))
	return cfg.Repo.Put(ctx, folderManifests+m.Name, bytes.NewReader(body), int64(len(body)))
}

// readManifest reads a manifest and checks that it is as it was written.
func readManifest(ctx context.Context, cfg Config, name string) (Manifest, error) {
	r, err := cfg.Repo.Get(ctx, folderManifests+base(name))
	if errors.Is(err, ErrNotFound) {
		return Manifest{}, errs.New(errs.NotFound, "there is no backup %q: «pli backup list» shows those there are", name)
	}
	if err != nil {
		return Manifest{}, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxManifest))
	if err != nil {
		return Manifest{}, err
	}
	return parseManifest(cfg.Master, name, b)
}

func parseManifest(master *sealed.Master, name string, b []byte) (Manifest, error) {
	bad := func(why string) (Manifest, error) { return Manifest{}, &damaged{folderManifests + name, why} }
	at := bytes.LastIndex(b, []byte(macLine))
	if at < 0 {
		return bad("is not a whole manifest")
	}
	m := Manifest{Name: name}
	if err := json.Unmarshal(b[:at], &m); err != nil {
		return bad("is not a manifest")
	}
	if m.Key != keyName(master) {
		return Manifest{}, errs.New(errs.Denied, "the backup %s was made under another master key", name)
	}
	mac, err := hex.DecodeString(strings.TrimSuffix(string(b[at+len(macLine):]), "\n"))
	if err != nil || !hmac.Equal(mac, manifestMAC(master, name, b[:at])) {
		return bad("was changed: its HMAC does not fit")
	}
	if m.Format != manifestFormat {
		return Manifest{}, errs.New(errs.Invalid, "the backup %s has format %d; this version reads %d", name, m.Format, manifestFormat)
	}
	return m, nil
}

// names lists the manifests of a repository, oldest first.
func names(ctx context.Context, repo Repository) (list []string, err error) {
	err = repo.List(ctx, folderManifests, func(o Object) error {
		list = append(list, base(o.Name))
		return nil
	})
	return list, err
}

// List returns the backups of a repository, oldest first, and what is wrong
// with those that cannot be used.
func List(ctx context.Context, cfg Config) (list []Manifest, problems []error, err error) {
	all, err := names(ctx, cfg.Repo)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range all {
		m, err := readManifest(ctx, cfg, name)
		switch {
		case err == nil:
			list = append(list, m)
		case !unusable(err):
			return nil, nil, err
		case !errs.Is(err, errs.NotFound): // else pruned meanwhile
			problems = append(problems, err)
		}
	}
	return list, problems, nil
}

// latest returns the newest backup that can be used, or an error of kind
// NotFound. A newer one that cannot is told in the log.
func latest(ctx context.Context, cfg Config) (Manifest, error) {
	all, err := names(ctx, cfg.Repo)
	if err != nil {
		return Manifest{}, err
	}
	var problems error
	for _, name := range slices.Backward(all) {
		m, err := readManifest(ctx, cfg, name)
		if err == nil || !unusable(err) {
			return m, err
		}
		if !errs.Is(err, errs.NotFound) { // else pruned meanwhile
			cfg.Log.Warn("backup: the newest backup cannot be used; looking at the one before", "backup", name, "err", err)
		}
		problems = errors.Join(problems, err)
	}
	return Manifest{}, &errs.Error{Kind: errs.NotFound, Text: "the repository holds no backup that can be used", Cause: problems}
}

// unusable tells a manifest that is of no use from a repository that fails.
func unusable(err error) bool {
	return errors.Is(err, ErrDamaged) || errs.Is(err, errs.Denied) || errs.Is(err, errs.Invalid) || errs.Is(err, errs.NotFound)
}
