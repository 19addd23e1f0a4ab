package smtpd

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// A panic in a session is logged with its place, not with what it was about (D4).
func TestPanicIsLoggedWithoutItsValue(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	p := printer{slog.New(slog.NewTextHandler(&log, nil))}
	p.Printf("panic serving %v: %v\n%s", "127.0.0.1:5", "Sujet canari", []byte("goroutine 7: session.go:12")) // go-smtp conn.go
	got := log.String()
	if strings.Contains(got, "canari") || !strings.Contains(got, "session.go:12") || !strings.Contains(got, "level=ERROR") || !strings.Contains(got, "panic=string") {
		t.Errorf("logged: %s", got)
	}
}
