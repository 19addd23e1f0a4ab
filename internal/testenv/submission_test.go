package testenv_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pli/cmd/pli/demo"
	"pli/internal/testenv"
)

// A doctor's mail client sends a PDF with its mail password (D1, D5).
func TestDoctorWritesWithSwaks(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t)
	doctor, holder := e.File.Professionals[0], e.File.Holders[0]
	pdf := filepath.Join(t.TempDir(), "ordonnance.pdf")
	if err := os.WriteFile(pdf, demo.PDF("Ordonnance", []string{"Paracétamol 1 g"}), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, door := range [][]string{{e.File.Submissions, "--tls-on-connect"}, {e.File.Submission, "--tls"}} {
		out, err := e.Run("swaks", "--server", door[0], door[1], "--tls-verify", "--tls-ca-path", e.File.CA,
			"--auth", "PLAIN", "--auth-user", doctor.Address, "--auth-password", doctor.MailPassword,
			"--from", doctor.Address, "--to", holder.Address,
			"--header", "Subject: Votre ordonnance "+door[1], "--body", "Bonjour, voici votre ordonnance.", "--attach-type", "application/pdf", "--attach", "@"+pdf)
		if err != nil || !strings.Contains(out, "250 ") {
			t.Fatalf("swaks %v: %v\n%s", door, err, out)
		}
	}
	got := e.Mailbox(holder.Address, holder.MailPassword, "INBOX")
	if len(got) != 2 || !strings.HasPrefix(got[0].Subject, "Votre ordonnance") || !strings.Contains(got[0].Raw, "application/pdf") {
		t.Fatalf("the inbox holds %d messages: %+v", len(got), got)
	}
}

// The same with the doctor's certificate and no password: SASL EXTERNAL.
func TestDoctorWritesWithCertificateAlone(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t)
	doctor, holder := e.File.Professionals[0], e.File.Holders[0]
	mail := filepath.Join(t.TempDir(), "mail.eml")
	m := e.Complete(demo.Message{From: doctor.Address, To: holder.Address, Subject: "Par certificat", Text: "Bonjour"})
	if err := os.WriteFile(mail, m.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := e.Run("curl", "-sv", "--cacert", e.File.CA, "--cert", doctor.Cert, "--key", doctor.Key,
		"--url", "smtps://"+e.File.Submissions, "--user", doctor.Address+":", "--login-options", "AUTH=EXTERNAL",
		"--mail-from", doctor.Address, "--mail-rcpt", holder.Address, "--upload-file", mail)
	if err != nil {
		t.Fatalf("curl: %v\n%s", err, out)
	}
	if got := e.Mailbox(holder.Address, holder.MailPassword, "INBOX"); len(got) != 1 || got[0].Subject != "Par certificat" {
		t.Fatalf("the inbox holds %+v", got)
	}
}

// Sign-in, MAIL FROM and From agree, and strangers' doors stay shut.
func TestSubmissionRefusals(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t)
	doctor, other, holder := e.File.Professionals[0], e.File.Professionals[1], e.File.Holders[0]
	msg := func(from string) []byte {
		return e.Complete(demo.Message{From: from, To: holder.Address, Subject: "Essai", Text: "Bonjour"}).Bytes()
	}
	if err := e.Submit(doctor.Address, "wrong-password", []string{holder.Address}, msg(doctor.Address)); testenv.SMTPCode(err) != "535 5.7.8" {
		t.Errorf("a wrong mail password: %v", err)
	}
	if err := e.Submit(doctor.Address, doctor.MailPassword, []string{holder.Address}, msg(other.Address)); testenv.SMTPCode(err) != "550 5.7.1" {
		t.Errorf("another's From: %v", err)
	}
	if err := e.Submit(doctor.Address, doctor.MailPassword, []string{"someone@example.org"}, msg(doctor.Address)); testenv.SMTPCode(err) != "550 5.7.1" {
		t.Errorf("outside the trusted space: %v", err)
	}
	two := strings.Replace(string(msg(doctor.Address)), "From: ", "From: "+other.Address+"\r\nFrom: ", 1)
	if err := e.Submit(doctor.Address, doctor.MailPassword, []string{holder.Address}, []byte(two)); err == nil || !strings.HasPrefix(testenv.SMTPCode(err), "55") {
		t.Errorf("two From fields: %v", err)
	}
	if got := e.Mailbox(holder.Address, holder.MailPassword, "INBOX"); len(got) != 0 {
		t.Errorf("refused, and yet delivered: %+v", got)
	}
}
