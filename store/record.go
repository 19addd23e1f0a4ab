package store

import (
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// encMode writes records: deterministic CBOR (RFC 8949 4.2.1), times as exact
// RFC 3339 text.
var encMode = func() cbor.EncMode {
	o := cbor.CoreDetEncOptions()
	o.Time = cbor.TimeRFC3339Nano
	m, err := o.EncMode()
	if err != nil {
		panic(err)
	}
	return m
}()

var decMode = func() cbor.DecMode {
	m, err := cbor.DecOptions{MaxNestedLevels: 256, MaxArrayElements: 1 << 22, MaxMapPairs: 1 << 20}.DecMode()
	if err != nil {
		panic(err)
	}
	return m
}()

// Encode returns v as a record's bytes (CBOR).
func Encode(v any) ([]byte, error) { return encMode.Marshal(v) }

// Decode reads a record's bytes into v; bytes that do not decode are ErrCorrupt.
func Decode(b []byte, v any) error {
	if err := decMode.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: %v", ErrCorrupt, err)
	}
	return nil
}

// Load returns the record at key as a T, or ErrNotFound.
func Load[T any](tx Tx, key []byte) (T, error) {
	var v T
	b, err := tx.Get(key)
	if err != nil {
		return v, err
	}
	return v, Decode(b, &v)
}

// Save writes v at key.
func Save(tx Tx, key []byte, v any) error {
	b, err := Encode(v)
	if err != nil {
		return err
	}
	return tx.Put(key, b)
}

// SaveDue writes v at key, due at a time.
func SaveDue(tx Tx, key []byte, v any, at time.Time) error {
	b, err := Encode(v)
	if err != nil {
		return err
	}
	return tx.PutDue(key, b, at)
}

// After returns the first key after every key that begins with prefix: the
// end of a scan over that prefix. It is nil if there is none.
func After(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}
