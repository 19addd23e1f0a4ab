package testenv_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"pli/cmd/pli/demo"
	"pli/cmd/pli/instance"
	"pli/internal/testenv"
)

// quotaOf asks the operator's verb about an account, giving it a new limit if
// one is named.
func quotaOf(e *testenv.Env, address, limit string) (q instance.QuotaInfo) {
	e.T.Helper()
	args := []string{"quota", "--config", filepath.Join(e.Dir, "pli.toml"), "--address", address, "--json"}
	if limit != "" {
		args = append(args, "--limit", limit)
	}
	out, err := e.Run(testenv.Pli(e.T), args...)
	if err != nil {
		e.T.Fatalf("pli quota: %v\n%s", err, out)
	}
	if err := json.Unmarshal([]byte(out), &q); err != nil {
		e.T.Fatalf("%v: %s", err, out)
	}
	return q
}

// A mailbox fills: the operator sees and sets its limit, senders inside and
// outside hear 552 5.2.2, the mail client OVERQUOTA, the holder gets a notice of
// it; what they delete makes room (issue 4, 9).
func TestAMailboxFills(t *testing.T) {
	t.Parallel()
	c := begin(t, testenv.Configure(func(c *instance.Config) { c.HolderQuota = 3_000_000 }))
	address := c.holder.Address
	if q := quotaOf(c.Env, address, ""); q.Limit != 3_000_000 || q.Own {
		t.Errorf("%+v", q)
	}
	if q := quotaOf(c.Env, c.doctor.Address, ""); q.Limit != 5_000_000_000 {
		t.Errorf("the member's: %+v", q)
	}
	big := func(size int) []byte {
		m := demo.Message{From: peer, To: address, Subject: fmt.Sprint("Gros ", size), Text: strings.Repeat(strings.Repeat("x", 70)+"\n", size/71)}
		return c.Complete(m).Bytes()
	}
	deliver := func(size int, want string) {
		t.Helper()
		if err := c.Deliver(peer, []string{address}, big(size)); testenv.SMTPCode(err) != want {
			t.Errorf("%d bytes from a peer: %v, want %q", size, err, want)
		}
	}
	deliver(3_100_000, "552 5.2.2")
	deliver(1_500_000, "")
	deliver(1_600_000, "552 5.2.2")
	m := c.Complete(demo.Message{From: c.doctor.Address, To: address, Subject: "Gros", Text: strings.Repeat("y\n", 1_000_000)})
	if err := c.Submit(c.doctor.Address, c.doctor.MailPassword, []string{address}, m.Bytes()); testenv.SMTPCode(err) != "552 5.2.2" {
		t.Errorf("from a member: %v", err)
	}
	q := quotaOf(c.Env, address, "")
	limit := q.Used + 100
	quotaOf(c.Env, address, fmt.Sprint(limit))
	client := c.IMAP(address, c.holder.MailPassword)
	draft := "Subject: Brouillon\r\n\r\n" + strings.Repeat("x", 200) + "\r\n"
	a := client.Append("Drafts", int64(len(draft)), nil)
	a.Write([]byte(draft))
	a.Close()
	var refused *imap.Error
	if _, err := a.Wait(); !errors.As(err, &refused) || refused.Code != imap.ResponseCodeOverQuota {
		t.Errorf("a draft: %v", err)
	}
	deliver(1000, "552 5.2.2")
	c.Clock.Advance(2 * time.Minute)
	told := func() bool {
		for _, name := range c.Outbox() {
			if b, err := os.ReadFile(filepath.Join(c.File.Outbox, name)); err == nil && strings.Contains(string(b), "full:") {
				return true
			}
		}
		return false
	}
	for deadline := time.Now().Add(20 * time.Second); !told(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the holder was not told of a full mailbox")
		}
	}
	if _, err := client.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	if err := client.Store(imap.SeqSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close(); err != nil {
		t.Fatal(err)
	}
	if err := client.Expunge().Close(); err != nil {
		t.Fatal(err)
	}
	if got := quotaOf(c.Env, address, ""); got.Used >= q.Used || got.Limit != limit || !got.Own {
		t.Errorf("after a deletion: %+v, was %+v", got, q)
	}
	deliver(1000, "")
	if got := quotaOf(c.Env, address, "none"); got.Limit != 0 {
		t.Errorf("none: %+v", got)
	}
	if got := quotaOf(c.Env, address, "default"); got.Limit != 3_000_000 || got.Own {
		t.Errorf("default: %+v", got)
	}
	for _, wrong := range []string{"0", "-1", "5GB"} {
		if out, code := pli(t, "quota", "--config", filepath.Join(c.Dir, "pli.toml"), "--address", address, "--limit="+wrong); code != 1 || !strings.Contains(out, "--limit") {
			t.Errorf("--limit %s: exit %d: %s", wrong, code, out)
		}
	}
}

// One source's connections to the mail doors are bounded, and those that are
// signed in to one account, as the configuration says.
func TestMailConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t, testenv.Configure(func(c *instance.Config) { c.ConnsPerSource, c.ConnsPerAccount = 4, 2 }))
	one, other := e.File.Holders[0], e.File.Professionals[0]
	signIn := func(address, password, want string) *testenv.Raw {
		t.Helper()
		w := e.RawTLS(e.File.IMAPS)
		w.Say("", "* OK ")
		w.Say("a LOGIN "+address+" "+password+"\r\n", want)
		return w
	}
	signIn(one.Address, one.MailPassword, "a OK ")
	signIn(one.Address, one.MailPassword, "a OK ")
	third := signIn(one.Address, one.MailPassword, "a NO [LIMIT] ")
	third.Say("b LOGIN "+other.Address+" "+other.MailPassword+"\r\n", "b OK ")
	signIn(other.Address, other.MailPassword, "a OK ")
	if out, err := e.Run("curl", "-sS", "--cacert", e.File.CA, "imaps://"+e.File.IMAPS+"/"); err == nil {
		t.Errorf("a fifth connection got through: %.200s", out)
	}
}
