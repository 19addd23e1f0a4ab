package bolt

import (
	"fmt"
	"runtime/debug"

	"pli/internal/panics"
)

// panicked returns the error for a panic that was recovered, and logs it with
// its stack. It is called by the deferred function that has recovered.
func (s *shard) panicked(where string, p any) error {
	err := fmt.Errorf("bolt: %w", panics.Error(where, p))
	s.log.Error("panic in store", "error", err, "stack", string(debug.Stack()))
	return err
}
