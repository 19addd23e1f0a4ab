package backup

import (
	"bytes"
	"context"
	"encoding/json"
	"iter"
)

// index writes lines of JSON into pieces of their own.
type index struct {
	run    *run
	cut    *cutter
	pieces []Piece
}

func (r *run) newIndex() *index { return &index{run: r, cut: newCutter(indexBounds, r.Spool)} }

// add appends a line about the owners or blobs from first to last.
func (x *index) add(ctx context.Context, first, last, sum string, line any) error {
	b, err := json.Marshal(line)
	if err != nil {
		return err
	}
	if err := x.cut.add(first, last, []byte(sum), append(b, '\n')); err != nil {
		return err
	}
	return x.flush(ctx)
}

// end returns the pieces of the whole index.
func (x *index) end(ctx context.Context) ([]Piece, error) {
	x.cut.cut()
	return x.pieces, x.flush(ctx)
}

func (x *index) flush(ctx context.Context) error {
	return x.cut.take(func(p Piece, data []byte) error {
		x.pieces = append(x.pieces, p)
		return x.run.send(ctx, folderIndex+p.Sum, p, data)
	})
}

// lines reads an index: each line of each piece that want lets through. A
// piece that is damaged is told as an error, and the lines of the next follow.
func lines[T any](ctx context.Context, repo Repository, pieces []Piece, want func(Piece) bool) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		for _, p := range pieces {
			if want != nil && !want(p) {
				continue
			}
			b, err := readPiece(ctx, repo, folderIndex+p.Sum, p)
			if err != nil {
				if !yield(none, err) {
					return
				}
				continue
			}
			for line := range bytes.Lines(b) {
				var v T
				if err := json.Unmarshal(line, &v); err != nil {
					err = &damaged{folderIndex + p.Sum, "has a line that cannot be read"}
					if !yield(none, err) {
						return
					}
					break
				}
				if !yield(v, nil) {
					return
				}
			}
		}
	}
}
