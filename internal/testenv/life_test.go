package testenv_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"pli/cmd/pli/demo"
	"pli/cmd/pli/instance"
	"pli/internal/testenv"
)

// A deleted space leaves nothing that can be read but its trace, and its number
// is free for a new space (A4).
func TestDeletionIsReal(t *testing.T) {
	t.Parallel()
	c := begin(t)
	ctx := context.Background()
	c.doctorWrites("Suivi")
	big := c.Complete(demo.Message{From: c.doctor.Address, To: c.holder.Address, Subject: "Gros", Text: strings.Repeat("ligne longue\n", 60_000)})
	c.Write(c.doctor.MailPassword, big)
	blobs := c.CheckStore().Blobs
	if blobs == 0 {
		t.Fatal("the large message lies in no blob")
	}
	lines := c.CheckStore().TraceLines
	for _, state := range []string{"closed", "archived", "deleted", "deleted"} {
		if _, err := c.SetSpaceState(ctx, instance.SpaceState{INS: c.holder.INS, State: state}); err != nil && state != "deleted" {
			t.Fatalf("%s: %v", state, err)
		}
	}
	r := c.CheckStore()
	if r.Blobs != 0 || r.TraceLines < lines {
		t.Errorf("after deletion: %d blobs, %d trace lines (before: %d)", r.Blobs, r.TraceLines, lines)
	}
	if err := c.Submit(c.doctor.Address, c.doctor.MailPassword, []string{c.holder.Address}, big.Bytes()); testenv.SMTPCode(err) != "550 5.1.1" {
		t.Errorf("a message to the deleted space: %v", err)
	}
	if _, err := c.AddSpace(ctx, instance.SpaceAdd{INS: c.holder.INS, Family: "ROUX", Given: "Camille", Sex: "F", Birth: "1979-03-12",
		State: "active", Login: c.holder.Login, Password: c.holder.Password, Contact: "camille@example.org"}); err != nil {
		t.Errorf("a new space for the same number: %v", err)
	}
}

// A space whose sign-in is refused is not left active: the corrected command
// goes on with it.
func TestAddingASpaceIsTakenUpAgain(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t)
	ctx := context.Background()
	add := instance.SpaceAdd{INS: "185027500100265", Family: "PETIT", Given: "Jean", Sex: "M", Birth: "1985-02-10",
		State: "active", Login: "jean.petit", Password: "short", Contact: "jean@example.org"}
	if _, err := e.AddSpace(ctx, add); err == nil {
		t.Fatal("a short password is taken")
	}
	add.Password, add.Login = demoPassword, e.File.Holders[0].Login
	if _, err := e.AddSpace(ctx, add); err == nil {
		t.Fatal("a login of another is taken")
	}
	list, err := e.ListSpaces(ctx, instance.ListArgs{Limit: 100})
	if err != nil || len(list) != len(e.File.Holders) {
		t.Fatalf("%d spaces: %v", len(list), err)
	}
	add.Login = "jean.petit"
	if s, err := e.AddSpace(ctx, add); err != nil || s.State != "active" || s.MailPassword == "" {
		t.Fatalf("corrected: %+v, %v", s, err)
	}
	without := add
	without.INS, without.Login, without.Contact = "185027500100362", "jean.second", ""
	if _, err := e.AddSpace(ctx, without); err == nil {
		t.Error("an active space without a contact: its holder could never get a code")
	}
}

// A space that opened by itself gets its sign-in later; until then nobody can
// call it active.
func TestActivationByTheOperator(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t)
	ctx := context.Background()
	if _, err := e.AddSpace(ctx, instance.SpaceAdd{INS: "185027500100265", Family: "PETIT", Given: "Jean", Sex: "M", Birth: "1985-02-10", State: "open", Contact: "jean@example.org"}); err != nil {
		t.Fatal(err)
	}
	address := "185027500100265@patient.pli.test"
	if err := e.Deliver(peer, []string{address}, letter(e, peer, address, "Vous attend")); err != nil {
		t.Fatal(err)
	}
	if _, err := e.SetSpaceState(ctx, instance.SpaceState{INS: "185027500100265", State: "active"}); err == nil {
		t.Error("active without a sign-in")
	}
	s, err := e.ActivateSpace(ctx, instance.SpaceActivate{INS: "185027500100265", Login: "jean.petit", Password: demoPassword})
	if err != nil || s.State != "active" {
		t.Fatalf("%+v, %v", s, err)
	}
	if got := e.Mailbox(address, s.MailPassword, "INBOX"); len(got) != 1 || got[0].Subject != "Vous attend" {
		t.Errorf("what waited: %+v", got)
	}
}

const demoPassword = "Une-phrase-assez-longue-7"

// Ctrl-C ends the program cleanly while strangers hold connections open.
func TestStopWithOpenConnections(t *testing.T) {
	t.Parallel()
	c := testenv.StartChild(t, filepath.Join(t.TempDir(), "demo"))
	for _, addr := range []string{c.File.Submissions, c.File.Submission, c.File.MX, c.File.IMAPS, c.File.IMAP, strings.TrimPrefix(c.File.Web, "https://")} {
		c.Hold(addr)
	}
	if err := c.Stop(); err != nil {
		t.Errorf("it did not stop cleanly: %v", err)
	}
}
