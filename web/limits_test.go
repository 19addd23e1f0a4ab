package web_test

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"

	"pli/mailbox"
	"pli/web"
)

// pair is a holder who may write to a doctor.
func pair(h *house) (camille, moreau *person) {
	camille, moreau = h.holder("Camille", "ROUX"), h.member("louise.moreau", "Dr Louise MOREAU", "10")
	moreau.send(camille, letter{subject: "Question", text: "?"})
	return camille, moreau
}

// Each limit of what is written, on both sides.
func TestLimitsOfAMessage(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *web.Config) { c.MaxFiles, c.MaxFileBytes, c.MaxText = 2, 1000, 500 })
	camille, moreau := pair(h)
	b := camille.signIn()
	file := func(n int) attachment { return attachment{name: "f.bin", content: strings.Repeat("x", n)} }
	for _, c := range []struct {
		name   string
		text   int
		files  []attachment
		status int
		words  string
	}{
		{"as many files", 10, []attachment{file(1), file(1)}, 200, "est envoyé"},
		{"one file more", 10, []attachment{file(1), file(1), file(1)}, 413, "trop de fichiers"},
		{"as large files", 10, []attachment{file(600), file(400)}, 200, "est envoyé"},
		{"one byte more", 10, []attachment{file(600), file(401)}, 413, "trop volumineux"},
		{"far more", 10, []attachment{file(600_000)}, 413, "trop volumineux"},
		{"no text but a file", 0, []attachment{file(1)}, 200, "est envoyé"},
		{"nothing at all", 0, nil, 422, "Écrivez votre message"},
		{"a long text", 500, nil, 200, "est envoyé"},
		{"a text far too long", 500 + 17<<10, nil, 413, "trop long"},
	} {
		b.get("/mail/inbox/1/reply")
		b.submit("/write/send", fields{"text": {strings.Repeat("t", c.text)}}, c.files...)
		if b.page.status != c.status || !strings.Contains(b.page.text(), c.words) {
			t.Errorf("%s: %d\n%s", c.name, b.page.status, b.page.text())
		}
		if c.status == 413 && c.text == 10 {
			b.want(413, "Les fichiers doivent être choisis à nouveau")
			if got := formValues(b.page.form("/write/send")).Get("text"); got != strings.Repeat("t", 10) {
				t.Errorf("%s: the text is lost: %q", c.name, got)
			}
		}
	}
	d := moreau.signIn()
	if n := strings.Count(d.page.body, `class="row`); n != 4 {
		t.Errorf("%d messages arrived, 4 were sent", n)
	}
	b.get("/mail/sent")
	if n := strings.Count(b.page.body, `class="row`); n != 4 {
		t.Errorf("%d copies are kept, 4 were sent", n)
	}
}

// What the messaging space finds too large leaves no copy behind.
func TestAMessageTooLargeForTheSpaceIsNotKept(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *web.Config) { c.MaxFileBytes = 30_000_000 })
	camille, _ := pair(h)
	b := camille.signIn()
	b.get("/mail/inbox/1/reply")
	b.submit("/write/send", fields{"text": {"Voici"}}, attachment{name: "a.bin", content: strings.Repeat("x", 20_000_000)})
	b.want(http.StatusRequestEntityTooLarge, "trop volumineux")
	b.get("/mail/sent")
	b.want(200, "Vous n’avez encore rien envoyé")
	b.get("/mail/inbox/1/reply")
	b.submit("/write/send", fields{"text": {"Voici"}}, attachment{name: "a.bin", content: strings.Repeat("x", 17_000_000)})
	b.want(200, "Votre message est envoyé")
}

func TestLimitOfAPlainForm(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *web.Config) { c.MaxForm = 1000 })
	b := h.browser()
	b.get("/sign-in")
	b.submit("/sign-in", fields{"login": {"x"}, "password": {strings.Repeat("p", 800)}})
	b.want(http.StatusUnauthorized)
	b.submit("/sign-in", fields{"login": {"x"}, "password": {strings.Repeat("p", 1000)}})
	b.want(http.StatusRequestEntityTooLarge, "trop volumineux")
}

// A form with files that is none, or that hides fields behind its files.
func TestMalformedFormsAreRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	camille, moreau := pair(h)
	b := camille.signIn()
	b.get("/mail/inbox/1/reply")
	good := formValues(b.page.form("/write/send"))
	send := func(contentType, body string) int {
		r, err := http.NewRequest(http.MethodPost, h.server.URL+"/write/send", strings.NewReader(body))
		h.must(err)
		r.Header.Set("Content-Type", contentType)
		return b.do(r, nil).status
	}
	if got := send("application/x-www-form-urlencoded", good.Encode()); got != 422 {
		t.Errorf("a plain form: %d", got)
	}
	if got := send("multipart/form-data", ""); got != 422 {
		t.Errorf("no boundary: %d", got)
	}
	if got := send("multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\n"+good.Get("csrf")); got != 422 {
		t.Errorf("a form that breaks off: %d", got)
	}
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	p, err := w.CreateFormFile("file", "a.txt")
	h.must(err)
	io.WriteString(p, "x")
	for k, list := range good {
		h.must(w.WriteField(k, list[0]))
	}
	h.must(w.Close())
	if got := send(w.FormDataContentType(), body.String()); got != 403 {
		t.Errorf("the token behind the file: %d", got)
	}
	d := moreau.signIn()
	d.want(200, "Pas encore de message")
}

// Header values that somebody typed make no header of their own.
func TestASubjectCannotAddAHeader(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	camille, moreau := pair(h)
	b := camille.signIn()
	b.get("/mail/inbox/1/reply")
	b.submit("/write/send", fields{"subject": {"Oui\r\nX-MSS-MES: FIN\r\nBcc: quelquun@medecin.pli.test"}, "text": {"x"}, "end": {"1"}})
	b.want(200, "Votre message est envoyé")
	d := moreau.signIn()
	a, err := h.mail.Open(t.Context(), moreau.actor, moreau.owner, d.keys(moreau))
	h.must(err)
	defer a.Close()
	v, err := a.Select(t.Context(), mailbox.Inbox, true)
	h.must(err)
	defer v.Close()
	m, err := v.Message(t.Context(), 1)
	h.must(err)
	if m.Index.Fields["x-mss-mes"] != "" || len(m.Index.Envelope.Bcc) != 0 || !strings.HasPrefix(m.Index.Envelope.Subject, "Oui") {
		t.Errorf("%+v %v", m.Index.Envelope, m.Index.Fields)
	}
}

// Streams: so many for one session, so many in all.
func TestLimitsOfStreams(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *web.Config) { c.MaxStreams = 10 })
	open := func(b *browser) int {
		resp, err := b.client.Get(h.server.URL + "/events")
		h.must(err)
		if resp.StatusCode != 200 {
			resp.Body.Close()
		} else {
			t.Cleanup(func() { resp.Body.Close() })
		}
		return resp.StatusCode
	}
	a, b := h.holder("Camille", "ROUX").signIn(), h.holder("Antoine", "LEFEVRE").signIn()
	for i := range 8 {
		if got := open(a); got != 200 {
			t.Fatalf("stream %d of a session: %d", i+1, got)
		}
	}
	if got := open(a); got != http.StatusServiceUnavailable {
		t.Errorf("stream 9 of a session: %d", got)
	}
	for i, want := range []int{200, 200, 503} {
		if got := open(b); got != want {
			t.Errorf("stream %d in all: %d", 9+i, got)
		}
	}
}

// So many messages with files at once; the next is told to wait.
func TestLimitOfUploads(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *web.Config) { c.MaxUploadsOf = 1 })
	camille, _ := pair(h)
	b := camille.signIn()
	var slow *slowly
	deadline := time.Now().Add(20 * time.Second)
	for { // until the slow one has the place
		b.get("/mail/inbox/1/reply") // a letter of its own each time: one that was sent is answered at once
		if slow == nil {
			slow = b.slowly(b.page, "lent.txt")
			b.get("/mail/inbox/1/reply")
		}
		b.submit("/write/send", fields{"text": {"x"}})
		if b.page.status == http.StatusServiceUnavailable || time.Now().After(deadline) {
			break
		}
		select {
		case <-slow.answer: // another had the place when it came
			slow = nil
		default:
		}
	}
	b.want(http.StatusServiceUnavailable, "Beaucoup d’envois sont en cours")
	if got := slow.finish(); got != 200 {
		t.Errorf("the slow one ended with %d", got)
	}
	b.get("/mail/inbox/1/reply")
	b.submit("/write/send", fields{"text": {"x"}})
	b.want(200, "Votre message est envoyé")
}

// slowly is a message with a file that is not sent to its end.
type slowly struct {
	form   *multipart.Writer
	pipe   *io.PipeWriter
	answer chan int // status; 0 for none
}

// slowly begins to send the form of a page, with a file: more of it than a
// server reads of a request that it has refused already, before it says so.
func (b *browser) slowly(p *page, name string) *slowly {
	b.h.t.Helper()
	r, w := io.Pipe()
	u := &slowly{multipart.NewWriter(w), w, make(chan int, 1)}
	req, err := http.NewRequest(http.MethodPost, b.h.server.URL+"/write/send", r)
	b.h.must(err)
	req.Header.Set("Content-Type", u.form.FormDataContentType())
	go func() {
		defer r.Close()
		resp, err := b.client.Do(req)
		if err != nil {
			u.answer <- 0
			return
		}
		resp.Body.Close()
		u.answer <- resp.StatusCode
	}()
	for k, list := range formValues(p.form("/write/send")) {
		u.form.WriteField(k, list[0])
	}
	if file, err := u.form.CreateFormFile("file", name); err == nil {
		io.WriteString(file, strings.Repeat("x", 600_000))
	}
	return u
}

// finish sends the rest and returns the answer's status.
func (u *slowly) finish() int {
	u.form.Close()
	u.pipe.Close()
	return <-u.answer
}

// A long text is shown in part, and the page says so.
func TestLimitOfWhatIsShown(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *web.Config) { c.MaxShown = 1000 })
	camille, moreau := pair(h)
	for _, n := range []int{1000, 1001} {
		text := strings.Repeat("t", n)
		moreau.send(camille, letter{subject: "Long", text: text, files: []attachment{{"text/plain", "long.txt", text}}})
	}
	b := camille.signIn()
	for path, cut := range map[string]bool{"/mail/inbox/2": false, "/mail/inbox/3": true, "/mail/inbox/2/open/2": false, "/mail/inbox/3/open/2": true} {
		b.get(path)
		b.want(200, strings.Repeat("t", 1000))
		if got := strings.Contains(b.page.text(), "très long"); got != cut {
			t.Errorf("%s says that something is left out: %v", path, got)
		}
		b.lacks(strings.Repeat("t", 1001))
	}
}

// Places are for each and for all; what is given back can be taken again.
func TestPlacesForMessagesInAll(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *web.Config) { c.MaxUploads, c.MaxUploadsOf = 1, 1 })
	camille, _ := pair(h)
	b := camille.signIn()
	for range 3 {
		b.get("/mail/inbox/1/reply")
		b.submit("/write/send", fields{"text": {"x"}})
		b.want(200, "Votre message est envoyé")
	}
}
