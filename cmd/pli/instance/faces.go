package instance

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"pli/mailbox/imapd"
	"pli/mss/smtpd"
	"pli/web"
)

// Addrs is where a started instance listens, as host:port; "" is off.
type Addrs struct {
	Web, MX, Submissions, Submission, IMAPS, IMAP, Metrics string
}

// Addrs returns where the instance listens.
func (in *Instance) Addrs() Addrs { return in.addrs }

// face is one running door.
type face struct {
	name string
	stop func(context.Context) error
}

// stopTime is how long open sessions may take to end when the instance stops.
const stopTime = 5 * time.Second

// Start opens the doors and begins the workers.
func (in *Instance) Start() error {
	conf, err := in.serverTLS()
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	in.stop = stop
	in.work(ctx, "outbox", in.outbox.Run)
	in.work(ctx, "sign-in", in.signin.Run)
	in.work(ctx, "keys", in.completeKeys)
	in.work(ctx, "master key", in.resumeMaster)
	in.resealing.start(ctx)
	in.work(ctx, "heap", in.tendHeap)
	in.startKeep(ctx)
	if in.lease != nil {
		in.work(ctx, "lease", in.lease.keep)
	}
	for _, open := range []func(*tls.Config) error{in.startSMTP, in.startIMAP, in.startWeb, in.startMetrics, in.startOperations} {
		if err := open(conf); err != nil {
			return err
		}
	}
	in.metrics.ready.Store(true)
	return nil
}

// Lost is closed when another instance has taken over the store: this one must
// stop. It is nil where that cannot happen.
func (in *Instance) Lost() <-chan struct{} {
	if in.lease == nil {
		return nil
	}
	return in.lease.lost
}

func (in *Instance) stopFaces() error {
	in.metrics.ready.Store(false)
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	var all []error
	for i := len(in.faces) - 1; i >= 0; i-- {
		if err := in.faces[i].stop(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			all = append(all, fmt.Errorf("%s: %w", in.faces[i].name, err))
		}
	}
	if in.stop != nil {
		in.stop()
	}
	late, cancelLate := context.WithTimeout(context.Background(), stopTime)
	defer cancelLate()
	all = append(all, in.mss.Close(late)) // what the faces left to it, in a time of its own
	in.wg.Wait()
	return errors.Join(all...)
}

// listen opens addr and tells where in at; the listener is nil where addr is
// empty.
func listen(name, addr string, at *string) (net.Listener, error) {
	if addr == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen.%s: %w (does another program listen there? choose another port, or «--ports auto» in a demo)", name, err)
	}
	*at = l.Addr().String()
	return l, nil
}

// serve opens a door and serves it until its face stops.
func (in *Instance) serve(name, addr string, at *string, serve func(net.Listener) error) error {
	l, err := listen(name, addr, at)
	if l == nil {
		return err
	}
	in.run(name, func() error { return serve(in.metrics.count(name, l)) })
	return nil
}

// work runs a worker until ctx ends.
func (in *Instance) work(ctx context.Context, name string, worker func(context.Context) error) {
	in.wg.Go(func() {
		if err := worker(ctx); err != nil && !errors.Is(err, context.Canceled) {
			in.deps.Log.Error("a worker stopped", "worker", name, "error", err)
		}
	})
}

// run runs what serves a door.
func (in *Instance) run(name string, serve func() error) {
	in.wg.Go(func() {
		if err := serve(); err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, http.ErrServerClosed) {
			in.deps.Log.Error("a door closed", "door", name, "error", err)
		}
	})
}

func (in *Instance) startSMTP(conf *tls.Config) error {
	s := smtpd.New(smtpd.Config{Service: in.mss, Signin: in.signin, TLS: conf, Hostname: in.cfg.Name,
		Now: in.deps.Now, Log: in.deps.Log, Limits: smtpd.Limits{MaxPerAddress: in.cfg.ConnsPerSource}})
	in.faces = append(in.faces, face{"smtp", s.Shutdown})
	l := in.cfg.Listen
	return errors.Join(
		in.serve("mx", l.MX, &in.addrs.MX, s.ServeMX),
		in.serve("submissions", l.Submissions, &in.addrs.Submissions, func(l net.Listener) error { return s.ServeSubmission(l, true) }),
		in.serve("submission", l.Submission, &in.addrs.Submission, func(l net.Listener) error { return s.ServeSubmission(l, false) }))
}

func (in *Instance) startIMAP(conf *tls.Config) error {
	s, err := imapd.New(imapd.Config{Mail: in.mail, Signin: in.signin, TLS: conf, Now: in.deps.Now, Log: in.deps.Log,
		MaxPerAddress: in.cfg.ConnsPerSource, MaxPerAccount: in.cfg.ConnsPerAccount, MaxAppend: in.cfg.MessageBytes + headroom})
	if err != nil {
		return err
	}
	in.faces = append(in.faces, face{"imap", s.Shutdown})
	l := in.cfg.Listen
	return errors.Join(
		in.serve("imaps", l.IMAPS, &in.addrs.IMAPS, func(l net.Listener) error { return s.Serve(l, true) }),
		in.serve("imap", l.IMAP, &in.addrs.IMAP, func(l net.Listener) error { return s.Serve(l, false) }))
}

func (in *Instance) startWeb(conf *tls.Config) error {
	l, err := listen("web", in.cfg.Listen.Web, &in.addrs.Web)
	if l == nil {
		return err
	}
	base := in.cfg.WebURL
	if base == "" {
		base = "https://" + in.addrs.Web
	}
	h, err := web.New(web.Config{Signin: in.signin, Mail: in.mail, MSS: in.mss, Directory: in.directory, Dossier: in.dossier,
		Spaces: in.spaces, Gate: in.gate, Hub: in.hub, Now: in.deps.Now, Log: in.deps.Log, BaseURL: base,
		MailHost: in.mailHost(), IMAPPort: port(in.addrs.IMAPS), SubmissionPort: port(in.addrs.Submissions)})
	if err != nil {
		return errors.Join(err, l.Close())
	}
	conf = conf.Clone()
	conf.NextProtos = []string{"h2", "http/1.1"}
	srv := &http.Server{Handler: h, TLSConfig: conf, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10, ErrorLog: discardLog()}
	srv.RegisterOnShutdown(h.Close)
	in.serveHTTP("web", srv)
	in.run("web", func() error {
		return srv.ServeTLS(in.metrics.count("web", limit(l, maxWebConns, in.cfg.ConnsPerSource)), "", "")
	})
	return nil
}

// mailHost is the host that mail clients are told: the instance's name, or,
// where its doors open on one address of this machine alone, that address.
func (in *Instance) mailHost() string {
	host, _, _ := net.SplitHostPort(in.addrs.IMAPS)
	if ip := net.ParseIP(host); ip != nil && ip.IsLoopback() {
		return host
	}
	return in.cfg.Name
}

// port returns the port of a host:port, 0 if there is none.
func port(addr string) int {
	_, p, _ := net.SplitHostPort(addr)
	n, _ := strconv.Atoi(p)
	return n
}

func (in *Instance) startMetrics(*tls.Config) error {
	srv := &http.Server{Handler: in.metrics.handler(in.healthy), ReadHeaderTimeout: 10 * time.Second}
	in.serveHTTP("metrics", srv)
	return in.serve("metrics", in.cfg.Listen.Metrics, &in.addrs.Metrics, srv.Serve)
}

// serveHTTP stops srv with the instance; streams that stay open are cut.
func (in *Instance) serveHTTP(name string, srv *http.Server) {
	in.faces = append(in.faces, face{name, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if srv.Shutdown(ctx) != nil {
			return srv.Close()
		}
		return nil
	}})
}

func (in *Instance) startOperations(*tls.Config) error {
	l, err := listenOperations(in.cfg.Dir)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: http.HandlerFunc(in.serveOperations), ReadHeaderTimeout: 10 * time.Second}
	in.faces = append(in.faces, face{"operations", func(context.Context) error {
		err := srv.Close()
		os.Remove(filepath.Join(in.cfg.Dir, socketName))
		return err
	}})
	in.wg.Go(func() { srv.Serve(l) })
	return nil
}
