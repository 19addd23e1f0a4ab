package imapd

import (
	"bytes"
	"fmt"
	"time"
)

// incoming is an APPEND's message on its way from the client to the library.
type incoming struct {
	open    bool
	agreed  bool      // the library wants it
	nonSync bool      // the client sends without waiting (RFC 7888)
	left    int64     // bytes still to come
	tail    string    // what must follow the message
	by      time.Time // when it must all be here
}

// beginMessage gives the library the command up to its message. What follows
// waits until the library has agreed.
func (g *guard) beginMessage(lit announced) error {
	cfg := &g.srv.cfg
	head := g.asm.line
	g.mu.Lock()
	g.tag, g.name = nameOf(head)
	g.entered, g.invited = false, false
	g.mu.Unlock()
	switch {
	case lit.size > cfg.MaxAppend: // RFC 7889 3
		return &violation{"NO [TOOBIG]", fmt.Sprintf("Messages are limited to %d bytes", cfg.MaxAppend)}
	case g.asm.spoilt != "":
		return bad(g.asm.spoilt)
	case len(head) > maxLibraryLine:
		return &violation{"BAD [TOOBIG]", "Command too long"}
	}
	g.msg = incoming{open: true, nonSync: lit.nonSync, left: lit.size, tail: "\r\n"}
	g.msg.by = cfg.Now().Add(cfg.StallTimeout + time.Duration(lit.size/cfg.MinRate)*time.Second)
	if i := bytes.LastIndexByte(head, '{'); bytes.HasSuffix(head[:i], []byte("(~")) {
		g.msg.tail = ")\r\n" // RFC 6855 4: UTF8 (~{n} … )
	}
	g.out = head
	return nil
}

// readMessage gives the library the message's next bytes. The last one is held
// back until the end of the command behind it has come: a message that is
// followed by anything else is never whole, and so never stored.
func (g *guard) readMessage(p []byte) (int, error) {
	if !g.msg.agreed {
		if g.msg.agreed = g.asked(); !g.msg.agreed {
			return 0, &violation{"", "Literal refused"} // the library has answered
		}
	}
	if g.msg.left <= 1 {
		return 0, g.endMessage()
	}
	p = p[:min(int64(len(p)), g.msg.left-1)]
	var n int
	var err error
	if len(g.in) > 0 {
		n = copy(p, g.in)
		g.in = keep(g.in[n:])
	} else {
		g.setMessageDeadline()
		n, err = g.tls.Read(p)
	}
	g.msg.left -= int64(n)
	if n > 0 {
		return n, nil
	}
	return 0, err
}

// endMessage reads the end of the command.
func (g *guard) endMessage() error {
	want := int(g.msg.left) + len(g.msg.tail)
	for len(g.in) < want {
		g.setMessageDeadline()
		buf := make([]byte, 512)
		n, err := g.tls.Read(buf)
		if n == 0 && err != nil {
			return err
		}
		g.in = append(g.in, buf[:n]...)
	}
	if string(g.in[g.msg.left:want]) != g.msg.tail {
		return bad("One message and nothing behind it is allowed")
	}
	g.out, g.in = g.in[:want:want], keep(g.in[want:])
	g.msg = incoming{}
	return nil
}

func (g *guard) setMessageDeadline() {
	cfg := &g.srv.cfg
	at := cfg.Now().Add(cfg.StallTimeout)
	if g.msg.by.Before(at) {
		at = g.msg.by
	}
	g.tls.SetReadDeadline(at)
}
