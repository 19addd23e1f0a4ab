package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"time"

	"pli/mailbox"
)

// appendOnce keeps a letter in a box of its writer, unless it lies there
// already, and returns where it is.
func (v *visit) appendOnce(ctx context.Context, w *writing, box mailbox.SpecialUse, flags []mailbox.Flag, letter io.Reader) (mailbox.UID, error) {
	o := &once{r: letter, sum: sha256.New(), find: func(sum []byte) mailbox.UID {
		uid, err := w.lying(ctx, box, sum)
		if err != nil {
			v.Log.Warn("an earlier copy could not be looked for", "err", err)
		}
		return uid
	}}
	got, err := w.desk.Append(ctx, string(box), flags, time.Time{}, o)
	if errors.Is(err, errLies) {
		return o.uid, nil
	}
	return got.UID, err
}

// errLies ends what would be kept twice.
var errLies = errors.New("the letter lies there already")

// once reads a letter and ends with errLies, not io.EOF, if find knows it.
type once struct {
	r    io.Reader
	sum  hash.Hash
	find func(sum []byte) mailbox.UID
	uid  mailbox.UID
}

func (o *once) Read(p []byte) (int, error) {
	n, err := o.r.Read(p)
	o.sum.Write(p[:n])
	if err == io.EOF {
		if o.uid = o.find(o.sum.Sum(nil)); o.uid != 0 {
			err = errLies
		}
	}
	return n, err
}

// lying returns where the letter lies in a box, 0 if it does not; with sum nil,
// where any letter of its name lies.
func (w *writing) lying(ctx context.Context, box mailbox.SpecialUse, sum []byte) (mailbox.UID, error) {
	view, err := w.desk.Select(ctx, string(box), true)
	if err != nil {
		return 0, err
	}
	defer view.Close()
	uids, err := view.Search(ctx, mailbox.Criteria{
		Since:  w.stamp.at.AddDate(0, 0, -1), // dates are compared by day, each in its own zone
		Header: []mailbox.HeaderMatch{{Name: "Message-ID", Value: w.letter.MessageID}},
	})
	if err != nil {
		return 0, err
	}
	for _, uid := range uids {
		if sum == nil {
			return uid, nil
		}
		if got, err := sumOf(ctx, view, uid); err != nil {
			return 0, err
		} else if bytes.Equal(got, sum) {
			return uid, nil
		}
	}
	return 0, nil
}

// sumOf returns the digest of a message's bytes.
func sumOf(ctx context.Context, view *mailbox.View, uid mailbox.UID) ([]byte, error) {
	body, err := view.Open(ctx, uid)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, io.NewSectionReader(body, 0, body.Size()))
	return sum.Sum(nil), err
}
