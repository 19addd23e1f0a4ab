package mailbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"pli/certs/keyring"
	"pli/internal/errs"
	"pli/store"
)

// Body is a message's opened text. ReadAt may be called from several
// goroutines. A blob's text is opened by pieces, as it is read.
type Body struct {
	r    io.ReaderAt
	size int64
	c    io.Closer // nil for an inline body
	hurt func()    // called when a piece does not open; nil for an inline body
}

// ReadAt implements io.ReaderAt. A piece that is damaged is keyring.ErrDamaged;
// a message where that was met is refused by the next Open, before anybody is
// promised its bytes.
func (b *Body) ReadAt(p []byte, off int64) (int, error) {
	n, err := b.r.ReadAt(p, off)
	if b.hurt != nil && errors.Is(err, keyring.ErrDamaged) {
		b.hurt()
	}
	return n, err
}

// Size returns the message's length in bytes.
func (b *Body) Size() int64 { return b.size }

// Close frees the body.
func (b *Body) Close() error {
	if b.c == nil {
		return nil
	}
	return b.c.Close()
}

// Open opens a message's text; the caller closes it. Errors: errs.NotFound for
// a message that is gone.
func (v *View) Open(ctx context.Context, uid UID) (*Body, error) {
	rows := v.rows([]UID{uid})
	if len(rows) == 0 {
		return nil, errNoMessage()
	}
	return v.a.body(ctx, rows[0].id)
}

func (a *Account) body(ctx context.Context, id messageID) (*Body, error) {
	return a.bodyBy(ctx, id, nil)
}

// bodyBy opens a message by its session key, where that is known, else by its
// wrap.
func (a *Account) bodyBy(ctx context.Context, id messageID, known *keyring.SessionKey) (*Body, error) {
	b, err := a.bodyOnce(ctx, id, known)
	if unreadable(err) { // it may have been sealed anew meanwhile
		b, err = a.bodyOnce(ctx, id, nil)
	}
	return b, err
}

func (a *Account) bodyOnce(ctx context.Context, id messageID, known *keyring.SessionKey) (*Body, error) {
	var m stored
	var sealed []byte
	err := a.s.cfg.DB.View(ctx, a.Owner(), func(tx store.Tx) (err error) {
		if m, err = store.Load[stored](tx, keyOf(partStored, id)); err != nil || m.Blob != "" {
			return err
		}
		sealed, err = tx.Get(keyOf(partBody, id))
		sealed = bytes.Clone(sealed)
		if errors.Is(err, store.ErrNotFound) {
			err = fmt.Errorf("%w: the body of %s is missing", store.ErrCorrupt, id)
		}
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, errs.Wrap(err, errs.NotFound, "this message is no longer there")
	}
	if err != nil {
		return nil, err
	}
	var key keyring.SessionKey
	if known != nil {
		key = *known
	} else if key, err = a.sessionKey(id, m.PKESK); err != nil {
		return nil, fmt.Errorf("mailbox: message %s: %w", id, err)
	}
	if m.Blob == "" {
		plain, err := key.Open(sealed)
		if err != nil {
			return nil, fmt.Errorf("mailbox: body of %s: %w", id, err)
		}
		return &Body{r: bytes.NewReader(plain), size: int64(len(plain))}, nil
	}
	return a.blobBody(ctx, m, key)
}

func (a *Account) blobBody(ctx context.Context, m stored, key keyring.SessionKey) (*Body, error) {
	if err := a.s.stillHurt(ctx, m); err != nil {
		return nil, fmt.Errorf("mailbox: blob %s: %w", m.Blob, err)
	}
	b, err := a.s.cfg.Blobs.Open(ctx, m.Blob)
	if err != nil {
		return nil, fmt.Errorf("mailbox: blob %s: %w", m.Blob, err)
	}
	size := keyring.StreamSize(m.Size)
	r, err := key.Reader(io.NewSectionReader(b, keyring.WrapSize, size), size)
	if err != nil {
		b.Close()
		return nil, fmt.Errorf("mailbox: blob %s: %w", m.Blob, err)
	}
	return &Body{r: r, size: r.Size(), c: b, hurt: func() { a.s.hurt.Store(m.Blob, struct{}{}) }}, nil
}

// stillHurt looks through a blob in which damage was met before: it may have
// been brought back since.
func (s *Service) stillHurt(ctx context.Context, m stored) error {
	if _, met := s.hurt.Load(m.Blob); !met {
		return nil
	}
	if err := s.checkBlob(ctx, m.named(messageID{})); err != nil {
		return err
	}
	s.hurt.Delete(m.Blob)
	return nil
}
