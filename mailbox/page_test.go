package mailbox_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"html"
	"math/rand/v2"
	"mime/quotedprintable"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/encoding/charmap"

	"pli/certs/keyring"
	"pli/mailbox"
	"pli/mailbox/message"
	"pli/store"
)

// paged waits until an account's pages are whole.
func (h *house) paged(a *mailbox.Account) {
	h.t.Helper()
	h.must(a.Paged(h.t.Context()))
}

// pages returns a person's records of pages of one kind ('i', 't'), or of all.
func (p *person) pages(kind byte) (list map[string][]byte) {
	p.h.t.Helper()
	p.h.must(p.h.db.View(context.Background(), p.owner, func(tx store.Tx) error {
		list = make(map[string][]byte)
		return store.ScanAround(tx, []byte("mail/p/"), store.After([]byte("mail/p/")), func(k, v []byte) error {
			if kind == 0 || k[len("mail/p/")+4] == kind {
				list[string(k)] = bytes.Clone(v)
			}
			return nil
		}, nil)
	}))
	return list
}

// holding returns the UIDs of a view that hold a text in their body.
func (h *house) holding(v *mailbox.View, text string) []mailbox.UID {
	h.t.Helper()
	uids, err := v.Search(h.t.Context(), mailbox.Criteria{Body: []string{text}})
	h.must(err)
	return uids
}

// written is a message with the texts that a reader sees in it.
type written struct {
	raw    string
	pieces []string // each searched by itself
}

// writer writes messages at random, in every form that mail has.
type writer struct{ *rand.Rand }

var vocabulary = strings.Fields("Œdème œil Échographie été CŒUR ça déjà naïf Ærø straße l’hôpital d'où ﬁn «ordonnance» – 12,5 " +
	"mg/L <5 a&b patient rendu compte scanner ©2026 Łódź ﬂux K²  ½ dose — fièvre E\u0301cho")

func (w writer) text() string {
	var b strings.Builder
	for range 3 + w.IntN(60) {
		b.WriteString(vocabulary[w.IntN(len(vocabulary))])
		b.WriteString([]string{" ", " ", " ", "\r\n"}[w.IntN(4)])
	}
	return strings.TrimSpace(b.String())
}

// encode writes a text part's header fields and content.
func (w writer) encode(subtype, text string) string {
	charset, b := "utf-8", []byte(text)
	if latin, err := charmap.ISO8859_15.NewEncoder().String(text); err == nil && w.IntN(2) == 0 {
		charset, b = "iso-8859-15", []byte(latin)
	}
	head := "Content-Type: text/" + subtype + "; charset=" + charset + "\r\nContent-Transfer-Encoding: "
	switch w.IntN(3) {
	case 0:
		return head + "8bit\r\n\r\n" + string(b)
	case 1:
		s := base64.StdEncoding.EncodeToString(b)
		var lines []string
		for line := range slices.Chunk([]byte(s), 76) {
			lines = append(lines, string(line))
		}
		return head + "base64\r\n\r\n" + strings.Join(lines, "\r\n")
	}
	var q bytes.Buffer
	qp := quotedprintable.NewWriter(&q)
	qp.Write(b)
	qp.Close()
	return head + "quoted-printable\r\n\r\n" + q.String()
}

// html writes text as a page whose tags break no word.
func (w writer) html(text string) string {
	var b strings.Builder
	b.WriteString("<html><head><title></title><style>p { color: scanner }</style></head><body><p>")
	for i, word := range strings.Fields(text) {
		if i > 0 {
			b.WriteString(" ")
		}
		word = html.EscapeString(word)
		if w.IntN(4) == 0 {
			word = "<b class=\"x\">" + word + "</b>"
		}
		b.WriteString(word)
	}
	return b.String() + "</p></body></html>"
}

// part writes an entity, and what can be read in it.
func (w writer) part(depth int) (string, []string) {
	text := w.text()
	switch kind := w.IntN(8); {
	case kind == 0 && depth < 3:
		return w.multipart(depth, "mixed", 1+w.IntN(3))
	case kind == 1 && depth < 3:
		return w.multipart(depth, "alternative", 2)
	case kind == 2:
		return w.encode("html", w.html(text)), []string{strings.Join(strings.Fields(text), " ")}
	case kind == 3:
		name := fmt.Sprintf("note %d.txt", w.IntN(1000))
		part := w.encode("plain", text)
		return "Content-Disposition: attachment; filename=\"" + name + "\"\r\n" + part, []string{text, name}
	case kind == 4:
		xml := "<ClinicalDocument><title>" + html.EscapeString(strings.Join(strings.Fields(text), " ")) + "</title></ClinicalDocument>"
		return "Content-Type: application/xml; name=cr.xml\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString([]byte(xml)),
			[]string{strings.Join(strings.Fields(text), " "), "cr.xml"}
	}
	return w.encode("plain", text), []string{text}
}

func (w writer) multipart(depth int, subtype string, n int) (string, []string) {
	boundary := fmt.Sprintf("b%d.%d", depth, w.IntN(1e9))
	var b strings.Builder
	var pieces []string
	fmt.Fprintf(&b, "Content-Type: multipart/%s; boundary=%q\r\n\r\n", subtype, boundary)
	for range n {
		part, more := w.part(depth + 1)
		fmt.Fprintf(&b, "--%s\r\n%s\r\n", boundary, part)
		pieces = append(pieces, more...)
	}
	return b.String() + "--" + boundary + "--\r\n", pieces
}

func (w writer) message(n int) written {
	body, pieces := w.part(0)
	return written{"From: Rosé <rose@medecin.pli.test>\r\nSubject: m" + fmt.Sprint(n) + "\r\nMIME-Version: 1.0\r\nX-Dossier: n° " + fmt.Sprint(n) + " fin\r\n" + body + "\r\n", pieces}
}

// needle is a stretch of a piece, or of none, in whatever case.
func (w writer) needle(all []written) string {
	if w.IntN(10) == 0 {
		return "introuvable"
	}
	pieces := all[w.IntN(len(all))].pieces
	runes := []rune(pieces[w.IntN(len(pieces))])
	from := w.IntN(len(runes))
	s := string(runes[from:min(len(runes), from+1+w.IntN(12))])
	switch w.IntN(3) {
	case 0:
		return strings.ToUpper(s)
	case 1:
		return strings.ToLower(s)
	}
	return s
}

// Search finds exactly the messages whose text, as it was before it was encoded,
// holds what is asked, whatever the charset, the transfer encoding, the tags and
// the attachment: mission I1, issue 4, 7. That holds without pages for what is
// no attachment, and in pages for all.
func TestSearchFindsExactlyWhatWasWritten(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	w := writer{rand.New(rand.NewPCG(7, 2026))}
	paule := h.person("paule")
	var all []written
	for i := range 150 {
		m := w.message(i)
		all = append(all, m)
		h.deliver(m.raw, paule)
	}
	a := paule.open()
	v := paule.view(a, mailbox.Inbox)
	h.paged(a)
	found := 0
	for range 600 {
		needle := w.needle(all)
		folded := message.Fold(needle)
		if strings.TrimSpace(folded) != folded || folded == "" {
			continue // where a text ends, its blanks do
		}
		var want []mailbox.UID
		for i, m := range all {
			if slices.ContainsFunc(m.pieces, func(p string) bool { return strings.Contains(message.Fold(p), folded) }) {
				want = append(want, mailbox.UID(i+1))
			}
		}
		got := h.holding(v, needle)
		if !slices.Equal(got, want) {
			t.Fatalf("%q: %v, want %v; one of them:\n%s", needle, got, want, odd(all, got, want))
		}
		text, err := v.Search(t.Context(), mailbox.Criteria{Text: []string{needle}})
		h.must(err)
		for _, uid := range want {
			if !slices.Contains(text, uid) {
				t.Fatalf("TEXT %q does not find %d", needle, uid)
			}
		}
		found += len(want)
	}
	if found < 2000 {
		t.Errorf("only %d finds: the needles are too rare to prove anything", found)
	}
	got, err := v.Search(t.Context(), mailbox.Criteria{Header: []mailbox.HeaderMatch{{Name: "x-dossier", Value: "N° 77 FIN"}}})
	if err != nil || !slices.Equal(got, []mailbox.UID{78}) {
		t.Errorf("a header field: %v %v", got, err)
	}
}

// odd returns a message that one list has and the other has not.
func odd(all []written, a, b []mailbox.UID) string {
	for i, m := range all {
		if slices.Contains(a, mailbox.UID(i+1)) != slices.Contains(b, mailbox.UID(i+1)) {
			return m.raw
		}
	}
	return ""
}

// What a search finds is the same before a pass and after, but for attachments
// that the pass has read.
func TestPagesChangeNoAnswer(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *mailbox.Config) { c.PageDelay = time.Hour }) // no pass
	w := writer{rand.New(rand.NewPCG(3, 4))}
	paule := h.person("paule")
	var all []written
	for i := range 60 {
		m := w.message(i)
		for strings.Contains(m.raw, "cr.xml") {
			m = w.message(i)
		}
		all = append(all, m)
		h.deliver(m.raw, paule)
	}
	bare := paule.view(paule.open(), mailbox.Inbox)
	if n := len(paule.pages(0)); n != 0 {
		t.Fatalf("%d pages before any list", n)
	}
	other, err := h.service().Open(t.Context(), paule.actor(), paule.owner, paule.keys)
	h.must(err)
	defer other.Close()
	var needles []string
	var before [][]mailbox.UID
	for range 100 {
		needle := w.needle(all)
		if folded := message.Fold(needle); strings.TrimSpace(folded) == folded {
			needles, before = append(needles, needle), append(before, h.holding(bare, needle))
		}
	}
	h.paged(other)
	if len(paule.pages('t')) == 0 {
		t.Fatal("no text pages")
	}
	for i, needle := range needles {
		if got := h.holding(bare, needle); !slices.Equal(got, before[i]) {
			t.Errorf("%q: %v in pages, %v without; one of them:\n%s", needle, got, before[i], odd(all, got, before[i]))
		}
	}
}

// A list of all makes index pages at once; the next list reads them and nothing
// else of the messages.
func TestAListIsReadFromPages(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *mailbox.Config) { c.PageDelay = time.Hour })
	paule := h.person("paule")
	for i := range 300 {
		h.deliver(letter(fmt.Sprintf("objet %d", i), "texte"), paule)
	}
	want := h.list(paule.view(paule.open(), mailbox.Inbox))
	if n := len(paule.pages('i')); n != 3 {
		t.Fatalf("%d index pages for 300 messages", n)
	}
	paule.damage("mail/m/", "i", func(tx store.Tx, k, _ []byte) error { return tx.Put(k, []byte("nothing")) })
	a, err := h.service().Open(t.Context(), paule.actor(), paule.owner, paule.keys)
	h.must(err)
	defer a.Close()
	v := paule.view(a, mailbox.Inbox)
	if got := h.list(v); !slices.Equal(got, want) || len(got) != 300 {
		t.Errorf("%d lines, not those of before", len(got))
	}
	got, err := v.Search(t.Context(), mailbox.Criteria{Header: Subject("OBJET 29"), SentSince: day("2026-03-02")})
	if err != nil || !slices.Equal(got, []mailbox.UID{30, 291, 292, 293, 294, 295, 296, 297, 298, 299, 300}) {
		t.Errorf("subject search in pages: %v %v", got, err)
	}
}

// The text of an expunged message leaves its page with the next pass: it stays
// in no record. A folder that is deleted leaves none.
func TestExpungedTextLeavesItsPage(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	paule := h.person("paule")
	a := paule.open()
	h.must(a.Create(t.Context(), "Suivi", ""))
	long := func(n int) string { return letter(fmt.Sprint(n), strings.Repeat(fmt.Sprintf("mot%d ", n), 20_000)) }
	for i := range 5 {
		h.deliver(long(i), paule)
	}
	if _, err := h.tryDeliver(long(9), "Suivi", paule); err != nil {
		t.Fatal(err)
	}
	h.paged(a)
	apart := func() (n int) { // long texts have records of their own
		for k := range paule.pages('t') {
			if k[len(k)-1] != 0 {
				n++
			}
		}
		return n
	}
	if n := apart(); n != 6 {
		t.Fatalf("%d long texts", n)
	}
	v := paule.view(a, mailbox.Inbox)
	expunge := func(uids ...mailbox.UID) {
		t.Helper()
		_, err := v.Store(t.Context(), uids, mailbox.FlagsAdd, []mailbox.Flag{mailbox.Deleted}, 0)
		h.must(err)
		_, err = v.Expunge(t.Context(), uids)
		h.must(err)
		v.Poll(true)
	}
	expunge(2, 4)
	h.paged(a)
	if n := apart(); n != 4 {
		t.Errorf("%d long texts after two of six are expunged", n)
	}
	if got := h.holding(v, "mot2"); !slices.Equal(got, []mailbox.UID{3}) {
		t.Errorf("found %v", got)
	}
	expunge(1, 3, 5)
	h.must(a.Delete(t.Context(), "Suivi"))
	v.Close()
	a.Close()
	later := paule.open() // a session's first pass takes what none has taken before
	h.paged(later)
	if n := len(paule.pages('i')) + len(paule.pages('t')); n != 0 {
		t.Errorf("%d pages of nothing", n)
	}
}

// A session that ends at any moment of a pass, as by a kill, leaves nothing that
// a search trips over; the next one goes on.
func TestAPassIsCutOffAnywhere(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	paule := h.person("paule")
	r := rand.New(rand.NewPCG(1, 1))
	for i := range 400 {
		h.deliver(letter("m", fmt.Sprintf("numéro %d.", i)), paule)
		if r.IntN(8) > 0 {
			continue
		}
		a, err := h.service().Open(t.Context(), paule.actor(), paule.owner, paule.keys)
		h.must(err)
		ctx, cancel := context.WithCancel(t.Context())
		v := paule.view(a, mailbox.Inbox)
		for range r.IntN(400) {
			if !a.Reading() {
				break
			}
		}
		cancel()
		if err := a.Paged(ctx); err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if got := h.holding(v, fmt.Sprintf("NUMERO %d.", i)); !slices.Equal(got, []mailbox.UID{mailbox.UID(i + 1)}) {
			t.Fatalf("message %d: %v", i, got)
		}
		v.Close()
		a.Close()
	}
	a := paule.open()
	v := paule.view(a, mailbox.Inbox)
	h.paged(a)
	for i := range 400 {
		if got := h.holding(v, fmt.Sprintf("numéro %d.", i)); !slices.Equal(got, []mailbox.UID{mailbox.UID(i + 1)}) {
			t.Fatalf("message %d: %v", i, got)
		}
	}
}

// A page that does not open is dropped and made anew; meanwhile the messages
// themselves are asked.
func TestADamagedPageIsMadeAnew(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(tx store.Tx, k, v []byte) error
	}{
		{"a bit", func(tx store.Tx, k, v []byte) error {
			v[len(v)/2] ^= 4
			return tx.Put(k, v)
		}},
		{"another version", func(tx store.Tx, k, v []byte) error {
			v[0] = 99
			return tx.Put(k, v)
		}},
		{"cut off", func(tx store.Tx, k, v []byte) error { return tx.Put(k, v[:5]) }},
		{"gone", func(tx store.Tx, k, _ []byte) error { return tx.Delete(k) }},
	} {
		for _, kind := range []string{"i", "t"} {
			t.Run(c.name+" of "+kind, func(t *testing.T) {
				t.Parallel()
				h := newHouse(t)
				paule := h.person("paule")
				for i := range 40 {
					h.deliver(letter(fmt.Sprintf("objet %d.", i), fmt.Sprintf("numéro %d.", i)), paule)
				}
				a := paule.open()
				h.paged(a)
				whole := paule.pages(kind[0])
				key := append([]byte("mail/p/"), 0, 0, 0, 1, kind[0])
				if n := paule.damage(string(key), "", c.change); n == 0 {
					t.Fatal("nothing to damage")
				}
				paule.broken = false
				v := paule.view(a, mailbox.Inbox)
				for range 2 {
					if got := h.list(v); len(got) != 40 || !strings.HasSuffix(got[39], "objet 39.") {
						t.Errorf("list: %d lines", len(got))
					}
					for i := range 40 {
						if got := h.holding(v, fmt.Sprintf("NUMÉRO %d.", i)); !slices.Equal(got, []mailbox.UID{mailbox.UID(i + 1)}) {
							t.Errorf("search %d: %v", i, got)
						}
					}
					h.paged(a)
				}
				if c.name != "gone" || kind == "i" {
					if now := paule.pages(kind[0]); len(now) != len(whole) {
						t.Errorf("%d pages, %d before the damage", len(now), len(whole))
					}
				}
			})
		}
	}
}

// Keys that were rotated have their own pages; a session that has not learned
// them goes on with the messages.
func TestRotationMakesNewPages(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	paule := h.person("paule")
	ring, first, err := keyring.New("paule", h.clock())
	h.must(err)
	_, err = ring.AddServer(first, [32]byte{7})
	h.must(err)
	old, err := ring.OpenServer([32]byte{7})
	h.must(err)
	paule.keys = old
	for i := range 40 {
		h.deliver(letter(fmt.Sprint(i), fmt.Sprintf("numéro %d.", i)), paule)
	}
	a := paule.open()
	h.paged(a)
	generations := func() (gens []uint32) {
		for _, kind := range []byte{'i', 't'} {
			for _, v := range paule.pages(kind) {
				gens = append(gens, binary.BigEndian.Uint32(v[1:5]))
			}
		}
		slices.Sort(gens)
		return slices.Compact(gens)
	}
	if got := generations(); !slices.Equal(got, []uint32{1}) {
		t.Fatalf("generations %v", got)
	}
	h.must(ring.Rotate(nil, h.clock()))
	paule.keys, err = ring.OpenServer([32]byte{7})
	h.must(err)
	b := paule.open()
	h.paged(b)
	if got := generations(); !slices.Equal(got, []uint32{2}) {
		t.Errorf("generations after the rotation: %v", got)
	}
	for _, account := range []*mailbox.Account{a, b} {
		v := paule.view(account, mailbox.Inbox)
		if got := h.holding(v, "NUMERO 17."); !slices.Equal(got, []mailbox.UID{18}) {
			t.Errorf("found %v", got)
		}
		if got := h.list(v); len(got) != 40 {
			t.Errorf("%d lines", len(got))
		}
	}
	h.paged(a)
	if got := generations(); !slices.Equal(got, []uint32{2}) {
		t.Errorf("generations after the older session has read: %v", got)
	}
}

// Rebuild drops pages, which the next session makes anew.
func TestRebuildDropsPages(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	paule := h.person("paule")
	for i := range 20 {
		h.deliver(letter(fmt.Sprint(i), fmt.Sprintf("numéro %d.", i)), paule)
	}
	a := paule.open()
	h.paged(a)
	a.Close()
	if _, err := h.mail.Rebuild(t.Context(), paule.owner); err != nil || len(paule.pages(0)) != 0 {
		t.Fatalf("%v, %d pages", err, len(paule.pages(0)))
	}
	a = paule.open()
	h.paged(a)
	if n := len(paule.pages('t')); n != 2 {
		t.Errorf("%d text pages", n)
	}
}
