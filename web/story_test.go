package web_test

import (
	"encoding/csv"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"pli/mailbox"
)

var report = letter{
	subject: "XDM/1.0/DDM+Résultats de biologie ROUX Camille 12/03/1979", header: "X-MSS-CODECDA: 11502-2\r\n",
	text:  "Bonjour,\n\nVoici vos résultats : https://labo.example/r?a=1&b=2\n",
	files: []attachment{{"application/pdf", "20260303_CR-Biologie_ROUX_Camille.pdf", pdf("Glycemie 0,92 g/L")}},
}

// D3, B5, C4: the path that Pli exists for, in a browser: a laboratory report
// is read, its PDF opened, filed with two clicks, and traced.
func TestALaboratoryReportIsReadFiledAndTraced(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	camille, labo := h.holder("Camille", "ROUX"), h.member("resultats", "Laboratoire du Vieux Port", "86")
	labo.send(camille, report)
	b := camille.signIn()
	b.want(200, "Laboratoire du Vieux Port", "Nouveau", "Résultats de biologie ROUX Camille", "Voici vos résultats")
	b.lacks("XDM/1.0")
	b.follow("Résultats de biologie")
	b.want(200, "technicien de laboratoire", "Une pièce jointe", "20260303_CR-Biologie_ROUX_Camille.pdf", "Répondre")
	if !strings.Contains(b.page.body, `<a href="https://labo.example/r?a=1&amp;b=2" rel="nofollow noopener noreferrer" target="_blank">`) {
		t.Error("the address in the text is no safe link")
	}

	b.follow("Ouvrir")
	b.want(200)
	viewer := ""
	walk(b.page.doc, func(n *html.Node) {
		if n.Data == "object" && attr(n, "type") == "application/pdf" {
			viewer, _, _ = strings.Cut(attr(n, "data"), "#")
		}
	})
	content := b.get(viewer)
	if content.header.Get("Content-Type") != "application/pdf" || content.body != report.files[0].content {
		t.Errorf("the PDF came as %s, %d bytes", content.header.Get("Content-Type"), len(content.body))
	}
	b.get("/mail/inbox/1")
	b.follow("Classer dans mon dossier")
	values := formValues(b.page.form("/mail/inbox/1/file/2"))
	if values.Get("title") != "Résultats de biologie" || values.Get("type") != "11502-2" || values.Get("date") != "2026-03-03" {
		t.Errorf("proposed %v", values)
	}
	b.submit("/mail/inbox/1/file/2", nil)
	b.want(200, "C’est classé dans votre dossier", "Résultats de biologie", "CR d'examens biologiques", "3 mars 2026", "Laboratoire du Vieux Port", "par vous")
	document := b.page.url.Path
	if got := b.get(document + "/content"); got.body != report.files[0].content || got.header.Get("Content-Type") != "application/pdf" {
		t.Errorf("the document came as %s, %d bytes", got.header.Get("Content-Type"), len(got.body))
	}
	b.get("/dossier")
	b.want(200, "1 document", "Compte rendu", "Résultats de biologie")
	b.get("/dossier?class=42")
	b.want(200, "Aucun document dans cette catégorie")
	b.get("/mail/inbox/1")
	b.want(200, "Une pièce de ce message est classée")

	b.get("/trace")
	b.want(200, "Laboratoire du Vieux Port (technicien de laboratoire médical) vous a envoyé un message",
		"Vous avez lu un message de Laboratoire du Vieux Port", "Vous avez classé un document dans votre dossier : Résultats de biologie")
	b.get("/trace?who=others")
	b.want(200, "vous a envoyé un message")
	b.lacks("Vous avez lu")
}

// The trace leaves as a table and as JSON, line by line, with its chain.
func TestTheTraceIsDownloaded(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	camille, labo := h.holder("Camille", "ROUX"), h.member("resultats", "=Laboratoire", "")
	labo.send(camille, report)
	b := camille.signIn()
	p := b.get("/trace/trace.csv")
	rows, err := csv.NewReader(strings.NewReader(p.body)).ReadAll()
	if err != nil || len(rows) < 3 || rows[0][0] != "seq" {
		t.Fatalf("%v: %v", err, rows)
	}
	last := rows[len(rows)-1]
	if last[0] != "1" || last[2] != "'=Laboratoire" || last[8] != "mail.deliver" || !strings.Contains(last[14], "vous a envoyé un message") {
		t.Errorf("%q", last)
	}
	p = b.get("/trace/trace.json")
	dec, prev := json.NewDecoder(strings.NewReader(p.body)), ""
	n := 0
	for dec.More() {
		var line struct {
			Seq        int
			At         time.Time
			Prev, Hash string
		}
		h.must(dec.Decode(&line))
		if n++; prev != "" && line.Hash != prev || line.At.IsZero() {
			t.Errorf("line %d does not chain", line.Seq)
		}
		prev = line.Prev
	}
	if n < 3 || !strings.Contains(p.header.Get("Content-Disposition"), "attachment") {
		t.Errorf("%d lines, %v", n, p.header)
	}
	b.get("/trace/other")
	b.want(404)
}

// D2: the holder answers in the browser; the doctor reads it, answers, ends.
func TestAnExchangeInTheBrowser(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	camille, moreau := h.holder("Camille", "ROUX"), h.member("louise.moreau", "Dr Louise MOREAU", "10")
	b := camille.signIn()
	b.get("/write")
	b.want(200, "Personne à qui écrire pour l’instant")
	moreau.send(camille, letter{subject: "Renouvellement", text: "Bonjour,\nquelle dose prenez-vous ?"})
	b.get("/mail/inbox/1/reply")
	values := formValues(b.page.form("/write/send"))
	if values.Get("to") != moreau.address.String() || values.Get("subject") != "Re: Renouvellement" ||
		!strings.Contains(values.Get("text"), "Dr Louise MOREAU a écrit :\n> Bonjour,\n> quelle dose prenez-vous ?") {
		t.Errorf("filled in: %v", values)
	}
	b.submit("/write/send", fields{"text": {"Une le soir.\n" + values.Get("text")}}, attachment{name: "photo é.png", content: "\x89PNG\r\n\x1a\nphoto"})
	b.want(200, "Votre message est envoyé", "Renouvellement")
	b.get("/mail/inbox")
	b.want(200, "vous avez répondu")
	b.get("/mail/sent/1")
	b.want(200, "Re: Renouvellement", "Une le soir.", "Messages précédents", "photo é.png")

	d := moreau.signIn()
	d.want(200, "Camille ROUX", "Re: Renouvellement")
	d.lacks("Mon dossier", "Qui a vu quoi")
	d.follow("Re: Renouvellement")
	d.want(200, "Une le soir.", "photo é.png", "Répondre")
	d.lacks("Classer dans mon dossier")
	d.follow("Répondre")
	d.submit("/write/send", fields{"text": {"Merci, c'est noté."}, "end": {"1"}})
	d.want(200, "Votre message est envoyé")

	b.get("/mail/inbox")
	b.follow("Re: Renouvellement")
	b.want(200, "c'est noté", "Dr Louise MOREAU a mis fin à vos échanges", "après son prochain message")
	if b.page.form("/write/send") != nil || strings.Contains(b.page.body, "/reply\"") {
		t.Error("an ended exchange still offers an answer")
	}
	b.get("/write")
	b.want(200, "Personne à qui écrire")
	b.get("/mail/inbox/1/reply")
	b.submit("/write/send", fields{"text": {"Encore une question"}})
	b.want(http.StatusForbidden, "a mis fin à l’échange", "Encore une question"[:0])
	if got := formValues(b.page.form("/write/send")).Get("text"); got != "Encore une question" {
		t.Errorf("what was written is lost: %q", got)
	}
	h.must(h.mss.Close(t.Context()))
	b.get("/trace")
	b.want(200, "Vous avez envoyé un message", "Refusé", "Vous avez essayé d’envoyer un message à louise.moreau@medecin.pli.test",
		"L’échange avec ce professionnel n’était pas ouvert", "vous a envoyé un message et a mis fin à vos échanges")
}

// D2: a form that names somebody who never wrote changes nothing.
func TestAHolderNeverWritesFirst(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	camille, moreau, autre := h.holder("Camille", "ROUX"), h.member("louise.moreau", "Dr Louise MOREAU", "10"), h.member("autre", "Dr Autre", "10")
	moreau.send(camille, letter{subject: "Bonjour", text: "…"})
	b := camille.signIn()
	b.get("/write")
	b.want(200, "Choisir un professionnel"[:0], "Vous pouvez écrire aux professionnels qui vous ont écrit")
	for to, status := range map[string]int{
		autre.address.String(): 403, "quelqun@ailleurs.test": 403, "180017500100104@patient.pli.test": 403,
		"pas une adresse": 422, "": 422,
	} {
		b.get("/write")
		b.submit("/write/send", fields{"to": {to}, "subject": {"x"}, "text": {"x"}})
		b.want(status)
	}
	d := autre.signIn()
	d.want(200, "Pas encore de message")
	b.get("/mail/sent")
	b.want(200, "Vous n’avez encore rien envoyé")
}

// Undo where people slip: the trash, the archive; and no undo without asking.
func TestMovesAreTakenBack(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	camille, moreau := h.holder("Camille", "ROUX"), h.member("louise.moreau", "Dr Louise MOREAU", "10")
	for _, s := range []string{"Un", "Deux", "Trois"} {
		moreau.send(camille, letter{subject: s, text: s})
	}
	b := camille.signIn()
	act := func(box string, f fields) { b.t.Helper(); b.get("/mail/" + box); b.submit("/mail/"+box+"/act", f) }
	act("inbox", fields{"uid": {"1", "3"}, "op": {"trash"}})
	b.want(200, "2 messages mis à la corbeille", "Annuler", "Deux")
	b.lacks("Trois")
	b.submit("/mail/trash/act", fields{"op": {"undo"}})
	b.want(200, "2 messages remis à leur place")
	b.get("/mail/inbox")
	b.want(200, "Un", "Deux", "Trois")
	b.lacks("Annuler")
	act("inbox", fields{"op": {"archive"}})
	b.want(200, "Choisissez d’abord un message")
	act("inbox", fields{"uid": {"2"}, "op": {"archive"}})
	b.want(200, "1 message archivé")
	act("inbox", fields{"uid": {"4"}, "op": {"read"}})
	b.want(200, "1 message marqué lu")

	act("inbox", fields{"uid": {"4"}, "op": {"trash"}})
	b.get("/mail/trash/3")
	b.follow("Supprimer définitivement")
	b.want(200, "Êtes-vous sûr", "Garder")
	b.submit("/mail/trash/act", fields{"op": {"delete"}})
	b.want(200, "1 message supprimé définitivement", "La corbeille est vide")
	act("inbox", fields{"uid": {"5"}, "op": {"trash"}})
	b.get("/mail/trash/empty")
	b.want(200, "1 message sera supprimé")
	b.submit("/mail/trash/act", fields{"op": {"empty"}})
	b.want(200, "1 message supprimé", "La corbeille est vide")
	token := formValues(b.page.form("/sign-out")).Get("csrf")
	for _, op := range []string{"archive", "read", "unread", "delete", "undo"} { // of a message that another client took away
		b.post("/mail/inbox/act", fields{"csrf": {token}, "uid": {"99"}, "op": {op}, "to": {"archive"}})
		b.want(200, "Ces messages ne sont plus ici")
		b.lacks("Annuler")
	}
	b.post("/mail/inbox/act", fields{"csrf": {formValues(b.page.form("/sign-out")).Get("csrf")}, "uid": {"1"}, "op": {"explode"}})
	b.want(422)
}

// Drafts keep their text, their recipient and their files.
func TestADraftIsTakenUpAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	camille, moreau := h.holder("Camille", "ROUX"), h.member("louise.moreau", "Dr Louise MOREAU", "10")
	moreau.send(camille, letter{subject: "Question", text: "?"})
	b := camille.signIn()
	b.get("/mail/inbox/1/reply")
	b.submit("/write/draft", fields{"text": {"Je vous réponds bientôt, été."}}, attachment{name: "a.pdf", content: pdf("a")}, attachment{name: "b.txt", content: "texte b"})
	b.want(200, "Votre brouillon est enregistré", "Dr Louise MOREAU")
	b.follow("Le reprendre")
	values := formValues(b.page.form("/write/send"))
	if values.Get("text") != "Je vous réponds bientôt, été.\n" && strings.TrimSpace(values.Get("text")) != "Je vous réponds bientôt, été." || len(values["keep"]) != 2 {
		t.Errorf("%q", values)
	}
	b.want(200, "a.pdf", "b.txt")
	b.submit("/write/draft", fields{"text": {"Deuxième version"}, "keep": values["keep"][:1]}, attachment{name: "c.txt", content: "texte c"})
	b.follow("Le reprendre")
	b.want(200, "a.pdf", "c.txt")
	b.lacks("b.txt")
	b.submit("/write/send", nil)
	b.want(200, "Votre message est envoyé")
	b.get("/mail/drafts")
	b.want(200, "Aucun brouillon")

	d := moreau.signIn()
	d.follow("Re: Question")
	d.want(200, "Deuxième version", "a.pdf", "c.txt", "2 pièces jointes")
	a, err := h.mail.Open(t.Context(), moreau.actor, moreau.owner, d.keys(moreau))
	h.must(err)
	defer a.Close()
	v, err := a.Select(t.Context(), mailbox.Inbox, true)
	h.must(err)
	defer v.Close()
	m, err := v.Message(t.Context(), 1)
	h.must(err)
	if env := m.Index.Envelope; len(env.InReplyTo) != 1 || len(env.References) != 1 || env.InReplyTo[0] != env.References[0] {
		t.Errorf("the answer lost its thread: %+v", env)
	}
}

// D3: a summons is shown as an appointment, photos as pictures.
func TestASummonsAndPhotos(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	camille, moreau := h.holder("Camille", "ROUX"), h.member("louise.moreau", "Dr Louise MOREAU", "10")
	summons := "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART;TZID=Europe/Paris:20261210T083000\r\nDTEND;TZID=Europe/Paris:20261210T091500\r\n" +
		"SUMMARY:IRM du genou\r\nLOCATION:Hall B\\, 2e étage\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
	moreau.send(camille, letter{subject: "Convocation", text: "Voici", files: []attachment{{"text/calendar; charset=utf-8", "rdv.ics", summons}}})
	png := "\x89PNG\r\n\x1a\n" + strings.Repeat("x", 100)
	moreau.send(camille, letter{subject: "Photos", text: "Voici", files: []attachment{{"image/png", "un.png", png}, {"application/octet-stream", "deux.png", png}, {"image/png", "faux.png", "<script>alert(1)</script>"}, {"text/html", "page.html", "<script>alert(1)</script>"}, {"text/plain", "note.txt", "été\n<b>"}}})
	b := camille.signIn()
	b.want(200, "contient un rendez-vous", "5 pièces jointes"[:1])
	b.follow("Convocation")
	b.want(200, "Rendez-vous", "IRM du genou", "jeudi 10 décembre 2026 à 8 h 30 – 9 h 15", "Hall B, 2e étage", "Ajouter à mon agenda")
	b.lacks("pièce jointe")
	p := b.get("/mail/inbox/1/part/2?download=1")
	if p.body != summons || !strings.HasPrefix(p.header.Get("Content-Disposition"), "attachment") {
		t.Errorf("%v %q", p.header, p.body)
	}
	b.get("/mail/inbox/2")
	b.want(200, "5 pièces jointes", "un.png", "deux.png", "page.html", "note.txt")
	for part, want := range map[string]string{"2": "image/png inline", "3": "image/png inline", "4": "application/octet-stream attachment", "5": "application/octet-stream attachment", "6": "application/octet-stream attachment"} {
		p := b.get("/mail/inbox/2/part/" + part)
		disposition, _, _ := strings.Cut(p.header.Get("Content-Disposition"), ";")
		if got := p.header.Get("Content-Type") + " " + disposition; got != want || p.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("part %s: %s, want %s", part, got, want)
		}
	}
	b.get("/mail/inbox/2/open/6")
	b.want(200, "note.txt", "été <b>")
	b.get("/mail/inbox/2/open/5")
	b.want(404, "ne peut pas être affiché ici")
	b.get("/mail/inbox/2/part/9")
	b.want(404, "Cette pièce jointe n’existe pas")
}

// Search, paging, boxes of one's own.
func TestListsOfMessages(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	camille, moreau := h.holder("Camille", "ROUX"), h.member("louise.moreau", "Dr Louise MOREAU", "10")
	for i := range 30 {
		moreau.send(camille, letter{subject: "Message n" + strings.Repeat("o", i), text: "corps"})
	}
	moreau.send(camille, letter{subject: "Résultats", text: "La glycémie est normale"})
	b := camille.signIn()
	b.want(200, "1 à 25 sur 31", "Plus anciens", "Résultats")
	b.follow("Plus anciens")
	b.want(200, "26 à 31 sur 31", "Plus récents")
	b.lacks("Résultats")
	b.get("/mail/inbox?page=99")
	b.want(200, "26 à 31 sur 31")
	for query, want := range map[string]string{"glycemie": "1 message contient", "moreau message": "30 messages contiennent", "introuvable": "Aucun message trouvé"} {
		b.get("/mail/inbox?q=" + strings.ReplaceAll(query, " ", "+"))
		b.want(200, want)
	}
	b.get("/mail/f-T25jb2xvZ2ll")
	b.want(404, "Cette boîte n’existe pas")
	a, err := h.mail.Open(t.Context(), camille.actor, camille.owner, b.keys(camille))
	h.must(err)
	h.must(a.Create(t.Context(), "Oncologie", ""))
	a.Close()
	b.get("/mail/f-T25jb2xvZ2ll")
	b.want(200, "Oncologie", "Aucun message ici")
	for _, path := range []string{"/mail/inbox/999", "/mail/inbox/0", "/mail/inbox/x", "/mail/nope", "/mail/f-!!", "/dossier/none", "/nowhere", "/mail/inbox/1/letter/1", "/static/0/portal.css"} {
		b.get(path)
		b.want(404)
	}
}

// A client that idles hears of a new message at once.
func TestAnOpenPageHearsOfANewMessage(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	camille, moreau := h.holder("Camille", "ROUX"), h.member("louise.moreau", "Dr Louise MOREAU", "10")
	moreau.send(camille, letter{subject: "Avant", text: "…"})
	b := camille.signIn()
	resp, err := b.client.Get(h.server.URL + "/events")
	h.must(err)
	defer resp.Body.Close()
	if resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%v", resp.Header)
	}
	heard := make(chan time.Time, 1)
	go func() {
		var all []byte
		buf := make([]byte, 256)
		for {
			n, err := resp.Body.Read(buf)
			all = append(all, buf[:n]...)
			if strings.Contains(string(all), "event: mail\n") || err != nil {
				heard <- time.Now()
				return
			}
		}
	}()
	time.Sleep(20 * time.Millisecond) // the stream has begun; what came before is not news
	b.get("/mail/inbox/1")            // neither is what the person does themselves
	select {
	case <-heard:
		t.Fatal("reading a message is told as news")
	case <-time.After(100 * time.Millisecond):
	}
	moreau.send(camille, letter{subject: "Nouveau", text: "…"})
	sent := time.Now()
	select {
	case at := <-heard:
		if at.Sub(sent) > 500*time.Millisecond {
			t.Errorf("heard after %v", at.Sub(sent))
		}
	case <-time.After(5 * time.Second):
		t.Fatal("nothing was heard")
	}
	second, err := b.client.Get(h.server.URL + "/events")
	h.must(err)
	defer second.Body.Close()
	b.get("/account")
	b.submit("/sign-out", nil)
	over := make(chan struct{})
	go func() {
		defer close(over)
		buf := make([]byte, 256)
		for {
			if _, err := second.Body.Read(buf); err != nil {
				return
			}
		}
	}()
	select {
	case <-over:
	case <-time.After(5 * time.Second):
		t.Error("the stream outlives its session")
	}
}
