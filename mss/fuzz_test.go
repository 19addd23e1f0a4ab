package mss_test

import (
	"bytes"
	"strings"
	"testing"

	"pli/mailbox/message"
	"pli/mss"
)

// Whatever a header is made of, it is refused for a reason, or what is kept of
// it has the form that the house promises.
func FuzzHeader(f *testing.F) {
	h := newHouse(f)
	own := "labo@" + peerDomain
	for _, s := range []string{
		mailText("From: "+own, "To: a@b", "Bcc: c@d", "Return-Path: <x>", "Authentication-Results: mx.pli.test; x=pass"),
		mailText("From: =?utf-8?q?a?= <"+own+">", "Subject: [FIN]", "X-MSS-MES: FIN", "Auto-Submitted: no"),
		mailText("From: \"a, b\" (c) <"+own+">", "Reply-To: g: "+own+", x@y;", "References: <a> <b"),
		"From:\r\n " + own + "\r\nFrom : x\r\n\r\n", "\r\n", ":\r\n\r\n", " \r\nFrom: " + own,
	} {
		head, _, _ := strings.Cut(s, "Bonjour")
		f.Add([]byte(head))
	}
	f.Fuzz(func(t *testing.T, head []byte) {
		kept, from, err := h.mss.Examine(h.peer, head)
		if err != nil {
			if mss.ReasonOf(err) == 0 {
				t.Fatalf("refused for no reason: %v", err)
			}
			return
		}
		fields, end, err := message.ReadHeader(kept)
		if err != nil || end != len(kept) || !bytes.HasSuffix(kept, []byte("\r\n\r\n")) {
			t.Fatalf("kept is no header: %v, %d of %d: %q", err, end, len(kept), kept)
		}
		if len(fields) < 2 || fields[0].Name != "Return-Path" || fields[1].Name != "Received" || len(fields.Values("return-path")) != 1 ||
			len(fields.Values("from")) != 1 || len(fields.Values("bcc")) != 0 || len(fields.Values("subject")) > 1 || from.Domain() != peerDomain {
			t.Fatalf("kept as %q", kept)
		}
		for _, v := range fields.Values("authentication-results") {
			if strings.Contains(strings.ToLower(v), "mx.pli.test") {
				t.Fatalf("somebody speaks in our name: %q", kept)
			}
		}
		if shown := message.ParseAddresses(fields.Get("from"), 10); len(shown) != 1 || !strings.EqualFold(shown[0].Host, peerDomain) {
			t.Fatalf("the law read %v, a reader sees %v", from, shown)
		}
	})
}
