package mailbox_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pli/internal/errs"
	"pli/mailbox"
)

func day(s string) time.Time {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return t
}

// searchable delivers five messages, one a day from 1 March 2026, to a box.
func searchable(h *house, p *person) *mailbox.View {
	h.t.Helper()
	a := p.open()
	raw := []string{
		letter("Compte rendu", "Échographie de l'ŒIL droit, sans particularité."),
		"From: \"Labo, Central\" <labo@chu.pli.test>\r\nTo: paule@patient.pli.test\r\nCc: Jean <jean@ville.pli.test>\r\n" +
			"Date: Sun, 28 Feb 2027 23:30:00 -0500\r\nSubject: =?utf-8?q?R=C3=A9sultats_d=27analyse?=\r\nMessage-ID: <a1@chu.pli.test>\r\n" +
			"X-Mss-Nil: DEV935997\r\nX-Other: something = Else\r\nContent-Type: text/html\r\n\r\n<p>Tout <b>va</b> bien</p>\r\n",
		letter("long", strings.Repeat("mot ", 30_000)+"aiguille"),
		"From: x@pli.test\r\nSubject: calendar\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" +
			"--b\r\nContent-Type: text/plain\r\n\r\nsee below\r\n--b\r\nContent-Type: text/calendar; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
			"U1VNTUFSWTpDb252b2NhdGlvbg==\r\n--b--\r\n",
		letter("court", "rien"),
	}
	for i, m := range raw {
		_, err := a.Append(h.t.Context(), mailbox.Inbox, nil, day("2026-03-01").AddDate(0, 0, i), stringReader(m))
		h.must(err)
	}
	v := p.view(a, mailbox.Inbox)
	for uid, flags := range map[mailbox.UID][]mailbox.Flag{1: {mailbox.Seen, "$Important"}, 2: {mailbox.Seen}, 4: {mailbox.Flagged}} {
		_, err := v.Store(h.t.Context(), []mailbox.UID{uid}, mailbox.FlagsSet, flags, 0)
		h.must(err)
	}
	return v
}

// RFC 9051 6.4.4: each criterion finds what it is for and nothing else.
func TestSearch(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	paule := h.person("paule")
	v := searchable(h, paule)
	body := func(s string) mailbox.Criteria { return mailbox.Criteria{Body: []string{s}} }
	text := func(s string) mailbox.Criteria { return mailbox.Criteria{Text: []string{s}} }
	header := func(n, s string) mailbox.Criteria {
		return mailbox.Criteria{Header: []mailbox.HeaderMatch{{Name: n, Value: s}}}
	}
	set := func(r ...mailbox.Range) [][]mailbox.Range { return [][]mailbox.Range{r} }
	m1, err := v.Message(t.Context(), 1)
	h.must(err)
	for _, c := range []struct {
		name string
		c    mailbox.Criteria
		want []mailbox.UID
	}{
		{"all", mailbox.Criteria{}, []mailbox.UID{1, 2, 3, 4, 5}},
		{"sequence set", mailbox.Criteria{Seq: set(mailbox.Range{First: 4, Last: 0}, mailbox.Range{First: 2, Last: 1})}, []mailbox.UID{1, 2, 4, 5}},
		{"two sets", mailbox.Criteria{Seq: [][]mailbox.Range{{{First: 1, Last: 3}}, {{First: 3, Last: 9}}}}, []mailbox.UID{3}},
		{"UID beyond", mailbox.Criteria{UID: set(mailbox.Range{First: 99, Last: 0})}, []mailbox.UID{5}},
		{"flag", mailbox.Criteria{Flags: []mailbox.Flag{`\seen`}}, []mailbox.UID{1, 2}},
		{"keyword", mailbox.Criteria{Flags: []mailbox.Flag{"$IMPORTANT", mailbox.Seen}}, []mailbox.UID{1}},
		{"unknown keyword", mailbox.Criteria{Flags: []mailbox.Flag{"never"}}, nil},
		{"without unknown keyword", mailbox.Criteria{NotFlags: []mailbox.Flag{"never", mailbox.Seen}}, []mailbox.UID{3, 4, 5}},
		{"since", mailbox.Criteria{Since: day("2026-03-03")}, []mailbox.UID{3, 4, 5}},
		{"on", mailbox.Criteria{Since: day("2026-03-02"), Before: day("2026-03-03")}, []mailbox.UID{2}},
		{"sent since", mailbox.Criteria{SentSince: day("2027-02-28")}, []mailbox.UID{2}},
		{"sent after its own day", mailbox.Criteria{SentSince: day("2027-03-01")}, nil},
		{"sent before", mailbox.Criteria{SentBefore: day("2026-03-03")}, []mailbox.UID{1, 3, 5}},
		{"larger", mailbox.Criteria{Larger: 10_000}, []mailbox.UID{3}},
		{"smaller", mailbox.Criteria{Smaller: m1.Size, Not: []mailbox.Criteria{{Header: Subject("calendar")}}}, []mailbox.UID{5}},
		{"modseq", mailbox.Criteria{ModSeq: &mailbox.ModSeqMatch{Since: m1.ModSeq}, Flags: []mailbox.Flag{"$important"}}, []mailbox.UID{1}},
		{"subject", header("Subject", "RESULTATS D'ANALYSE"), []mailbox.UID{2}},
		{"from name", header("from", "labo, central <LABO@"), []mailbox.UID{2}},
		{"cc", header("cc", "jean"), []mailbox.UID{2}},
		{"to", header("To", "paule@PATIENT"), []mailbox.UID{1, 2, 3, 5}},
		{"message id", header("Message-Id", "<a1@chu.pli.test>"), []mailbox.UID{2}},
		{"other header", header("X-Other", "thing = e"), []mailbox.UID{2}},
		{"header is there", header("x-mss-nil", ""), []mailbox.UID{2}},
		{"header is nowhere", header("x-never", ""), nil},
		{"body folded", body("oeil DROIT"), []mailbox.UID{1}},
		{"body html", body("va bien"), []mailbox.UID{2}},
		{"body beyond the index", body("aiguille"), []mailbox.UID{3}},
		{"body of another text part", body("convocation"), []mailbox.UID{4}},
		{"not in any body", body("rose@medecin"), nil},
		{"text in header", text("rose@medecin"), []mailbox.UID{1, 3, 5}},
		{"text in raw header", text("dev935997"), []mailbox.UID{2}},
		{"text in body", text("see below"), []mailbox.UID{4}},
		{"empty text", text(""), []mailbox.UID{1, 2, 3, 4, 5}},
		{"not", mailbox.Criteria{Not: []mailbox.Criteria{body("aiguille"), {Flags: []mailbox.Flag{mailbox.Seen}}}}, []mailbox.UID{4, 5}},
		{"or", mailbox.Criteria{Or: [][2]mailbox.Criteria{{body("rien"), header("x-other", "else")}}}, []mailbox.UID{2, 5}},
		{"html text and a raw header", mailbox.Criteria{Body: []string{"tout va"}, Header: []mailbox.HeaderMatch{{Name: "X-Other", Value: "something"}}}, []mailbox.UID{2}},
		{"or of text and raw", mailbox.Criteria{Or: [][2]mailbox.Criteria{{text("zzz"), {Not: []mailbox.Criteria{text("oeil")}}}}}, []mailbox.UID{2, 3, 4, 5}},
	} {
		for _, round := range []string{"cold", "again"} {
			got, err := v.Search(t.Context(), c.c)
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("%s, %s: %v %v, want %v", c.name, round, got, err, c.want)
			}
		}
	}
}

// Subject is the criterion of IMAP's SUBJECT.
func Subject(s string) []mailbox.HeaderMatch {
	return []mailbox.HeaderMatch{{Name: "Subject", Value: s}}
}

// Criteria are bounded in depth and number.
func TestSearchBounds(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *mailbox.Config) { c.MaxSearchRead, c.PageDelay = 200_000, time.Hour })
	paule := h.person("paule")
	v := searchable(h, paule)
	nest := func(n int) mailbox.Criteria {
		var c mailbox.Criteria
		for range n {
			c = mailbox.Criteria{Not: []mailbox.Criteria{c}}
		}
		return c
	}
	if got, err := v.Search(t.Context(), nest(64)); err != nil || len(got) != 5 {
		t.Errorf("64 deep: %v %v", got, err)
	}
	if _, err := v.Search(t.Context(), nest(65)); !errs.Is(err, errs.TooLarge) {
		t.Errorf("65 deep: %v", err)
	}
	many := func(n int) (c mailbox.Criteria) {
		for i := range n {
			c.Body = append(c.Body, fmt.Sprintf("w%d", i))
		}
		return c
	}
	if _, err := v.Search(t.Context(), many(1999)); err != nil {
		t.Errorf("1999 conditions: %v", err)
	}
	if _, err := v.Search(t.Context(), many(2000)); !errs.Is(err, errs.TooLarge) {
		t.Errorf("2000 conditions: %v", err)
	}
	// 120 kB of text lie beyond the index of one message.
	needle := mailbox.Criteria{Body: []string{"aiguille"}}
	if _, err := v.Search(t.Context(), needle); err != nil {
		t.Errorf("within the bytes to read: %v", err)
	}
	small := h.service(func(c *mailbox.Config) { c.MaxSearchRead, c.PageDelay = 100_000, time.Hour })
	a, err := small.Open(t.Context(), paule.actor(), paule.owner, paule.keys)
	h.must(err)
	defer a.Close()
	if _, err := paule.view(a, mailbox.Inbox).Search(t.Context(), needle); !errs.Is(err, errs.TooLarge) {
		t.Errorf("beyond the bytes to read: %v", err)
	}
}
