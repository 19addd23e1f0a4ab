package mailbox

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"

	"golang.org/x/sync/errgroup"

	"pli/certs/keyring"
	"pli/internal/errs"
	"pli/mailbox/message"
	"pli/store"
	"pli/store/blob"
)

// Spool is one message on its way in. It is for one goroutine.
type Spool struct {
	s   *Service
	ctx context.Context
	to  []keyring.Recipient
	key keyring.SessionKey

	scan *message.Scanner
	size int64
	held *[]byte // the message's bytes, until they are more than InlineMax

	blobs   []*outgoing    // then one blob for each recipient
	sealing io.WriteCloser // seals into all of them

	index   *message.Index
	letters []*Letter
	err     error // of the first Write that failed
	done    bool
}

// Spool takes one message's bytes as they arrive (io.Writer), for delivery to
// the accounts whose keys are to: parsed, counted and sealed on the way. More
// than MaxMessage bytes is an errs.TooLarge from Write. The caller defers
// Discard, ends with Close, then hands Letter(i) to Deliver for each recipient.
func (s *Service) Spool(ctx context.Context, to []keyring.Recipient) (*Spool, error) {
	key, err := keyring.NewSession()
	if err != nil {
		return nil, err
	}
	p := &Spool{s: s, ctx: ctx, to: to, key: key, scan: message.NewScanner(s.cfg.Message)}
	p.held, _ = s.buffers.Get().(*[]byte)
	if p.held == nil {
		p.held = new([]byte)
	}
	return p, nil
}

// Write takes the message's next bytes. After an error it takes no more.
func (p *Spool) Write(b []byte) (int, error) {
	if p.err == nil {
		p.err = p.write(b)
	}
	if p.err != nil {
		return 0, p.err
	}
	return len(b), nil
}

func (p *Spool) write(b []byte) error {
	if p.done || p.index != nil {
		return errors.New("mailbox: write to a spool that has ended")
	}
	if err := p.ctx.Err(); err != nil {
		return err
	}
	p.size += int64(len(b))
	if p.size > p.s.cfg.MaxMessage {
		return errs.New(errs.TooLarge, "a message has at most %d bytes", p.s.cfg.MaxMessage)
	}
	if _, err := p.scan.Write(b); err != nil {
		return err
	}
	if p.sealing == nil {
		if p.size <= p.s.cfg.InlineMax {
			*p.held = append(*p.held, b...)
			return nil
		}
		if err := p.stream(); err != nil {
			return err
		}
	}
	_, err := p.sealing.Write(b)
	return full(err)
}

// stream turns from memory to blobs.
func (p *Spool) stream() error {
	all := make([]io.Writer, 0, len(p.to))
	for range p.to {
		w, err := p.s.cfg.Blobs.Create(p.ctx)
		if err != nil {
			return full(err)
		}
		o := &outgoing{Writer: w, id: p.s.newID()}
		p.blobs, all = append(p.blobs, o), append(all, o)
		if err := o.begin(p.to[len(p.blobs)-1], p.key); err != nil {
			return full(err)
		}
	}
	p.sealing = p.key.Writer(io.MultiWriter(all...))
	_, err := p.sealing.Write(*p.held)
	p.release()
	return full(err)
}

// release gives the buffer back for the next message.
func (p *Spool) release() {
	if p.held != nil {
		clear(*p.held) // plaintext
		*p.held = (*p.held)[:0]
		p.s.buffers.Put(p.held)
		p.held = nil
	}
}

// full gives the want of disk space its kind.
func full(err error) error {
	if errors.Is(err, blob.ErrFull) || errors.Is(err, store.ErrFull) {
		return errs.Wrap(err, errs.Unavailable, "there is no room for messages at present")
	}
	return err
}

// Close ends the message: after it all that needs cryptography is done, and
// bodies above InlineMax are durable as blobs.
func (p *Spool) Close() error {
	if p.err != nil || p.index != nil {
		return p.err
	}
	p.err = p.close()
	return p.err
}

func (p *Spool) close() error {
	index, err := p.scan.Close()
	if err != nil {
		return err
	}
	packed, err := encodeIndex(index)
	if err != nil {
		return err
	}
	m := stored{Size: p.size}
	if m.Index, err = p.key.Seal(packed); err != nil {
		return err
	}
	var body []byte
	if p.sealing == nil {
		if body, err = p.key.Seal(*p.held); err != nil {
			return err
		}
		p.release()
	} else if err := p.sealing.Close(); err != nil {
		return full(err)
	}
	if err := p.seal(m, body); err != nil {
		return err
	}
	p.index = index
	return nil
}

// sealing is for how many recipients a spool works at once.
const sealing = 8

// seal makes the letters: for each recipient its PKESK (55 µs of X25519) and
// the synced blob; several recipients at once.
func (p *Spool) seal(m stored, body []byte) error {
	p.letters = make([]*Letter, len(p.to)) // also after an error: Discard removes their blobs
	one := func(i int) (err error) {
		p.letters[i], err = p.letter(i, m, body)
		return err
	}
	if len(p.to) == 1 {
		return one(0)
	}
	var g errgroup.Group
	g.SetLimit(sealing)
	for i := range p.to {
		g.Go(func() error { return one(i) })
	}
	return g.Wait()
}

func (p *Spool) letter(i int, m stored, body []byte) (l *Letter, err error) {
	if p.blobs != nil {
		o := p.blobs[i]
		if err := o.finish(&m); err != nil {
			return nil, full(err)
		}
		l = &Letter{id: o.id, size: p.size, blob: m.Blob}
	} else {
		l = &Letter{id: p.s.newID(), size: p.size, body: body}
		if m.PKESK, err = p.to[i].Wrap(p.key); err != nil {
			return l, err
		}
	}
	l.record, err = store.Encode(&m)
	return l, err
}

// newID returns the id of a message that arrives now.
func (s *Service) newID() (id messageID) {
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(s.cfg.Now().UnixMilli()))
	copy(id[:6], ms[2:])
	rand.Read(id[6:]) // never fails: it ends the program instead
	return id
}

// Index returns what was parsed; valid after Close.
func (p *Spool) Index() *message.Index { return p.index }

// Size returns the number of bytes taken so far.
func (p *Spool) Size() int64 { return p.size }

// Letter returns what to deliver to the i-th recipient given to Service.Spool;
// valid after Close.
func (p *Spool) Letter(i int) *Letter { return p.letters[i] }

// Discard frees the spool, and removes the blobs of letters that were never
// given to Deliver. It may be called at any time, and again. The blob of a
// letter whose delivery failed is left to the sweeper: the transaction's
// outcome may be unknown.
func (p *Spool) Discard() {
	if p.done {
		return
	}
	p.done = true
	p.release()
	for i, w := range p.blobs {
		var l *Letter
		if i < len(p.letters) {
			l = p.letters[i]
		}
		if l == nil {
			w.Abort()
		} else if l.state.CompareAndSwap(letterFresh, letterGone) {
			p.s.deleteBlobs(p.ctx, []blob.ID{l.blob})
		}
	}
}

// deleteBlobs removes blobs that no record names any more. What fails is left
// to the sweeper.
func (s *Service) deleteBlobs(ctx context.Context, ids []blob.ID) {
	for _, id := range ids {
		if id == "" {
			continue
		}
		if err := s.cfg.Blobs.Delete(context.WithoutCancel(ctx), id); err != nil {
			s.cfg.Log.Warn("a blob without a record stays behind", "blob", string(id), "err", err)
		}
	}
}
