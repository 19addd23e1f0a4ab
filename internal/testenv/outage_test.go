package testenv_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-smtp"

	"pli/cmd/pli/demo"
	"pli/internal/engines"
	"pli/internal/testenv"
)

// senders are peers' connections that deliver all the while, and repeat what
// was refused for the moment, as mail servers do.
type senders struct {
	env  *testenv.Env
	size int
	done chan struct{}
	wg   sync.WaitGroup

	mu      sync.Mutex
	changed *sync.Cond
	tried   []*dispatch
	acked   int
	put     int      // answers that put a sender off: 4xx
	wrong   []string // any other failure: nobody may be turned away for good
}

// send starts n senders of messages of about size bytes.
func send(e *testenv.Env, n, size int) *senders {
	s := &senders{env: e, size: size, done: make(chan struct{})}
	s.changed = sync.NewCond(&s.mu)
	for i := range n {
		s.wg.Go(func() { s.run(i) })
	}
	return s
}

func (s *senders) run(n int) {
	for i := 0; ; i++ {
		select {
		case <-s.done:
			return
		default:
		}
		h := s.env.File.Holders[(n+i)%len(s.env.File.Holders)]
		m := demo.Message{From: peer, To: h.Address, Subject: "Pendant la panne", ID: fmt.Sprintf("c%d-%d@mss.autre.test", n, i),
			Text: strings.Repeat("ligne\n", s.size/6), Date: s.env.Clock.Now()}
		d := &dispatch{id: m.ID, to: []string{h.Address}, raw: m.Bytes()}
		s.note(func() { s.tried = append(s.tried, d) })
		for !s.deliver(d) {
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// deliver tries once; it reports whether the message is off the sender's hands.
func (s *senders) deliver(d *dispatch) bool {
	err := s.env.Deliver(peer, d.to, d.raw)
	var refusal *smtp.SMTPError
	switch {
	case err == nil:
		s.note(func() { d.acked = true; s.acked++ })
		return true
	case errors.As(err, &refusal) && refusal.Code/100 == 4:
		s.note(func() { s.put++ })
		return false
	}
	s.note(func() { s.wrong = append(s.wrong, err.Error()) })
	return true
}

func (s *senders) note(fn func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fn()
	s.changed.Broadcast()
}

// await returns when n more messages were acknowledged, or as many senders put
// off, and fails the test if that takes too long.
func (s *senders) await(what string, count *int, n int) {
	s.env.T.Helper()
	late := false
	timer := time.AfterFunc(time.Minute, func() { s.note(func() { late = true }) })
	defer timer.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for until := *count + n; *count < until; s.changed.Wait() {
		if late {
			s.env.T.Fatalf("%s: nothing of it within a minute; %d acknowledged, %d put off, wrong: %q", what, s.acked, s.put, s.wrong)
		}
	}
}

// finish has the senders end with what they have begun, and checks that each
// message is there once.
func (s *senders) finish() {
	t := s.env.T
	t.Helper()
	close(s.done)
	s.wg.Wait()
	for _, w := range s.wrong {
		t.Errorf("a sender met: %s", w)
	}
	count := make(map[string]map[string]int)
	for _, h := range s.env.File.Holders {
		count[h.Address] = ids(s.env.Mailbox(h.Address, h.MailPassword, "INBOX"))
	}
	for _, d := range s.tried {
		if n := count[d.to[0]][d.id]; n != 1 {
			t.Errorf("a message (acknowledged: %v) is there %d times", d.acked, n)
		}
	}
	t.Logf("%d messages, senders put off %d times", len(s.tried), s.put)
}

// body returns the body of a message as it was sent.
func (s *senders) body(id string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.tried {
		if d.id == strings.Trim(id, "<>") {
			_, body, _ := strings.Cut(string(d.raw), "\r\n\r\n")
			return body
		}
	}
	return ""
}

// on names the engines of a server; "" is the embedded one.
func on(store, blobs string) func(*demo.Options) {
	return func(o *demo.Options) { o.Store, o.Blobs = store, blobs }
}

// PostgreSQL is restarted, killed, and stays away for a while: senders are put
// off, clients are told that it is for the moment, and service returns by
// itself (mission: nothing acknowledged is ever lost).
func TestPostgresAwayIsAPause(t *testing.T) {
	t.Parallel()
	pg := engines.NewCluster(t)
	c := begin(t, on(pg.Database(t), ""))
	reader := c.IMAP(c.holder.Address, c.holder.MailPassword)
	v := c.enter()
	s := send(c.Env, 4, 3000)
	s.await("before", &s.acked, 20)

	pg.Restart(t)
	s.await("after a restart", &s.acked, 20)

	pg.Kill(t)
	s.await("while it is away", &s.put, 4)
	if _, err := reader.Select("INBOX", nil).Wait(); !temporarily(err) {
		t.Errorf("an IMAP client is told: %v", err)
	}
	if code := v.status("/mail/inbox"); code != http.StatusServiceUnavailable {
		t.Errorf("the portal answers %d", code)
	}
	if code := ready(t, c.Env); code != http.StatusServiceUnavailable {
		t.Errorf("/readyz answers %d", code)
	}
	pg.Start(t)
	s.await("after a crash", &s.acked, 20)
	if _, err := reader.Select("INBOX", nil).Wait(); err != nil {
		t.Errorf("the IMAP client, afterwards: %v", err)
	}
	if code := v.status("/mail/inbox"); code != http.StatusOK {
		t.Errorf("the portal, afterwards: %d", code)
	}
	if code := ready(t, c.Env); code != http.StatusOK {
		t.Errorf("/readyz, afterwards: %d", code)
	}
	s.finish()
}

// The primary is lost and its synchronous standby promoted: what was
// acknowledged is there, and service returns by itself.
func TestStandbyTakesOver(t *testing.T) {
	t.Parallel()
	pair := engines.NewPair(t)
	e := testenv.Start(t, on(pair.URL(), ""))
	s := send(e, 4, 3000)
	s.await("before", &s.acked, 40)
	pair.KillPrimary(t)
	s.await("while there is no primary", &s.put, 4)
	pair.Promote(t)
	s.await("after the promotion", &s.acked, 40)
	s.finish()
}

// The S3 server asks to slow down, cuts what it is given and what it gives in
// the middle, is slow, hangs, and is away: senders are put off, nobody reads a
// wrong byte, and service returns by itself.
func TestS3AwayIsAPause(t *testing.T) {
	t.Parallel()
	gateway := engines.NewGateway(t)
	fault := engines.NewFault(t, gateway.Addr())
	e := testenv.Start(t, on("", engines.Through(gateway.URL(t), fault.Addr())))
	s := send(e, 4, 400_000)
	s.await("before", &s.acked, 8)
	for _, trouble := range []struct {
		name   string
		begin  func()
		passes bool // senders are served all the same
	}{
		{"503 SlowDown twice", func() { fault.SlowDown(2) }, true},
		{"503 SlowDown", func() { fault.SlowDown(-1) }, false},
		{"requests cut once", func() { fault.CutRequests(100_000, 1) }, true},
		{"requests cut", func() { fault.CutRequests(100_000, -1) }, false},
		{"slow", func() { fault.Slow(2_000_000) }, true},
		{"away", fault.Down, false},
	} {
		trouble.begin()
		if trouble.passes {
			s.await(trouble.name, &s.acked, 6)
		} else {
			s.await(trouble.name, &s.put, 2)
		}
		fault.Heal()
		s.await("after "+trouble.name, &s.acked, 6)
	}
	h := e.File.Holders[0]
	fault.CutResponses(100_000, 1)
	whole := e.Mailbox(h.Address, h.MailPassword, "INBOX")
	select {
	case <-fault.Struck():
	default:
		t.Error("no answer was cut")
	}
	for _, l := range whole {
		if body := s.body(l.MessageID); body == "" || !strings.HasSuffix(l.Raw, body) {
			t.Errorf("a body of %d bytes was read wrong", len(l.Raw))
		}
	}
	fault.Down()
	client := e.IMAP(h.Address, h.MailPassword)
	if _, err := client.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	body := &imap.FetchItemBodySection{Peek: true}
	if _, err := client.Fetch(imap.SeqSetNum(1), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{body}}).Collect(); !temporarily(err) {
		t.Errorf("a body that is out of reach: %v", err)
	}
	list, err := client.Fetch(imap.SeqSetNum(1), &imap.FetchOptions{Envelope: true}).Collect()
	if err != nil || len(list) != 1 || list[0].Envelope.Subject == "" {
		t.Errorf("the list needs no body: %v, %v", list, err)
	}
	fault.Heal()
	s.finish()
}

// temporarily reports whether an IMAP client was told to try again later.
func temporarily(err error) bool {
	var e *imap.Error
	return errors.As(err, &e) && e.Type == imap.StatusResponseTypeNo && e.Code == imap.ResponseCodeUnavailable
}

// status returns what the portal answers to a page.
func (v visitor) status(path string) int {
	v.T.Helper()
	return statusOf(v.T, v.client, v.File.Web+path)
}

// ready returns what the instance says of itself.
func ready(t testing.TB, e *testenv.Env) int {
	t.Helper()
	return statusOf(t, http.DefaultClient, e.File.Metrics+"/readyz")
}

func statusOf(t testing.TB, client *http.Client, url string) int {
	t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// Two machines and a store that both can reach: the first dies, the second,
// which has waited, serves what the first has acknowledged (I5).
func TestSecondMachineTakesOver(t *testing.T) {
	t.Parallel()
	dir, second := filepath.Join(t.TempDir(), "demo"), t.TempDir()
	c := testenv.StartChild(t, dir, "--store", engines.Postgres(t), "--blobs", engines.S3(t))
	h := c.File.Holders[0]
	for i := range 3 {
		m := demo.Message{From: peer, To: h.Address, Subject: "Avant", Text: strings.Repeat("ligne\n", 100_000*i), ID: fmt.Sprintf("%d@mss.autre.test", i), Date: c.Clock.Now()}
		if err := c.Deliver(peer, []string{h.Address}, m.Bytes()); err != nil {
			t.Fatal(err)
		}
	}
	config := standbyFolder(t, dir, second)
	if out, code := pli(t, "serve", "--config", config); code != 1 || !strings.Contains(out, "another pli serves this store") {
		t.Errorf("a second server beside the first: exit %d: %s", code, out)
	}
	standby := exec.Command(testenv.Pli(t), "serve", "--standby", "--config", config)
	standby.Stderr = os.Stderr
	out, err := standby.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := standby.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { standby.Process.Kill(); standby.Wait() })
	c.Kill()
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.Contains(line, "serves") {
		t.Fatalf("the standby says %q, %v", line, err)
	}
	c.File.IMAPS, c.File.MX = addrIn(t, config, "imaps"), addrIn(t, config, "mx")
	after := demo.Message{From: peer, To: h.Address, Subject: "Après", Text: "suite", ID: "apres@mss.autre.test", Date: c.Clock.Now()}
	if err := c.Deliver(peer, []string{h.Address}, after.Bytes()); err != nil {
		t.Errorf("the standby does not take mail: %v", err)
	}
	if n := len(c.Mailbox(h.Address, h.MailPassword, "INBOX")); n != 5 { // the demo's report too
		t.Errorf("the standby shows %d messages, want 5", n)
	}
	if err := standby.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := standby.Wait(); err != nil {
		t.Errorf("stopping: %v", err)
	}
}

// standbyFolder makes the folder of a second machine: the first one's
// configuration, certificates and master key, ports of its own.
func standbyFolder(t *testing.T, first, second string) (config string) {
	t.Helper()
	for _, name := range []string{"pli.toml", "ca.pem", "server.pem", "server.key", "data/keys/master.key"} {
		b, err := os.ReadFile(filepath.Join(first, name))
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(second, name)
		if name == "pli.toml" {
			config = to
			b = portLine.ReplaceAllFunc(b, func(line []byte) []byte {
				return fmt.Appendf(nil, "%s = \"127.0.0.1:%d\"", bytes.Fields(line)[0], engines.FreePort(t))
			})
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o700), os.WriteFile(to, b, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return config
}

var portLine = regexp.MustCompile(`(?m)^(web|mx|submissions|submission|imaps|imap|metrics) = "127\.0\.0\.1:\d+"`)

// addrIn returns where a configuration file has a door listen.
func addrIn(t *testing.T, config, door string) string {
	t.Helper()
	b, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^` + door + ` = "([^"]+)"`).FindSubmatch(b)
	if m == nil {
		t.Fatalf("%s has no %s", config, door)
	}
	return string(m[1])
}

// A bit is flipped in a row of the database: verify tells whose message it is,
// and every other message is read.
func TestVerifyFindsADamagedRow(t *testing.T) {
	t.Parallel()
	pg := engines.NewCluster(t)
	c := begin(t, on(pg.URL(), ""))
	for i := range 5 {
		m := c.Complete(demo.Message{From: c.doctor.Address, To: c.holder.Address, Subject: fmt.Sprintf("n°%d", i), Text: "Bonjour"})
		c.Write(c.doctor.MailPassword, m)
	}
	c.CheckStore()
	flipped := pg.SQL(t, `UPDATE pli_store.records SET value = set_byte(value, length(value) / 2, get_byte(value, length(value) / 2) # 1)
		WHERE (owner, key) IN (SELECT owner, key FROM pli_store.records
			WHERE substring(key FROM 1 FOR 7) = 'mail/m/' AND substring(key FROM length(key)) = 'i' AND owner LIKE 's/%' ORDER BY key LIMIT 1)
		RETURNING convert_from(owner, 'UTF8') || ' ' || encode(substring(key FROM 8 FOR 16), 'hex')`)
	account, id, _ := strings.Cut(flipped, " ")
	r, err := c.Verify(t.Context(), struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	told := false
	for _, p := range r.Problems {
		if p.Account != account {
			t.Errorf("another account is named: %s", p)
		}
		told = told || p.ID == id && p.Object == "message" && p.Address == c.holder.Address
	}
	if !told {
		t.Errorf("message %s of %s is not told: %v", id, account, r.Problems)
	}
	client := c.IMAP(c.holder.Address, c.holder.MailPassword)
	if _, err := client.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	read := 0
	for n := range uint32(5) {
		list, err := client.Fetch(imap.SeqSetNum(n+1), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{{Peek: true}}}).Collect()
		if err == nil && len(list) == 1 {
			read++
		}
	}
	if read != 4 {
		t.Errorf("%d of the 4 other messages can be read", read)
	}
	c.Stop()
}
