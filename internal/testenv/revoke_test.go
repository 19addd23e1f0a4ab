package testenv_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pli/cmd/pli/instance"
	"pli/internal/testenv"
)

// A holder's space is closed while mail clients are open: they are shown
// nothing more, at once (C7). Others go on.
func TestRevokedWithTheSpace(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t, testenv.WithReport)
	h, other := e.File.Holders[0], e.File.Holders[1]
	signIn := func(address, password string) *testenv.Raw {
		w := e.RawTLS(e.File.IMAPS)
		w.Say("", "* OK ")
		w.Say("a LOGIN "+address+" "+password+"\r\n", "a OK ")
		w.Say("b SELECT INBOX\r\n", "b OK ")
		return w
	}
	reading, idling, bystander := signIn(h.Address, h.MailPassword), signIn(h.Address, h.MailPassword), signIn(other.Address, other.MailPassword)
	reading.Say("c FETCH 1 BODY.PEEK[HEADER]\r\n", "c OK ")
	idling.Say("c IDLE\r\n", "+ ")
	bystander.Say("c IDLE\r\n", "+ ")
	writing := e.RawTLS(e.File.Submissions)
	writing.Say("", "220 ")
	writing.Say("EHLO client.test\r\n", "250 ")
	writing.Say("AUTH PLAIN "+plain(h.Address, h.MailPassword)+"\r\n", "235 ")

	began := time.Now()
	if _, err := e.SetSpaceState(t.Context(), instance.SpaceState{INS: h.INS, State: "closed"}); err != nil {
		t.Fatal(err)
	}
	for name, w := range map[string]*testenv.Raw{"reading": reading, "idling": idling} {
		if said := rest(t, w); said != "* BYE This sign-in has ended\r\n" {
			t.Errorf("%s: %q", name, said)
		}
	}
	if said := rest(t, writing); !strings.HasPrefix(said, "421 4.7.0 ") {
		t.Errorf("writing: %q", said)
	}
	if d := time.Since(began); d > 2*time.Second {
		t.Errorf("ended after %v", d)
	}
	bystander.Say("DONE\r\n", "c OK ")
	w := e.RawTLS(e.File.IMAPS)
	w.Say("", "* OK ")
	w.Say("a LOGIN "+h.Address+" "+h.MailPassword+"\r\n", "a NO ")
}

// One source's connections to the portal are bounded; one that leaves makes
// room.
func TestThePortalsConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t, testenv.Configure(func(c *instance.Config) { c.ConnsPerSource = 3 }))
	addr := strings.TrimPrefix(e.File.Web, "https://")
	var last *testenv.Raw
	for range 3 {
		last = e.RawTLS(addr)
	}
	if out, err := e.Run("curl", "-sS", "--cacert", e.File.CA, e.File.Web); err == nil {
		t.Errorf("a fourth connection got through: %.200s", out)
	}
	last.Close()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		out, err := e.Run("curl", "-sS", "--cacert", e.File.CA, e.File.Web)
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no room after one has left: %s", out)
		}
	}
}

// An operator gives passwords by a file or standard input: the list of
// processes shows neither.
func TestPasswordsByFile(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "instance")
	if out, code := pli(t, append([]string{"init", "--dir", dir, "--dev-ca", "--local-domain", "medecin.pli.test"}, testenv.Stores(t)...)...); code != 0 {
		t.Fatalf("init: %s", out)
	}
	config, file := filepath.Join(dir, "pli.toml"), filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("quatre chevaux bleus\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	person := []string{"space", "add", "--config", config, "--ins", "279035121518989", "--family", "DUPONT", "--given", "Anne",
		"--birth", "1979-03-12", "--contact", "anne@example.org", "--state", "active", "--login", "anne.dupont", "--json"}
	if out, code := pli(t, append(person, "--password", "x", "--password-file", file)...); code != 1 || !strings.Contains(out, "not both") {
		t.Errorf("both: exit %d: %s", code, out)
	}
	if out, code := pli(t, append(person, "--password-file", file+".none")...); code != 1 {
		t.Errorf("no such file: exit %d: %s", code, out)
	}
	out, code := pli(t, append(person, "--password-file", file)...)
	var made struct {
		MailPassword string `json:"mail_password"`
	}
	if err := json.Unmarshal([]byte(out), &made); code != 0 || err != nil || made.MailPassword == "" {
		t.Errorf("by a file: exit %d: %s", code, out)
	}
	cmd := exec.Command(testenv.Pli(t), "member", "add", "--config", config, "--address", "a@medecin.pli.test", "--rpps", "10101343233",
		"--name", "Dr A", "--contact", "a@example.org", "--login", "docteur.a", "--password-file", "-")
	cmd.Stdin = strings.NewReader("trois lapins roses\r\n")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "Mail password") {
		t.Errorf("by standard input: %v: %s", err, out)
	}
}

// plain is a response of SASL PLAIN.
func plain(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
}

// rest returns what the server says until it ends the connection.
func rest(t *testing.T, r *testenv.Raw) string {
	t.Helper()
	r.SetDeadline(time.Now().Add(10 * time.Second))
	said, err := io.ReadAll(r)
	if err != nil {
		t.Errorf("the connection stays open: %v", err)
	}
	return string(said)
}
