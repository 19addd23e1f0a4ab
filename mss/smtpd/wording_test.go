package smtpd_test

import (
	"strings"
	"testing"
)

// Replies are a server's: EHLO and HELO answer with its name (RFC 5321
// 4.1.1.1), codes say what was accepted, and no address is repeated.
func TestWordings(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	doctor := h.member("doctor")
	c := h.peer()
	for _, step := range [][2]string{
		{"EHLO client.test", "250-mx.pli.test"}, {"HELO client.test", "250 mx.pli.test"}, {"NOOP", "250 2.0.0 ok"},
		{"MAIL FROM:<dr@" + peerDomain + ">", "250 2.1.0 sender accepted"},
		{"RCPT TO:<" + doctor.address.String() + ">", "250 2.1.5 recipient accepted"},
	} {
		if got := c.cmd("250", "%s", step[0]); !strings.HasPrefix(got, step[1]) {
			t.Errorf("%s: %q; want %q", step[0], got, step[1])
		}
	}
}
