// Package names finds an owner by a secret name.
//
// A name (a national number, an address, a login) is never stored: its place
// is the HMAC-SHA256 of kind and name under a key of the instance, whose first
// byte spreads names over 256 system owners, and the owner it is bound to is
// the record there. Who reads the disk without the key learns how many names
// there are, no more; and looking for a name that is not bound costs what
// finding one costs.
package names

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync/atomic"

	"pli/internal/errs"
	"pli/store"
)

// Names binds names to owners. All methods may run at once.
type Names struct {
	db    store.DB
	key   [32]byte
	decoy atomic.Bool // known to be there
}

// New returns the names kept in db (a sealed store) under a key that must stay
// the same for as long as they are to be found.
func New(db store.DB, key [32]byte) *Names { return &Names{db: db, key: key} }

// decoyOwner holds the record that is read in place of one that is not there.
const decoyOwner = store.Owner("sys/names-decoy")

var (
	decoyKey  = []byte("decoy")
	decoyNone = []byte("none") // never written
)

// MaxName bounds kind and name together, in bytes.
const MaxName = 1024

// place returns where a name of a kind lies.
func (n *Names) place(kind, name string) (store.Owner, []byte, error) {
	if kind == "" || name == "" || len(kind)+len(name) > MaxName {
		return "", nil, errs.New(errs.Invalid, "a name needs a kind and 1 to %d bytes", MaxName)
	}
	mac := hmac.New(sha256.New, n.key[:])
	mac.Write([]byte(kind))
	mac.Write([]byte{0})
	mac.Write([]byte(name))
	sum := hex.EncodeToString(mac.Sum(nil))
	return store.Owner("sys/names-" + sum[:2]), []byte(sum[2:]), nil
}

// Bind binds a name to an owner. Binding it to the same owner again changes
// nothing; if it is bound to another the error is errs.Conflict.
func (n *Names) Bind(ctx context.Context, kind, name string, owner store.Owner) error {
	if !owner.Valid() {
		return store.ErrOwner
	}
	at, key, err := n.place(kind, name)
	if err != nil {
		return err
	}
	if err := n.makeDecoy(ctx); err != nil {
		return err
	}
	return n.db.Update(ctx, at, func(tx store.Tx) error {
		bound, err := tx.Get(key)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return tx.Put(key, []byte(owner))
		case err != nil:
			return err
		case store.Owner(bound) != owner:
			return errs.New(errs.Conflict, "this name is taken")
		}
		return nil
	})
}

// Rebind is Bind for an owner whose own record says that the name is theirs: it
// mends a binding that is damaged, or lost. One that leads to another stays,
// and is errs.Conflict.
func (n *Names) Rebind(ctx context.Context, kind, name string, owner store.Owner) error {
	at, key, err := n.place(kind, name)
	if err != nil {
		return err
	}
	err = n.db.Update(ctx, at, func(tx store.Tx) error {
		if _, err := tx.Get(key); !errors.Is(err, store.ErrCorrupt) {
			return err
		}
		return tx.Delete(key)
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return n.Bind(ctx, kind, name, owner)
}

// Find returns the owner that a name is bound to, or errs.NotFound. Found or
// not, it makes two reads, of which one meets a record and opens it.
func (n *Names) Find(ctx context.Context, kind, name string) (store.Owner, error) {
	at, key, err := n.place(kind, name)
	if err != nil {
		return "", err
	}
	if err := n.makeDecoy(ctx); err != nil {
		return "", err
	}
	bound, err := n.read(ctx, at, key)
	if err != nil {
		return "", err
	}
	second := decoyNone
	if bound == nil {
		second = decoyKey
	}
	if _, err := n.read(ctx, decoyOwner, second); err != nil && !errors.Is(err, store.ErrCorrupt) {
		return "", err
	}
	if bound == nil {
		return "", errs.Wrap(store.ErrNotFound, errs.NotFound, "nobody has this name")
	}
	owner := store.Owner(bound)
	if !owner.Valid() {
		return "", fmt.Errorf("names: %w", store.ErrCorrupt)
	}
	return owner, nil
}

// Unbind frees a name; one that is not bound is no error.
func (n *Names) Unbind(ctx context.Context, kind, name string) error {
	at, key, err := n.place(kind, name)
	if err != nil {
		return err
	}
	return n.db.Update(ctx, at, func(tx store.Tx) error { return tx.Delete(key) })
}

// Forget frees every name that is bound to one of some owners, as if each had
// been unbound. It reads all names there are.
func (n *Names) Forget(ctx context.Context, owners map[store.Owner]bool) error {
	if len(owners) == 0 {
		return nil
	}
	for i := range 256 {
		at := store.Owner(fmt.Sprintf("sys/names-%02x", i))
		err := n.db.Update(ctx, at, func(tx store.Tx) error {
			return tx.Scan(nil, nil, func(key, bound []byte) error {
				if !owners[store.Owner(bound)] {
					return nil
				}
				return tx.Delete(key)
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// read returns a record's value, nil if there is none.
func (n *Names) read(ctx context.Context, owner store.Owner, key []byte) (value []byte, err error) {
	err = n.db.View(ctx, owner, func(tx store.Tx) error {
		v, err := tx.Get(key)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		value = append([]byte{}, v...)
		return err
	})
	return value, err
}

// makeDecoy writes the decoy, once in a store's life. It is as long as an
// owner is.
func (n *Names) makeDecoy(ctx context.Context) error {
	if n.decoy.Load() {
		return nil
	}
	found, err := n.read(ctx, decoyOwner, decoyKey)
	if err == nil && found == nil || errors.Is(err, store.ErrCorrupt) {
		err = n.db.Update(ctx, decoyOwner, func(tx store.Tx) error {
			return tx.Put(decoyKey, []byte("s/aaaaaaaaaaaaaaaaaaaaaaaaaa"))
		})
	}
	if err == nil {
		n.decoy.Store(true)
	}
	return err
}
