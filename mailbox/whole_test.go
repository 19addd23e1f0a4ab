package mailbox_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"pli/certs/keyring"
	"pli/mailbox"
	"pli/store"
	"pli/store/blob"
)

// blobFile returns the file that a blob lies in.
func (h *house) blobFile(id blob.ID) string {
	h.t.Helper()
	found, err := filepath.Glob(filepath.Join(h.folder, "blobs", "*", "*", string(id)))
	if err != nil || len(found) != 1 {
		h.t.Fatalf("%v %v", found, err)
	}
	return found[0]
}

// flip changes one bit of a file.
func (h *house) flip(path string, at int64) {
	h.t.Helper()
	b, err := os.ReadFile(path)
	h.must(err)
	b[at] ^= 1
	h.must(os.WriteFile(path, b, 0o600))
}

// A message's blob is one OpenPGP message by itself, its trailer included:
// another program opens it with the exported key, and knows nothing of ours.
func TestABlobIsAnOpenPGPMessage(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	paule, rose := h.person("paule"), h.person("rose")
	raw := sized(300_000)
	h.deliver(raw, paule, rose)
	for _, p := range []*person{paule, rose} {
		armored, err := p.keys.ArmoredPrivateKey("")
		h.must(err)
		ring, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(armored))
		h.must(err)
		var own blob.ID
		h.must(h.mail.Blobs(t.Context(), p.owner, func(id blob.ID, size int64) error {
			own = id
			return nil
		}))
		f, err := os.Open(h.blobFile(own))
		h.must(err)
		defer f.Close()
		md, err := openpgp.ReadMessage(f, ring, nil, nil)
		h.must(err)
		if got, err := io.ReadAll(md.UnverifiedBody); err != nil || string(got) != raw {
			t.Errorf("%s: %d bytes, %v", p.owner, len(got), err)
		}
	}
}

// A flipped bit anywhere in a blob is found without any key, and told by
// message; the other messages are not named.
func TestVerifyFindsAFlippedBitInABlob(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	paule := h.person("paule")
	h.deliver(letter("beside", "text"), paule)
	h.deliver(sized(200_000), paule)
	h.deliver(sized(210_000), paule)
	paule.broken = true
	v := paule.view(paule.open(), mailbox.Inbox)
	hit, err := v.Message(t.Context(), 2)
	h.must(err)
	var path string
	var size int64
	h.must(h.mail.Blobs(t.Context(), paule.owner, func(id blob.ID, n int64) error {
		if size == 0 || n < size {
			path, size = h.blobFile(id), n // the smaller one
		}
		return nil
	}))
	for name, at := range map[string]int64{
		"wrapped key": 50, "body": 100_000, "index": size - 100, "footer": size - 20, "sum": size - 1,
	} {
		h.flip(path, at)
		problems, err := h.mail.Verify(t.Context(), paule.owner)
		if err != nil || len(problems) != 1 || problems[0].ID != hit.ID || !strings.Contains(problems[0].Text, "is damaged") {
			t.Errorf("%s: %v %v", name, problems, err)
		}
		h.flip(path, at)
	}
	if problems, err := h.mail.Verify(t.Context(), paule.owner); err != nil || len(problems) > 0 {
		t.Errorf("after: %v %v", problems, err)
	}
}

// Damage in the middle of a large message is met once, while it is read; from
// then on the message is refused at once, so that a client which asks for all
// messages gets past it, until it is sound again.
func TestDamageIsMetOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *mailbox.Config) { c.PageDelay = time.Hour }) // no pass meets it first
	paule := h.person("paule")
	h.deliver(sized(300_000), paule)
	path := h.blobFile(h.blobIDs()[0])
	h.flip(path, 200_000)
	v := paule.view(paule.open(), mailbox.Inbox)
	body, err := v.Open(t.Context(), 1)
	h.must(err)
	defer body.Close()
	part := make([]byte, 1000)
	if _, err := body.ReadAt(part, 0); err != nil {
		t.Errorf("what lies before the damage: %v", err)
	}
	if _, err := body.ReadAt(part, 199_000); !errors.Is(err, keyring.ErrDamaged) {
		t.Errorf("the damage: %v", err)
	}
	if _, err := v.Open(t.Context(), 1); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("again: %v", err)
	}
	h.flip(path, 200_000)
	if got := h.read(v, 1); got != sized(300_000) {
		t.Errorf("mended: %d bytes", len(got))
	}
}
