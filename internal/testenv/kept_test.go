package testenv_test

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"pli/cmd/pli/demo"
	"pli/cmd/pli/instance"
	"pli/internal/engines"
	"pli/internal/testenv"
)

// An instance of each format that was ever in use is kept in testdata/stores:
// vN.tar.gz is its folder without certificates, vN.json is what it holds. Every
// later build must open it. One of this build is made by
//
//	PLI_MAKE_STORE=testdata/stores go test ./internal/testenv -run TestKeptStores
const envMakeStore = "PLI_MAKE_STORE"

// kept is what an instance that was kept holds.
type kept struct {
	Format     int                           `json:"format"`
	Made       time.Time                     `json:"made"`
	File       demo.File                     `json:"demo"`    // sign-ins
	Waiting    string                        `json:"waiting"` // matricule of a space without a sign-in, to which a message waits
	Counts     instance.VerifyReport         `json:"counts"`
	Boxes      map[string]map[string]keptBox `json:"boxes"`      // address → name
	Documents  map[string]map[string]string  `json:"documents"`  // address → path → SHA-256
	Words      map[string][]string           `json:"words"`      // address → what the trace shows
	OpenTo     string                        `json:"open_to"`    // whom the first holder may write to
	NoLongerTo string                        `json:"no_more_to"` // and to whom no longer
}

// keptBox is a folder as a mail client remembers it.
type keptBox struct {
	UIDValidity uint32       `json:"uid_validity"`
	UIDNext     uint32       `json:"uid_next"`
	Letters     []keptLetter `json:"letters"`
}

type keptLetter struct {
	UID    uint32   `json:"uid"`
	Flags  []string `json:"flags,omitempty"`
	SHA256 string   `json:"sha256"`
}

// Every format that was ever in use opens, and what lies in it is whole (issue
// 3, 8); so does an instance of this build, put away and taken out again.
func TestKeptStores(t *testing.T) {
	t.Parallel()
	t.Run("this build", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		keep(t, dir)
		openKept(t, dir, instance.Format)
	})
	stores := filepath.Join(engines.Root(), "testdata", "stores")
	if dir := os.Getenv(envMakeStore); dir != "" {
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(engines.Root(), dir)
		}
		keep(t, dir)
	}
	for format := 1; format <= instance.Format; format++ {
		t.Run(fmt.Sprintf("v%d", format), func(t *testing.T) {
			t.Parallel()
			if _, err := os.Stat(archive(stores, format)); errors.Is(err, fs.ErrNotExist) && os.Getenv("CI") != "true" {
				t.Skipf("%s is not there: see %s", archive(stores, format), envMakeStore)
			}
			openKept(t, stores, format)
		})
	}
}

func archive(dir string, format int) string {
	return filepath.Join(dir, fmt.Sprintf("v%d.tar.gz", format))
}

func description(dir string, format int) string {
	return filepath.Join(dir, fmt.Sprintf("v%d.json", format))
}

// embedded has the server keep its data in its folder, on whatever engines the
// other stories run.
func embedded(o *demo.Options) { o.Store, o.Blobs = "", "" }

// keep makes an instance of this build that holds something of everything, and
// puts it away in a folder.
func keep(t *testing.T, to string) {
	t.Helper()
	c := begin(t, embedded, testenv.WithReport, testenv.Configure(func(c *instance.Config) { c.InlineBytes = 4096 }))
	k := kept{Format: instance.Format, Made: time.Now().UTC(), File: c.File, Waiting: "185027500100265",
		OpenTo: c.doctor.Address, NoLongerTo: c.File.Professionals[1].Address,
		Boxes: make(map[string]map[string]keptBox), Documents: make(map[string]map[string]string), Words: make(map[string][]string)}
	k.fillMail(c)
	k.fillDossiers(c)
	for _, a := range k.accounts() {
		k.Boxes[a.address] = boxesOf(c.Env, a.address, a.password)
	}
	k.Counts = c.CheckStore()
	if k.Counts.Blobs == 0 || k.Counts.Messages <= k.Counts.Blobs || k.Counts.Documents == 0 {
		t.Fatalf("it does not hold something of everything: %+v", k.Counts)
	}
	c.Stop()
	k.File.CA, k.File.Outbox = "", ""
	for i := range k.File.Professionals {
		k.File.Professionals[i].Cert, k.File.Professionals[i].Key = "", ""
	}
	k.File.Establishments[0].Cert, k.File.Establishments[0].Key = "", ""
	k.File.Operators = nil
	if err := k.write(c.Dir, to); err != nil {
		t.Fatal(err)
	}
}

// fillMail has messages come, small and large, and be flagged, copied, moved,
// drafted and expunged; one exchange stays open and one ends; a message waits
// for a holder who has no sign-in yet.
func (k *kept) fillMail(c correspondence) {
	large := strings.Repeat("Une ligne d'un long compte rendu.\r\n", 400)
	for i, h := range c.File.Holders {
		for j, text := range []string{"Bonjour", large, "À bientôt"} {
			c.Write(c.doctor.MailPassword, demo.Message{From: c.doctor.Address, To: h.Address, Subject: fmt.Sprintf("Suivi %d.%d", i, j), Text: text,
				Attachments: []demo.Attachment{{Type: "application/pdf", Name: "cr.pdf", Content: demo.PDF("Compte rendu", []string{fmt.Sprint(i, j)})}}})
		}
	}
	c.mustAccept("in an open exchange", k.OpenTo)
	pharmacist := c.File.Professionals[1]
	for _, subject := range []string{"Votre traitement", "[FIN]"} {
		c.Write(pharmacist.MailPassword, demo.Message{From: pharmacist.Address, To: c.holder.Address, Subject: subject, Text: "Bonjour"})
	}
	c.mustRefuse("after its end", k.NoLongerTo)
	if _, err := c.AddSpace(context.Background(), instance.SpaceAdd{INS: k.Waiting, Family: "PETIT", Given: "Jean", Sex: "M", Birth: "1985-02-10", State: "open", Contact: "jean@example.org"}); err != nil {
		c.T.Fatal(err)
	}
	c.Write(c.doctor.MailPassword, demo.Message{From: c.doctor.Address, To: k.Waiting + "@patient.pli.test", Subject: "Vous attend", Text: "Bonjour"})

	client := c.IMAP(c.holder.Address, c.holder.MailPassword)
	do := func(what string, err error) {
		if err != nil {
			c.T.Fatalf("%s: %v", what, err)
		}
	}
	for _, box := range []string{"Ordonnances/2026", "Éphémère"} {
		do("CREATE", client.Create(box, nil).Wait())
	}
	do("DELETE", client.Delete("Éphémère").Wait())
	_, err := client.Select("INBOX", nil).Wait()
	do("SELECT", err)
	store := func(seq uint32, flags ...imap.Flag) {
		do("STORE", client.Store(imap.SeqSetNum(seq), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: flags}, nil).Close())
	}
	store(1, imap.FlagSeen)
	store(2, imap.FlagFlagged, "$Important", "a-revoir")
	_, err = client.Copy(imap.SeqSetNum(1, 2), "Ordonnances/2026").Wait()
	do("COPY", err)
	_, err = client.Move(imap.SeqSetNum(3), "Archive").Wait()
	do("MOVE", err)
	store(4, imap.FlagDeleted)
	do("EXPUNGE", client.Expunge().Close())
	draft := "Subject: Brouillon\r\n\r\nÀ finir\r\n"
	a := client.Append("Drafts", int64(len(draft)), &imap.AppendOptions{Flags: []imap.Flag{imap.FlagDraft}, Time: k.Made})
	a.Write([]byte(draft))
	do("APPEND", a.Close())
	_, err = a.Wait()
	do("APPEND", err)
	do("LOGOUT", client.Logout().Wait())
}

// fillDossiers files what two holders have been sent.
func (k *kept) fillDossiers(c correspondence) {
	for i, uid := range []string{"2", "2"} {
		c.holder = c.File.Holders[i]
		v, title := c.enter(), fmt.Sprintf("Classé %d", i)
		action := "/mail/inbox/" + uid + "/file/2"
		v.fill(action, action, url.Values{"title": {title}, "type": {"11502-2"}})
		k.Documents[c.holder.Address] = v.documents()
		k.Words[c.holder.Address] = []string{title, c.doctor.Name}
		for _, w := range k.Words[c.holder.Address] {
			v.mustShow("/trace", w)
		}
	}
}

var documentLink = regexp.MustCompile(`href="(/dossier/[0-9A-Za-z_-]+)"`)

// documents returns the digest of every document that the portal shows.
func (v visitor) documents() map[string]string {
	found := make(map[string]string)
	for _, m := range documentLink.FindAllStringSubmatch(v.get("/dossier"), -1) {
		found[m[1]] = digest(v.get(m[1] + "/content"))
	}
	if len(found) == 0 {
		v.T.Fatal("the dossier shows no document")
	}
	return found
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// account is who signs in with a mail client.
type account struct{ address, password string }

func (k *kept) accounts() (list []account) {
	for _, h := range k.File.Holders {
		list = append(list, account{h.Address, h.MailPassword})
	}
	for _, p := range k.File.Professionals {
		list = append(list, account{p.Address, p.MailPassword})
	}
	return append(list, account{k.File.Establishments[0].Address, k.File.Establishments[0].MailPassword})
}

// boxesOf reads all that a mail client sees of an account.
func boxesOf(e *testenv.Env, address, password string) map[string]keptBox {
	e.T.Helper()
	c := e.IMAP(address, password)
	defer c.Close()
	list, err := c.List("", "*", nil).Collect()
	if err != nil {
		e.T.Fatal(err)
	}
	boxes := make(map[string]keptBox)
	for _, l := range list {
		if !slices.Contains(l.Attrs, imap.MailboxAttrNoSelect) {
			boxes[l.Mailbox] = boxOf(e, c, l.Mailbox)
		}
	}
	return boxes
}

func boxOf(e *testenv.Env, c *imapclient.Client, name string) keptBox {
	e.T.Helper()
	s, err := c.Select(name, &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil {
		e.T.Fatal(err)
	}
	box := keptBox{UIDValidity: s.UIDValidity, UIDNext: uint32(s.UIDNext), Letters: []keptLetter{}}
	if s.NumMessages == 0 {
		return box
	}
	var all imap.SeqSet
	all.AddRange(1, 0)
	section := &imap.FetchItemBodySection{Peek: true}
	list, err := c.Fetch(all, &imap.FetchOptions{UID: true, Flags: true, BodySection: []*imap.FetchItemBodySection{section}}).Collect()
	if err != nil {
		e.T.Fatal(err)
	}
	for _, m := range list {
		l := keptLetter{UID: uint32(m.UID), SHA256: digest(string(m.FindBodySection(section)))}
		for _, f := range m.Flags {
			if f != "\\Recent" {
				l.Flags = append(l.Flags, string(f))
			}
		}
		slices.Sort(l.Flags)
		box.Letters = append(box.Letters, l)
	}
	return box
}

// openKept takes a kept instance out into a folder of its own, with
// certificates of today, and checks that all of it is there.
func openKept(t *testing.T, dir string, format int) {
	t.Helper()
	var k kept
	b, err := os.ReadFile(description(dir, format))
	if err == nil {
		err = json.Unmarshal(b, &k)
	}
	if err != nil {
		t.Fatal(err)
	}
	into := filepath.Join(t.TempDir(), "demo")
	if err := k.unpack(archive(dir, format), into); err != nil {
		t.Fatal(err)
	}
	e := testenv.Start(t, embedded, func(o *demo.Options) { o.Dir = into })
	if got := e.CheckStore(); got.Accounts != k.Counts.Accounts || got.Messages != k.Counts.Messages || got.Documents != k.Counts.Documents ||
		got.TraceLines != k.Counts.TraceLines || got.Blobs != k.Counts.Blobs {
		t.Errorf("it holds %+v; want %+v", got, k.Counts)
	}
	for _, a := range k.accounts() {
		if got := boxesOf(e, a.address, a.password); !reflect.DeepEqual(got, k.Boxes[a.address]) {
			t.Errorf("the mailbox of %s: %+v; want %+v", a.address, got, k.Boxes[a.address])
		}
	}
	for _, h := range k.File.Holders {
		v := correspondence{e, e.File.Professionals[0], h}.enter()
		v.mustShow("/mail/inbox", "Suivi")
		if want := k.Documents[h.Address]; want != nil && !reflect.DeepEqual(v.documents(), want) {
			t.Errorf("the dossier of %s differs", h.Address)
		}
		for _, w := range k.Words[h.Address] {
			v.mustShow("/trace", w)
		}
	}
	k.goOn(e)
}

// goOn does in a kept instance what people do next.
func (k *kept) goOn(e *testenv.Env) {
	c := correspondence{e, e.File.Professionals[0], e.File.Holders[0]}
	c.mustAccept("in an exchange that was open", k.OpenTo)
	c.mustRefuse("in one that had ended", k.NoLongerTo)
	c.doctorWrites("Encore")
	s, err := e.ActivateSpace(context.Background(), instance.SpaceActivate{INS: k.Waiting, Login: "jean.petit", Password: demoPassword})
	if err != nil {
		e.T.Fatal(err)
	}
	if got := e.Mailbox(s.Address, s.MailPassword, "INBOX"); len(got) != 1 || got[0].Subject != "Vous attend" {
		e.T.Errorf("what waited: %+v", got)
	}
}

// write puts the instance of a folder away.
func (k *kept) write(from, to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(archive(to, k.Format), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644) // what is kept is never replaced
	if err != nil {
		return err
	}
	z, err := gzip.NewWriterLevel(f, gzip.BestCompression)
	if err != nil {
		return err
	}
	w := tar.NewWriter(z)
	if err := errors.Join(addFiles(w, from), w.Close(), z.Close(), f.Close()); err != nil {
		return err
	}
	b, err := json.MarshalIndent(k, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(description(to, k.Format), append(b, '\n'), 0o644)
}

// addFiles adds the configuration and the data of an instance's folder.
func addFiles(w *tar.Writer, dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		name, _ := filepath.Rel(dir, path)
		if err != nil || !d.Type().IsRegular() || name != "pli.toml" && !strings.HasPrefix(name, "data"+string(filepath.Separator)) {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Name: filepath.ToSlash(name), Mode: 0o600, Size: int64(len(b))}); err != nil {
			return err
		}
		_, err = w.Write(b)
		return err
	})
}

// unpack takes a kept instance out into a new folder, with certificates of
// today.
func (k *kept) unpack(from, dir string) error {
	fresh := instance.DefaultConfig()
	if err := instance.Init(context.Background(), dir, fresh, true, time.Now); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(dir, fresh.Dir)); err != nil {
		return err
	}
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if err := takeOut(r, dir, h.Name); err != nil {
			return err
		}
	}
	k.File.CA, k.File.Outbox = filepath.Join(dir, fresh.Trust[0]), filepath.Join(dir, fresh.Notices)
	b, err := json.Marshal(k.File)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "demo.json"), b, 0o600)
}

func takeOut(r io.Reader, dir, name string) error {
	if !filepath.IsLocal(name) {
		return fmt.Errorf("%s lies outside", name)
	}
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o600)
}
