package testenv_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"pli/cmd/pli/demo"
	"pli/cmd/pli/instance"
	"pli/internal/testenv"
)

const nextPassword = "Une-autre-phrase-longue-8"

var shownCode = regexp.MustCompile(`\b(?:[0-9a-z]{4}-){6}[0-9a-z]{4}\b`)

// stranger is somebody at the portal who has not signed in.
func (c correspondence) stranger() visitor {
	c.T.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		c.T.Fatal(err)
	}
	v := visitor{c, &http.Client{Jar: jar, Transport: &http.Transport{TLSClientConfig: c.TLS("", "")}}}
	c.T.Cleanup(v.client.CloseIdleConnections)
	return v
}

// recover comes back by a recovery code and returns the visitor, and the page
// with the next code.
func (c correspondence) recover(login, code, password string) (visitor, string) {
	c.T.Helper()
	v, seen := c.stranger(), c.Seen()
	v.fill("/recover", "/recover", url.Values{"login": {login}, "code": {code}})
	page := v.fill("/recover/code", "/recover/code", url.Values{"code": {c.Code(seen)}, "new": {password}, "again": {password}})
	return v, page
}

// search asks a mail client's question of a mailbox: how many messages have a
// text in their body.
func (c correspondence) search(mailPassword, text string) int {
	c.T.Helper()
	client := c.IMAP(c.holder.Address, mailPassword)
	defer client.Close()
	if _, err := client.Select("INBOX", nil).Wait(); err != nil {
		c.T.Fatal(err)
	}
	found, err := client.UIDSearch(&imap.SearchCriteria{Body: []string{text}}, nil).Wait()
	if err != nil {
		c.T.Fatal(err)
	}
	return len(found.AllUIDs())
}

// until waits for what happens in the background.
func (c correspondence) until(what string, ok func() bool) {
	c.T.Helper()
	for deadline := time.Now().Add(60 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.T.Fatalf("%s: not after a minute", what)
		}
	}
}

func (c correspondence) keyStatus() instance.KeyStatus {
	c.T.Helper()
	s, err := c.KeyStatus(context.Background(), struct{}{})
	if err != nil {
		c.T.Fatal(err)
	}
	return s
}

// operatorKey makes an operator's offline key by the program itself.
func operatorKey(t *testing.T, dir, name string) (key, passphrase string) {
	t.Helper()
	key, passphrase = filepath.Join(dir, name+".key"), filepath.Join(dir, name+".phrase")
	if err := os.WriteFile(passphrase, []byte("la phrase de "+name+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, code := pli(t, "key", "operator", "--out", key, "--passphrase-file", passphrase); code != 0 {
		t.Fatalf("pli key operator: exit %d: %s", code, out)
	}
	return key, passphrase
}

// I1: the drill. All credentials are lost; two operators' offline keys,
// both of them, bring the holder back; everything is read again and found by
// search; the holder was told and sees who did it; the operator saw no mail.
func TestDrillAllCredentialsLost(t *testing.T) {
	t.Parallel()
	keys := t.TempDir()
	anne, annePhrase := operatorKey(t, keys, "anne")
	bruno, brunoPhrase := operatorKey(t, keys, "bruno")
	if out, code := pli(t, "key", "operator", "--out", anne, "--passphrase-file", annePhrase); code == 0 {
		t.Errorf("a key was written over: %s", out)
	}
	c := begin(t, testenv.Configure(func(c *instance.Config) { c.RecoveryOperators = []string{anne + ".pub", bruno + ".pub"} }))
	text := strings.Repeat("ligne\n", 80_000) // a blob
	c.Write(c.doctor.MailPassword, demo.Message{From: c.doctor.Address, To: c.holder.Address, Subject: "Résultats", Text: "glycémie normale"})
	c.Write(c.doctor.MailPassword, demo.Message{From: c.doctor.Address, To: c.holder.Address, Subject: "Gros", Text: "aiguille\n" + text})
	if s := c.keyStatus(); !s.Operators || s.NoOperators != 0 || s.Waiting == 0 {
		t.Errorf("keys stand as %+v", s)
	}

	recover := func(args ...string) (string, int) {
		return pli(t, append([]string{"key", "recover", "--config", filepath.Join(c.Dir, "pli.toml"), "--address", c.holder.Address, "--json"}, args...)...)
	}
	for name, args := range map[string][]string{
		"one key twice":   {"--key", anne, "--passphrase-file", annePhrase, "--key", anne, "--passphrase-file", annePhrase},
		"one key":         {"--key", anne, "--passphrase-file", annePhrase},
		"a wrong phrase":  {"--key", anne, "--passphrase-file", annePhrase, "--key", bruno, "--passphrase-file", annePhrase},
		"the public half": {"--key", anne, "--passphrase-file", annePhrase, "--key", bruno + ".pub", "--passphrase-file", brunoPhrase},
	} {
		if out, code := recover(args...); code != 1 || shownCode.MatchString(out) {
			t.Errorf("%s: exit %d: %s", name, code, out)
		}
	}
	told := c.Seen()
	out, code := recover("--key", bruno, "--passphrase-file", brunoPhrase, "--key", anne, "--passphrase-file", annePhrase)
	var made struct {
		Login string `json:"login"`
		Code  string `json:"recovery_code"`
	}
	if err := json.Unmarshal([]byte(out), &made); code != 0 || err != nil || made.Login != c.holder.Login {
		t.Fatalf("pli key recover: exit %d, %v: %s", code, err, out)
	}
	c.until("the notice to the holder", func() bool { return c.noticed(told, "read no message") })

	told = c.Seen()
	v, page := c.recover(made.Login, made.Code, nextPassword)
	if next := shownCode.FindString(page); next == "" || next == made.Code {
		t.Errorf("no next code is shown")
	}
	c.until("the second notice", func() bool { return c.noticed(told, "Your password was replaced") })
	v.mustShow("/mail/inbox?q=glyc%C3%A9mie", "Résultats")
	v.mustShow("/mail/inbox/2", "aiguille")
	v.mustShow("/trace", "avec les clés de deux responsables")
	v.mustShow("/trace", "Vous avez retrouvé l’accès avec votre code de secours")
	fresh := shownCode.FindString(v.fill("/account", "/account/mail-password", url.Values{"label": {"nouveau"}}))
	if n := c.search(fresh, "aiguille"); n != 1 {
		t.Errorf("a mail client finds %d messages", n)
	}
	if _, code := recover("--key", anne, "--passphrase-file", annePhrase, "--key", bruno, "--passphrase-file", brunoPhrase); code != 0 {
		t.Error("on another such day it does not work any more")
	}
}

// noticed reports whether a notice with those words went out, but for those
// seen before.
func (c correspondence) noticed(seen map[string]bool, words string) bool {
	for _, name := range c.Outbox() {
		b, err := os.ReadFile(filepath.Join(c.File.Outbox, name))
		if err == nil && !seen[name] && strings.Contains(string(b), words) {
			return true
		}
	}
	return false
}

// I1: keys are renewed with nobody signed in: new mail at once under the new
// ones; old mail is sealed anew behind the holder's session, and the old keys
// go; who is away is counted as waiting.
func TestRotationOfAllKeys(t *testing.T) {
	t.Parallel()
	c := begin(t)
	c.doctorWrites("Avant")
	big := demo.Message{From: c.doctor.Address, To: c.holder.Address, Subject: "Gros", Text: strings.Repeat("ligne\n", 80_000)}
	c.Write(c.doctor.MailPassword, big)
	c.enter()
	c.settle()
	v := c.enter()

	out, err := c.RotateKeys(context.Background(), instance.KeyRotate{All: true})
	if err != nil || len(out.Problems) > 0 {
		t.Fatalf("%+v %v", out, err)
	}
	if s := c.keyStatus(); s.Waiting != s.Accounts || s.Waiting != out.Accounts {
		t.Errorf("after a rotation of all: %+v, %d renewed", s, out.Accounts)
	}
	c.doctorWrites("Après")
	v.mustShow("/mail/inbox", "Après") // the session that was open knows the new keys
	c.until("mail is sealed anew behind the session", func() bool { return c.keyStatus().Messages == 0 })
	before := c.keyStatus()
	c.settle()
	after := c.keyStatus()
	if after.Waiting != before.Waiting-1 {
		t.Errorf("waiting: %d, then %d", before.Waiting, after.Waiting)
	}
	if after.Waiting == 0 {
		t.Error("those who were never there are not waiting")
	}
	var subjects []string
	for _, l := range c.Mailbox(c.holder.Address, c.holder.MailPassword, "INBOX") {
		subjects = append(subjects, l.Subject)
	}
	if !slices.Equal(subjects, []string{"Avant", "Gros", "Après"}) {
		t.Errorf("by the new keys alone: %q", subjects)
	}
	c.enter().mustShow("/trace", "a renouvelé les clés de votre messagerie")
	if _, err := c.RotateKeys(context.Background(), instance.KeyRotate{}); err == nil {
		t.Error("a rotation of nobody")
	}
}

// settle waits until all mail lies under the newest keys, lets a day pass and
// the holder sign in again, until the holder's older keys are retired.
func (c correspondence) settle() {
	c.T.Helper()
	waiting := c.keyStatus().Waiting
	c.until("mail is sealed anew", func() bool { return c.keyStatus().Messages == 0 })
	c.Clock.Advance(25 * time.Hour)
	c.enter()
	c.until("the older keys are retired", func() bool { return c.keyStatus().Waiting < waiting })
}

// I1: a space that was open before its holder had a credential: at activation
// the server's slot goes and the keys are renewed; what waited is sealed anew,
// for the server could have opened it, and then nothing that it ever had opens
// anything.
func TestActivationSealsAnewWhatWaited(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t)
	ctx := context.Background()
	const ins = "185027500100265"
	if _, err := e.AddSpace(ctx, instance.SpaceAdd{INS: ins, Family: "PETIT", Given: "Jean", Sex: "M", Birth: "1985-02-10", State: "open", Contact: "jean@example.org"}); err != nil {
		t.Fatal(err)
	}
	address := ins + "@patient.pli.test"
	for i := range 5 {
		if err := e.Deliver(peer, []string{address}, letter(e, peer, address, fmt.Sprint("Vous attend ", i))); err != nil {
			t.Fatal(err)
		}
	}
	status := func() instance.KeyStatus {
		s, err := e.KeyStatus(ctx, struct{}{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	server := status().Server
	s, err := e.ActivateSpace(ctx, instance.SpaceActivate{INS: ins, Login: "jean.petit", Password: demoPassword})
	if err != nil || s.RecoveryCode == "" {
		t.Fatalf("%+v, %v", s, err)
	}
	now := status()
	if now.Server != server-1 || now.Messages != 5 {
		t.Errorf("before: %d that the server can open; now %+v", server, now)
	}
	c := correspondence{e, e.File.Professionals[0], demo.Holder{Login: "jean.petit", Password: demoPassword, Address: address, MailPassword: s.MailPassword}}
	c.enter()
	c.settle()
	if got := e.Mailbox(address, s.MailPassword, "INBOX"); len(got) != 5 || got[4].Subject != "Vous attend 4" {
		t.Errorf("what waited: %+v", got)
	}
	_, page := c.recover("jean.petit", s.RecoveryCode, nextPassword)
	if !shownCode.MatchString(page) {
		t.Error("the code of the activation brings nobody back")
	}
}

// I1: the program is killed while mail is sealed anew: everything is readable
// when it is up again, and it goes on to the end.
func TestKillWhileMailIsSealedAnew(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "demo")
	child := testenv.StartChild(t, dir)
	holding := func(child *testenv.Child) correspondence {
		return correspondence{child.Env, child.File.Professionals[0], child.File.Holders[0]}
	}
	c := holding(child)
	const n = 400
	for i := range n {
		c.Write(c.doctor.MailPassword, demo.Message{From: c.doctor.Address, To: c.holder.Address, Subject: fmt.Sprint("Lettre ", i),
			Text: strings.Repeat(fmt.Sprintf("page %d\n", i), 1500)})
	}
	config := filepath.Join(dir, "pli.toml")
	left := func() int {
		var s instance.KeyStatus
		if err := instance.Call(context.Background(), config, "key.status", struct{}{}, &s); err != nil {
			t.Fatalf("pli key status: %v", err)
		}
		return s.Messages
	}
	base := left()
	killed := false
	for range 20 {
		if out, code := pli(t, "key", "rotate", "--config", config, "--address", c.holder.Address); code != 0 {
			t.Fatalf("pli key rotate: %s", out)
		}
		most := left()
		if most < n {
			t.Fatalf("%d messages are under older keys, of %d", most, n)
		}
		c.enter()
		for { // the work is under way: kill it there
			now := left()
			if now < most && now > base {
				child.Kill()
				killed = true
			}
			if now < most {
				break
			}
		}
		if killed {
			break
		}
	}
	if !killed {
		t.Fatal("it was never killed in the midst of its work")
	}
	child = testenv.StartChild(t, dir)
	c = holding(child)
	if now := left(); now == base {
		t.Error("nothing is left to do after the kill")
	}
	checkLetters(t, c, n)
	c.enter()
	c.until("it is taken up again and done", func() bool { return left() <= base })
	checkLetters(t, c, n)
	if err := child.Stop(); err != nil {
		t.Errorf("stopping: %v", err)
	}
	if out, code := pli(t, "verify", "--config", config); code != 0 {
		t.Errorf("pli verify: %s", out)
	}
}

// Every verb of keys tells what it does, with an example; what is asked for
// wrongly is refused before anything is done.
func TestVerbsOfKeys(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"operator", "recover", "rotate", "status", "rotate-master"} {
		if out, code := pli(t, "key", verb, "--help"); code != 0 || !strings.Contains(out, "Example") {
			t.Errorf("pli key %s --help: exit %d\n%s", verb, code, out)
		}
	}
	dir := t.TempDir()
	short := filepath.Join(dir, "short")
	if err := os.WriteFile(short, []byte("abc\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, code := pli(t, "key", "operator", "--out", filepath.Join(dir, "k"), "--passphrase-file", short); code != 1 || !strings.Contains(out, "12 characters") {
		t.Errorf("a short passphrase: exit %d: %s", code, out)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "k*")); err != nil || len(left) > 0 {
		t.Errorf("files were left: %q %v", left, err)
	}
}

// checkLetters reads all that was written, by a mail client.
func checkLetters(t *testing.T, c correspondence, n int) {
	t.Helper()
	seen := map[string]bool{}
	for _, l := range c.Mailbox(c.holder.Address, c.holder.MailPassword, "INBOX") {
		if len(l.Raw) > 10_000 {
			seen[l.Subject] = true
		}
	}
	for i := range n {
		if !seen[fmt.Sprint("Lettre ", i)] {
			t.Errorf("letter %d is not readable", i)
		}
	}
}
