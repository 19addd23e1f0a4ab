package bolt

import (
	"fmt"
	"runtime/debug"
	"strings"

	"pli/internal/panics"
	"pli/store"
)

// panicked returns the error for a panic that was recovered, and logs it with
// its stack. It is called by the deferred function that has recovered.
func (s *shard) panicked(where string, p any) error {
	err := fmt.Errorf("bolt: %w", panics.Error(where, p))
	if damage(p, panics.Function()) {
		err = fmt.Errorf("%w: %w", store.ErrCorrupt, err)
	}
	s.log.Error("panic in store", "error", err, "stack", string(debug.Stack()))
	return err
}

// damage reports whether a panic comes of what the file holds: bbolt has met a
// page that it cannot read, or the disk did not give what is mapped.
func damage(p any, function string) bool {
	if e, ok := p.(interface{ Addr() uintptr }); ok && e.Addr() >= 1<<16 { // below, it is a nil pointer
		return true
	}
	return strings.HasPrefix(function, "go.etcd.io/bbolt")
}

// shield is deferred by who reads the file: a panic that comes of damage
// becomes an error, any other goes on.
func (s *shard) shield(err *error) {
	p := recover()
	if p == nil {
		return
	}
	if !damage(p, panics.Function()) {
		panic(p)
	}
	*err = s.panicked("a view", p)
}
