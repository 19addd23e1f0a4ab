package web_test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pli/mailbox"
	"pli/web"
)

// lies returns how many messages lie in a person's box.
func (p *person) lies(box string) int {
	p.h.t.Helper()
	a, err := p.h.mail.Open(p.h.t.Context(), p.actor, p.owner, nil)
	p.h.must(err)
	defer a.Close()
	b, err := a.Box(p.h.t.Context(), box)
	p.h.must(err)
	return int(b.Messages)
}

// wantLies checks how many messages lie in some boxes.
func wantLies(t *testing.T, when string, p *person, boxes map[string]int) {
	t.Helper()
	for box, want := range boxes {
		if got := p.lies(box); got != want {
			t.Errorf("%s: %d messages in %s, want %d", when, got, box, want)
		}
	}
}

// D2: a form that comes again, because an answer was lost, sends nothing twice
// and keeps nothing twice; with another text, or from a new form, it is another
// letter.
func TestAFormThatComesTwiceSendsOneLetter(t *testing.T) {
	t.Parallel()
	var later atomic.Int64 // the portal's clock is that late
	h := newHouse(t, func(c *web.Config) { c.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) } })
	camille, moreau := pair(h)
	b := camille.signIn()
	b.get("/mail/inbox/1/reply")
	values, file := formValues(b.page.form("/write/send")), attachment{name: "a.pdf", content: pdf("a")}
	values.Set("text", "Une fois")
	for range 3 {
		later.Add(int64(time.Minute))
		b.upload("/write/send", values, file)
		b.want(200, "Votre message est envoyé")
	}
	wantLies(t, "the same form", moreau, map[string]int{mailbox.Inbox: 1})
	wantLies(t, "the same form", camille, map[string]int{string(mailbox.UseSent): 1})
	b.upload("/write/send", values, attachment{name: "a.pdf", content: pdf("b")})
	b.want(200, "Votre message est envoyé")
	wantLies(t, "another file", moreau, map[string]int{mailbox.Inbox: 2})
	wantLies(t, "another file", camille, map[string]int{string(mailbox.UseSent): 2})
	values.Set("text", "Autre chose")
	b.upload("/write/send", values)
	b.get("/mail/inbox/1/reply")
	b.submit("/write/send", fields{"text": {"Autre chose"}})
	wantLies(t, "another text, another form", moreau, map[string]int{mailbox.Inbox: 4})
	wantLies(t, "another text, another form", camille, map[string]int{string(mailbox.UseSent): 4})
	d := moreau.signIn()
	a, err := h.mail.Open(t.Context(), moreau.actor, moreau.owner, d.keys(moreau))
	h.must(err)
	defer a.Close()
	v, err := a.Select(t.Context(), mailbox.Inbox, true)
	h.must(err)
	defer v.Close()
	ids := map[string]bool{}
	h.must(v.Messages(t.Context(), nil, true, func(m mailbox.Message) error { ids[m.Index.Envelope.MessageID] = true; return nil }))
	if len(ids) != 3 {
		t.Errorf("3 texts have the Message-IDs %v", ids)
	}
}

// D2: a double click.
func TestFormsThatComeAtOnceSendOneLetter(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *web.Config) { c.MaxUploadsOf = 8 })
	camille, moreau := pair(h)
	b := camille.signIn()
	const letters = 6
	for range letters {
		b.get("/mail/inbox/1/reply")
		values := formValues(b.page.form("/write/send"))
		values.Set("text", "Une fois")
		for _, action := range []string{"/write/send", "/write/draft"} {
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() {
					twin := *b
					twin.upload(action, values, attachment{name: "a.txt", content: "a"})
					if twin.page.status != 200 {
						t.Errorf("%s: %d", action, twin.page.status)
					}
				})
			}
			all.Wait()
		}
	}
	wantLies(t, "at once", moreau, map[string]int{mailbox.Inbox: letters})
	wantLies(t, "at once", camille, map[string]int{string(mailbox.UseSent): letters, string(mailbox.UseDrafts): letters})
}

// A draft that was sent is gone: its form, come again, neither sends the letter
// once more nor sends it without its files.
func TestADraftIsSentOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	camille, moreau := pair(h)
	b := camille.signIn()
	b.get("/mail/inbox/1/reply")
	kept := formValues(b.page.form("/write/draft"))
	for range 2 {
		b.upload("/write/draft", kept, attachment{name: "a.pdf", content: pdf("a")})
		b.want(200, "Votre brouillon est enregistré")
	}
	wantLies(t, "kept", camille, map[string]int{string(mailbox.UseDrafts): 1})
	b.follow("Le reprendre")
	values := formValues(b.page.form("/write/send"))
	values.Set("text", "Voici")
	for range 2 {
		b.upload("/write/send", values)
		b.want(200, "Votre message est envoyé")
	}
	wantLies(t, "sent", moreau, map[string]int{mailbox.Inbox: 1})
	wantLies(t, "sent", camille, map[string]int{string(mailbox.UseSent): 1, string(mailbox.UseDrafts): 0})
	values.Set("text", "Voici encore")
	b.upload("/write/send", values)
	b.want(http.StatusConflict, "Ce brouillon n’est plus là")
	b.submit("/write/send", nil, attachment{name: "a.pdf", content: pdf("a")})
	b.want(200, "Votre message est envoyé")
	wantLies(t, "with its file again", moreau, map[string]int{mailbox.Inbox: 2})
}

// What failed is tried again as the same letter; nobody makes a stamp.
func TestTheStampOfAForm(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *web.Config) { c.MaxFiles = 1 })
	camille, moreau := pair(h)
	b := camille.signIn()
	b.get("/mail/inbox/1/reply")
	values := formValues(b.page.form("/write/send"))
	values.Set("text", "x")
	b.upload("/write/send", values, attachment{name: "a", content: "a"}, attachment{name: "b", content: "b"})
	b.want(http.StatusRequestEntityTooLarge, "trop de fichiers")
	own := values.Get("letter")
	if again := formValues(b.page.form("/write/send")).Get("letter"); again != own || own == "" {
		t.Errorf("the form shown again has the stamp %q, not %q", again, own)
	}
	d := moreau.signIn()
	d.get("/write")
	other := formValues(d.page.form("/write/send")).Get("letter")
	word, rest, _ := strings.Cut(own, ".")
	moment, mac, _ := strings.Cut(rest, ".")
	for name, s := range map[string]string{"none": "", "another session's": other, "another word": "a" + word[1:] + "x." + rest,
		"another moment": word + ".1" + moment + "." + mac, "another seal": own[:len(own)-4] + "aaaa", "no moment": word} {
		values.Set("letter", s)
		for _, action := range []string{"/write/send", "/write/draft"} {
			if p := b.upload(action, values); p.status != http.StatusForbidden {
				t.Errorf("%s with the stamp %s: %d", action, name, p.status)
			}
		}
	}
	wantLies(t, "forged", moreau, map[string]int{mailbox.Inbox: 0})
	wantLies(t, "forged", camille, map[string]int{string(mailbox.UseSent): 0, string(mailbox.UseDrafts): 0})
}
