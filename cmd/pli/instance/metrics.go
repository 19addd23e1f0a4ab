package instance

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"pli/mss"
)

// metrics is what the loopback port tells: volumes and health, no content, no
// identity.
type metrics struct {
	ready    atomic.Bool
	registry *prometheus.Registry
	conns    *prometheus.CounterVec
	open     *prometheus.GaugeVec
	notices  *prometheus.CounterVec
	sweep    sweepMetrics
	compact  compactMetrics
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		conns:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pli_connections_total", Help: "Connections accepted, by door."}, []string{"door"}),
		open:     prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "pli_connections_open", Help: "Connections open now, by door."}, []string{"door"}),
		notices:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pli_notices_total", Help: "Notices to people, by kind and outcome."}, []string{"kind", "outcome"}),
		sweep:    newSweepMetrics(),
		compact:  newCompactMetrics(),
	}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), m.conns, m.open, m.notices)
	m.registry.MustRegister(m.sweep.all()...)
	m.registry.MustRegister(m.compact.all()...)
	return m
}

// mailCollector turns what the messaging space counts into metrics.
type mailCollector struct {
	stats    func() mss.Stats
	messages *prometheus.Desc
	refused  *prometheus.Desc
}

// watch adds the messaging space's counts to what is told.
func (m *metrics) watch(stats func() mss.Stats) {
	m.registry.MustRegister(&mailCollector{stats,
		prometheus.NewDesc("pli_messages_total", "Messages: accepted (answered 250), delivered into a mailbox, repeats that added nothing, failed for a reason of ours.", []string{"outcome"}, nil),
		prometheus.NewDesc("pli_refusals_total", "Refusals of senders, recipients and messages, by reason.", []string{"reason"}, nil)})
}

// Describe sends what Collect will tell.
func (c *mailCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.messages; ch <- c.refused }

// Collect tells the counts as they are now.
func (c *mailCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.stats()
	for outcome, n := range map[string]uint64{"accepted": s.Accepted, "delivered": s.Delivered, "repeat": s.Repeats, "failed": s.Failed} {
		ch <- prometheus.MustNewConstMetric(c.messages, prometheus.CounterValue, float64(n), outcome)
	}
	for reason, n := range s.Refused {
		ch <- prometheus.MustNewConstMetric(c.refused, prometheus.CounterValue, float64(n), reason)
	}
}

func (m *metrics) notice(kind, outcome string) { m.notices.WithLabelValues(kind, outcome).Inc() }

// handler serves /metrics, /healthz (the process answers) and /readyz (it
// takes mail and visitors).
func (m *metrics) handler(healthy func(context.Context) error) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if !m.ready.Load() || healthy(r.Context()) != nil {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, "ready\n")
	})
	return mux
}

// count returns l with its connections counted.
func (m *metrics) count(door string, l net.Listener) net.Listener {
	return &countingListener{l, m.conns.WithLabelValues(door), m.open.WithLabelValues(door)}
}

type countingListener struct {
	net.Listener
	total prometheus.Counter
	open  prometheus.Gauge
}

// Accept counts a connection in and, when it closes, out.
func (l *countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.total.Inc()
	l.open.Inc()
	return &countedConn{Conn: c, open: l.open}, nil
}

type countedConn struct {
	net.Conn
	open prometheus.Gauge
	once sync.Once
}

// Close closes and counts once.
func (c *countedConn) Close() error {
	c.once.Do(c.open.Dec)
	return c.Conn.Close()
}

// discardLog drops what net/http would write of clients that break off: it
// names their addresses.
func discardLog() *log.Logger { return log.New(io.Discard, "", 0) }
