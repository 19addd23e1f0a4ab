package bolt_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"pli/store"
	"pli/store/bolt"
)

// Check finds nothing in a sound store, also while others write to it.
func TestCheckWhileOthersWrite(t *testing.T) {
	t.Parallel()
	db, err := bolt.Open(bolt.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for w := range 4 {
		wg.Go(func() {
			owner := store.Owner(fmt.Sprintf("s/writer-%d", w))
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				err := db.Update(t.Context(), owner, func(tx store.Tx) error {
					return tx.Put(fmt.Appendf(nil, "key-%d", i%500), make([]byte, 100+i*37%3000))
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for deadline := time.Now().Add(time.Second); time.Now().Before(deadline); {
		if err := db.Check(t.Context()); err != nil {
			t.Error(err)
			break
		}
	}
	close(stop)
	wg.Wait()
}
