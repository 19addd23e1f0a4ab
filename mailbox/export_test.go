package mailbox_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"pli/internal/errs"
	"pli/mailbox"
	"pli/store"
)

// What is exported opens elsewhere with the holder's key alone: every message,
// small or large, in each of its boxes, with flags and date.
func TestExportOpensElsewhere(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	paule := h.person("paule")
	paule.lived()
	armored, err := paule.keys.ArmoredPrivateKey("")
	h.must(err)
	ring, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(armored))
	h.must(err)
	var out []string
	problems, err := h.mail.Export(t.Context(), paule.owner, func(m *mailbox.Sealed) error {
		var sealed bytes.Buffer
		n, err := m.WriteTo(&sealed)
		h.must(err)
		if n != int64(sealed.Len()) {
			t.Errorf("%d bytes said, %d written", n, sealed.Len())
		}
		md, err := openpgp.ReadMessage(&sealed, ring, nil, nil)
		h.must(err)
		text, err := io.ReadAll(md.UnverifiedBody)
		h.must(err)
		if int64(len(text)) != m.Size {
			t.Errorf("%d bytes, said to be %d", len(text), m.Size)
		}
		out = append(out, fmt.Sprintf("%s %v %s %s %x", m.Box, slices.Sorted(slices.Values(m.Flags)), m.Date, m.ID, sum(string(text))))
		return nil
	})
	slices.Sort(out)
	if want := paule.everything(); err != nil || len(problems) > 0 || !slices.Equal(out, want) {
		t.Errorf("%v %v\n%q\nwant\n%q", problems, err, out, want)
	}
	if _, err := h.mail.Export(t.Context(), "m/nobody", nil); !errs.Is(err, errs.NotFound) {
		t.Errorf("nobody's: %v", err)
	}
}

// What is damaged is left out and told; an error of the one who writes ends it.
func TestExportGoesAroundDamage(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	paule := h.person("paule")
	paule.lived()
	paule.broken = true
	h.flip(h.blobFile(h.blobIDs()[0]), 99)
	paule.flipRecords("mail/e/\x00\x00\x00\x01", "\x01")
	n, lost := 0, 0
	problems, err := h.mail.Export(t.Context(), paule.owner, func(m *mailbox.Sealed) error {
		if _, err := m.WriteTo(io.Discard); err != nil {
			lost++
			return err
		}
		n++
		return nil
	})
	if err != nil || n+lost != 8-1 || lost == 0 || len(problems) != lost+1 {
		t.Errorf("%d written, %d lost: %v %v", n, lost, problems, err)
	}
	full := errors.New("no space left")
	if _, err := h.mail.Export(t.Context(), paule.owner, func(*mailbox.Sealed) error { return full }); !errors.Is(err, full) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.mail.Export(ctx, paule.owner, func(*mailbox.Sealed) error { return nil }); err == nil {
		t.Error("goes on after its context has ended")
	}
}

// Old copies of entries give messages their places back, where no entry names
// them and their own record is there; they bring nothing back that was deleted.
func TestReplant(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	paule := h.person("paule")
	paule.lived()
	want := paule.everything()
	old := paule.strays("mail/e/")
	v := paule.view(paule.open(), mailbox.Inbox)
	expunge(t, v, 4) // deleted since
	h.must(h.bare.Update(t.Context(), paule.owner, dropAll("mail/e/")))
	n, err := h.mail.Replant(t.Context(), paule.owner, old)
	if err != nil || n != 4 {
		t.Errorf("%d planted, %v", n, err)
	}
	if again, err := h.mail.Replant(t.Context(), paule.owner, old); err != nil || again != 0 {
		t.Errorf("again: %d %v", again, err)
	}
	done, err := h.mail.Rebuild(t.Context(), paule.owner)
	if err != nil || done.Recovered > 0 || done.Messages != 4 {
		t.Errorf("%+v %v", done, err)
	}
	got := paule.everything()
	if len(got) != 4 {
		t.Errorf("%q", got)
	}
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("invented: %s", line)
		}
	}
}

// strays returns a person's records, opened, as a salvage finds them.
func (p *person) strays(prefix string) (out []mailbox.Stray) {
	p.h.t.Helper()
	p.h.must(p.h.db.View(context.Background(), p.owner, func(tx store.Tx) error {
		out = nil
		return tx.Scan([]byte(prefix), store.After([]byte(prefix)), func(k, v []byte) error {
			out = append(out, mailbox.Stray{Key: bytes.Clone(k), Value: bytes.Clone(v)})
			return nil
		})
	}))
	return out
}

// dropAll removes all records below a prefix.
func dropAll(prefix string) func(tx store.Tx) error {
	return func(tx store.Tx) error {
		return tx.Scan([]byte(prefix), store.After([]byte(prefix)), func(k, _ []byte) error { return tx.Delete(bytes.Clone(k)) })
	}
}
