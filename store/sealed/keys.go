package sealed

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"pli/store"
)

// ErrDestroyed is returned for a data key that was destroyed.
var ErrDestroyed = errors.New("sealed: data key destroyed")

// Where a key store keeps its own word, and the tombstone of all classes.
const (
	keysOwner   = store.Owner("sys/keys")
	keyMaster   = "master"
	allClasses  = "*"
	masterCheck = "pli data keys v1"
)

// What a stored key begins with.
const (
	keyWrapped   = 1 // then nonce and wrapped key
	keyDestroyed = 0 // alone
)

// KeysConfig bounds a Keys. Zero values mean the defaults.
type KeysConfig struct {
	// Cache is how many data keys are kept opened in memory (default 16384,
	// about 1 kB each).
	Cache int
	Log   *slog.Logger
	// Next, if not nil, is the master key that is taking the other's place:
	// some data keys are wrapped by it already. Rewrap goes on.
	Next *Master
}

// Keys are the data keys of all owners, each wrapped by the master key
// (AES-256-GCM), in a small store of their own. An owner has one key for each
// class of its records, made when it is first needed. All methods may run at
// once.
type Keys struct {
	db     store.DB
	wraps  atomic.Pointer[wraps]
	making sync.RWMutex // held for reading while a key is made, so that a change of wraps waits for it
	cache  *cache
	log    *slog.Logger
}

// wraps is what wraps data keys, and what has wrapped them, nil if nothing else.
type wraps struct{ now, before cipher.AEAD }

// dataKey is an opened data key.
type dataKey struct {
	key  [32]byte
	aead cipher.AEAD
}

func newDataKey(key [32]byte) *dataKey {
	return &dataKey{key: key, aead: newAEAD(derive(key[:], nil, "pli records v1"))}
}

func newAEAD(key [32]byte) cipher.AEAD {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // only for lengths that are not ours
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return aead
}

// OpenKeys opens the key store kept in db, which must be bare and serve
// nothing else. It fails if db holds keys wrapped by another master key.
func OpenKeys(db store.DB, m *Master, cfg KeysConfig) (*Keys, error) {
	if cfg.Cache <= 0 {
		cfg.Cache = 16384
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	k := &Keys{db: db, cache: newCache(cfg.Cache), log: cfg.Log}
	k.wraps.Store(&wraps{now: m.wrapping()})
	if cfg.Next != nil {
		k.wraps.Store(&wraps{now: cfg.Next.wrapping(), before: m.wrapping()})
	}
	if err := k.checkMaster(context.Background()); err != nil {
		return nil, err
	}
	return k, nil
}

// checkMaster opens a word that the first OpenKeys has sealed.
func (k *Keys) checkMaster(ctx context.Context) error {
	check := func(tx store.Tx) error {
		v, err := tx.Get([]byte(keyMaster))
		if err != nil {
			return err
		}
		if _, err := k.unseal(v, keysOwner, keyMaster); err != nil {
			return errors.New("sealed: this key store belongs to another master key")
		}
		return nil
	}
	err := k.db.View(ctx, keysOwner, check)
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return k.db.Update(ctx, keysOwner, func(tx store.Tx) error {
		if err := check(tx); !errors.Is(err, store.ErrNotFound) {
			return err
		}
		return tx.Put([]byte(keyMaster), k.seal([]byte(masterCheck), keysOwner, keyMaster))
	})
}

// Key returns the key for one role, such as "contents", that derives from the
// data key of one class of an owner's records: each use has a key of its own,
// and all go with the data key. If there is no data key it makes one, durable
// on return, or, with create false, returns store.ErrNotFound. After Destroy
// it returns ErrDestroyed.
func (k *Keys) Key(ctx context.Context, owner store.Owner, class, role string, create bool) ([32]byte, error) {
	d, err := k.get(ctx, owner, class, create)
	if err != nil {
		return [32]byte{}, err
	}
	return derive(d.key[:], nil, "pli role v1\x00"+role), nil
}

func (k *Keys) get(ctx context.Context, owner store.Owner, class string, create bool) (*dataKey, error) {
	if d := k.cache.get(owner, class); d != nil {
		return d, nil
	}
	if !validClass(class) {
		return nil, fmt.Errorf("sealed: %q is not a class of records", class)
	}
	generation := k.cache.generation()
	var d *dataKey
	err := k.db.View(ctx, owner, func(tx store.Tx) (err error) {
		d, err = k.load(tx, class)
		return err
	})
	if create && errors.Is(err, store.ErrNotFound) {
		k.making.RLock()
		err = k.db.Update(ctx, owner, func(tx store.Tx) (err error) {
			d, err = k.loadOrMake(tx, class)
			return err
		})
		k.making.RUnlock()
	}
	if err != nil {
		return nil, err
	}
	k.cache.add(owner, class, d, generation)
	return d, nil
}

// load reads one class's key.
func (k *Keys) load(tx store.Tx, class string) (*dataKey, error) {
	if _, err := tx.Get([]byte(allClasses)); !errors.Is(err, store.ErrNotFound) {
		if err == nil {
			err = ErrDestroyed
		}
		return nil, err
	}
	v, err := tx.Get([]byte(class))
	switch {
	case err != nil:
		return nil, err
	case len(v) == 1 && v[0] == keyDestroyed:
		return nil, ErrDestroyed
	}
	b, err := k.unseal(v, tx.Owner(), class)
	if err != nil || len(b) != 32 {
		return nil, fmt.Errorf("%w: data key %s of %s", store.ErrCorrupt, class, tx.Owner())
	}
	return newDataKey([32]byte(b)), nil
}

func (k *Keys) loadOrMake(tx store.Tx, class string) (*dataKey, error) {
	d, err := k.load(tx, class)
	if !errors.Is(err, store.ErrNotFound) {
		return d, err
	}
	var key [32]byte
	rand.Read(key[:])
	return newDataKey(key), tx.Put([]byte(class), k.seal(key[:], tx.Owner(), class))
}

// Destroy destroys an owner's data key of one class, or of every class there
// is and could be if class is "". What was sealed under it can be read by
// nobody from then on, whatever copies of the records there are. If the engine
// offers it (store.Scrubber), what the wrapped key leaves in the engine's own
// files is overwritten before Destroy returns.
func (k *Keys) Destroy(ctx context.Context, owner store.Owner, class string) error {
	if class != "" && !validClass(class) {
		return fmt.Errorf("sealed: %q is not a class of records", class)
	}
	var gone []string
	err := k.db.Update(ctx, owner, func(tx store.Tx) error {
		gone = nil
		if class != "" {
			gone = append(gone, class)
		} else if err := tx.Scan(nil, nil, func(key, _ []byte) error {
			gone = append(gone, string(key))
			return nil
		}); err != nil {
			return err
		}
		if class == "" {
			gone = append(gone, allClasses)
		}
		for _, c := range gone {
			if err := tx.Put([]byte(c), []byte{keyDestroyed}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	k.cache.evict(owner, gone)
	if s, ok := k.db.(store.Scrubber); ok {
		return s.Scrub(ctx)
	}
	return nil
}

// validClass says whether class can be one: 1 to 32 of [a-z0-9-].
func validClass(class string) bool {
	if class == "" || len(class) > 32 {
		return false
	}
	for _, c := range []byte(class) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// seal wraps a key for the place it lies at.
func (k *Keys) seal(key []byte, owner store.Owner, class string) []byte {
	b := make([]byte, 1+nonceSize, 1+nonceSize+len(key)+tagSize)
	b[0] = keyWrapped
	rand.Read(b[1:])
	return k.wraps.Load().now.Seal(b, b[1:], key, keyAD(owner, class))
}

func (k *Keys) unseal(v []byte, owner store.Owner, class string) ([]byte, error) {
	if len(v) < 1+nonceSize || v[0] != keyWrapped {
		return nil, store.ErrCorrupt
	}
	w := k.wraps.Load()
	key, err := w.now.Open(nil, v[1:1+nonceSize], v[1+nonceSize:], keyAD(owner, class))
	if err != nil && w.before != nil {
		return w.before.Open(nil, v[1:1+nonceSize], v[1+nonceSize:], keyAD(owner, class))
	}
	return key, err
}

// Damaged returns the classes of an owner's data keys that do not open as they
// are stored, whatever is in memory: what is sealed under them is lost.
func (k *Keys) Damaged(ctx context.Context, owner store.Owner) (classes []string, err error) {
	err = k.db.View(ctx, owner, func(tx store.Tx) error {
		classes = nil
		return store.ScanAround(tx, nil, nil, func(class, v []byte) error {
			if _, err := k.unseal(v, owner, string(class)); err != nil && !(len(v) == 1 && v[0] == keyDestroyed) {
				classes = append(classes, string(class))
			}
			return nil
		}, func(d *store.Damage) error {
			classes = append(classes, string(d.Key))
			return nil
		})
	})
	return classes, err
}

// Prove reports whether a stored data key that was found outside of the store
// is one: it opens, or it says that the key was destroyed.
func (k *Keys) Prove(owner store.Owner, class string, stored []byte) (opens, destroyed bool) {
	if len(stored) == 1 && stored[0] == keyDestroyed {
		return false, true
	}
	key, err := k.unseal(stored, owner, class)
	return err == nil && len(key) == 32, false
}

// OpenValue opens a stored value that was found outside of the store, under
// the classes that New has by default. Errors: a *store.Damage for one that is
// not what was written; ErrDestroyed.
func (k *Keys) OpenValue(ctx context.Context, owner store.Owner, key, stored []byte) ([]byte, error) {
	t := &tx{ctx: ctx, db: &DB{keys: k, class: defaultClass}, inner: nobody{owner: owner}}
	return t.open(key, stored)
}

// nobody is a transaction that knows its owner alone.
type nobody struct {
	store.Tx
	owner store.Owner
}

func (n nobody) Owner() store.Owner { return n.owner }

func keyAD(owner store.Owner, class string) []byte { return []byte(string(owner) + "\x00" + class) }
