package backup

import (
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"

	"pli/store"
)

// record is one record as a piece holds it: a CBOR array.
type record struct {
	_     struct{} `cbor:",toarray"`
	Owner store.Owner
	Key   []byte
	Value []byte
	Due   *int64 // milliseconds since 1970; nil: never
}

// decoding is strict: a record holds what it holds and no more.
var decoding = func() cbor.DecMode {
	m, err := cbor.DecOptions{ExtraReturnErrors: cbor.ExtraDecErrorUnknownField, DupMapKey: cbor.DupMapKeyEnforcedAPF}.DecMode()
	if err != nil {
		panic(err)
	}
	return m
}()

// newRecord returns the bytes of a record.
func newRecord(owner store.Owner, key, value []byte, due time.Time) ([]byte, error) {
	r := record{Owner: owner, Key: key, Value: value}
	if !due.IsZero() {
		ms := due.UnixMilli()
		r.Due = &ms
	}
	return store.Encode(r)
}

// decode calls fn for each record of a sequence.
func decode(b []byte, fn func(record) error) error {
	for len(b) > 0 {
		var r record
		rest, err := decoding.UnmarshalFirst(b, &r)
		if err != nil {
			return fmt.Errorf("a record cannot be read: %w", err)
		}
		if !r.Owner.Valid() {
			return store.ErrOwner
		}
		if err := fn(r); err != nil {
			return err
		}
		b = rest
	}
	return nil
}

// put writes a record where it was.
func (r record) put(tx store.Tx) error {
	if r.Due == nil {
		return tx.Put(r.Key, r.Value)
	}
	return tx.PutDue(r.Key, r.Value, time.UnixMilli(*r.Due))
}
