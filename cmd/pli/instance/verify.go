package instance

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"pli/audit"
	"pli/store"
	"pli/store/blob"
)

// VerifyReport is what `pli verify` found. A problem names its owner by the
// opaque id and never what the record says.
type VerifyReport struct {
	Accounts   int      `json:"accounts"` // spaces and members' mailboxes
	Owners     int      `json:"owners"`   // those, and the instance's own
	Messages   int      `json:"messages"`
	Documents  int      `json:"documents"`
	TraceLines uint64   `json:"trace_lines"`
	Blobs      int      `json:"blobs"`
	Problems   []string `json:"problems"`
}

func (r *VerifyReport) add(owner store.Owner, format string, args ...any) {
	r.Problems = append(r.Problems, string(owner)+": "+fmt.Sprintf(format, args...))
}

// Verify checks everything that is stored and changes nothing.
func (in *Instance) Verify(ctx context.Context, _ struct{}) (VerifyReport, error) {
	r := VerifyReport{Problems: []string{}}
	for name, db := range map[string]store.DB{"store": in.raw, "keys": in.rawKeys} {
		c, ok := db.(store.Checker)
		if !ok {
			continue
		}
		if err := c.Check(ctx); err != nil {
			r.Problems = append(r.Problems, fmt.Sprintf("%s: pages of the store are damaged: %v", name, err))
		}
	}
	for after := store.Owner(""); ; {
		owners, err := in.db.Owners(ctx, after, 500)
		if err != nil {
			return r, err
		}
		if len(owners) == 0 {
			break
		}
		for _, o := range owners {
			if err := in.verifyOwner(ctx, o, &r); err != nil {
				return r, err
			}
		}
		after = owners[len(owners)-1]
	}
	return r, in.countBlobs(ctx, &r)
}

// verifyOwner opens every record of one owner, then asks each room about its
// own.
func (in *Instance) verifyOwner(ctx context.Context, owner store.Owner, r *VerifyReport) error {
	r.Owners++
	if err := in.verifySeals(ctx, owner, r); err != nil {
		return err
	}
	if !strings.HasPrefix(string(owner), "s/") && !strings.HasPrefix(string(owner), "m/") {
		return nil
	}
	r.Accounts++
	mail, err := in.mail.Verify(ctx, owner)
	if err != nil {
		return err
	}
	messages, err := in.mail.Count(ctx, owner)
	if err != nil {
		r.add(owner, "mailbox: %v", err)
	}
	r.Messages += messages
	for _, p := range mail {
		r.add(owner, "%s", p)
	}
	if !strings.HasPrefix(string(owner), "s/") {
		return nil
	}
	problems, err := in.dossier.Verify(ctx, owner)
	if err != nil {
		return err
	}
	documents, err := in.dossier.Count(ctx, owner)
	if err != nil {
		r.add(owner, "dossier: %v", err)
	}
	r.Documents += documents
	for _, p := range problems {
		r.add(owner, "document %s: %s", p.Document, p.What)
	}
	return in.db.View(ctx, owner, func(tx store.Tx) error {
		n, err := audit.Verify(tx)
		r.TraceLines += n
		if err != nil {
			r.add(owner, "trace: %v", err)
		}
		return nil
	})
}

// verifySeals opens the seal of every record.
func (in *Instance) verifySeals(ctx context.Context, owner store.Owner, r *VerifyReport) error {
	var bad error
	err := in.db.View(ctx, owner, func(tx store.Tx) error {
		bad = tx.Scan(nil, nil, func(_, _ []byte) error { return nil })
		return nil
	})
	if errors.Is(bad, store.ErrCorrupt) {
		r.add(owner, "%v", bad)
		bad = nil
	}
	return errors.Join(err, bad)
}

func (in *Instance) countBlobs(ctx context.Context, r *VerifyReport) error {
	for after := blob.ID(""); ; {
		list, err := in.blobs.List(ctx, after, 1000)
		if err != nil || len(list) == 0 {
			return err
		}
		r.Blobs += len(list)
		after = list[len(list)-1].ID
	}
}
