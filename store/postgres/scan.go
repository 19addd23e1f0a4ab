package postgres

import (
	"bytes"
	"encoding/binary"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"pli/store"
)

// A scan reads pages of records: the first of firstPage, later ones of about
// pageBytes.
const (
	firstPage = 32
	maxPage   = 1024
	pageBytes = 1 << 20
)

// Scan merges pages of what the database has with what the transaction wrote.
func (t *tx) Scan(from, to []byte, fn func(key, value []byte) error) error {
	return t.scan(&scan{tx: t, low: present(from), high: to}, fn)
}

// ScanBack is Scan from high down to low.
func (t *tx) ScanBack(from, to []byte, fn func(key, value []byte) error) error {
	return t.scan(&scan{tx: t, low: present(from), high: to, back: true}, fn)
}

var _ store.DueScanner = (*tx)(nil)

// ScanDue is Scan with due times, for a backup.
func (t *tx) ScanDue(from, to []byte, fn func(key, value []byte, due time.Time) error) error {
	s := &scan{tx: t, low: present(from), high: to}
	return t.scan(s, func(key, value []byte) error {
		if s.due == nil {
			return fn(key, value, time.Time{})
		}
		return fn(key, value, time.UnixMilli(*s.due))
	})
}

func (t *tx) scan(s *scan, fn func(key, value []byte) error) error {
	if t.closed {
		return store.ErrClosed
	}
	s.low, s.high, s.limit = bytes.Clone(s.low), bytes.Clone(s.high), firstPage
	for {
		r, ok, err := s.next()
		if err != nil || !ok {
			return err
		}
		s.due = r.due
		switch err := fn(r.key[:len(r.key):len(r.key)], r.value[:len(r.value):len(r.value)]); {
		case errors.Is(err, store.Stop):
			return nil
		case err != nil:
			return err
		case t.closed:
			return store.ErrClosed
		}
	}
}

// scan is where a scan stands: what is left lies in low <= key < high (nil: no
// bound).
type scan struct {
	tx        *tx
	low, high []byte
	back      bool

	page  []record // read ahead
	last  []byte   // key of the last record read
	all   bool     // nothing is left to be read
	limit int      // records of the next page
	due   *int64   // of the record met last, ms since 1970; nil for none
}

type record struct {
	key, value []byte
	due        *int64
}

// next returns the next record, ok false if there is none.
func (s *scan) next() (r record, ok bool, err error) {
	for {
		if len(s.page) == 0 && !s.all {
			if err := s.read(); err != nil {
				return r, false, err
			}
		}
		w := s.tx.over.next(s.low, s.high, s.back)
		if len(s.page) > 0 && (w == nil || s.beyond(w.key, s.page[0].key)) {
			r, s.page = s.page[0], s.page[1:]
			s.pass(r.key)
			return r, true, nil
		}
		if w == nil {
			return r, false, nil
		}
		if len(s.page) > 0 && bytes.Equal(s.page[0].key, w.key) {
			s.page = s.page[1:] // replaced, or deleted
		}
		s.pass(w.key)
		if !w.gone {
			return record{w.key, w.value, w.due}, true, nil
		}
	}
}

// beyond reports whether a scan meets a after b.
func (s *scan) beyond(a, b []byte) bool {
	if s.back {
		a, b = b, a
	}
	return bytes.Compare(a, b) > 0
}

// pass leaves key behind.
func (s *scan) pass(key []byte) {
	if s.back {
		s.high = key
	} else {
		s.low = successor(key)
	}
}

// successor returns the least key above key.
func successor(key []byte) []byte { return append(key[:len(key):len(key)], 0) }

// read reads the next page of what the database has. What lies between the
// last record read and where the scan stands was written by the transaction.
func (s *scan) read() error {
	low, high := s.low, s.high
	if s.last != nil && s.back {
		high = s.last
	} else if s.last != nil {
		low = successor(s.last)
	}
	args := []any{[]byte(s.tx.owner), low, s.limit}
	if high != nil {
		args = append(args, high)
	}
	size := 0
	err := s.tx.ask(func(b *pgx.Batch) {
		b.Queue(s.tx.db.sql.scan[scanKind(s.back, high != nil)], args...).Query(func(rows pgx.Rows) error {
			var buf []byte
			for s.page = nil; rows.Next(); {
				raw := rows.RawValues()
				at := len(buf)
				buf = append(append(buf, raw[0]...), raw[1]...)
				k := at + len(raw[0])
				s.page = append(s.page, record{buf[at:k], buf[k:], dueOf(raw[2])})
			}
			size = len(buf)
			return rows.Err()
		})
	})
	if err != nil {
		return err
	}
	if s.all = len(s.page) < s.limit; !s.all {
		s.last = s.page[len(s.page)-1].key
		s.limit = min(max(pageBytes*len(s.page)/max(size, 1), 1), maxPage)
	}
	return nil
}

// dueOf reads a column of due times in binary form.
func dueOf(raw []byte) *int64 {
	if len(raw) != 8 {
		return nil
	}
	due := int64(binary.BigEndian.Uint64(raw))
	return &due
}
