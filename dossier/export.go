package dossier

import (
	"context"
	"errors"
	"io"

	"pli/store"
	"pli/store/blob"
	"pli/store/sealed"
)

// Export calls fn for each document of a space with its content, sealed under
// the space's data key as it lies, and returns what is damaged: those are left
// out. A content is looked through first. An error of fn ends it. It passes no
// gate: it is an act of the operator's, whose operation writes the trace.
func (s *Service) Export(ctx context.Context, space store.Owner, fn func(id string, size int64, content io.Reader) error) ([]Problem, error) {
	list, all, err := s.survey(ctx, space)
	var problems []Problem
	for _, p := range all {
		if p.Document != "" {
			problems = append(problems, p)
		}
	}
	for _, f := range list {
		if err != nil {
			break
		}
		if what := s.verifyContent(ctx, space, f); what != "" {
			problems = append(problems, Problem{f.doc.ID, what})
			continue
		}
		err = s.copyOut(ctx, f, fn)
	}
	return problems, err
}

func (s *Service) copyOut(ctx context.Context, f found, fn func(id string, size int64, content io.Reader) error) error {
	b, err := s.cfg.Blobs.Open(ctx, f.blob)
	if errors.Is(err, blob.ErrNotFound) {
		return nil // deleted meanwhile
	}
	if err != nil {
		return err
	}
	defer b.Close()
	return fn(f.doc.ID, sealed.SealedSize(f.doc.Size), io.NewSectionReader(b, 0, b.Size()))
}
