package sealed

import (
	"bytes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Master is an instance's master key, from which all keys of its own derive.
// Whoever has it and the disk reads what is sealed under data keys; whoever
// loses it has lost that.
type Master struct {
	secret [32]byte // wraps data keys
	root   [32]byte // of all that derives and must stay: secret, or that of the first master key
}

// A master key's file is text, so that it can be printed and put into a safe:
// these words, and 64 hexadecimal digits. The file of one that took another's
// place has a second line: the root, sealed under it.
const (
	masterPrefix = "pli-master-key-1 "
	masterSize   = len(masterPrefix) + 64 + 1
	rootPrefix   = "pli-master-root-1 "
	rootSealed   = nonceSize + 32 + tagSize // bytes
	rootSize     = len(rootPrefix) + 2*rootSealed + 1
)

// CreateMaster makes a new master key in a new file that only its owner may
// read, and returns once it is durable. A file that is there is left alone:
// the error is then fs.ErrExist.
func CreateMaster(path string) (*Master, error) {
	m := &Master{}
	rand.Read(m.secret[:])
	m.root = m.secret
	return m, writeMaster(path, fmt.Sprintf("%s%x\n", masterPrefix, m.secret))
}

// CreateNext makes the master key that takes m's place, in a new file as
// CreateMaster does. What derives from m derives from it too.
func (m *Master) CreateNext(path string) (*Master, error) {
	next := &Master{root: m.root}
	rand.Read(next.secret[:])
	sealed := make([]byte, nonceSize, rootSealed)
	rand.Read(sealed)
	sealed = next.rootAEAD().Seal(sealed, sealed, next.root[:], []byte(rootPrefix))
	return next, writeMaster(path, fmt.Sprintf("%s%x\n%s%x\n", masterPrefix, next.secret, rootPrefix, sealed))
}

func (m *Master) rootAEAD() cipher.AEAD {
	return newAEAD(derive(m.secret[:], nil, "pli master root v1"))
}

// writeMaster writes a new file, whole or not at all.
func writeMaster(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("sealed: new master key: %w", err)
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = syncFolder(filepath.Dir(path))
	}
	if err != nil {
		os.Remove(path)
		return fmt.Errorf("sealed: new master key: %w", err)
	}
	return nil
}

// LoadMaster reads a master key. It refuses a file that others than its owner
// may read or write.
func LoadMaster(path string) (*Master, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("sealed: master key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("sealed: master key: %w", err)
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return nil, fmt.Errorf("sealed: master key %s may be used by others (mode %04o): chmod 600 it", path, perm)
	}
	b, err := io.ReadAll(io.LimitReader(f, int64(masterSize+rootSize)+1))
	if err != nil {
		return nil, fmt.Errorf("sealed: master key: %w", err)
	}
	m, ok := parseMaster(b)
	if !ok {
		return nil, fmt.Errorf("sealed: %s is not a master key", path)
	}
	return m, nil
}

// parseMaster reads the text of a master key's file.
func parseMaster(b []byte) (*Master, bool) {
	m := &Master{}
	if len(b) != masterSize && len(b) != masterSize+rootSize || b[masterSize-1] != '\n' {
		return nil, false
	}
	digits, ok := bytes.CutPrefix(b[:masterSize-1], []byte(masterPrefix))
	if _, err := hex.Decode(m.secret[:], digits); !ok || err != nil {
		return nil, false
	}
	if m.root = m.secret; len(b) == masterSize {
		return m, true
	}
	b = b[masterSize:]
	digits, ok = bytes.CutPrefix(b[:rootSize-1], []byte(rootPrefix))
	sealed := make([]byte, rootSealed)
	if _, err := hex.Decode(sealed, digits); !ok || err != nil || b[rootSize-1] != '\n' {
		return nil, false
	}
	root, err := m.rootAEAD().Open(nil, sealed[:nonceSize], sealed[nonceSize:], []byte(rootPrefix))
	if err != nil {
		return nil, false
	}
	m.root = [32]byte(root)
	return m, true
}

// Derive returns the key for one purpose (RFC 5869 HKDF-SHA256, the purpose as
// info): the same for the same words, and telling nothing of any other. A
// master key that took another's place derives what that did.
func (m *Master) Derive(purpose string) [32]byte {
	return derive(m.root[:], nil, purpose)
}

// wrapping returns what wraps data keys: each master key's own.
func (m *Master) wrapping() cipher.AEAD { return newAEAD(derive(m.secret[:], nil, masterCheck)) }

func derive(secret, salt []byte, info string) (key [32]byte) {
	b, err := hkdf.Key(sha256.New, secret, salt, info, len(key))
	if err != nil {
		panic(err) // only for lengths that are not ours
	}
	copy(key[:], b)
	return key
}

// String hides the key from whatever prints it.
func (m Master) String() string { return "master key" }

// GoString hides the key from %#v.
func (m Master) GoString() string { return m.String() }

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
