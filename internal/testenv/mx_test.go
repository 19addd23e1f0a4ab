package testenv_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pli/certs"
	"pli/cmd/pli/demo"
	"pli/cmd/pli/instance"
	"pli/internal/testenv"
)

const peer = "dr.durand@mss.autre.test"

func letter(e *testenv.Env, from, to, subject string) []byte {
	return e.Complete(demo.Message{From: from, To: to, Subject: subject, Text: "Bonjour"}).Bytes()
}

// stranger issues an operator's certificate and writes it to files.
func stranger(t *testing.T, ca *certs.Authority, cn string) (cert, key string) {
	t.Helper()
	is, err := ca.IssueOperator(time.Now(), cn, "mss.autre.test")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	for path, data := range map[string][]byte{cert: is.CertPEM, key: is.KeyPEM} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// A peer operator delivers with its certificate; everybody else is told why
// not (D1, G1).
func TestPeersAreKnownByTheirCertificates(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t)
	holder, op := e.File.Holders[0], e.File.Operators[0]
	if err := e.Deliver(peer, []string{holder.Address}, letter(e, peer, holder.Address, "D'un autre opérateur")); err != nil {
		t.Fatalf("the peer's message: %v", err)
	}
	foreign, err := certs.NewAuthority("Another authority", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	caCert, _ := os.ReadFile(e.File.CA)
	caKey, _ := os.ReadFile(filepath.Join(e.Dir, "ca.key.pem"))
	ours, err := certs.LoadAuthority(caCert, caKey)
	if err != nil {
		t.Fatal(err)
	}
	foreignCert, foreignKey := stranger(t, foreign, "smtp.mss.autre.test")
	unlistedCert, unlistedKey := stranger(t, ours, "smtp.unlisted.test")
	texts := make(map[string]string)
	for _, c := range []struct{ name, cert, key, from string }{
		{"no certificate", "", "", peer},
		{"foreign authority", foreignCert, foreignKey, peer},
		{"not on the allow-list", unlistedCert, unlistedKey, peer},
		{"another's domain", op.Cert, op.Key, "dr.durand@mss.tiers.test"},
	} {
		client, err := e.PeerClient(c.cert, c.key)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		err = client.SendMail(c.from, []string{holder.Address}, bytes.NewReader(letter(e, c.from, holder.Address, c.name)))
		client.Close()
		if !strings.HasPrefix(testenv.SMTPCode(err), "55") {
			t.Errorf("%s: %v; want a permanent refusal", c.name, err)
			continue
		}
		texts[err.Error()] = c.name
	}
	if len(texts) != 4 {
		t.Errorf("the refusals do not say which it was: %v", texts)
	}
	// From must be of the operator's domain too; a null sender is accepted.
	if err := e.Deliver(peer, []string{holder.Address}, letter(e, "dr.durand@mss.tiers.test", holder.Address, "x")); testenv.SMTPCode(err) != "550 5.7.1" {
		t.Errorf("another's domain in From: %v", err)
	}
	if err := e.Deliver("", []string{holder.Address}, letter(e, peer, holder.Address, "Avis")); err != nil {
		t.Errorf("MAIL FROM:<>: %v", err)
	}
	if got := e.Mailbox(holder.Address, holder.MailPassword, "INBOX"); len(got) != 2 {
		t.Errorf("%d messages; want the accepted two", len(got))
	}
}

// Whether a space exists is itself a secret: every holder who takes no mail is
// refused in the same words and time, and a space that is open but not yet
// activated accepts (A2).
func TestWhoTakesNoMailIsToldAlike(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t, testenv.Configure(func(c *instance.Config) { c.UnknownLeast = 10_000 }))
	ctx := context.Background()
	add := func(ins, state string) string {
		s, err := e.AddSpace(ctx, instance.SpaceAdd{INS: ins, Family: "ESSAI", Given: "Sam", Birth: "1980-01-01", State: "announced"})
		if err == nil && state != "announced" {
			for _, to := range path(state) {
				if _, err = e.SetSpaceState(ctx, instance.SpaceState{INS: ins, State: to}); err != nil {
					break
				}
			}
		}
		if err != nil {
			t.Fatalf("%s: %v", state, err)
		}
		return s.Address
	}
	addresses := map[string]string{"unknown": "180017512300197@patient.pli.test"}
	for i, state := range []string{"announced", "opposed", "closed", "archived", "deleted"} {
		addresses[state] = add(fmt.Sprintf("18001351230%02d00", i), state)
	}
	open := add("180013512309900", "open")
	words := make(map[string]bool)
	times := make(map[string][]time.Duration)
	client, err := e.PeerClient(e.File.Operators[0].Cert, e.File.Operators[0].Key)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for range 7 {
		for state, addr := range addresses {
			if err := client.Mail(peer, nil); err != nil {
				t.Fatal(err)
			}
			started := time.Now()
			err := client.Rcpt(addr, nil)
			times[state] = append(times[state], time.Since(started))
			if testenv.SMTPCode(err) != "550 5.1.1" {
				t.Fatalf("%s: %v", state, err)
			}
			words[strings.ReplaceAll(err.Error(), addr, "…")] = true
			client.Reset()
		}
	}
	if len(words) != 1 {
		t.Errorf("the words differ: %v", words)
	}
	least, most := time.Hour, time.Duration(0)
	for _, list := range times {
		m := median(list)
		least, most = min(least, m), max(most, m)
	}
	if most > 2*least {
		t.Errorf("the median times differ: %v to %v", least, most)
	}
	if err := e.Deliver(peer, []string{open}, letter(e, peer, open, "Vous attend")); err != nil {
		t.Errorf("open, not yet activated: %v", err)
	}
	// Without an accepted certificate nothing at all is learnt.
	stranger, err := e.PeerClient("", "")
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	known, unknown := stranger.Mail(peer, nil), stranger.Rcpt(addresses["unknown"], nil)
	if known == nil && unknown == nil {
		t.Error("a stranger may ask for recipients")
	}
}

// path is how a space comes to a state.
func path(state string) []string {
	switch state {
	case "closed":
		return []string{"open", "closed"}
	case "archived":
		return []string{"open", "closed", "archived"}
	case "deleted":
		return []string{"open", "closed", "archived", "deleted"}
	}
	return []string{state}
}

// A peer that asks for too many unknown holders learns nothing for a while.
func TestFishingForHoldersIsPaused(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t)
	holder := e.File.Holders[0]
	op := e.File.Operators[0]
	client, err := e.PeerClient(op.Cert, op.Key)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	rcpt := func(to string) string {
		if err := client.Mail(peer, nil); err != nil {
			t.Fatal(err)
		}
		defer client.Reset()
		if err := client.Rcpt(to, nil); err != nil {
			return testenv.SMTPCode(err)
		}
		return "250"
	}
	if got := rcpt(holder.Address); got != "250" {
		t.Fatalf("before: %s", got)
	}
	for i := range 40 {
		if rcpt(fmt.Sprintf("1800175123%03d97@patient.pli.test", i)) == "450 4.7.1" {
			break
		}
	}
	if got := rcpt(holder.Address); got != "450 4.7.1" {
		t.Errorf("a holder who exists, after fishing: %s; want 450 4.7.1", got)
	}
	e.Clock.Advance(2 * time.Hour)
	if got := rcpt(holder.Address); got != "250" {
		t.Errorf("later: %s", got)
	}
}

// One holder a message: a second in RCPT makes the sender split, a second in
// To or Cc would tell a patient another's number.
func TestOneHolderAMessage(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t)
	a, b := e.File.Holders[0], e.File.Holders[1]
	op := e.File.Operators[0]
	client, err := e.PeerClient(op.Cert, op.Key)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	client.Mail(peer, nil)
	if err := client.Rcpt(a.Address, nil); err != nil {
		t.Fatal(err)
	}
	if err := client.Rcpt(b.Address, nil); testenv.SMTPCode(err) != "452 4.5.3" {
		t.Errorf("a second holder: %v", err)
	}
	both := strings.Replace(string(letter(e, peer, a.Address, "Deux")), "Subject:", "Cc: "+b.Address+"\r\nSubject:", 1)
	if err := e.Deliver(peer, []string{a.Address}, []byte(both)); testenv.SMTPCode(err) != "550 5.7.1" {
		t.Errorf("two holders in To and Cc: %v", err)
	}
}

// 25 MB is the limit; the connection stays in step on both sides of it (D1).
func TestSizeLimit(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t)
	holder, op := e.File.Holders[0], e.File.Operators[0]
	client, err := e.PeerClient(op.Cert, op.Key)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.Mail(peer, mailSize(25_000_001)); testenv.SMTPCode(err) != "552 5.3.4" {
		t.Errorf("SIZE above the limit: %v", err)
	}
	small := letter(e, peer, holder.Address, "Grand")
	line := strings.Repeat("x", 998) + "\r\n"
	filled := func(size int) []byte {
		var b bytes.Buffer
		b.Write(small)
		for b.Len()+len(line) <= size {
			b.WriteString(line)
		}
		if rest := size - b.Len(); rest >= 2 {
			b.WriteString(strings.Repeat("y", rest-2) + "\r\n")
		}
		return b.Bytes()
	}
	send := func(msg []byte) error {
		if err := client.Mail(peer, nil); err != nil {
			return err
		}
		if err := client.Rcpt(holder.Address, nil); err != nil {
			return err
		}
		w, err := client.Data()
		if err != nil {
			return err
		}
		if _, err := w.Write(msg); err != nil {
			return err
		}
		return w.Close()
	}
	if err := send(filled(25_000_001)); testenv.SMTPCode(err) != "552 5.3.4" {
		t.Errorf("one byte above the limit: %v", err)
	}
	if err := send(filled(25_000_000)); err != nil {
		t.Errorf("at the limit, on the same connection: %v", err)
	}
	if got := e.Mailbox(holder.Address, holder.MailPassword, "INBOX"); len(got) != 1 || len(got[0].Raw) < 25_000_000 {
		t.Errorf("the inbox holds %d messages", len(got))
	}
}
