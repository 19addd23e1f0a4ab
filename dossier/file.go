package dossier

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"

	"pli/consent"
	"pli/identity"
	"pli/internal/errs"
	"pli/store"
	"pli/store/blob"
	"pli/store/sealed"
)

// File puts a document into a space (consent.ActDossierFile). It reads content
// to its end, seals it while it arrives, and returns when all is durable.
//
// The same Source with the same content, title, type, date and confidentiality
// again returns the document that is there and changes nothing. The same
// Source with any of these different is errs.Conflict, together with the
// document that is there, unless n.Again. Other errors: errs.Invalid (title,
// type, date, media type, a content that is not what it says), errs.TooLarge,
// errs.Denied (the gate), errs.NotFound (no such space), errs.Unavailable (no
// space left), and content's own.
func (s *Service) File(ctx context.Context, actor identity.Actor, space store.Owner, n NewDocument, content io.Reader) (Document, error) {
	rec, err := s.check(actor, n)
	if err != nil {
		return Document{}, err
	}
	key, err := s.key(ctx, space, roleContents)
	if err != nil {
		return Document{}, err
	}
	id := newID()
	if err := s.put(ctx, key, contentAD(space, id), n, &rec, content); err != nil {
		return Document{}, err
	}
	sources, err := s.key(ctx, space, roleSources)
	if err != nil {
		s.discard(ctx, space, id, rec.Blob)
		return Document{}, err
	}
	there, err := s.enter(ctx, actor, space, sources, id, rec, n.Again)
	if err != nil || there.ID != id {
		s.discard(ctx, space, id, rec.Blob)
	}
	return there, err
}

// enter writes the document's record inside the gate; it returns the document
// that is there afterwards, also with errs.Conflict.
func (s *Service) enter(ctx context.Context, actor identity.Actor, space store.Owner, sources [32]byte, id string, rec record, again bool) (Document, error) {
	req := consent.Request{
		Space: space, Act: consent.ActDossierFile, Object: id, Title: rec.traceTitle(), Document: rec.facts(id),
	}
	if req.Title != "" {
		req.Detail = map[string]string{"type": rec.Type}
	}
	var there Document
	// The blob is written: whether its record is must not stay open.
	err := s.cfg.Gate.Do(context.WithoutCancel(ctx), actor, req, func(tx store.Tx) error {
		there = rec.document(id)
		if rec.Source != "" {
			old, oldID, err := earlier(tx, sourceKey(sources, rec.Source))
			switch {
			case err != nil:
				return err
			case oldID == "" || again:
			case old.same(rec):
				there = old.document(oldID)
				return consent.ErrNothing
			default:
				there = old.document(oldID)
				return errs.New(errs.Conflict, "this attachment is in the dossier already, as another document: file it once more, or change that one")
			}
		}
		return s.save(tx, sources, id, rec)
	})
	if err != nil && !errs.Is(err, errs.Conflict) {
		there = Document{}
	}
	return there, full(err)
}

// earlier returns the document that was filed from a source, if any that can be
// read.
func earlier(tx store.Tx, key []byte) (record, string, error) {
	id, err := tx.Get(key)
	if err == nil {
		var r record
		if r, err = load(tx, string(id)); err == nil {
			return r, string(id), nil
		}
	}
	if missing(err) {
		err = nil
	}
	return record{}, "", err
}

// save writes a new document's records.
func (s *Service) save(tx store.Tx, sources [32]byte, id string, rec record) error {
	if err := s.countOne(tx); err != nil {
		return err
	}
	if rec.Source != "" {
		if err := tx.Put(sourceKey(sources, rec.Source), []byte(id)); err != nil {
			return err
		}
	}
	return store.Save(tx, documentKey(id), rec)
}

// countOne counts a new document.
func (s *Service) countOne(tx store.Tx) error {
	n, err := count(tx)
	if err != nil {
		return err
	}
	if n >= s.cfg.MaxDocuments {
		return errs.New(errs.TooLarge, "a dossier holds at most %d documents", s.cfg.MaxDocuments)
	}
	return store.Save(tx, []byte(countKey), n+1)
}

// put seals a content into a blob and completes its record.
func (s *Service) put(ctx context.Context, key [32]byte, ad string, n NewDocument, rec *record, content io.Reader) error {
	limit := s.cfg.MaxOwnSize
	if n.Source != "" {
		limit = s.cfg.MaxSize
	}
	content = &source{ctx: ctx, r: content}
	head := make([]byte, sniffSize)
	k, err := io.ReadFull(content, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return err
	}
	head = head[:k]
	if rec.MIME, err = mediaOf(n.MIME, n.Filename, head); err != nil {
		return err
	}
	w, err := s.cfg.Blobs.Create(ctx)
	if err != nil {
		return full(err)
	}
	defer w.Abort()
	sum, watch := sha256.New(), new(textWatch)
	seal := sealed.NewWriter(w, key, ad)
	all := io.LimitReader(io.MultiReader(bytes.NewReader(head), content), limit+1)
	if rec.Size, err = io.Copy(io.MultiWriter(seal, sum, watch), all); err != nil {
		return full(err)
	}
	if rec.Size > limit {
		return errs.New(errs.TooLarge, "the file is larger than %d bytes", limit)
	}
	if watch.bad && (rec.MIME == mediaText || rec.MIME == mediaXML) {
		return errs.New(errs.Invalid, "the file says that it is %s, and is not", rec.MIME)
	}
	if err := seal.Close(); err != nil {
		return full(err)
	}
	sum.Sum(rec.SHA256[:0])
	rec.Blob, err = w.Commit()
	return full(err)
}

// source reads while its context lasts.
type source struct {
	ctx context.Context
	r   io.Reader
}

func (s *source) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.r.Read(p)
}

// full turns a full disk into a failure that says so.
func full(err error) error {
	if errors.Is(err, blob.ErrFull) || errors.Is(err, store.ErrFull) {
		return errs.Wrap(err, errs.Unavailable, "there is no room for more documents now; try again later")
	}
	return err
}

// discard removes the blob of a document that was not filed. Where it is not
// certain that there is no record of it, the blob stays: a sweeper knows.
func (s *Service) discard(ctx context.Context, space store.Owner, id string, b blob.ID) {
	ctx = context.WithoutCancel(ctx)
	err := s.cfg.DB.View(ctx, space, func(tx store.Tx) error {
		_, err := tx.Get(documentKey(id))
		return err
	})
	if !errors.Is(err, store.ErrNotFound) {
		return
	}
	if err := s.cfg.Blobs.Delete(ctx, b); err != nil {
		s.cfg.Log.Warn("dossier: a content is left without its document", "space", string(space), "err", err)
	}
}

// key returns the key for one role of a space that there is.
func (s *Service) key(ctx context.Context, space store.Owner, role string) ([32]byte, error) {
	key, err := s.cfg.Keys.Key(ctx, space, dataClass, role, false)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, sealed.ErrDestroyed) {
		return key, errs.Wrap(err, errs.NotFound, "there is no such space")
	}
	return key, err
}
