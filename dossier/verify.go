package dossier

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"

	"pli/store"
	"pli/store/blob"
	"pli/store/sealed"
)

// Problem is what Verify found wrong.
type Problem struct {
	Document string // ID, "" if it is about the dossier as a whole
	What     string
}

// Verify checks a space's dossier: that each record decodes and each content
// is there, whole and as it was filed. It reads all contents, and none of it
// leaves this function. An error means that it could not look.
func (s *Service) Verify(ctx context.Context, space store.Owner) ([]Problem, error) {
	found, problems, err := s.survey(ctx, space)
	if err != nil {
		return nil, err
	}
	for _, f := range found {
		if err := ctx.Err(); err != nil {
			return problems, err
		}
		if what := s.verifyContent(ctx, space, f); what != "" {
			problems = append(problems, Problem{f.doc.ID, what})
		}
	}
	return problems, nil
}

// found is a document and where its content lies.
type found struct {
	doc  Document
	blob blob.ID
}

// survey reads all records, and what is wrong with them.
func (s *Service) survey(ctx context.Context, space store.Owner) (list []found, problems []Problem, err error) {
	err = s.cfg.DB.View(ctx, space, func(tx store.Tx) error {
		list, problems = nil, nil
		damaged := 0
		prefix := []byte(documentPrefix)
		err := tx.Scan(prefix, store.After(prefix), func(k, v []byte) error {
			id := string(k[len(prefix):])
			var r record
			if err := store.Decode(v, &r); err != nil {
				problems = append(problems, Problem{id, "its record does not decode"})
				damaged++
				return nil
			}
			list = append(list, found{r.document(id), r.Blob})
			return nil
		})
		if errors.Is(err, store.ErrCorrupt) {
			problems = append(problems, Problem{"", "a record is damaged"})
			return nil
		}
		if err != nil {
			return err
		}
		n, err := count(tx)
		if err == nil && n != len(list)+damaged {
			problems = append(problems, Problem{"", "the number of documents is not what it says"})
		}
		return err
	})
	return list, problems, err
}

// verifyContent returns what is wrong with a document's content, "" if nothing is.
func (s *Service) verifyContent(ctx context.Context, space store.Owner, f found) string {
	c, err := s.content(ctx, space, f.doc, f.blob)
	switch {
	case errors.Is(err, blob.ErrNotFound):
		return "its content is missing"
	case err != nil:
		return "its content does not open"
	}
	defer c.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(c, 0, c.Size())); err != nil {
		return "its content is damaged"
	}
	if [32]byte(sum.Sum(nil)) != f.doc.SHA256 {
		return "its content is not what was filed"
	}
	return ""
}

// Blobs calls fn for the blob of each document of a space, with its size in
// bytes, so that a sweeper can tell them from what a crash left behind. A
// damaged record is store.ErrCorrupt: nothing may be swept then.
func (s *Service) Blobs(ctx context.Context, space store.Owner, fn func(id blob.ID, size int64) error) error {
	list, problems, err := s.survey(ctx, space)
	if err == nil && len(problems) > 0 {
		err = store.ErrCorrupt
	}
	for _, f := range list {
		if err != nil {
			return err
		}
		err = fn(f.blob, sealed.SealedSize(f.doc.Size))
	}
	return err
}

// Count returns how many documents a space has.
func (s *Service) Count(ctx context.Context, space store.Owner) (n int, err error) {
	err = s.cfg.DB.View(ctx, space, func(tx store.Tx) (err error) {
		n, err = count(tx)
		return err
	})
	return n, err
}
