package instance

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pli/internal/errs"
	"pli/store"
)

// The master key is renewed while mail comes in; names, the server's slots,
// digests and backups go on; the key of before opens nothing but what was
// backed up before.
func TestMasterKeyIsRenewed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	owner := h.holder(1)
	open, err := h.AddSpace(ctx, SpaceAdd{INS: matricule(2), Family: "MARTIN", Given: "Luc", Sex: "M", Birth: "1979-03-12", State: "open", Contact: "luc@example.org"})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.deliverText(owner, letter(1, 1000)); err != nil {
		t.Fatal(err)
	}
	before := h.backup(ctx)
	stop := make(chan error, 1)
	go func() {
		var err error
		for n := 2; n < 30 && err == nil; n++ {
			err = h.deliverText(owner, letter(n, 1000))
		}
		stop <- err
	}()
	r, err := h.RotateMaster(ctx, struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-stop; err != nil {
		t.Fatal(err)
	}
	check := func(when string) {
		t.Helper()
		report, err := h.Verify(ctx, struct{}{})
		if err != nil || len(report.Problems) > 0 {
			t.Errorf("%s: %v %v", when, err, report.Problems)
		}
		if id, err := h.byINS(ctx, matricule(1)); err != nil || id != owner {
			t.Errorf("%s: the name leads to %q: %v", when, id, err)
		}
		if n, err := h.mail.Count(ctx, owner); err != nil || n != 29 {
			t.Errorf("%s: %d messages, %v", when, n, err)
		}
	}
	check("at once")
	h.backup(ctx) // the repository goes on under the same keys
	// With the file of data keys of now, a backup of before comes back too.
	if n, err := h.restored(before.Backup).mail.Count(ctx, owner); err != nil || n != 1 {
		t.Errorf("a backup of before: %d messages, %v", n, err)
	}
	h.shut()
	h.open()
	check("after a start")
	// The server's slot of an account that nobody has activated still opens it.
	if _, err := h.ActivateSpace(ctx, SpaceActivate{INS: matricule(2), Login: "luc", Password: phrase}); err != nil {
		t.Errorf("%s: %v", open.Address, err)
	}
	if _, err := os.Stat(nextMasterPath(h.cfg.Dir)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the next key is still waiting: %v", err)
	}
	// The key of before does not open the instance.
	h.shut()
	now, err := os.ReadFile(r.Key)
	if err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(r.Retired)
	if err != nil || string(old) == string(now) {
		t.Fatalf("the old key: %v", err)
	}
	if err := os.WriteFile(r.Key, old, 0o600); err != nil {
		t.Fatal(err)
	}
	if in, err := Open(ctx, h.cfg, h.deps()); err == nil {
		in.Close()
		t.Error("the key of before opens the instance")
	}
	if err := os.WriteFile(r.Key, now, 0o600); err != nil {
		t.Fatal(err)
	}
	h.open()
}

// A rotation of the master key that was stopped is taken up by the next start;
// until then no backup mixes what two keys have wrapped.
func TestMasterKeyRotationIsTakenUpAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	owner := h.holder(1)
	if err := h.deliverText(owner, letter(1, 1000)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(nextMasterPath(h.cfg.Dir)+".new", []byte("cut o"), 0o600); err != nil { // an earlier try
		t.Fatal(err)
	}
	next, err := createNext(h.cfg.Dir)
	if err != nil {
		t.Fatal(err)
	}
	stopped, cancel := context.WithCancel(ctx)
	cancel()
	if err := h.keys.Rewrap(stopped, next, func(int) {}); err == nil {
		t.Fatal("it was not stopped")
	}
	// One owner's keys come to lie under the next key, the others do not.
	if err := h.db.Update(ctx, "m/new", func(tx store.Tx) error { return tx.Put([]byte("k"), []byte("v")) }); err != nil {
		t.Fatal(err)
	}
	h.shut()
	h.open()
	to, keys := h.places()
	if _, err := h.Backup(ctx, BackupArgs{To: to, Keys: keys}); !errs.Is(err, errs.Conflict) {
		t.Errorf("a backup in the midst of it: %v", err)
	}
	if err := h.resumeMaster(ctx); err != nil {
		t.Fatal(err)
	}
	if err := h.resumeMaster(ctx); err != nil {
		t.Errorf("with nothing to take up: %v", err)
	}
	h.shut()
	h.open()
	err = h.db.View(ctx, "m/new", func(tx store.Tx) error { _, err := tx.Get([]byte("k")); return err })
	if n, countErr := h.mail.Count(ctx, owner); err != nil || countErr != nil || n != 1 {
		t.Errorf("%d messages, %v, %v", n, countErr, err)
	}
	h.backup(ctx)
	left, err := filepath.Glob(masterPath(h.cfg.Dir) + "*")
	if err != nil || len(left) != 2 {
		t.Errorf("files of master keys: %q %v", left, err)
	}
}

// Every fault of recovery.operators is told: how many files, that they are
// there, that they are keys, and two.
func TestRecoveryOperatorsAreChecked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.pub")
	if err := os.WriteFile(bad, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := DefaultConfig()
	if faults := c.parse("[recovery]\noperators = [\"one.pub\"]\n"); len(faults) != 1 || !strings.Contains(faults[0].Text, "two, or none") {
		t.Errorf("one file: %v", faults)
	}
	if keys, err := c.recoveryKeys(); err == nil {
		t.Errorf("one file: %v", keys)
	}
	for name, list := range map[string][]string{"missing": {filepath.Join(dir, "no"), bad}, "no key": {bad, bad}} {
		c.RecoveryOperators = list
		if _, err := c.recoveryKeys(); err == nil || !strings.Contains(err.Error(), "recovery.operators") {
			t.Errorf("%s: %v", name, err)
		}
	}
	c.RecoveryOperators = nil
	if keys, err := c.recoveryKeys(); keys != nil || err != nil {
		t.Errorf("none: %v %v", keys, err)
	}
}
