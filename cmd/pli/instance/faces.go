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
	in.wg.Go(func() {
		if err := in.outbox.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
			in.deps.Log.Error("the outbox stopped", "error", err)
		}
	})
	for _, open := range []func(*tls.Config) error{in.startSMTP, in.startIMAP, in.startWeb, in.startMetrics, in.startOperations} {
		if err := open(conf); err != nil {
			return err
		}
	}
	in.metrics.ready.Store(true)
	return nil
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
	all = append(all, in.mss.Close(ctx))
	in.wg.Wait()
	return errors.Join(all...)
}

// listen opens addr, tells where in at, and serves it until the face stops. An
// empty addr opens nothing.
func (in *Instance) listen(name, addr string, at *string, serve func(net.Listener) error) error {
	if addr == "" {
		return nil
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("listen.%s: %w (another program listens there? «--ports auto» of the demo, or another port in the configuration)", name, err)
	}
	*at = l.Addr().String()
	in.wg.Go(func() {
		if err := serve(in.metrics.count(name, l)); err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, http.ErrServerClosed) {
			in.deps.Log.Error("a door closed", "door", name, "error", err)
		}
	})
	return nil
}

func (in *Instance) startSMTP(conf *tls.Config) error {
	s := smtpd.New(smtpd.Config{Service: in.mss, Signin: in.signin, TLS: conf, Hostname: in.cfg.Name,
		Now: in.deps.Now, Log: in.deps.Log, Limits: smtpd.Limits{MaxPerAddress: in.cfg.ConnsPerSource}})
	in.faces = append(in.faces, face{"smtp", s.Shutdown})
	l := in.cfg.Listen
	return errors.Join(
		in.listen("mx", l.MX, &in.addrs.MX, s.ServeMX),
		in.listen("submissions", l.Submissions, &in.addrs.Submissions, func(l net.Listener) error { return s.ServeSubmission(l, true) }),
		in.listen("submission", l.Submission, &in.addrs.Submission, func(l net.Listener) error { return s.ServeSubmission(l, false) }))
}

func (in *Instance) startIMAP(conf *tls.Config) error {
	s := imapd.New(imapd.Config{Mail: in.mail, Signin: in.signin, TLS: conf, Now: in.deps.Now, Log: in.deps.Log})
	in.faces = append(in.faces, face{"imap", s.Shutdown})
	l := in.cfg.Listen
	return errors.Join(
		in.listen("imaps", l.IMAPS, &in.addrs.IMAPS, func(l net.Listener) error { return s.Serve(l, true) }),
		in.listen("imap", l.IMAP, &in.addrs.IMAP, func(l net.Listener) error { return s.Serve(l, false) }))
}

func (in *Instance) startWeb(conf *tls.Config) error {
	h, err := web.New(web.Config{Signin: in.signin, Mail: in.mail, MSS: in.mss, Directory: in.directory, Dossier: in.dossier,
		Spaces: in.spaces, Gate: in.gate, Hub: in.hub, Now: in.deps.Now, Log: in.deps.Log})
	if err != nil {
		return err
	}
	conf = conf.Clone()
	conf.NextProtos = []string{"h2", "http/1.1"}
	srv := &http.Server{Handler: h, TLSConfig: conf, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10, ErrorLog: discardLog()}
	in.serveHTTP("web", srv)
	return in.listen("web", in.cfg.Listen.Web, &in.addrs.Web, func(l net.Listener) error { return srv.ServeTLS(l, "", "") })
}

func (in *Instance) startMetrics(*tls.Config) error {
	srv := &http.Server{Handler: in.metrics.handler(in.healthy), ReadHeaderTimeout: 10 * time.Second}
	in.serveHTTP("metrics", srv)
	return in.listen("metrics", in.cfg.Listen.Metrics, &in.addrs.Metrics, srv.Serve)
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
