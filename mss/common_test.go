package mss_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"

	"pli/mss"
)

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// give walks one message through a transaction and returns its first failure.
func give(t testing.TB, tx *mss.Transaction, err error, text string, to ...string) error {
	t.Helper()
	ctx := context.Background()
	if err != nil {
		return err
	}
	defer tx.Close()
	for _, r := range to {
		if err := tx.Rcpt(ctx, r, mss.RcptParams{}); err != nil {
			return err
		}
	}
	_, err = tx.Data(ctx, strings.NewReader(text))
	return err
}

// fromPeer gives a message of the house's peer.
func (h *house) fromPeer(mailFrom, text string, to ...string) error {
	h.t.Helper()
	tx, err := h.mss.FromPeer(context.Background(), h.peer, mailFrom, mss.Params{Helo: "smtp.autre.test", Remote: "192.0.2.1"})
	return give(h.t, tx, err, text, to...)
}

// send gives a message of a person's.
func (p *person) send(mailFrom, text string, to ...string) error {
	p.h.t.Helper()
	tx, err := p.h.mss.FromMember(context.Background(), p.sender(), mailFrom, mss.Params{})
	return give(p.h.t, tx, err, text, to...)
}

// write sends a plain message under the person's own address.
func (p *person) write(to string, more ...string) error {
	p.h.t.Helper()
	fields := append([]string{"From: " + p.address.String(), "To: " + to, "Subject: Bonjour"}, more...)
	return p.send(p.address.String(), mailText(fields...), to)
}

// peerWrites sends a message of a peer's mailbox.
func (h *house) peerWrites(from, to string, more ...string) error {
	h.t.Helper()
	fields := append([]string{"From: " + from, "To: " + to, "Date: Mon, 02 Mar 2026 09:00:00 +0100"}, more...)
	return h.fromPeer(from, mailText(fields...), to)
}

func want(t testing.TB, err error, reason mss.Reason) {
	t.Helper()
	if reason == 0 {
		if err != nil {
			t.Fatalf("refused: %v", err)
		}
		return
	}
	if got := mss.ReasonOf(err); got != reason {
		t.Fatalf("got %v (%v), want %v", got, err, reason)
	}
	if !errors.Is(err, &mss.Refusal{Reason: reason}) {
		t.Fatalf("%v is not the refusal that it is", err)
	}
}
