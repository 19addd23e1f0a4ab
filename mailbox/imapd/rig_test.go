package imapd_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pli/certs/keyring"
	"pli/consent"
	"pli/identity"
	"pli/mailbox"
	"pli/mailbox/imapd"
	"pli/notify"
	"pli/signin"
	"pli/store"
	"pli/store/blob/dir"
	"pli/store/bolt"
	"pli/store/names"
	"pli/store/sealed"
)

// house is a mail server on real stores, with one member and both ports open.
type house struct {
	t     testing.TB
	db    store.DB
	mail  *mailbox.Service
	names *names.Names
	door  *signin.Service
	srv   *imapd.Server
	pool  *x509.CertPool
	der   []byte // the server's certificate

	imaps, imap string // addresses
	owner       store.Owner
	user, pass  string
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func newHouse(t testing.TB, limits ...func(*imapd.Config)) *house {
	t.Helper()
	h := &house{t: t}
	h.ground()
	h.user, h.pass = "rose@medecin.pli.test", ""
	h.owner, h.pass = h.member("rose", h.user)
	h.serve(limits...)
	return h
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func get[T any](v T, err error) func(*house) T {
	return func(h *house) T {
		h.t.Helper()
		h.must(err)
		return v
	}
}

// ground opens stores, mail and sign-in in the test's folder.
func (h *house) ground() {
	folder := h.t.TempDir()
	open := func(name string) store.DB {
		db := get(bolt.Open(bolt.Config{Dir: filepath.Join(folder, name), Log: quiet()}))(h)
		h.t.Cleanup(func() { db.Close() })
		return db
	}
	master := get(sealed.CreateMaster(filepath.Join(folder, "master")))(h)
	keys := get(sealed.OpenKeys(open("keys"), master, sealed.KeysConfig{Log: quiet()}))(h)
	h.db = sealed.New(open("data"), keys, sealed.Config{})
	blobs := get(dir.Open(filepath.Join(folder, "blobs"), dir.Config{}))(h)
	gate := consent.NewGate(consent.Config{DB: h.db, Now: time.Now, Log: quiet()})
	h.mail = mailbox.New(mailbox.Config{DB: h.db, Blobs: blobs, Gate: gate, Hub: notify.NewHub(), Now: time.Now, Log: quiet()})
	h.names = names.New(h.db, master.Derive("names"))
	h.door = get(signin.New(signin.Config{
		DB: h.db, Names: h.names, Server: master.Derive("slots"),
		Sender: nobody{}, Now: time.Now, Log: quiet(),
	}))(h)
}

// member makes an account with a mail password.
func (h *house) member(name, address string) (store.Owner, string) {
	h.t.Helper()
	ctx := context.Background()
	owner := store.Owner("m/" + name)
	a := get(identity.ParseAddress(address))(h)
	actor := identity.Actor{Kind: identity.Professional, ID: "10001234567", Address: address, Account: string(owner)}
	h.must(h.door.Provision(ctx, owner, signin.Profile{Actor: actor, Address: a, Contact: "rose@example.org"}))
	h.must(h.db.Update(ctx, owner, h.mail.Provision))
	return owner, get(h.door.AddMailPassword(ctx, owner, nil, "test"))(h)
}

// nobody is told anything.
type nobody struct{}

func (nobody) Send(context.Context, notify.Notice) error { return nil }

func (h *house) serve(limits ...func(*imapd.Config)) {
	h.t.Helper()
	cert, pool := selfSigned(h)
	h.pool, h.der = pool, cert.Certificate[0]
	cfg := imapd.Config{
		Mail: h.mail, Signin: h.door, Now: time.Now, Log: quiet(),
		TLS: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12},
	}
	for _, l := range limits {
		l(&cfg)
	}
	h.srv = get(imapd.New(cfg))(h)
	h.imaps, h.imap = h.listen(true), h.listen(false)
	h.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := h.srv.Shutdown(ctx); err != nil {
			h.t.Errorf("Shutdown: %v", err)
		}
		if s := h.srv.Stats(); s != (imapd.Stats{}) {
			h.t.Errorf("after Shutdown: %+v", s)
		}
		problems, err := h.mail.Verify(context.Background(), h.owner)
		if err != nil || len(problems) > 0 {
			h.t.Errorf("Verify: %v, %v", problems, err)
		}
	})
}

func (h *house) listen(implicitTLS bool) string {
	l := get(net.Listen("tcp", "127.0.0.1:0"))(h)
	go h.srv.Serve(l, implicitTLS)
	return l.Addr().String()
}

func selfSigned(h *house) (tls.Certificate, *x509.CertPool) {
	h.t.Helper()
	key := get(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(h)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "imap.pli.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"imap.pli.test", "localhost"},
		IsCA: true, BasicConstraintsValid: true,
	}
	der := get(x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key))(h)
	leaf := get(x509.ParseCertificate(der))(h)
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func (h *house) tlsConfig() *tls.Config {
	return &tls.Config{RootCAs: h.pool, ServerName: "imap.pli.test"}
}

// deliver brings a message to the member's INBOX as the messaging does.
func (h *house) deliver(raw string) {
	h.t.Helper()
	ctx := context.Background()
	to := get(h.door.Recipient(ctx, h.owner))(h)
	s := get(h.mail.Spool(ctx, []keyring.Recipient{to}))(h)
	defer s.Discard()
	_, err := io.WriteString(s, raw)
	h.must(err)
	h.must(s.Close())
	l := s.Letter(0)
	h.must(h.db.Update(ctx, h.owner, func(tx store.Tx) error {
		_, err := h.mail.Deliver(tx, l, mailbox.Inbox, nil, time.Now())
		return err
	}))
}

// wire is a client that speaks in bytes.
type wire struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
	tag  int
}

// dial opens a connection under TLS and reads the greeting.
func (h *house) dial() *wire {
	h.t.Helper()
	c := get(tls.Dial("tcp", h.imaps, h.tlsConfig()))(h)
	w := newWire(h.t, c)
	if line := w.line(); !strings.HasPrefix(line, "* OK ") {
		h.t.Fatalf("greeting: %q", line)
	}
	return w
}

func newWire(t testing.TB, c net.Conn) *wire {
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(30 * time.Second))
	return &wire{t: t, conn: c, r: bufio.NewReader(c)}
}

// login opens a connection and signs in.
func (h *house) login() *wire {
	h.t.Helper()
	w := h.dial()
	w.ok("LOGIN %s %s", h.user, h.pass)
	return w
}

// inbox opens a connection, signs in and selects INBOX.
func (h *house) inbox() *wire {
	h.t.Helper()
	w := h.login()
	w.ok("SELECT INBOX")
	return w
}

func (w *wire) send(text string) {
	w.t.Helper()
	if _, err := io.WriteString(w.conn, text); err != nil {
		w.t.Fatalf("send: %v", err)
	}
}

func (w *wire) line() string {
	w.t.Helper()
	line, err := w.r.ReadString('\n')
	if err != nil {
		w.t.Fatalf("read: %v (after %q)", err, line)
	}
	return strings.TrimSuffix(line, "\r\n")
}

// do runs one command and returns its untagged lines and its answer without
// the tag. Literals in answers are read as part of their line.
func (w *wire) do(format string, args ...any) (untagged []string, answer string) {
	w.t.Helper()
	w.tag++
	tag := fmt.Sprintf("t%d", w.tag)
	w.send(tag + " " + fmt.Sprintf(format, args...) + "\r\n")
	return w.until(tag)
}

func (w *wire) until(tag string) (untagged []string, answer string) {
	w.t.Helper()
	for {
		line := w.whole()
		if rest, ok := strings.CutPrefix(line, tag+" "); ok {
			return untagged, rest
		}
		untagged = append(untagged, line)
	}
}

// whole reads a line with its literals.
func (w *wire) whole() string {
	w.t.Helper()
	line := w.line()
	for {
		i := strings.LastIndexByte(line, '{')
		var n int
		if i < 0 || !strings.HasSuffix(line, "}") {
			return line
		}
		if _, err := fmt.Sscanf(line[i:], "{%d}", &n); err != nil {
			return line
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(w.r, b); err != nil {
			w.t.Fatalf("literal: %v", err)
		}
		line += "\r\n" + string(b) + w.line()
	}
}

func (w *wire) expect(prefix, format string, args ...any) []string {
	w.t.Helper()
	untagged, answer := w.do(format, args...)
	if !strings.HasPrefix(answer, prefix) {
		w.t.Fatalf("%s: answered %q, want %q (%q)", fmt.Sprintf(format, args...), answer, prefix, untagged)
	}
	return untagged
}

func (w *wire) ok(format string, args ...any) []string {
	w.t.Helper()
	return w.expect("OK", format, args...)
}

// ends reads until the server closes and returns what it said.
func (w *wire) ends() string {
	w.t.Helper()
	b, err := io.ReadAll(w.r)
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		w.t.Fatalf("the connection stays open; said %q", b)
	}
	return string(b)
}

// append adds a message by a synchronizing literal.
func (w *wire) append(box, raw string) string {
	w.t.Helper()
	w.tag++
	tag := fmt.Sprintf("t%d", w.tag)
	w.send(fmt.Sprintf("%s APPEND %s {%d}\r\n", tag, box, len(raw)))
	if line := w.line(); !strings.HasPrefix(line, "+ ") {
		w.t.Fatalf("APPEND: %q", line)
	}
	w.send(raw + "\r\n")
	_, answer := w.until(tag)
	if !strings.HasPrefix(answer, "OK") {
		w.t.Fatalf("APPEND: %q", answer)
	}
	return answer
}

// letter writes a small message.
func letter(subject, text string) string {
	return "From: Dr Rose <rose@medecin.pli.test>\r\nTo: Paule <paule@patient.pli.test>\r\n" +
		"Date: Mon, 2 Mar 2026 09:30:00 +0100\r\nMessage-ID: <" + strings.ReplaceAll(subject, " ", "-") + "@medecin.pli.test>\r\n" +
		"Subject: " + subject + "\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + text + "\r\n"
}
