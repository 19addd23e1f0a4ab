package instance

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"pli/internal/errs"
	"pli/store/blob"
)

// holding is the instance's store of blobs. Deletions can be made to wait:
// while a backup runs, a record that was copied may name a blob that is deleted
// a moment later. What waits when the process is killed has no record, and the
// sweeper finds it.
type holding struct {
	blob.Store
	log *slog.Logger

	mu      sync.Mutex
	holds   int
	begun   int                  // holds ever
	waiting map[blob.ID]struct{} // deleted, and still there
}

func newHolding(s blob.Store, log *slog.Logger) *holding {
	return &holding{Store: s, log: log, waiting: make(map[blob.ID]struct{})}
}

// Hold makes deletions wait until Release; holds add up.
func (h *holding) Hold() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.holds++
	h.begun++
}

// since counts the holds that have begun, for deleteUnnamed. It is a Conflict
// while there is one.
func (h *holding) since() (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.holds > 0 {
		return 0, errs.New(errs.Conflict, "a backup or a restoration is under way; ask again when it is done")
	}
	return h.begun, nil
}

// errHeld is told when a backup or a restoration has begun meanwhile.
var errHeld = errors.New("a backup or a restoration came between: what is left waits for the next sweep")

// deleteUnnamed deletes a blob whose name was looked for since a count of
// holds. If one has begun since, a record that came back may name it: it stays.
func (h *holding) deleteUnnamed(ctx context.Context, id blob.ID, since int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.holds > 0 || h.begun != since {
		return errHeld
	}
	return h.Store.Delete(ctx, id)
}

// Release ends one Hold. After the last one, what has waited is deleted.
func (h *holding) Release(ctx context.Context) {
	h.mu.Lock()
	h.holds--
	var ids []blob.ID
	if h.holds == 0 {
		for id := range h.waiting {
			ids = append(ids, id)
		}
	}
	h.mu.Unlock()
	for _, id := range ids {
		err := h.deleteWaiting(context.WithoutCancel(ctx), id)
		if errs.Is(err, errs.Unavailable) {
			h.log.Warn("blobs that were deleted meanwhile stay until the next backup or sweep", "err", err)
			return
		}
		if err != nil {
			h.log.Warn("a blob without a record stays behind", "blob", string(id), "err", err)
		}
	}
}

// deleteWaiting deletes a blob that has waited, unless it was brought back.
func (h *holding) deleteWaiting(ctx context.Context, id blob.ID) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.waiting[id]; !ok || h.holds > 0 {
		return nil
	}
	err := h.Store.Delete(ctx, id)
	if !errs.Is(err, errs.Unavailable) {
		delete(h.waiting, id)
	}
	return err
}

// Delete removes a blob, later if deletions wait.
func (h *holding) Delete(ctx context.Context, id blob.ID) error {
	h.mu.Lock()
	held := h.holds > 0
	if held {
		h.waiting[id] = struct{}{}
	}
	h.mu.Unlock()
	if held {
		return ctx.Err()
	}
	return h.Store.Delete(ctx, id)
}

// CreateAs brings a blob back. One that waits to be deleted stays.
func (h *holding) CreateAs(ctx context.Context, id blob.ID) (blob.Writer, error) {
	w, err := h.Store.CreateAs(ctx, id)
	if err != nil {
		return nil, err
	}
	return &comeback{w, h, id}, nil
}

type comeback struct {
	blob.Writer
	holding *holding
	id      blob.ID
}

// Commit takes the blob off the list of those that wait.
func (c *comeback) Commit() (blob.ID, error) {
	waited := c.holding.forget(c.id)
	id, err := c.Writer.Commit()
	if err != nil && !errors.Is(err, blob.ErrExists) && waited {
		c.holding.mu.Lock()
		c.holding.waiting[c.id] = struct{}{}
		c.holding.mu.Unlock()
	}
	return id, err
}

// forgetAll leaves what waits to the sweeper.
func (h *holding) forgetAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.waiting)
}

// forget takes a blob that is named again off the list of those that wait.
func (h *holding) forget(id blob.ID) (waited bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, waited = h.waiting[id]
	delete(h.waiting, id)
	return waited
}
