package imapd

import "strings"

// dispatch gives the library the command that is whole, or answers in its
// stead.
func (g *guard) dispatch() error {
	line, spoilt := g.asm.line, g.asm.spoilt
	tag, name := nameOf(line)
	g.mu.Lock()
	g.tag, g.name, g.entered = tag, name, false
	g.mu.Unlock()
	if name == "" {
		return bad("Malformed command")
	}
	if !g.signedIn && !beforeSignIn(name) {
		if !afterSignIn(name) {
			// Something that speaks another protocol at us.
			return bad("Unknown command")
		}
		spoilt = "Sign in first"
	}
	if spoilt == "" && strings.HasSuffix(name, "SEARCH") {
		line, spoilt = searchLine(line, g.srv.cfg.MaxDepth)
	}
	if len(line) > maxLibraryLine {
		spoilt = "Command too long"
	}
	if spoilt != "" {
		return g.say(tag + " BAD [CLIENTBUG] " + spoilt + "\r\n")
	}
	if (name == "CREATE" || name == "RENAME") && !ascii(line) && !g.utf8() {
		// RFC 3501 5.1: such a name would be listed in modified UTF-7, and its
		// client would not know it again.
		return g.say(tag + " NO [CANNOT] Write this name in modified UTF-7, or ENABLE UTF8=ACCEPT first\r\n")
	}
	if isQuota(name) {
		return g.say(g.quota(tag, name, line))
	}
	g.out = line
	return nil
}

func ascii(line []byte) bool {
	for _, c := range line {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

// maxLibraryLine is what the library reads of a command (50 KiB), with some
// room: beyond it, it would take the rest of the line for the next command.
// Quoting a literal can make a command longer than the client sent it.
const maxLibraryLine = 50_000

// beforeSignIn reports whether a command may reach the library before sign-in.
func beforeSignIn(name string) bool {
	switch name {
	case "CAPABILITY", "NOOP", "LOGOUT", "LOGIN", "AUTHENTICATE", "STARTTLS":
		return true
	}
	return false
}

// afterSignIn reports whether name is a command for those who are signed in.
func afterSignIn(name string) bool {
	switch name {
	case "APPEND", "CHECK", "CLOSE", "COMPRESS", "COPY", "CREATE", "DELETE", "ENABLE", "EXAMINE", "EXPUNGE",
		"FETCH", "GETQUOTA", "GETQUOTAROOT", "ID", "IDLE", "LIST", "LSUB", "MOVE", "NAMESPACE", "RENAME",
		"SEARCH", "SELECT", "STATUS", "STORE", "SUBSCRIBE", "UNAUTHENTICATE", "UNSELECT", "UNSUBSCRIBE":
		return true
	}
	return strings.HasPrefix(name, "UID ")
}
