package testenv_test

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"pli/cmd/pli/demo"
	"pli/internal/testenv"
)

// The five uses seen in the pilots work end to end (D3).

func TestUseLaboratoryReport(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t, testenv.WithReport)
	h := e.File.Holders[0]
	got := e.Mailbox(h.Address, h.MailPassword, "INBOX")
	if len(got) != 1 || !strings.Contains(got[0].Subject, "prise de sang") || !strings.Contains(got[0].Raw, "application/pdf") {
		t.Fatalf("the inbox holds %+v", got)
	}
}

func TestUseSummonsToAnExamination(t *testing.T) {
	t.Parallel()
	c := begin(t)
	ics := "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Test//FR\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:irm-1@medecin.pli.test\r\n" +
		"DTSTAMP:20260301T080000Z\r\nDTSTART:20260312T093000Z\r\nDTEND:20260312T100000Z\r\nSUMMARY:IRM du genou\r\nLOCATION:Clinique du Parc\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
	m := c.Complete(demo.Message{From: c.doctor.Address, To: c.holder.Address, Subject: "Convocation : IRM", Text: "Merci de venir à jeun.",
		Attachments: []demo.Attachment{{Type: "text/calendar; method=REQUEST; charset=utf-8", Name: "rdv.ics", Content: []byte(ics)}}})
	c.Write(c.doctor.MailPassword, m)
	client := c.IMAP(c.holder.Address, c.holder.MailPassword)
	if _, err := client.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	list, err := client.Fetch(imap.SeqSetNum(1), &imap.FetchOptions{BodyStructure: &imap.FetchItemBodyStructure{Extended: true}}).Collect()
	if err != nil || len(list) != 1 {
		t.Fatal(err)
	}
	calendar := 0
	list[0].BodyStructure.Walk(func(_ []int, part imap.BodyStructure) bool {
		if strings.EqualFold(part.MediaType(), "text/calendar") {
			calendar++
		}
		return true
	})
	if calendar != 1 {
		t.Errorf("the message has %d calendar parts: %+v", calendar, list[0].BodyStructure)
	}
}

func TestUsePrescriptionRenewal(t *testing.T) {
	t.Parallel()
	c := begin(t)
	c.doctorWrites("Votre traitement")
	ask := c.Complete(demo.Message{From: c.holder.Address, To: c.doctor.Address, Subject: "Renouvellement d'ordonnance", Text: "Pouvez-vous renouveler mon ordonnance ?"})
	c.Write(c.holder.MailPassword, ask)
	got := c.Mailbox(c.doctor.Address, c.doctor.MailPassword, "INBOX")
	if len(got) != 1 || got[0].Subject != ask.Subject {
		t.Fatalf("the doctor's inbox: %+v", got)
	}
	c.Write(c.doctor.MailPassword, c.Complete(demo.Message{From: c.doctor.Address, To: c.holder.Address, Subject: "Re: " + ask.Subject, Text: "Voici.",
		Header:      [][2]string{{"In-Reply-To", "<" + ask.ID + ">"}, {"References", "<" + ask.ID + ">"}, {"X-MSS-CODECDA", "57833-6"}},
		Attachments: []demo.Attachment{{Type: "application/pdf", Name: "ordonnance.pdf", Content: demo.PDF("Ordonnance", []string{"Paracétamol"})}}}))
	if got := c.Mailbox(c.holder.Address, c.holder.MailPassword, "INBOX"); len(got) != 2 || !strings.Contains(got[1].Raw, "ordonnance.pdf") {
		t.Fatalf("the holder's inbox: %d messages", len(got))
	}
}

func TestUsePhotos(t *testing.T) {
	t.Parallel()
	c := begin(t)
	c.doctorWrites("Envoyez-moi des photos de la plaie")
	var photos []demo.Attachment
	for i := range 4 {
		var b bytes.Buffer
		img := image.NewNRGBA(image.Rect(0, 0, 900, 700))
		for j := range img.Pix {
			img.Pix[j] = byte(j * (i + 7) * 2654435761 >> 11)
		}
		if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 95}); err != nil {
			t.Fatal(err)
		}
		photos = append(photos, demo.Attachment{Type: "image/jpeg", Name: fmt.Sprintf("photo%d.jpg", i+1), Content: b.Bytes()})
	}
	m := c.Complete(demo.Message{From: c.holder.Address, To: c.doctor.Address, Subject: "Photos", Text: "Les voici.", Attachments: photos})
	sent := m.Bytes()
	if len(sent) < 1<<20 {
		t.Fatalf("the photos are small: %d bytes", len(sent))
	}
	if err := c.Submit(m.From, c.holder.MailPassword, []string{m.To}, sent); err != nil {
		t.Fatal(err)
	}
	got := c.Mailbox(c.doctor.Address, c.doctor.MailPassword, "INBOX")
	if len(got) != 1 {
		t.Fatalf("%d messages", len(got))
	}
	_, want, _ := strings.Cut(string(sent), "\r\n\r\n")
	if _, body, _ := strings.Cut(got[0].Raw, "\r\n\r\n"); body != want {
		t.Errorf("the body differs from what was sent: %d bytes, want %d", len(body), len(want))
	}
}

func TestUseDischargeLetter(t *testing.T) {
	t.Parallel()
	c := begin(t)
	m := c.Complete(demo.Message{From: peer, To: c.holder.Address, Subject: "XDM/1.0/DDM+Lettre de liaison ROUX Camille", Text: "Lettre de liaison.",
		Header:      [][2]string{{"X-MSS-CODECDA", "11490-0"}, {"X-MSS-INS", "O"}},
		Attachments: []demo.Attachment{{Type: "application/pdf", Name: "20260301_LL_ROUX_Camille.pdf", Content: demo.PDF("Lettre de liaison", []string{"Sortie le 1er mars"})}}})
	if err := c.Deliver(peer, []string{c.holder.Address}, m.Bytes()); err != nil {
		t.Fatal(err)
	}
	if got := c.Mailbox(c.holder.Address, c.holder.MailPassword, "INBOX"); len(got) != 1 || !strings.Contains(got[0].Raw, "X-MSS-CODECDA: 11490-0") {
		t.Fatalf("the inbox holds %+v", got)
	}
}

// A client that idles hears of a new message within 100 ms.
func TestIdleHearsAtOnce(t *testing.T) {
	t.Parallel()
	c := begin(t)
	heard := make(chan time.Time, 64)
	client := c.IMAP(c.holder.Address, c.holder.MailPassword, func(o *imapclient.Options) {
		o.UnilateralDataHandler = &imapclient.UnilateralDataHandler{Mailbox: func(d *imapclient.UnilateralDataMailbox) {
			if d.NumMessages != nil {
				heard <- time.Now()
			}
		}}
	})
	if _, err := client.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	idle, err := client.Idle()
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	var waits []time.Duration
	for i := range 9 {
		c.doctorWrites(fmt.Sprintf("Message %d", i))
		sent := time.Now()
		select {
		case at := <-heard:
			waits = append(waits, max(0, at.Sub(sent)))
		case <-time.After(5 * time.Second):
			t.Fatal("nothing was told")
		}
	}
	if m := median(waits); m > 100*time.Millisecond {
		t.Errorf("told after %v at the median; want at most 100 ms", m)
	}
}
