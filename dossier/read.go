package dossier

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"pli/consent"
	"pli/identity"
	"pli/internal/errs"
	"pli/store"
	"pli/store/blob"
	"pli/store/sealed"
)

// List returns the documents of a space that actor may see, the latest Date
// first (consent.ActDossierList), without those whose record is damaged. Errors:
// errs.Denied, errs.NotFound.
func (s *Service) List(ctx context.Context, actor identity.Actor, space store.Owner) ([]Document, error) {
	var list []Document
	damaged := 0
	req := consent.Request{Space: space, Act: consent.ActDossierList}
	err := s.cfg.Gate.Do(ctx, actor, req, func(tx store.Tx) error {
		list, damaged = nil, 0
		err := each(tx, func(id string, r record) error {
			if consent.Visible(actor, space, r.facts(id)) {
				list = append(list, r.document(id))
			}
			return nil
		}, func(string) error {
			damaged++
			return nil
		})
		if err != nil {
			return err
		}
		return s.traced(tx, actor, listedKey)
	})
	if err != nil {
		return nil, err
	}
	if damaged > 0 {
		s.cfg.Log.Error("dossier: documents that are damaged are not listed", "space", string(space), "count", damaged)
	}
	slices.SortStableFunc(list, func(a, b Document) int {
		if c := b.Date.Compare(a.Date); c != 0 {
			return c
		}
		if c := b.Filed.Compare(a.Filed); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return list, nil
}

// each calls fn for each document of the space, and bad for each whose record
// is damaged.
func each(tx store.Tx, fn func(id string, r record) error, bad func(id string) error) error {
	prefix := []byte(documentPrefix)
	return store.ScanAround(tx, prefix, store.After(prefix), func(k, v []byte) error {
		id := string(k[len(prefix):])
		var r record
		if err := store.Decode(v, &r); err != nil {
			return bad(id)
		}
		return fn(id, r)
	}, func(d *store.Damage) error { return bad(string(d.Key[len(prefix):])) })
}

// traced notes that a holder looked at what is theirs; where that was traced a
// short while ago it returns consent.ErrNothing. Others are traced each time.
func (s *Service) traced(tx store.Tx, actor identity.Actor, key string) error {
	if consent.Relate(actor, tx.Owner(), nil) != consent.Self {
		return nil
	}
	now := s.cfg.Now()
	last, err := store.Load[int64](tx, []byte(key))
	switch {
	case err == nil && now.Sub(time.UnixMilli(last)) < s.cfg.TraceEvery && now.UnixMilli() >= last:
		return consent.ErrNothing
	case err != nil && !missing(err):
		return err
	}
	return store.Save(tx, []byte(key), now.UnixMilli())
}

// Open returns a document and its content (consent.ActDossierRead), which the
// caller closes. Errors: errs.NotFound, also for a document that actor may not
// know of; errs.Denied.
func (s *Service) Open(ctx context.Context, actor identity.Actor, space store.Owner, id string) (Document, *Content, error) {
	doc, b, err := s.admit(ctx, actor, space, id)
	if err != nil {
		return Document{}, nil, err
	}
	c, err := s.content(ctx, space, doc, b)
	if err != nil {
		return Document{}, nil, err
	}
	return doc, c, nil
}

// admit lets actor to a document, whose content is not opened yet.
func (s *Service) admit(ctx context.Context, actor identity.Actor, space store.Owner, id string) (doc Document, b blob.ID, err error) {
	if !validID(id) {
		return doc, "", errs.New(errs.NotFound, "there is no such document")
	}
	req := consent.Request{
		Space: space, Act: consent.ActDossierRead, Object: id, Title: s.nameOf(ctx, space, id),
		Load: func(tx store.Tx) (*consent.DocumentFacts, error) {
			r, err := load(tx, id)
			return r.facts(id), err
		},
	}
	err = s.cfg.Gate.Do(ctx, actor, req, func(tx store.Tx) error {
		r, err := load(tx, id)
		if err != nil {
			return err
		}
		doc, b = r.document(id), r.Blob
		return s.traced(tx, actor, readPrefix+id)
	})
	return doc, b, err
}

// nameOf returns what the trace calls a document, "" if there is none. It is
// read before the gate, for the gate's own line alone.
func (s *Service) nameOf(ctx context.Context, space store.Owner, id string) (title string) {
	err := s.cfg.DB.View(ctx, space, func(tx store.Tx) error {
		r, err := load(tx, id)
		title = r.traceTitle()
		return err
	})
	if err != nil {
		return ""
	}
	return title
}

// content opens a document's content.
func (s *Service) content(ctx context.Context, space store.Owner, doc Document, id blob.ID) (*Content, error) {
	key, err := s.key(ctx, space, roleContents)
	if err != nil {
		return nil, err
	}
	b, err := s.cfg.Blobs.Open(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("dossier: the content of a document: %w", err)
	}
	r, err := sealed.NewReader(b, b.Size(), key, contentAD(space, doc.ID))
	if err == nil && r.Size() != doc.Size {
		err = fmt.Errorf("%w: a content of %d bytes, of a document of %d", store.ErrCorrupt, r.Size(), doc.Size)
	}
	if err != nil {
		b.Close()
		return nil, err
	}
	return &Content{r: r, blob: b}, nil
}

// Content is an opened document's content, unsealed as it is read. ReadAt may
// be called by several goroutines.
type Content struct {
	r    *sealed.Reader
	blob blob.Reader
}

// ReadAt reads at any place (io.ReaderAt); damage is store.ErrCorrupt.
func (c *Content) ReadAt(p []byte, off int64) (int, error) { return c.r.ReadAt(p, off) }

// Size returns the content's length in bytes.
func (c *Content) Size() int64 { return c.r.Size() }

// Close frees the content.
func (c *Content) Close() error { return c.blob.Close() }
