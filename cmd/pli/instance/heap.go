package instance

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	runtimemetrics "runtime/metrics"
	"time"
)

// What tendHeap goes by.
const (
	heapLook  = 500 * time.Millisecond // between looks
	heapQuiet = 4 << 20                // bytes made in a look, below which it is quiet
	heapLeast = 16 << 20               // bytes of garbage that are worth giving back
)

// tendHeap lets garbage grow while there is much to do, since collecting it
// takes time from deliveries, and gives memory back when it is quiet, since
// idle connections should weigh what they hold and no more. GOGC in the
// environment goes before the configuration.
func (in *Instance) tendHeap(ctx context.Context) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(in.cfg.HeapPercent)
	}
	sample := []runtimemetrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/free:bytes"}}
	tick := time.NewTicker(heapLook)
	defer tick.Stop()
	var made, given uint64 // all bytes ever made: at the last look, when memory was last given back
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		runtimemetrics.Read(sample)
		now, live := sample[0].Value.Uint64(), sample[1].Value.Uint64()
		unused := sample[2].Value.Uint64() + sample[3].Value.Uint64() - min(live, sample[2].Value.Uint64())
		if now-made < heapQuiet && now-given > heapLeast && unused > heapLeast {
			runtime.GC() // each collection halves the stacks that have grown for a handshake
			runtime.GC()
			debug.FreeOSMemory()
			given = now
		}
		made = now
	}
}
