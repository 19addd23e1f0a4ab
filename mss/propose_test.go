package mss_test

import (
	"context"
	"io"
	"strings"
	"testing"

	"pli/identity"
	"pli/internal/errs"
	"pli/mailbox"
	"pli/mailbox/message"
	"pli/mss"
	"pli/space"
	"pli/store"
)

// withPDF is a message with one PDF, its name and subject given.
func withPDF(subject, filename, text string, fields ...string) string {
	return "From: labo@" + peerDomain + "\r\nSubject: " + subject + "\r\nDate: Mon, 02 Mar 2026 23:30:00 -0500\r\n" +
		strings.Join(append(fields, ""), "\r\n") +
		"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + text +
		"\r\n--b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=\"" + filename + "\"\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBERi0xLjQK\r\n--b--\r\n"
}

func index(t *testing.T, text string) *message.Index {
	t.Helper()
	s := message.NewScanner(message.Limits{})
	io.WriteString(s, text)
	ix, err := s.Close()
	if err != nil {
		t.Fatal(err)
	}
	return ix
}

// B5: a filing proposal from what the message carries.
func TestPropose(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		subject, filename, text string
		fields                  []string
		typ, title, date        string
	}{
		{"XDM/1.0/DDM+CR d'examens biologiques ROUX Camille 12/03/1979", "20260112_CR-BIO_ROUX_Camille.pdf", "", []string{"X-MSS-CODECDA: 11502-2"},
			"11502-2", "CR d'examens biologiques", "2026-01-12"},
		{"[Annule et remplace] XDM/1.0/DDM+Lettre de liaison DE LA TOUR Anne", "x.pdf", "", nil, "11490-0", "Lettre de liaison", "2026-03-02"},
		{"Vos résultats", "2026-01-12_CR-BIO_ROUX_Camille_778.pdf", "", nil, "11502-2", "CR d'examens biologiques", "2026-01-12"},
		{"Vos résultats", "12012026_18748-4_ROUX_Camille.pdf", "", nil, "18748-4", "CR d'imagerie médicale", "2026-01-12"},
		{"Ordonnance", "scan.pdf", "", nil, "57833-6", "Prescription de produits de santé", "2026-03-02"},
		{"Renouvellement", "ordo.pdf", "", nil, "57833-6", "Prescription de produits de santé", "2026-03-02"},
		{"=?utf-8?q?Convocation_=C3=A0_un_examen?=", "doc.pdf", "", nil, "56446-8", "Convocation à un examen", "2026-03-02"},
		{"Bonjour", "doc.pdf", "Veuillez trouver le compte rendu de votre échographie.", nil, "18748-4", "CR d'imagerie médicale", "2026-03-02"},
		{"Re: TR: Bonjour", "", "", nil, "", "Bonjour", "2026-03-02"},
		{"Firmes firmament", "une_photo.pdf", "", nil, "", "une photo", "2026-03-02"}, // "irm" only as a word
		{"Résultats de votre IRM du genou", "a.pdf", "", nil, "18748-4", "Résultats de votre IRM du genou", "2026-03-02"},
		{"Votre IRM", "a.pdf", "", nil, "18748-4", "CR d'imagerie médicale", "2026-03-02"},
		{"a", "b.pdf", "", []string{"X-MSS-CODECDA: <script>, 34112-3,PRESC-BIO"}, "34112-3", "CR hospitalier (séjour)", "2026-03-02"},
		{"a", "b.pdf", "", []string{"X-MSS-CODECDA: ZZZ-9"}, "ZZZ-9", "b", "2026-03-02"},
		{"x", strings.Repeat("n", 240) + ".pdf", "", nil, "", strings.Repeat("n", 200), "2026-03-02"},
	} {
		ix := index(t, withPDF(c.subject, c.filename, c.text, c.fields...))
		got := mss.Propose(ix, ix.Attachments()[0])
		if got.Type != c.typ || got.Title != c.title || got.Date.Format("2006-01-02") != c.date {
			t.Errorf("%s, %.40s: %s, %q, %s", c.subject, c.filename, got.Type, got.Title, got.Date.Format("2006-01-02"))
		}
	}
}

// A code for each PDF goes by its place.
func TestProposeByPlace(t *testing.T) {
	t.Parallel()
	part := "--b\r\nContent-Type: application/pdf; name=a.pdf\r\n\r\nx\r\n"
	ix := index(t, "Subject: a\r\nX-MSS-CODECDA: 11502-2, 57833-6\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"+part+part+"--b--\r\n")
	for i, want := range []string{"11502-2", "57833-6"} {
		if got := mss.Propose(ix, ix.Attachments()[i]); got.Type != want || !got.Date.IsZero() {
			t.Errorf("%d: %+v", i, got)
		}
	}
}

func FuzzPropose(f *testing.F) {
	f.Add("XDM/1.0/DDM+CR ROUX Camille 12/03/1979", "20260112_CR-BIO_ROUX_Camille.pdf", "11502-2,PRESC-BIO")
	f.Add("Re: ", "_.pdf", ",")
	f.Add("XDM/1.0/DDM+", "", "")
	f.Fuzz(func(t *testing.T, subject, filename, codes string) {
		part := message.Part{Type: "application", Subtype: "pdf", DispositionParams: map[string]string{"filename": filename}}
		ix := &message.Index{Root: part, Fields: map[string]string{"x-mss-codecda": codes}}
		ix.Envelope.Subject, ix.Preview = subject, filename
		if got := mss.Propose(ix, &ix.Root); len([]rune(got.Title)) > 200 || len(got.Type) > 32 {
			t.Errorf("%+v", got)
		}
	})
}

// keeper takes what is filed.
type keeper struct {
	t       *testing.T
	got     mss.Filing
	content string
	owner   store.Owner
}

func (k *keeper) File(_ context.Context, _ identity.Actor, owner store.Owner, f mss.Filing) (string, error) {
	b, err := io.ReadAll(f.Content)
	k.got, k.content, k.owner = f, string(b), owner
	return "doc", err
}

// B5
func TestAnAttachmentIsFiled(t *testing.T) {
	t.Parallel()
	k := &keeper{t: t}
	h := newHouse(t, func(c *mss.Config) { c.Filer = k })
	holder := h.holder(space.Active)
	want(t, h.fromPeer("labo@"+peerDomain, withPDF("Vos analyses", "a.pdf", "Bonjour", "To: "+holder.address.String()), holder.address.String()), 0)
	ctx := context.Background()
	account, err := h.mail.Open(ctx, holder.actor, holder.owner, holder.keys())
	h.must(err)
	defer account.Close()
	p := mss.Proposal{Type: "11502-2", Title: "Analyses"}
	id, err := h.mss.File(ctx, holder.actor, account, mailbox.Inbox, 1, "2", p)
	h.must(err)
	if id != "doc" || k.content != "%PDF-1.4\n" || k.owner != holder.owner || k.got.Proposal != p || k.got.MIME != "application/pdf" ||
		k.got.Filename != "a.pdf" || k.got.Author.Address != "labo@"+peerDomain || k.got.Author.Kind != identity.Unknown || !strings.HasSuffix(k.got.Source, "/2") {
		t.Errorf("%+v, %q", k.got, k.content)
	}
	for _, path := range []string{"3", "2.1", "x", ""} {
		if _, err := h.mss.File(ctx, holder.actor, account, mailbox.Inbox, 1, path, p); !errs.Is(err, errs.NotFound) {
			t.Errorf("part %q: %v", path, err)
		}
	}
	if _, err := h.mss.File(ctx, holder.actor, account, mailbox.Inbox, 9, "2", p); !errs.Is(err, errs.NotFound) {
		t.Errorf("message 9: %v", err)
	}
}
