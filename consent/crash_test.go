package consent_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"pli/audit"
	"pli/consent"
	"pli/space"
	"pli/store"
)

// spoilt is a store in which every transaction runs twice, the first time for
// nothing, as on an engine that retries; or in which none commits, as when
// the machine stops just before.
type spoilt struct {
	store.DB
	commits bool
}

var errStopped = errors.New("the machine stopped")

func (s spoilt) Update(ctx context.Context, owner store.Owner, fn func(store.Tx) error) error {
	err := s.DB.Update(ctx, owner, func(tx store.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return errStopped
	})
	if !s.commits || !errors.Is(err, errStopped) {
		return err
	}
	return s.DB.Update(ctx, owner, fn)
}

// Before the commit there is neither act nor line nor notice; a transaction
// that runs again leaves each once.
func TestActTraceAndNoticeAreOneTransaction(t *testing.T) { // C4
	t.Parallel()
	h := newHouse(t)
	home := h.space(space.Active)
	req := consent.Request{Space: home.ID, Act: consent.ActMailDeliver}
	runs := 0
	deliver := func(tx store.Tx) error { runs++; return put("letter", "x")(tx) }

	gate := consent.NewGate(consent.Config{DB: spoilt{h.db, false}, Now: h.clock, Outbox: notices{}})
	if err := gate.Do(t.Context(), doctor, req, deliver); !errors.Is(err, errStopped) {
		t.Errorf("Do: %v", err)
	}
	if h.get(home.ID, "letter") != "" || len(h.trace(home.ID)) != 0 || len(h.told(home.ID)) != 0 || runs == 0 {
		t.Errorf("after %d runs: act %q, %d lines, %d notices", runs, h.get(home.ID, "letter"), len(h.trace(home.ID)), len(h.told(home.ID)))
	}

	runs = 0
	gate = consent.NewGate(consent.Config{DB: spoilt{h.db, true}, Now: h.clock, Outbox: notices{}})
	if err := gate.Do(t.Context(), doctor, req, deliver); err != nil {
		t.Errorf("Do: %v", err)
	}
	if h.get(home.ID, "letter") != "x" || len(h.trace(home.ID)) != 1 || len(h.told(home.ID)) != 1 || runs < 2 {
		t.Errorf("after %d runs: act %q, %d lines, %d notices", runs, h.get(home.ID, "letter"), len(h.trace(home.ID)), len(h.told(home.ID)))
	}
	err := gate.Do(t.Context(), doctor, consent.Request{Space: home.ID, Act: consent.ActMailOpen}, deliver)
	if err == nil || len(h.trace(home.ID)) != 2 {
		t.Errorf("a refusal, run twice: %v, %d lines", err, len(h.trace(home.ID)))
	}
}

// A server killed at any moment leaves as many acts as lines.
func TestKillSeparatesNoActFromItsLine(t *testing.T) { // C4
	t.Parallel()
	dir := t.TempDir()
	child := exec.Command(os.Args[0], "-test.run=^TestActUntilKilled$", "-test.v", "-test.timeout=60s")
	child.Env = append(os.Environ(), "PLI_CONSENT_CRASH="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var owner store.Owner
	acknowledged := 0
	for sc := bufio.NewScanner(out); sc.Scan(); {
		if word, ok := strings.CutPrefix(sc.Text(), "space "); ok {
			owner = store.Owner(word)
		} else if strings.HasPrefix(sc.Text(), "done ") {
			if acknowledged++; acknowledged == 50 {
				child.Process.Kill()
			}
		}
	}
	child.Wait()
	if acknowledged < 50 {
		t.Fatalf("only %d acts before the child ended", acknowledged)
	}
	h := houseIn(t, dir)
	acts := 0
	err = h.db.View(t.Context(), owner, func(tx store.Tx) error {
		acts = 0
		if err := tx.Scan([]byte("letter"), store.After([]byte("letter")), func(_, _ []byte) error { acts++; return nil }); err != nil {
			return err
		}
		lines, err := audit.Verify(tx)
		if int(lines) != acts || acts < acknowledged {
			t.Errorf("%d acts and %d lines, after %d acknowledged", acts, lines, acknowledged)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestActUntilKilled is the server that TestKillSeparatesNoActFromItsLine kills.
func TestActUntilKilled(t *testing.T) {
	dir := os.Getenv("PLI_CONSENT_CRASH")
	if dir == "" {
		t.Skip("runs only as the child of TestKillSeparatesNoActFromItsLine")
	}
	h := houseIn(t, dir)
	home := h.space(space.Active)
	fmt.Println("space", home.ID)
	for worker := range 8 {
		go func() {
			for i := 0; ; i++ {
				req := consent.Request{Space: home.ID, Act: consent.ActMailDeliver}
				if err := h.gate.Do(context.Background(), doctor, req, put(fmt.Sprintf("letter%d-%d", worker, i), "x")); err != nil {
					return
				}
				fmt.Println("done", i)
			}
		}()
	}
	select {}
}
