package imapd_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// client is the library's own client, signed in.
func (h *house) client(options *imapclient.Options) *imapclient.Client {
	h.t.Helper()
	if options == nil {
		options = &imapclient.Options{}
	}
	options.TLSConfig = h.tlsConfig()
	c := get(imapclient.DialTLS(h.imaps, options))(h)
	h.t.Cleanup(func() { c.Close() })
	h.must(c.Login(h.user, h.pass).Wait())
	return c
}

// A holder's client lists, reads, marks, files and removes. // D5
func TestClientStory(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.deliver(letter("first", "hello"))
	h.deliver(letter("second", "blood test"))
	c := h.client(nil)

	boxes := get(c.List("", "*", &imap.ListOptions{ReturnSpecialUse: true, ReturnStatus: &imap.StatusOptions{NumMessages: true, Size: true}}).Collect())(h)
	uses := map[string]bool{}
	for _, b := range boxes {
		for _, a := range b.Attrs {
			uses[b.Mailbox+" "+string(a)] = true
		}
		if b.Mailbox == "INBOX" && (b.Status == nil || *b.Status.NumMessages != 2 || *b.Status.Size == 0) {
			t.Errorf("status of INBOX: %+v", b.Status)
		}
	}
	for _, want := range []string{`Sent \Sent`, `Drafts \Drafts`, `Trash \Trash`, `Archive \Archive`, `Junk \Junk`} {
		if !uses[want] {
			t.Errorf("no %s in %v", want, uses)
		}
	}

	sel := get(c.Select("INBOX", nil).Wait())(h)
	if sel.NumMessages != 2 || sel.UIDNext != 3 || !slices.Contains(sel.PermanentFlags, imap.FlagWildcard) {
		t.Errorf("SELECT: %+v", sel)
	}
	all := imap.SeqSet{{Start: 1, Stop: 0}}
	section := &imap.FetchItemBodySection{Part: []int{1}}
	msgs := get(c.Fetch(all, &imap.FetchOptions{
		Envelope: true, Flags: true, InternalDate: true, RFC822Size: true, UID: true,
		BodyStructure: &imap.FetchItemBodyStructure{Extended: true}, BodySection: []*imap.FetchItemBodySection{section},
	}).Collect())(h)
	if len(msgs) != 2 {
		t.Fatalf("%d messages", len(msgs))
	}
	m := msgs[1]
	if m.Envelope.Subject != "second" || m.UID != 2 || m.RFC822Size != int64(len(letter("second", "blood test"))) ||
		string(m.FindBodySection(section)) != "blood test\r\n" || m.BodyStructure.MediaType() != "text/plain" ||
		!slices.Contains(m.Flags, imap.FlagSeen) || time.Since(m.InternalDate) > time.Minute {
		t.Errorf("second: %+v", m)
	}

	found := get(c.UIDSearch(&imap.SearchCriteria{Text: []string{"BLOOD"}}, nil).Wait())(h)
	if !slices.Equal(found.AllUIDs(), []imap.UID{2}) {
		t.Errorf("SEARCH: %v", found.AllUIDs())
	}
	get(c.Enable(imap.CapUTF8Accept).Wait())(h) // before names in UTF-8: RFC 6855 3
	h.must(c.Create("Santé/Analyses", nil).Wait())
	moved := get(c.Move(imap.UIDSetNum(2), "Santé/Analyses").Wait())(h)
	if moved.SourceUIDs.String() != "2" || moved.DestUIDs.(imap.UIDSet).String() != "1" {
		t.Errorf("MOVE: %+v", moved)
	}
	h.must(c.Store(imap.SeqSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close())
	if gone := get(c.Expunge().Collect())(h); !slices.Equal(gone, []uint32{1}) {
		t.Errorf("EXPUNGE: %v", gone)
	}
	st := get(c.Status("Santé/Analyses", &imap.StatusOptions{NumMessages: true, NumUnseen: true}).Wait())(h)
	if *st.NumMessages != 1 || *st.NumUnseen != 0 {
		t.Errorf("STATUS: %+v", st)
	}
	h.must(c.Logout().Wait())
}

// What one client does, another hears: at once while it idles.
func TestIdleHears(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	heard := make(chan string, 16)
	c := h.client(&imapclient.Options{UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Mailbox: func(d *imapclient.UnilateralDataMailbox) {
			if d.NumMessages != nil {
				heard <- fmt.Sprint("exists ", *d.NumMessages)
			}
		},
		Expunge: func(seq uint32) { heard <- fmt.Sprint("expunge ", seq) },
		Fetch: func(m *imapclient.FetchMessageData) {
			b := get(m.Collect())(h)
			heard <- fmt.Sprint("flags ", b.SeqNum, " ", b.Flags)
		},
	}})
	h.must2(c.Select("INBOX", nil).Wait())
	idle := get(c.Idle())(h)
	hear := func(want string) {
		t.Helper()
		select {
		case got := <-heard:
			if got != want {
				t.Errorf("heard %q, want %q", got, want)
			}
		case <-time.After(2 * time.Second):
			t.Errorf("heard nothing, want %q", want)
		}
	}
	time.Sleep(20 * time.Millisecond)
	h.deliver(letter("one", ""))
	hear("exists 1")
	h.deliver(letter("two", ""))
	hear("exists 2")
	other := h.inbox()
	other.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
	hear(`flags 1 [\Deleted]`)
	other.ok("EXPUNGE")
	hear("expunge 1")
	h.must(idle.Close())
	h.must(idle.Wait())
	h.must(c.Noop().Wait())
	if len(heard) > 0 {
		t.Errorf("heard again: %s", <-heard)
	}
}

func (h *house) must2(_ any, err error) {
	h.t.Helper()
	h.must(err)
}

// IDLE without a mailbox waits for DONE, and a wrong end of it is in step.
func TestIdleEnds(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	w := h.login()
	w.send("a IDLE\r\n")
	w.line()
	w.send("DONE\r\nb IDLE\r\n")
	if _, answer := w.until("a"); !strings.HasPrefix(answer, "OK") {
		t.Errorf("IDLE: %q", answer)
	}
	w.line()
	w.send("x CREATE Evil\r\n")
	if _, answer := w.until("b"); !strings.HasPrefix(answer, "BAD") {
		t.Errorf("IDLE ended by a command: %q", answer)
	}
	w.ok("NOOP")
	if names, _ := h.boxes(); strings.Contains(names, "Evil") {
		t.Error("what ended IDLE was executed")
	}
}

// EXAMINE changes nothing, whatever is tried. RFC 9051 6.3.3
func TestExamineIsReadOnly(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.deliver(letter("one", ""))
	w := h.inbox()
	w.ok("STORE 1 +FLAGS (\\Deleted)")
	w.ok("UNSELECT")
	if said := strings.Join(w.expect("OK [READ-ONLY]", "EXAMINE INBOX"), "\n"); !strings.Contains(said, "[PERMANENTFLAGS ()]") {
		t.Errorf("EXAMINE: %s", said)
	}
	if said := w.ok("FETCH 1 (FLAGS BODY[])"); !strings.Contains(said[0], `FLAGS (\Deleted)`) {
		t.Errorf("FETCH marked the message: %q", said)
	}
	w.expect("NO [NOPERM]", "STORE 1 +FLAGS (\\Seen)")
	w.expect("NO [NOPERM]", "STORE 1 FLAGS.SILENT ()")
	w.expect("NO [NOPERM]", "EXPUNGE")
	w.expect("NO [NOPERM]", "UID EXPUNGE 1:*")
	w.expect("NO [NOPERM]", "MOVE 1 Trash")
	w.expect("NO [NOPERM]", "UID MOVE 1 Trash")
	w.ok("COPY 1 Trash")
	w.ok("CLOSE")
	if said := w.ok("SELECT INBOX"); !slices.Contains(said, "* 1 EXISTS") {
		t.Errorf("afterwards: %q", said)
	}
	if said := w.ok("FETCH 1 FLAGS"); !strings.Contains(said[0], `FLAGS (\Deleted)`) {
		t.Errorf("afterwards: %q", said)
	}
	w.ok("CLOSE") // a real one removes
	if _, n := h.boxes(); n != 0 {
		t.Errorf("%d messages after CLOSE", n)
	}
}

// EXPUNGE is never told after FETCH, STORE or SEARCH, nor are numbers changed
// under a client's feet. RFC 9051 7.5.1
func TestExpungesWait(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for i := range 3 {
		h.deliver(letter(fmt.Sprint("m", i), "x"))
	}
	w, other := h.inbox(), h.inbox()
	other.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
	other.ok("EXPUNGE")
	for _, c := range []string{"FETCH 3 FLAGS", "STORE 3 +FLAGS (\\Flagged)", "SEARCH SUBJECT m2", "FETCH 3 BODY.PEEK[TEXT]"} {
		said := w.ok("%s", c)
		for _, line := range said {
			if strings.Contains(line, "EXPUNGE") {
				t.Errorf("%s: %q", c, said)
			}
		}
		if !strings.HasPrefix(said[0], "* 3 FETCH") && said[0] != "* SEARCH 3" {
			t.Errorf("%s: %q", c, said)
		}
	}
	w.expect("NO [EXPUNGEISSUED]", "FETCH 1 BODY[]")
	w.send("i IDLE\r\n")
	if said := []string{w.line(), w.line()}; said[1] != "* 1 EXPUNGE" {
		t.Errorf("IDLE: %q", said)
	}
	w.send("DONE\r\n")
	w.until("i")
	if said := w.ok("FETCH 2 UID"); said[0] != "* 2 FETCH (UID 3)" {
		t.Errorf("afterwards: %q", said)
	}
}

func TestIMAP4rev2(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.deliver(letter("one", "x"))
	w := h.login()
	w.ok("CREATE %q", "Sant&AOk-")
	w.ok("ENABLE IMAP4rev2")
	said := strings.Join(w.ok("SELECT \"Santé\""), "\n")
	if strings.Contains(said, "RECENT") || !strings.Contains(said, `* LIST () "/" "Santé"`) {
		t.Errorf("SELECT: %s", said)
	}
	w.ok("SELECT INBOX")
	if said := w.ok("SEARCH ALL"); !strings.HasPrefix(said[0], "* ESEARCH (TAG ") || !strings.Contains(said[0], "ALL 1") {
		t.Errorf("SEARCH: %q", said)
	}
	if said := w.ok("FETCH 1 BINARY.PEEK[1]<0.1>"); !strings.Contains(said[0], "~{1}\r\nx") {
		t.Errorf("BINARY: %q", said)
	}
}
