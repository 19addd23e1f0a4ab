package instance

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// outcome names how a chore ended, by why it stopped.
func outcome(stopped string) string {
	if stopped != "" {
		return "stopped"
	}
	return "done"
}

// sweepMetrics is what sweeps tell. Owners, blobs and unnamed are of the sweep
// under way, or of the last one.
type sweepMetrics struct {
	runs                   *prometheus.CounterVec
	owners, blobs, unnamed prometheus.Gauge
	removed, freed         prometheus.Counter
	ended                  prometheus.Gauge
}

func newSweepMetrics() sweepMetrics {
	return sweepMetrics{
		runs:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pli_sweep_runs_total", Help: "Sweeps of orphan blobs, by outcome: done, or stopped because something could not be read or removed."}, []string{"outcome"}),
		owners:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "pli_sweep_owners", Help: "Owners whose records the sweep under way, or the last one, has looked at, in every look."}),
		blobs:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "pli_sweep_blobs", Help: "Blobs that the sweep under way, or the last one, has listed."}),
		unnamed: prometheus.NewGauge(prometheus.GaugeOpts{Name: "pli_sweep_unnamed_blobs", Help: "Of those, blobs past the grace time that the last sweep found named by no record."}),
		removed: prometheus.NewCounter(prometheus.CounterOpts{Name: "pli_sweep_removed_total", Help: "Orphan blobs removed."}),
		freed:   prometheus.NewCounter(prometheus.CounterOpts{Name: "pli_sweep_removed_bytes_total", Help: "Bytes of the orphan blobs removed."}),
		ended:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "pli_sweep_end_time_seconds", Help: "When the last sweep ended, in seconds since 1970."}),
	}
}

func (m *sweepMetrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.runs, m.owners, m.blobs, m.unnamed, m.removed, m.freed, m.ended}
}

func (m *sweepMetrics) begin() {
	m.owners.Set(0)
	m.blobs.Set(0)
}

func (m *sweepMetrics) end(r *SweepReport, now time.Time) {
	m.runs.WithLabelValues(outcome(r.Stopped)).Inc()
	m.unnamed.Set(float64(r.Unnamed))
	m.ended.Set(float64(now.Unix()))
}

// compactMetrics is what compactions tell.
type compactMetrics struct {
	runs          *prometheus.CounterVec
	files, freed  prometheus.Counter
	copied, ended prometheus.Gauge
}

func newCompactMetrics() compactMetrics {
	return compactMetrics{
		runs:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pli_compact_runs_total", Help: "Looks for files to compact, by outcome: done, or stopped because one could not be."}, []string{"outcome"}),
		files:  prometheus.NewCounter(prometheus.CounterOpts{Name: "pli_compact_files_total", Help: "Files compacted."}),
		freed:  prometheus.NewCounter(prometheus.CounterOpts{Name: "pli_compact_freed_bytes_total", Help: "Bytes by which compacted files have become shorter."}),
		copied: prometheus.NewGauge(prometheus.GaugeOpts{Name: "pli_compact_copied_bytes", Help: "Bytes copied of the file that is being compacted; 0 when none is."}),
		ended:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "pli_compact_end_time_seconds", Help: "When the last look ended, in seconds since 1970."}),
	}
}

func (m *compactMetrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.runs, m.files, m.freed, m.copied, m.ended}
}

func (m *compactMetrics) end(r *CompactReport, now time.Time) {
	m.runs.WithLabelValues(outcome(r.Stopped)).Inc()
	m.ended.Set(float64(now.Unix()))
}

// fileCollector turns the sizes of the engines' files into metrics.
type fileCollector struct {
	files       func() []StoreFile
	bytes, free *prometheus.Desc
}

// watchFiles adds the engines' files to what is told.
func (m *metrics) watchFiles(files func() []StoreFile) {
	labels := []string{"store", "file"}
	m.registry.MustRegister(&fileCollector{files,
		prometheus.NewDesc("pli_store_file_bytes", "Bytes of a file of records or keys.", labels, nil),
		prometheus.NewDesc("pli_store_free_bytes", "Bytes of that file in pages that hold nothing.", labels, nil)})
}

// Describe sends what Collect will tell.
func (c *fileCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.bytes; ch <- c.free }

// Collect tells the sizes as they are now.
func (c *fileCollector) Collect(ch chan<- prometheus.Metric) {
	for _, f := range c.files() {
		ch <- prometheus.MustNewConstMetric(c.bytes, prometheus.GaugeValue, float64(f.Bytes), f.Store, f.File)
		ch <- prometheus.MustNewConstMetric(c.free, prometheus.GaugeValue, float64(f.Free), f.Store, f.File)
	}
}
