package dossier

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
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
		n, err := store.Load[int](tx, []byte(countKey))
		switch {
		case errors.Is(err, store.ErrCorrupt):
			problems, n = append(problems, Problem{"", "the number of documents is damaged"}), -1
		case err != nil && !errors.Is(err, store.ErrNotFound):
			return err
		}
		damaged := 0
		err = each(tx, func(id string, r record) error {
			list = append(list, found{r.document(id), r.Blob})
			return nil
		}, func(id string) error {
			problems = append(problems, Problem{id, "its record is damaged"})
			damaged++
			return nil
		})
		if err == nil && n >= 0 && n != len(list)+damaged {
			problems = append(problems, Problem{"", "the number of documents is not what it says"})
		}
		others, otherErr := damagedBeside(tx)
		problems = append(problems, others...)
		return errors.Join(err, otherErr)
	})
	return list, problems, err
}

// damagedBeside tells of the damaged records beside those of documents and
// their number.
func damagedBeside(tx store.Tx) (problems []Problem, err error) {
	for _, b := range beside {
		err = errors.Join(err, b.damaged(tx, func(*store.Damage) error {
			problems = append(problems, Problem{"", b.what + " is damaged"})
			return nil
		}))
	}
	return problems, err
}

// beside are the records that are made anew when they are needed.
var beside = [...]besides{
	{sourcePrefix, "a record of what a document came from"},
	{listedKey, "the record of the last listing"},
	{readPrefix, "a record of the last reading of a document"},
}

// besides are records of one sort.
type besides struct{ prefix, what string }

// damaged calls fn for each of them that is damaged.
func (b besides) damaged(tx store.Tx, fn func(*store.Damage) error) error {
	return store.ScanAround(tx, []byte(b.prefix), store.After([]byte(b.prefix)), func(_, _ []byte) error { return nil }, fn)
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
// bytes, so that a sweeper can tell them from what a crash left behind. It ends
// with store.ErrCorrupt if the record of a document is damaged: nothing may be
// swept then.
func (s *Service) Blobs(ctx context.Context, space store.Owner, fn func(id blob.ID, size int64) error) error {
	list, problems, err := s.survey(ctx, space)
	for _, f := range list {
		if err == nil {
			err = fn(f.blob, sealed.SealedSize(f.doc.Size))
		}
	}
	for _, p := range problems {
		if err == nil && p.Document != "" {
			err = fmt.Errorf("%w: a document, which names a blob", store.ErrCorrupt)
		}
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
