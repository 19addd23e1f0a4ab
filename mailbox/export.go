package mailbox

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"pli/certs/keyring"
	"pli/store"
)

// Sealed is a message's place in a box, with the message as it lies: an
// OpenPGP message (PKESK and SEIPD) that the account's exported key opens.
type Sealed struct {
	ID          string // of the message, the same in every box
	Box         string
	UIDValidity uint32
	UID         UID
	Flags       []Flag
	Date        time.Time // internal date
	Size        int64     // bytes of the opened message

	s    *Service
	head []byte // PKESK
	body []byte // SEIPD, if it is no blob
	blob namedBlob
}

// WriteTo writes the OpenPGP message (io.WriterTo). A blob is looked through
// first: one that is damaged is store.ErrCorrupt, and nothing is written.
func (m *Sealed) WriteTo(w io.Writer) (int64, error) {
	if m.body != nil {
		return io.Copy(w, io.MultiReader(bytes.NewReader(m.head), bytes.NewReader(m.body)))
	}
	ctx := context.Background()
	if err := m.s.checkBlob(ctx, m.blob); err != nil {
		return 0, err
	}
	b, err := m.s.cfg.Blobs.Open(ctx, m.blob.id)
	if err != nil {
		return 0, err
	}
	defer b.Close()
	return io.Copy(w, io.NewSectionReader(b, 0, keyring.WrapSize+keyring.StreamSize(m.Size)))
}

// Export calls fn for each message of each box of an owner, sealed as it lies,
// by UID, and returns what is damaged. An error of fn ends it, unless it says
// that the message is lost (store.ErrCorrupt, blob.ErrNotFound), which is told
// with the others. Nothing is opened. It passes no gate: it is an act of the
// operator's, whose operation writes the trace. Errors: errs.NotFound without a
// mailbox.
func (s *Service) Export(ctx context.Context, owner store.Owner, fn func(m *Sealed) error) ([]Problem, error) {
	e := &exporting{s: s, owner: owner, fn: fn}
	var boxes []listed
	err := s.cfg.DB.View(ctx, owner, func(tx store.Tx) error {
		d, err := loadDirectory(tx)
		if err == nil {
			boxes, e.keywords = d.Boxes, d.Keywords
		}
		return err
	})
	for i := range boxes {
		if err == nil {
			err = e.box(ctx, &boxes[i])
		}
	}
	return e.found, err
}

// exporting is one Export at work.
type exporting struct {
	s        *Service
	owner    store.Owner
	keywords []string
	fn       func(m *Sealed) error
	found    []Problem
}

func (e *exporting) problem(about, id, format string, args ...any) {
	if len(e.found) < maxProblems {
		e.found = append(e.found, Problem{about, id, fmt.Sprintf(format, args...)})
	}
}

func (e *exporting) box(ctx context.Context, l *listed) error {
	var rows []row
	var bad []UID
	err := e.s.cfg.DB.View(ctx, e.owner, func(tx store.Tx) error {
		rows, bad = nil, nil
		return scanAllEntries(tx, l.ID, func(r row) error {
			rows = append(rows, r)
			return nil
		}, func(uid UID) error {
			bad = append(bad, uid)
			return nil
		})
	})
	for _, uid := range bad {
		e.problem(AboutFolder, fmt.Sprint(l.ID), "the entry of UID %d is damaged", uid)
	}
	for i := range rows {
		if err == nil {
			err = e.message(ctx, l, &rows[i])
		}
	}
	return err
}

func (e *exporting) message(ctx context.Context, l *listed, r *row) error {
	out := &Sealed{ID: r.id.String(), Box: l.Name, UIDValidity: l.UIDValidity, UID: r.uid,
		Flags: r.flags.names(e.keywords), Date: r.date(), s: e.s}
	err := e.s.cfg.DB.View(ctx, e.owner, func(tx store.Tx) error {
		m, err := store.Load[stored](tx, keyOf(partStored, r.id))
		if err != nil {
			return err
		}
		out.Size, out.head, out.blob = m.Size, m.PKESK, m.named(r.id)
		if m.Blob != "" {
			return nil
		}
		body, err := tx.Get(keyOf(partBody, r.id))
		out.body = bytes.Clone(body)
		return err
	})
	if err == nil {
		err = e.fn(out)
	}
	if lost(err) {
		e.problem(AboutMessage, out.ID, "UID %d of folder %d: %s", r.uid, l.ID, plain(err))
		return ctx.Err()
	}
	return err
}
