package sealed

import (
	"bytes"
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
type Master struct{ secret [32]byte }

// A master key's file is one line of text, so that it can be printed and put
// into a safe: these words, and 64 hexadecimal digits.
const (
	masterPrefix = "pli-master-key-1 "
	masterSize   = len(masterPrefix) + 64 + 1
)

// CreateMaster makes a new master key in a new file that only its owner may
// read, and returns once it is durable. A file that is there is left alone:
// the error is then fs.ErrExist.
func CreateMaster(path string) (*Master, error) {
	m := &Master{}
	rand.Read(m.secret[:])
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("sealed: new master key: %w", err)
	}
	_, err = fmt.Fprintf(f, "%s%x\n", masterPrefix, m.secret)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = syncFolder(filepath.Dir(path))
	}
	if err != nil {
		os.Remove(path)
		return nil, fmt.Errorf("sealed: new master key: %w", err)
	}
	return m, nil
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
	b, err := io.ReadAll(io.LimitReader(f, int64(masterSize)+1))
	if err != nil {
		return nil, fmt.Errorf("sealed: master key: %w", err)
	}
	m := &Master{}
	digits, ok := bytes.CutPrefix(b, []byte(masterPrefix))
	if !ok || len(b) != masterSize || b[masterSize-1] != '\n' {
		return nil, fmt.Errorf("sealed: %s is not a master key", path)
	}
	if _, err := hex.Decode(m.secret[:], digits[:64]); err != nil {
		return nil, fmt.Errorf("sealed: %s is not a master key", path)
	}
	return m, nil
}

// Derive returns the key for one purpose (RFC 5869 HKDF-SHA256, the purpose as
// info): the same for the same words, and telling nothing of any other.
func (m *Master) Derive(purpose string) [32]byte {
	return derive(m.secret[:], nil, purpose)
}

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
