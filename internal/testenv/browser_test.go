package testenv_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"pli/internal/testenv"
)

// browser starts a headless Chromium that accepts the demo's certificate.
func browser(t *testing.T, width, height int) context.Context {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(testenv.Tool(t, "chromium")),
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(width, height), chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("ignore-certificate-errors", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-sync", true))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// shoot writes a picture of the page for whoever sets PLI_SHOTS to a folder.
func shoot(t *testing.T, ctx context.Context, name string) {
	dir := os.Getenv("PLI_SHOTS")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Log(err)
		return
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		t.Log(err)
	}
}

// tab is a browser's page that a story clicks through.
type tab struct {
	t   *testing.T
	ctx context.Context
}

func (p tab) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, steps...); err != nil {
		body, _ := chromedp.Run(p.ctx, chromedp.Text(chromedp.CSS("body")))
		shoot(p.t, p.ctx, "failed")
		p.t.Fatalf("%s: %v\nthe page says:\n%s", what, err, body)
	}
}

func (p tab) open(url string) { p.t.Helper(); p.do("open "+url, chromedp.Navigate(url)) }

// click clicks what the selector finds, waits for the page that follows, and
// for what that page must have.
func (p tab) click(sel, next string) {
	p.t.Helper()
	if _, err := chromedp.RunResponse(p.ctx, chromedp.Click(chromedp.CSS(sel))); err != nil {
		p.t.Fatalf("click %s: %v", sel, err)
	}
	p.do("after "+sel, chromedp.WaitReady(chromedp.CSS(next)))
}

func (p tab) fill(sel, text string) {
	p.t.Helper()
	p.do("fill "+sel, chromedp.SetValue(chromedp.CSS(sel), text))
}

func (p tab) text(sel string) string {
	p.t.Helper()
	s, err := chromedp.Run(p.ctx, chromedp.Text(chromedp.CSS(sel)))
	if err != nil {
		p.t.Fatalf("text of %s: %v", sel, err)
	}
	return s
}

func (p tab) mustSay(sel string, words ...string) {
	p.t.Helper()
	got := p.text(sel)
	for _, w := range words {
		if !strings.Contains(got, w) {
			p.t.Errorf("the page does not say %q:\n%s", w, got)
		}
	}
}

// signIn signs in with password and one-time code.
func (p tab) signIn(e *testenv.Env, login, password string) {
	p.t.Helper()
	seen := e.Seen()
	p.open(e.File.Web + "/sign-in")
	shoot(p.t, p.ctx, "01-sign-in")
	p.fill("#login", login)
	p.fill("#password", password)
	p.click("main form button", "#code")
	p.fill("#code", e.Code(seen))
	p.click("main form button", "ul.list, .empty")
}

// fitsWidth fails if the page must be scrolled sideways.
func (p tab) fitsWidth(where string) {
	p.t.Helper()
	over, err := chromedp.Run(p.ctx, chromedp.Evaluate[int64]("document.documentElement.scrollWidth - document.documentElement.clientWidth"))
	if err != nil || over > 0 {
		p.t.Errorf("%s: %d pixels too wide (%v)", where, over, err)
	}
}

// The holder reads the report in a browser, opens its PDF, files it, finds it
// in the dossier and in the trace, and answers (A3, B5, B9, C4, D3, G3).
func TestHolderInTheBrowser(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t, testenv.WithReport)
	h, lab := e.File.Holders[0], e.File.Establishments[0]
	p := tab{t, browser(t, 1280, 900)}
	p.signIn(e, h.Login, h.Password)
	p.mustSay("main", "Résultats de votre prise de sang", lab.Name)
	shoot(t, p.ctx, "02-inbox")
	p.click("ul.list li a", "#subject")
	p.mustSay("main", "Vous trouverez ci-joint", lab.Name)
	shoot(t, p.ctx, "03-message")
	p.click(`a[href*="/open/"]`, ".opened")
	if kind := frameType(t, p); kind != "application/pdf" {
		t.Errorf("the attachment opens as %q", kind)
	}
	shoot(t, p.ctx, "04-pdf")
	p.click(`a[href*="/file/"]`, "#type")
	proposed, err := chromedp.Run(p.ctx, chromedp.Value(chromedp.CSS("#type")))
	if err != nil || proposed != "11502-2" {
		t.Errorf("the proposed type is %q (%v); want 11502-2 of X-MSS-CODECDA", proposed, err)
	}
	shoot(t, p.ctx, "05-file")
	p.click("main form button", "#subject, .opened, .note")
	shoot(t, p.ctx, "06-filed")
	p.open(e.File.Web + "/dossier")
	p.mustSay("main", lab.Name)
	shoot(t, p.ctx, "07-dossier")
	p.click(`main a[href^="/dossier/"]:not([href*="?"])`, ".opened, iframe, object, embed")
	shoot(t, p.ctx, "08-document")
	p.open(e.File.Web + "/trace")
	p.mustSay("main", lab.Name+" (établissement) vous a envoyé un message", "Vous avez lu", "Vous avez classé")
	shoot(t, p.ctx, "09-trace")
	p.open(e.File.Web + "/mail/inbox")
	p.click("ul.list li a", "#subject")
	p.click(`a[href$="/reply"]`, "textarea")
	p.fill("textarea", "Merci pour ces résultats.")
	shoot(t, p.ctx, "10-reply")
	p.click(`button[formaction="/write/send"], form[action="/write/send"] button:not([formaction])`, "main")
	got := e.Mailbox(lab.Address, lab.MailPassword, "INBOX")
	if len(got) != 1 || !strings.HasPrefix(got[0].Subject, "Re: Résultats") {
		t.Fatalf("the laboratory's inbox: %+v", got)
	}
}

// frameType returns the media type that the page's viewer was given.
func frameType(t *testing.T, p tab) string {
	t.Helper()
	kind, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](`(async () => {
		const f = document.querySelector("iframe, object, embed");
		const r = await fetch(f.src || f.data);
		return r.headers.get("Content-Type").split(";")[0];
	})()`, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	return kind
}

// Every page of the holder's fits a telephone of 360 pixels, in both
// languages (G3).
func TestPagesFitATelephone(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t, testenv.WithReport)
	h := e.File.Holders[0]
	p := tab{t, browser(t, 360, 740)}
	p.do("a small screen", chromedp.EmulateViewport(360, 740))
	p.signIn(e, h.Login, h.Password)
	for _, lang := range []string{"fr", "en"} {
		for i, path := range []string{"/mail/inbox", "/mail/inbox/1", "/mail/inbox/1/reply", "/mail/sent", "/write", "/dossier", "/trace", "/account"} {
			p.open(e.File.Web + path + "?lang=" + lang)
			p.fitsWidth(path)
			shoot(t, p.ctx, "small-"+lang+"-"+string(rune('a'+i)))
		}
	}
	if got, err := chromedp.Run(p.ctx, chromedp.Evaluate[string]("document.documentElement.lang")); err != nil || got != "en" {
		t.Errorf("the page's language is %q (%v)", got, err)
	}
}
