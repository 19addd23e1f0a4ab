package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"pli/store"
)

// Outbox kills a process in which what concerns two owners travels between
// them the way package store asks for: an outbox record of the sender, written
// with what it tells of and due at once; a worker that applies it to the
// receiver, who keeps a mark of it, and removes it from the sender. However
// the process dies, each message has in the end been applied exactly once.
// open opens the store in a folder, or makes it; the store has no other
// records that are due. See Kill for where to call it.
func Outbox(t *testing.T, open func(t testing.TB, dir string) store.DB) {
	Kill(t, func(dir string, ack func(string)) {
		db := open(t, dir)
		var wg sync.WaitGroup
		for s := range outboxSenders {
			wg.Go(func() { outboxSend(t, db, s) })
		}
		for range outboxWorkers {
			wg.Go(func() {
				for !t.Failed() {
					outboxWork(t, db, ack)
				}
			})
		}
		wg.Wait()
	}, func(dir string, acks []string) {
		db := open(t, dir)
		defer db.Close()
		repeats := outboxWork(t, db, nil)
		if repeats == 0 {
			t.Error("no message was left between its receiver and its sender: this test shows nothing")
		}
		outboxCheck(t, db)
		check(t, db)
	})
}

const (
	outboxSenders   = 3
	outboxReceivers = 2
	outboxWorkers   = 2
	outboxWaiting   = 16 // messages of a sender that may wait
)

func outboxSender(s int) store.Owner { return store.Owner(fmt.Sprintf("s/out-%d", s)) }
func outboxReceiver(n uint64) store.Owner {
	return store.Owner(fmt.Sprintf("m/in-%d", n%outboxReceivers))
}
func outboxKey(n uint64) []byte { return fmt.Appendf(nil, "out/%08d", n) }
func outboxMark(from store.Owner, key []byte) []byte {
	return fmt.Appendf(nil, "in/%s/%s", from, key)
}

// outboxSend writes messages for as long as the process lives, two in each
// transaction, and waits when many are under way.
func outboxSend(t *testing.T, db store.DB, s int) {
	full := errors.New("many are under way")
	for !t.Failed() {
		err := db.Update(context.Background(), outboxSender(s), func(tx store.Tx) error {
			waiting := 0
			err := tx.Scan([]byte("out/"), store.After([]byte("out/")), func(k, v []byte) error { waiting++; return nil })
			if err != nil {
				return err
			}
			if waiting >= outboxWaiting {
				return full
			}
			n, err := crashHead(tx)
			for range 2 {
				n++
				err = errors.Join(err, tx.PutDue(outboxKey(n), fmt.Append(nil, n), time.UnixMilli(int64(n))))
			}
			return errors.Join(err, crashPutHead(tx, n))
		})
		if errors.Is(err, full) {
			time.Sleep(time.Millisecond) // so as not to keep the workers from their work
		} else if err != nil {
			t.Errorf("send: %v", err)
		}
	}
}

// outboxWork applies what is due until nothing is, and returns how much of it
// had been applied before. With ack, it is the worker of a process that is to
// be killed: messages of odd numbers it applies, acknowledges and leaves where
// they are, as if it had been killed just then.
func outboxWork(t *testing.T, db store.DB, ack func(string)) (repeats int) {
	for {
		list, err := db.Due(context.Background(), time.UnixMilli(1<<40), 100)
		if err != nil {
			t.Errorf("Due: %v", err)
			return repeats
		}
		for _, d := range list {
			fresh, left, err := outboxApply(db, d, ack)
			if err != nil {
				t.Errorf("%s %s: %v", d.Owner, d.Key, err)
				return repeats
			}
			if !fresh {
				repeats++
			}
			if left {
				continue
			}
			err = db.Update(context.Background(), d.Owner, func(tx store.Tx) error { return tx.Delete(d.Key) })
			if err != nil {
				t.Errorf("%s %s: %v", d.Owner, d.Key, err)
				return repeats
			}
		}
		if len(list) == 0 || ack != nil {
			return repeats
		}
	}
}

// outboxApply applies one message unless that has been done.
func outboxApply(db store.DB, d store.Due, ack func(string)) (fresh, left bool, err error) {
	var n uint64
	err = db.View(context.Background(), d.Owner, func(tx store.Tx) error {
		v, err := tx.Get(d.Key)
		if err == nil {
			_, err = fmt.Sscan(string(v), &n)
		}
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return true, true, nil // the other worker was faster
	}
	if err != nil {
		return false, false, err
	}
	mark := outboxMark(d.Owner, d.Key)
	err = db.Update(context.Background(), outboxReceiver(n), func(tx store.Tx) error {
		_, err := tx.Get(mark)
		if fresh = errors.Is(err, store.ErrNotFound); !fresh {
			return err
		}
		return errors.Join(tx.Put(mark, fmt.Append(nil, n)), bump(tx, "count"))
	})
	if err == nil && ack != nil && n%2 == 1 {
		ack(fmt.Sprintf("%s %d", d.Owner, n))
		return fresh, true, nil
	}
	return fresh, false, err
}

// outboxCheck compares what senders have written with what receivers have
// counted.
func outboxCheck(t *testing.T, db store.DB) {
	t.Helper()
	sent, marks, counted := uint64(0), map[string]int{}, 0
	for r := range uint64(outboxReceivers) {
		view(t, db, outboxReceiver(r), func(tx store.Tx) error {
			return tx.Scan(nil, nil, func(k, v []byte) error {
				if mark, ok := bytes.CutPrefix(k, []byte("in/")); ok {
					marks[string(mark)]++
					return nil
				}
				n := 0
				_, err := fmt.Sscan(string(v), &n)
				counted += n
				return err
			})
		})
	}
	for s := range outboxSenders {
		owner := outboxSender(s)
		view(t, db, owner, func(tx store.Tx) error {
			n, err := crashHead(tx)
			sent += n
			for i := uint64(1); i <= n; i++ {
				if mark := strings.TrimPrefix(string(outboxMark(owner, outboxKey(i))), "in/"); marks[mark] != 1 {
					t.Errorf("message %d of %s was applied %d times", i, owner, marks[mark])
				}
			}
			return errors.Join(err, tx.Scan([]byte("out/"), store.After([]byte("out/")), func(k, v []byte) error {
				t.Errorf("%s %s is still there", owner, k)
				return nil
			}))
		})
	}
	if sent != uint64(len(marks)) || sent != uint64(counted) {
		t.Errorf("%d messages sent, %d marks, %d counted", sent, len(marks), counted)
	}
}
