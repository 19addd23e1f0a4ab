package source_test

import (
	"net"
	"testing"

	"pli/internal/source"
)

type from struct {
	net.Conn
	addr net.Addr
}

func (f from) RemoteAddr() net.Addr { return f.addr }

func TestOf(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		"192.0.2.7:25": "192.0.2.7", "[::ffff:192.0.2.7]:25": "192.0.2.7",
		"[2001:db8:1:2:3:4:5:6]:25": "2001:db8:1:2::", "[2001:db8:1:2:ffff::1]:26": "2001:db8:1:2::",
		"[2001:db8:1:3::1]:25": "2001:db8:1:3::", "[fe80::1%eth0]:25": "fe80::",
	} {
		a, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if got := source.Of(from{addr: a}).String(); got != want {
			t.Errorf("%s counts as %s, want %s", addr, got, want)
		}
	}
	a, _ := net.Pipe()
	if source.Of(a).IsValid() {
		t.Error("a pipe has an address")
	}
}
