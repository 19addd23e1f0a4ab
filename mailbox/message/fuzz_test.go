package message_test

import (
	"bytes"
	"reflect"
	"testing"

	"pli/mailbox/message"
)

// Whatever comes: no panic, what Index promises holds, and pieces do not matter.
func FuzzScan(f *testing.F) {
	for _, b := range samples(f) {
		if len(b) < 4096 {
			f.Add(b, uint16(7))
		}
	}
	small := message.Limits{MaxHeaderBytes: 500, MaxParts: 6, MaxDepth: 4, MaxParams: 3, MaxAddresses: 4, MaxIndex: 1000, MaxText: 60, MaxTextSource: 200}
	f.Fuzz(func(t *testing.T, b []byte, n uint16) {
		for _, l := range []message.Limits{{}, small} {
			whole := scan(b, l, 0)
			check(t, "whole", b, whole)
			if pieces := scan(b, l, 1+int(n)%200); !reflect.DeepEqual(whole, pieces) {
				t.Errorf("in pieces of %d: %+v, want %+v", 1+int(n)%200, pieces, whole)
			}
		}
		if h, at, err := message.ReadHeader(b); at < 0 || at > len(b) || err == nil && len(h) > 0 && !bytes.HasPrefix(b, h[0].Raw) {
			t.Errorf("ReadHeader: %v %d %v", h, at, err)
		}
	})
}

// What reads single values never panics and always gives clean text.
func FuzzValues(f *testing.F) {
	for _, s := range []string{"=?utf-8?Q?a?= <a@b>, \"x\" (y) <@c:d@e>;", "Tue, 3 Mar 2026 08:15:00 +0100 (x)", "É ﬁ \u0301"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, a := range message.ParseAddresses(s, 50) {
			if a.Mailbox == "" {
				t.Errorf("%q: %+v", s, a)
			}
		}
		if y := message.ParseDate(s).Year(); y > 9999 || y < 1 {
			t.Errorf("%q: year %d", s, y)
		}
		if once := message.Fold(s); message.Fold(once) != once {
			t.Errorf("%q: %q is not folded", s, once)
		}
		if d := message.DecodeHeader(s); bytes.ContainsAny([]byte(d), "\r\n\x00") {
			t.Errorf("%q: %q", s, d)
		}
	})
}
