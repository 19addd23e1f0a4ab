package web_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"pli/certs/keyring"
	"pli/mailbox"
	"pli/store"
	"pli/web"
)

// fill puts n letters of about 2 kB of text into a person's inbox.
func (p *person) fill(n int) {
	p.h.t.Helper()
	ctx := p.h.t.Context()
	to, err := p.h.signin.Recipient(ctx, p.owner)
	p.h.must(err)
	for from := 0; from < n; from += 100 {
		var spools []*mailbox.Spool
		for i := from; i < min(n, from+100); i++ {
			s, err := p.h.mail.Spool(ctx, []keyring.Recipient{to})
			p.h.must(err)
			defer s.Discard()
			io.WriteString(s, p.raw(p, letter{subject: fmt.Sprintf("Compte rendu %d", i), text: strings.Repeat(fmt.Sprintf("Dossier %d : rien à signaler.\n", i), 60)}))
			p.h.must(s.Close())
			spools = append(spools, s)
		}
		p.h.must(p.h.db.Update(ctx, p.owner, func(tx store.Tx) error {
			for _, s := range spools {
				if _, err := p.h.mail.Deliver(tx, s.Letter(0), mailbox.Inbox, []mailbox.Flag{mailbox.Seen}, time.Time{}); err != nil {
					return err
				}
			}
			return nil
		}))
	}
}

// benchPage measures a page of the portal for an inbox of n letters: what each
// request costs somebody who reads one page after another, with their mail held
// open between requests, and opened anew by each.
func benchPage(b *testing.B, n int, path string) {
	for name, life := range map[string]time.Duration{"held": time.Minute, "anew": time.Nanosecond} {
		b.Run(name, func(b *testing.B) {
			h := newHouse(b, func(c *web.Config) { c.HoldTime = life })
			camille := h.holder("Camille", "ROUX")
			camille.fill(n)
			browser := camille.signIn()
			browser.get(path)
			b.ReportAllocs()
			for b.Loop() {
				browser.get(path)
			}
			browser.want(200, "Compte rendu")
		})
	}
}

func BenchmarkInboxOf2000(b *testing.B)     { benchPage(b, 2000, "/mail/inbox") }
func BenchmarkLetterAmong2000(b *testing.B) { benchPage(b, 2000, "/mail/inbox/1000") }
func BenchmarkSearchIn2000(b *testing.B)    { benchPage(b, 2000, "/mail/inbox?q=1999") }
func BenchmarkSearchIn10000(b *testing.B)   { benchPage(b, 10_000, "/mail/inbox?q=9999") }
