package instance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"pli/certs"
	"pli/store"
	"pli/store/sealed"
)

// Init makes the folder of a new instance: its configuration and its master
// key and, with devCA, a development authority with a server certificate. The
// folder must be absent or empty.
func Init(ctx context.Context, dir string, cfg *Config, devCA bool, now func() time.Time) error {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty: an instance is made in a folder of its own", dir)
	} else if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, cfg.Dir, "keys"), 0o700); err != nil {
		return err
	}
	if _, err := sealed.CreateMaster(filepath.Join(dir, cfg.Dir, "keys", "master.key")); err != nil {
		return err
	}
	if devCA {
		if err := initAuthority(dir, cfg, now()); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "pli.toml"), []byte(cfg.Write()), 0o600)
}

// initAuthority writes a development authority and the server's certificate
// where cfg says that they lie.
func initAuthority(dir string, cfg *Config, now time.Time) error {
	ca, err := certs.NewAuthority("Pli development authority", now)
	if err != nil {
		return err
	}
	server, err := ca.IssueServer(now, cfg.Name, "localhost", "127.0.0.1", "::1")
	if err != nil {
		return err
	}
	caKey, err := ca.KeyPEM()
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		data []byte
		mode os.FileMode
	}{
		{cfg.Trust[0], ca.CertPEM(), 0o644}, {"ca.key.pem", caKey, 0o600},
		{cfg.Certificate, server.CertPEM, 0o644}, {cfg.Key, server.KeyPEM, 0o600},
	} {
		if err := os.WriteFile(filepath.Join(dir, f.name), f.data, f.mode); err != nil {
			return err
		}
	}
	return nil
}

// forbidCoreDumps keeps opened keys and mail out of what a crash leaves: of a
// file by the limit, and, since a limit does not keep the kernel from handing a
// dump to a program (core(5), core_pattern with a pipe), of any dump at all.
func forbidCoreDumps() error {
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		return fmt.Errorf("core dumps cannot be turned off: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("core dumps cannot be turned off: %w", err)
	}
	return nil
}

// healthy reports whether the stores answer: each is asked for something.
func (in *Instance) healthy(ctx context.Context) error {
	err := in.db.View(ctx, "sys/health", func(tx store.Tx) error {
		_, err := tx.Get([]byte("mark"))
		return err
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	_, err = in.blobs.List(ctx, "", 1)
	return err
}
