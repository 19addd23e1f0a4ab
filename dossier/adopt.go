package dossier

import (
	"bytes"
	"context"
	"errors"

	"pli/internal/errs"
	"pli/store"
	"pli/store/blob"
)

// Adopted is what Adopt has done.
type Adopted struct {
	Documents int       // documents brought
	Problems  []Problem // what was left behind, and why
}

// Adopt brings into a space's dossier the documents that from, a sealed store
// which holds the same space's records from a backup, has and the space has
// not, under their ids, as they lie. A document whose record or content does
// not open in the space counts as one that it has not. bring brings a content's
// blob, before the record that names it; the space must have the data key that
// it was sealed under.
//
// Done again, it adds nothing. A document that is damaged in from, or whose
// content cannot be brought or does not open here, is left behind and told; a
// passing failure of bring (errs.Unavailable) ends it. It passes no gate: it is
// an act of the operator's, whose operation writes the trace. Errors:
// errs.NotFound for a space that is not there, errs.TooLarge for a full dossier.
func (s *Service) Adopt(ctx context.Context, space store.Owner, from store.DB, bring func(ctx context.Context, id blob.ID) error) (Adopted, error) {
	var done Adopted
	sources, err := s.key(ctx, space, roleSources)
	if err != nil {
		return done, err
	}
	var docs []adoptee
	err = from.View(ctx, space, func(tx store.Tx) error {
		docs, done = nil, Adopted{}
		return each(tx, func(id string, r record) error {
			docs = append(docs, adoptee{id, r})
			return nil
		}, func(id string) error {
			done.Problems = append(done.Problems, Problem{id, "its record is damaged in the copy"})
			return nil
		})
	})
	if err != nil {
		return done, err
	}
	for _, d := range docs {
		brought, err := s.adopt(ctx, space, sources, d, bring)
		if err != nil {
			return done, err
		}
		switch {
		case brought == "":
			done.Documents++
		case brought != alreadyHere:
			done.Problems = append(done.Problems, Problem{d.id, brought})
		}
	}
	return done, full(s.cfg.DB.Update(ctx, space, countAgain))
}

// countAgain writes how many documents there are, where records were lost
// without being counted out.
func countAgain(tx store.Tx) error {
	n, err := recount(tx)
	return errors.Join(err, saveCount(tx, n))
}

// adoptee is a document of a copy.
type adoptee struct {
	id  string
	rec record
}

// alreadyHere is why a document was not brought that is no problem.
const alreadyHere = "already here"

// adopt brings one document, and says why not if it did not.
func (s *Service) adopt(ctx context.Context, space store.Owner, sources [32]byte, d adoptee, bring func(ctx context.Context, id blob.ID) error) (why string, err error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	copied := found{d.rec.document(d.id), d.rec.Blob}
	content := s.verifyContent(ctx, space, copied)
	if content != "" {
		err := blob.Renew(ctx, s.cfg.Blobs, d.rec.Blob, bring, func() error {
			if what := s.verifyContent(ctx, space, copied); what != "" {
				return errors.New(what)
			}
			return nil
		})
		if errs.Is(err, errs.Unavailable) || ctx.Err() != nil {
			return "", errors.Join(err, ctx.Err())
		}
		if err != nil {
			return "its content cannot be brought: " + err.Error(), nil
		}
	}
	why = alreadyHere
	err = s.cfg.DB.Update(ctx, space, func(tx store.Tx) error {
		why = alreadyHere
		there, err := tx.Get(documentKey(d.id))
		switch {
		case err == nil && store.Decode(there, new(record)) == nil:
			if content != "" {
				why = "" // its content was not
			}
			return nil
		case errors.Is(err, store.ErrNotFound):
			if err := s.countOne(tx); err != nil {
				return err
			}
		case err != nil && !errors.Is(err, store.ErrCorrupt):
			return err
		}
		why = ""
		return saveAdopted(tx, sources, d)
	})
	return why, full(err)
}

// saveAdopted writes a document's records; a later document of the same source
// keeps its place.
func saveAdopted(tx store.Tx, sources [32]byte, d adoptee) error {
	if d.rec.Source != "" {
		key := sourceKey(sources, d.rec.Source)
		if id, err := tx.Get(key); missing(err) || err == nil && bytes.Equal(id, []byte(d.id)) {
			if err := tx.Put(key, []byte(d.id)); err != nil {
				return err
			}
		} else if err != nil {
			return err
		}
	}
	return store.Save(tx, documentKey(d.id), d.rec)
}
