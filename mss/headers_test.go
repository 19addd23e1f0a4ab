package mss_test

import (
	"context"
	"regexp"
	"strings"
	"testing"

	"pli/mss"
	"pli/space"
)

// What becomes of a header: refused for a reason, or kept with fields added
// and taken away.
func TestHeadersOfAPeer(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	doctor := h.member("louise.moreau")
	own := "labo@" + peerDomain
	for _, c := range []struct {
		name, text string
		want       mss.Reason
	}{
		{"the least", "From: " + own + "\r\n\r\nx\r\n", 0},
		{"no body", "From: " + own + "\r\n\r\n", 0},
		{"no blank line", "From: " + own + "\r\n", 0},
		{"no line end", "From: " + own, 0},
		{"nothing", "", mss.HeaderFrom},
		{"no header", "\r\nFrom: " + own + "\r\n", mss.HeaderFrom},
		{"no From", mailText("To: x"), mss.HeaderFrom},
		{"two From", mailText("From: "+own, "From: "+own), mss.HeaderFrom},
		{"two From, another case", mailText("From: "+own, "fROM: x@y"), mss.HeaderFrom},
		{"two addresses", mailText("From: " + own + ", x@" + peerDomain), mss.HeaderFrom},
		{"an empty From", mailText("From:"), mss.HeaderFrom},
		{"no address", mailText("From: Labo"), mss.HeaderFrom},
		{"another's domain", mailText("From: dr@" + localDomain), mss.HeaderFrom},
		{"a holder's", mailText("From: 1@" + patientDomain), mss.HeaderFrom},
		{"another's, own as name", mailText("From: \"" + own + "\" <dr@" + localDomain + ">"), mss.HeaderFrom},
		{"two addresses, the first quoted oddly", mailText("From: \"" + own + "\"@x.example <" + own + ">"), mss.HeaderFrom},
		{"a name in another character set", mailText("From: =?windows-1252?Q?Laboratoire_d=92analyses?= <" + own + ">"), 0},
		{"folded", mailText("From: Labo\r\n <" + own + ">"), 0},
		{"two Subject", mailText("From: "+own, "Subject: a", "SUBJECT: b"), mss.BadHeader},
		{"two Date", mailText("From: "+own, "Date: a", "Date: b"), mss.BadHeader},
		{"two To", mailText("From: "+own, "To: a@b", "To: b@c"), mss.BadHeader},
		{"two Sender", mailText("From: "+own, "Sender: a@b", "Sender: b@c"), mss.BadHeader},
		{"two Reply-To", mailText("From: "+own, "Reply-To: a@b", "Reply-To: b@c"), mss.BadHeader},
		{"two Message-ID", mailText("From: "+own, "Message-ID: <a@b>", "Message-ID: <b@c>"), mss.BadHeader},
		{"two Content-Type", mailText("From: "+own, "Content-Type: text/plain", "Content-Type: text/html"), mss.BadHeader},
		{"two of their own", mailText("From: "+own, "X-Labo: a", "X-Labo: b"), 0},
		{"a line that is no field", mailText("From: "+own, "hello"), mss.BadHeader},
		{"it begins with a continuation", mailText(" x", "From: "+own), mss.BadHeader},
		{"a name with a space", mailText("From: "+own, "Sub ject: a"), mss.BadHeader},
		{"a space before the colon hides nothing", mailText("From: "+own, "From : x@y"), mss.HeaderFrom},
		{"a name with eight bits", mailText("From: "+own, "Objét: a"), mss.BadHeader},
		{"bare LF", "From: " + own + "\r\n\r\na\nb\r\n", mss.BareNewline},
		{"bare LF in the header", "From: " + own + "\nBcc: x\r\n\r\na\r\n", mss.BareNewline},
		{"bare CR", "From: " + own + "\r\n\r\na\rb\r\n", mss.BareNewline},
		{"bare CR at the end", "From: " + own + "\r\n\r\na\r", mss.BareNewline},
		{"CR CR LF", "From: " + own + "\r\n\r\na\r\r\n", mss.BareNewline},
		{"NUL", "From: " + own + "\r\n\r\na\x00b\r\n", mss.BareNewline},
		{"no end of the last line", "From: " + own + "\r\n\r\nabc", 0},
	} {
		if got := mss.ReasonOf(h.fromPeer(own, c.text, doctor.address.String())); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// D1: hidden recipients stay hidden, and nobody speaks in our name.
func TestWhatIsTakenAwayAndAdded(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	doctor := h.member("louise.moreau")
	own := "labo@" + peerDomain
	want(t, h.fromPeer(own, mailText("Received: from a", "From: "+own, "Bcc: secret@x.example",
		"Return-Path: <forged@x>", "Authentication-Results: MX.pli.test; dkim=pass", "Authentication-Results: (mx.pli.test) mx.pli.test 1; spf=pass",
		"Authentication-Results: mx.autre.test; auth=pass", "To: a@b", "Subject: =?utf-8?q?=C3=A9?=\r\n folded", "X-Odd:   spaced  "), doctor.address.String()), 0)
	kept := doctor.letters()[0]
	shape := regexp.MustCompile(`^Return-Path: <` + own + `>\r\n` +
		`Received: from smtp\.autre\.test \(\[192\.0\.2\.1\]\)\r\n\tby mx\.pli\.test with ESMTPS id [a-z2-7]{24};\r\n\t[A-Z][a-z]{2}, .* [+-]\d{4}\r\n` +
		`Received: from a\r\nFrom: ` + own + `\r\nAuthentication-Results: mx\.autre\.test; auth=pass\r\nTo: a@b\r\n` +
		`Subject: =\?utf-8\?q\?=C3=A9\?=\r\n folded\r\nX-Odd:   spaced  \r\n\r\nBonjour\.\r\n$`)
	if !shape.MatchString(kept) {
		t.Errorf("kept as\n%s", kept)
	}
}

// What a submitted message lacks is added; where its writer is, is not told.
func TestWhatIsAddedToASubmittedMessage(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	doctor, holder := h.member("louise.moreau"), h.holder(space.Active)
	tx, err := h.mss.FromMember(context.Background(), doctor.sender(), doctor.address.String(), mss.Params{Helo: "cabinet.example", Remote: "192.0.2.7", SMTPUTF8: true})
	want(t, give(t, tx, err, mailText("From: "+doctor.address.String(), "Subject: a"), holder.address.String()), 0)
	want(t, doctor.write(holder.address.String(), "Date: Mon, 02 Mar 2026 09:00:00 +0100", "Message-ID: <own@x>", "X-MSS-NIL: DEV935997"), 0)
	letters := holder.letters()
	if shape := regexp.MustCompile(`(?s)^Return-Path: <louise.moreau@medecin.pli.test>\r\nReceived: by mx\.pli\.test with UTF8SMTPSA id .*\r\nDate: .*\r\nMessage-ID: <[a-z2-7]{24}@mx\.pli\.test>\r\nX-MSS-NIL: PLI\r\n\r\n`); !shape.MatchString(letters[0]) {
		t.Errorf("kept as\n%s", letters[0])
	}
	for _, l := range letters {
		if strings.Contains(l, "192.0.2.7") || strings.Contains(l, "cabinet.example") {
			t.Errorf("it tells where its writer is:\n%s", l)
		}
	}
	for _, field := range []string{"Date:", "Message-ID:", "X-MSS-NIL:"} {
		if strings.Count(letters[1], field) != 1 {
			t.Errorf("%s stands there %d times:\n%s", field, strings.Count(letters[1], field), letters[1])
		}
	}
}

// Any division of the bytes gives the same answer.
func TestTheMessageInPieces(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	doctor := h.member("louise.moreau")
	own := "labo@" + peerDomain
	for text, reason := range map[string]mss.Reason{
		mailText("From: "+own, "Subject: a\r\n b") + "x\r\n\r\n.\r\n": 0,
		"From: " + own + "\r\n\r\na\r\nb\nc\r\n":                      mss.BareNewline,
		"From: " + own + "\r\n\r\na\r\nb\rc\r\n":                      mss.BareNewline,
	} {
		for _, size := range []int{1, 2, 3, 7, 1000} {
			ctx := context.Background()
			tx, err := h.mss.FromPeer(ctx, h.peer, own, mss.Params{})
			h.must(err)
			h.must(tx.Rcpt(ctx, doctor.address.String(), mss.RcptParams{}))
			_, err = tx.Data(ctx, &pieces{text, size})
			if got := mss.ReasonOf(err); got != reason {
				t.Errorf("%q in pieces of %d: %v, want %v", text, size, err, reason)
			}
			tx.Close()
		}
	}
	if got := doctor.letters(); len(got) != 1 { // the pieces of one are one message
		t.Errorf("%d letters", len(got))
	}
}
