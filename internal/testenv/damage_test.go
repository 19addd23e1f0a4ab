package testenv_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"pli/cmd/pli/demo"
	"pli/cmd/pli/instance"
	"pli/internal/testenv"
)

// onFiles keeps a story about files of the embedded engines to those.
func onFiles(t *testing.T) {
	if testenv.Served(t) {
		t.Skip("PostgreSQL and the S3 server keep their own files: internal/testenv/outage_test.go has their damage")
	}
}

// verb runs an operator's verb that writes JSON, and returns its exit code.
func verb(t *testing.T, out any, args ...string) int {
	t.Helper()
	cmd := exec.Command(testenv.Pli(t), append(args, "--json")...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	b, err := cmd.Output()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, out); err != nil {
		t.Fatalf("pli %v: %v\n%s\n%s", args, err, b, stderr.String())
	}
	return cmd.ProcessState.ExitCode()
}

func (c correspondence) config() string { return filepath.Join(c.Dir, "pli.toml") }

// verify asks what is wrong.
func (c correspondence) verify(wantCode int) instance.VerifyReport {
	c.T.Helper()
	var r instance.VerifyReport
	if code := verb(c.T.(*testing.T), &r, "verify", "--config", c.config()); code != wantCode {
		c.T.Errorf("verify ends with %d: %v", code, r.Problems)
	}
	return r
}

// export copies the holder's mail out, sealed.
func (c correspondence) export(wantCode int) (instance.ExportReport, map[string]exported) {
	c.T.Helper()
	var r instance.ExportReport
	to := filepath.Join(c.T.TempDir(), "out")
	if code := verb(c.T.(*testing.T), &r, "export", "--sealed", "--config", c.config(), "--address", c.holder.Address, "--to", to); code != wantCode {
		c.T.Errorf("export ends with %d: %v", code, r.Problems)
	}
	var m struct {
		Messages []exported         `json:"messages"`
		Problems []instance.Problem `json:"problems"`
	}
	b, err := os.ReadFile(filepath.Join(to, "manifest.json"))
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil {
		c.T.Fatal(err)
	}
	byID := map[string]exported{}
	for _, e := range m.Messages {
		if b, err := os.ReadFile(filepath.Join(to, e.File)); err != nil || len(b) < int(e.Size) || b[0] != 0xC1 || !bytes.Contains(b[:200], []byte{0xD2}) {
			c.T.Errorf("%s is no sealed message of %d bytes: %d bytes, %v", e.File, e.Size, len(b), err)
		}
		byID[e.ID] = e
	}
	if len(m.Problems) != len(r.Problems) || r.Messages != len(m.Messages) {
		c.T.Errorf("the manifest: %+v, the report: %+v", m, r)
	}
	return r, byID
}

// exported is a message in an export's manifest.
type exported struct {
	File   string   `json:"file"`
	ID     string   `json:"id"`
	Folder string   `json:"folder"`
	UID    int      `json:"uid"`
	Flags  []string `json:"flags"`
	Size   int64    `json:"size"`
}

// idOf returns the opaque id of the message at a UID of INBOX.
func idOf(t *testing.T, all map[string]exported, uid int) string {
	t.Helper()
	for id, e := range all {
		if e.Folder == "INBOX" && e.UID == uid {
			return id
		}
	}
	t.Fatalf("no message %d in INBOX: %+v", uid, all)
	return ""
}

// fetchAll asks for every message of INBOX, as clients do that keep a copy, and
// returns the subjects that came.
func (c correspondence) fetchAll() (subjects []string, err error) {
	c.T.Helper()
	list, err := c.fetch("INBOX")
	for _, l := range list {
		subjects = append(subjects, l.Subject)
	}
	return subjects, err
}

// fetch returns the letters of a box that came, whatever was said of others.
func (c correspondence) fetch(box string) (letters []testenv.Letter, err error) {
	c.T.Helper()
	client := c.IMAP(c.holder.Address, c.holder.MailPassword)
	defer client.Close()
	if _, err := client.Select(box, &imap.SelectOptions{ReadOnly: true}).Wait(); err != nil {
		c.T.Fatal(err)
	}
	var all imap.SeqSet
	all.AddRange(1, 0)
	section := &imap.FetchItemBodySection{Peek: true}
	list, err := client.Fetch(all, &imap.FetchOptions{Envelope: true, Flags: true, BodySection: []*imap.FetchItemBodySection{section}}).Collect()
	for _, m := range list {
		if b := m.FindBodySection(section); m.Envelope != nil && len(b) > 0 {
			letters = append(letters, testenv.Letter{Subject: m.Envelope.Subject, Flags: m.Flags, Raw: string(b)})
		}
	}
	return letters, err
}

// cutOff asks for every message of INBOX and must see the connection end in the
// middle of one, which has been promised whole. (By hand: imapclient races with
// itself when a literal breaks off.)
func (c correspondence) cutOff() {
	c.T.Helper()
	r := c.RawTLS(c.File.IMAPS)
	defer r.Close()
	r.Say(fmt.Sprintf("a LOGIN %q %q\r\n", c.holder.Address, c.holder.MailPassword), "a OK")
	r.Say("b EXAMINE INBOX\r\n", "b OK")
	if _, err := io.WriteString(r, "c FETCH 1:* BODY.PEEK[]\r\n"); err != nil {
		c.T.Fatal(err)
	}
	got, _ := io.ReadAll(r)
	if !bytes.Contains(got, []byte("Subject: Gros")) || bytes.Contains(got, []byte("Subject: Dernier")) || bytes.Contains(got, []byte("\nc ")) {
		c.T.Errorf("a damaged message came whole: %d bytes", len(got))
	}
}

// flipAt changes one bit of a file.
func flipAt(t testing.TB, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 4
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}

// A bit that the disk has changed in a large message: verify tells it by
// account and message while the instance runs; every other message is read by
// clients and in the portal; the export leaves it out and says so.
func TestDamageInABlob(t *testing.T) {
	t.Parallel()
	onFiles(t)
	c := begin(t)
	c.doctorWrites("Premier")
	c.large("Gros")
	c.doctorWrites("Dernier")
	if r := c.verify(0); r.Messages < 3 {
		t.Fatalf("%+v", r)
	}
	_, whole := c.export(0)
	id := idOf(t, whole, 2)

	blobs, err := filepath.Glob(filepath.Join(c.Dir, "data", "blobs", "??", "??", "*"))
	if err != nil || len(blobs) != 1 {
		t.Fatalf("%v %v", blobs, err)
	}
	flipAt(t, blobs[0], 200_000)
	r := c.verify(1)
	if len(r.Problems) != 1 || r.Problems[0].Address != c.holder.Address || r.Problems[0].Object != "message" || r.Problems[0].ID != id {
		t.Errorf("verify tells %+v, not of message %s of %s", r.Problems, id, c.holder.Address)
	}
	c.cutOff()
	if got, _ := c.fetchAll(); !slices.Equal(got, []string{"Premier", "Dernier"}) { // and not again stuck at the same place
		t.Errorf("a client that comes again gets %q", got)
	}
	v := c.enter()
	v.mustShow("/mail/inbox", "Gros")
	v.mustShow("/mail/inbox/3", "Dernier")
	report, rest := c.export(1)
	if len(report.Problems) != 1 || report.Problems[0].ID != id || len(rest) != 2 {
		t.Errorf("exported %+v, %+v", report, rest)
	}
	flipAt(t, blobs[0], 200_000)
	c.verify(0)
	if page := v.get("/trace"); !strings.Contains(page, "fichiers scellés") && !strings.Contains(page, "sealed files") {
		t.Error("the holder's trace does not tell of the exports")
	}
}

// A bit in a page of records: the instance starts, tells which message of
// whom, and all others are read.
func TestDamageInAShard(t *testing.T) {
	t.Parallel()
	onFiles(t)
	c := begin(t)
	for i := range 5 {
		c.doctorWrites(fmt.Sprintf("Lettre %d", i+1))
	}
	_, whole := c.export(0)
	id := idOf(t, whole, 3)
	dir := c.Dir
	c.Stop()

	shard := shardOf(t, dir)
	places := keyPlaces(t, shard, id, 'i')
	for _, at := range places {
		flipAt(t, shard, at)
	}
	r := c.verify(1)
	for _, p := range r.Problems {
		if p.Account != "" && (p.Address != c.holder.Address || p.Object != "message" || p.ID != id) {
			t.Errorf("told of something else: %+v", p)
		}
	}
	if !slices.ContainsFunc(r.Problems, func(p instance.Problem) bool { return p.ID == id }) {
		t.Errorf("message %s is not told: %+v", id, r.Problems)
	}
	again := correspondence{testenv.Start(t, func(o *demo.Options) { o.Dir = dir }), c.doctor, c.holder}
	want := []string{"Lettre 1", "Lettre 2", "Lettre 4", "Lettre 5"}
	if got, _ := again.fetchAll(); !slices.Equal(got, want) {
		t.Errorf("read %q", got)
	}
	again.doctorWrites("Lettre 6")
	if got, _ := again.fetchAll(); !slices.Equal(got, append(want, "Lettre 6")) {
		t.Errorf("after another: %q", got)
	}
	again.enter().mustShow("/mail/inbox/5", "Lettre 5")
	if report, rest := again.export(1); len(report.Problems) != 1 || len(rest) != 5 {
		t.Errorf("exported %+v, %+v", report, rest)
	}
	var repaired instance.RepairReport
	if code := verb(t, &repaired, "verify", "--repair", "--config", again.config()); len(repaired.Accounts) != 1 || repaired.Accounts[0].Entries != 1 {
		t.Errorf("repair ends with %d: %+v", code, repaired)
	}
	again.Stop()
}

// shardOf returns the file of records.
func shardOf(t *testing.T, dir string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "data", "store", "shard-*.db"))
	if err != nil || len(found) != 1 {
		t.Fatalf("%v %v", found, err)
	}
	return found[0]
}

// keyPlaces returns where in a file the values of a message's record lie: of
// each copy on a leaf page, a place within.
func keyPlaces(t *testing.T, path, id string, part byte) (at []int64) {
	t.Helper()
	raw, err := hex.DecodeString(id)
	if err != nil {
		t.Fatal(err)
	}
	key := append(append([]byte("\x00mail/m/"), raw...), part)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for from := 0; ; {
		i := bytes.Index(b[from:], key)
		if i < 0 {
			break
		}
		from += i + len(key)
		if page := pageOf(b, from); binary.LittleEndian.Uint16(b[page+8:]) == 2 { // bbolt's leaf; a branch has no values
			at = append(at, int64(from)+3)
		}
	}
	if len(at) == 0 {
		t.Fatalf("no record of %s in %s", id, path)
	}
	return at
}

// pageOf returns where the page begins that holds a place: one that bears its
// own number, which may have further ones behind it.
func pageOf(b []byte, at int) int {
	size := os.Getpagesize()
	page := at / size * size
	for page > 0 && binary.LittleEndian.Uint64(b[page:]) != uint64(page/size) {
		page -= size
	}
	return page
}

// The file of records is damaged in many places, the instance does not run:
// salvage makes a new folder, in which the holder signs in, reads every letter
// of which anything is left, and finds none that was never there.
func TestSalvage(t *testing.T) {
	t.Parallel()
	onFiles(t)
	c := begin(t)
	const letters, large, deleted = 24, 12, 20
	for i := 1; i <= letters; i++ {
		if i == large {
			c.large("Lettre 12")
		} else {
			c.doctorWrites(fmt.Sprintf("Lettre %d", i))
		}
	}
	client := c.IMAP(c.holder.Address, c.holder.MailPassword)
	expungeOne(t, client, deleted)
	flagOne(t, client, 5)
	client.Close()
	_, whole := c.export(0)
	hit := []string{idOf(t, whole, large), idOf(t, whole, 7), idOf(t, whole, 15)}
	dir := c.Dir
	c.Stop()

	// The pages that say where these messages are, in every copy, are spoiled.
	shard := shardOf(t, dir)
	file, err := os.ReadFile(shard)
	if err != nil {
		t.Fatal(err)
	}
	pages := map[int]bool{}
	for i, id := range hit {
		for _, at := range keyPlaces(t, shard, id, 'i') {
			page := pageOf(file, int(at))
			if pages[page] = true; i == 0 {
				wipe(t, shard, int64(page)) // a sector that is lost
			} else {
				flipAt(t, shard, int64(page)+8) // what sort of page it is
			}
		}
	}
	before := fileSums(t, filepath.Join(dir, "data"))
	var r instance.SalvageReport
	to := filepath.Join(t.TempDir(), "data.new")
	if code := verb(t, &r, "salvage", "--config", filepath.Join(dir, "pli.toml"), "--to", to); code != 1 || r.Records == 0 || r.Keys == 0 || r.Blobs != 1 {
		t.Errorf("salvage ends with %d: %+v", code, r)
	}
	if r.Reclaimed+r.Old == 0 {
		t.Errorf("nothing came from old pages or blobs: %+v", r)
	}
	if after := fileSums(t, filepath.Join(dir, "data")); after != before {
		t.Errorf("salvage has written to the damaged folder:\n%s\nbefore:\n%s", after, before)
	}
	if !slices.ContainsFunc(r.Accounts, func(a instance.Repaired) bool { return a.Address == c.holder.Address }) {
		t.Errorf("nothing is told of %s: %+v", c.holder.Address, r.Accounts)
	}
	for _, p := range r.After.Problems {
		if p.Text != "its body is missing" {
			t.Errorf("left: %+v", p)
		}
	}
	if out, code := pli(t, "salvage", "--config", filepath.Join(dir, "pli.toml"), "--to", to); code != 1 || !strings.Contains(out, "not empty") {
		t.Errorf("into a full folder: %d %s", code, out)
	}
	rename(t, filepath.Join(dir, "data"), filepath.Join(dir, "data.damaged"))
	rename(t, to, filepath.Join(dir, "data"))

	again := correspondence{testenv.Start(t, func(o *demo.Options) { o.Dir = dir }), c.doctor, c.holder}
	got := map[string]int{}
	inbox, _ := again.fetch("INBOX")
	recovered := []testenv.Letter{}
	if slices.ContainsFunc(r.Accounts, func(a instance.Repaired) bool { return a.Address == c.holder.Address && a.Recovered > 0 }) {
		recovered, _ = again.fetch("Récupéré")
	}
	for _, l := range append(inbox, recovered...) {
		got[l.Subject]++
	}
	lost := 0
	for i := 1; i <= letters; i++ {
		subject := fmt.Sprintf("Lettre %d", i)
		if n := got[subject]; n > 1 || n == 0 && i == large {
			t.Errorf("%s is there %d times", subject, n)
		} else if n == 0 && i != deleted {
			lost++
		}
		delete(got, subject)
	}
	if lost > 3*len(hit) || len(got) > 0 {
		t.Errorf("%d letters lost, invented: %v", lost, got)
	}
	if slices.ContainsFunc(inbox, func(l testenv.Letter) bool { return l.Subject == fmt.Sprintf("Lettre %d", deleted) }) {
		t.Error("the letter that was deleted lies in the inbox again")
	}
	if i := slices.IndexFunc(inbox, func(l testenv.Letter) bool { return l.Subject == "Lettre 5" }); i >= 0 && !slices.Contains(inbox[i].Flags, imap.FlagFlagged) {
		t.Error("the flag of a letter is lost")
	}
	again.doctorWrites("Après")
	again.enter().mustShow("/mail/inbox", "Après")
	again.Stop() // a letter may have lost its body: that was told above
	t.Logf("%d pages spoiled: %d letters lost, %d in INBOX, %d recovered; %d records, %d old, %d reclaimed", len(pages), lost, len(inbox), len(recovered), r.Records, r.Old, r.Reclaimed)
}

// wipe writes zeros over a page.
func wipe(t *testing.T, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err == nil {
		_, err = f.WriteAt(make([]byte, os.Getpagesize()), at)
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func expungeOne(t *testing.T, c *imapclient.Client, uid imap.UID) {
	t.Helper()
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Store(imap.UIDSetNum(uid), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Collect(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Expunge().Collect(); err != nil {
		t.Fatal(err)
	}
}

func flagOne(t *testing.T, c *imapclient.Client, uid imap.UID) {
	t.Helper()
	if _, err := c.Store(imap.UIDSetNum(uid), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagFlagged}}, nil).Collect(); err != nil {
		t.Fatal(err)
	}
}

// fileSums describes every file of a folder: name, length, time of the last
// writing.
func fileSums(t *testing.T, dir string) string {
	t.Helper()
	var out strings.Builder
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		fmt.Fprintln(&out, path, info.Size(), info.ModTime())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}
