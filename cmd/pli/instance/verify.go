package instance

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"pli/audit"
	"pli/space"
	"pli/store"
	"pli/store/blob"
)

// VerifyReport is what `pli verify` found.
type VerifyReport struct {
	Accounts   int       `json:"accounts"` // spaces and members' mailboxes
	Owners     int       `json:"owners"`   // those, and the instance's own
	Messages   int       `json:"messages"`
	Documents  int       `json:"documents"`
	TraceLines uint64    `json:"trace_lines"` // those that are right
	Blobs      int       `json:"blobs"`
	Problems   []Problem `json:"problems"`
}

// Print writes the report for people.
func (r VerifyReport) Print(w io.Writer) {
	for _, p := range r.Problems {
		fmt.Fprintln(w, p)
	}
	fmt.Fprintf(w, "%d accounts, %d messages, %d documents, %d trace lines, %d blobs: %d problem(s)\n",
		r.Accounts, r.Messages, r.Documents, r.TraceLines, r.Blobs, len(r.Problems))
}

// Problem is one thing that is wrong with what is stored. It tells nothing of
// what the record says.
type Problem struct {
	Account string `json:"account,omitempty"` // opaque id of the owner
	Address string `json:"address,omitempty"` // the account's, if it can still be read
	Object  string `json:"object"`            // message, folder, mailbox, document, dossier, trace, or what else it is about
	ID      string `json:"id,omitempty"`      // its opaque name
	Text    string `json:"text"`
}

func (p Problem) String() string {
	who := p.Account
	if p.Address != "" {
		who = p.Address
	}
	if who != "" {
		who += ": "
	}
	return who + strings.TrimSpace(p.Object+" "+p.ID) + ": " + p.Text
}

// Verify checks everything that is stored and changes nothing. What is damaged
// stops nothing: each damaged record and blob is told, and the rest is checked.
func (in *Instance) Verify(ctx context.Context, _ struct{}) (VerifyReport, error) {
	v := &verifying{in: in, told: time.Now(), report: VerifyReport{Problems: []Problem{}}}
	v.engine(ctx, "store", in.raw)
	v.engine(ctx, "keys", in.rawKeys)
	for after := store.Owner(""); ; {
		owners, err := in.db.Owners(ctx, after, ownersAPage)
		if errors.Is(err, store.ErrCorrupt) {
			v.problem("", "store", "", "accounts behind "+string(after)+" cannot be listed: "+err.Error())
			break
		}
		if err != nil {
			return v.report, err
		}
		if len(owners) == 0 {
			break
		}
		for _, o := range owners {
			if err := v.owner(ctx, o); err != nil {
				return v.report, err
			}
		}
		after = owners[len(owners)-1]
	}
	return v.report, v.countBlobs(ctx)
}

// verifying is one Verify at work.
type verifying struct {
	in      *Instance
	report  VerifyReport
	address map[store.Owner]string
	told    time.Time
}

// tellEvery is how often a long run says how far it is.
const tellEvery = 2 * time.Second

// progress says how far it is, now and then.
func (v *verifying) progress(ctx context.Context) {
	if time.Since(v.told) < tellEvery {
		return
	}
	v.told = time.Now()
	r := &v.report
	tell(ctx, fmt.Sprintf("verified: %d accounts, %d messages, %d documents; %d problem(s)", r.Accounts, r.Messages, r.Documents, len(r.Problems)))
}

func (v *verifying) problem(owner store.Owner, object, id, text string) {
	v.report.Problems = append(v.report.Problems, Problem{
		Account: string(owner), Address: v.addressOf(owner), Object: object, ID: id, Text: text})
}

// addressOf returns an account's address, "" if it cannot be read. Operators
// list addresses by other verbs too.
func (v *verifying) addressOf(owner store.Owner) string {
	if !isAccount(owner) {
		return ""
	}
	if a, ok := v.address[owner]; ok {
		return a
	}
	if v.address == nil {
		v.address = make(map[store.Owner]string)
	}
	if p, err := v.in.signin.Member(context.Background(), owner); err == nil {
		v.address[owner] = p.Address.String()
	}
	return v.address[owner]
}

func isAccount(owner store.Owner) bool {
	return space.IsSpace(owner) || strings.HasPrefix(string(owner), "m/")
}

// engine has a store check itself, if it can.
func (v *verifying) engine(ctx context.Context, name string, db store.DB) {
	if c, ok := db.(store.Checker); ok {
		if err := c.Check(ctx); err != nil {
			v.problem("", name, "", "what the engine keeps is damaged: "+err.Error())
		}
	}
}

// owner opens every record of one owner, then asks each room about its own.
// Damage that a room cannot go around is told, and the next owner follows.
func (v *verifying) owner(ctx context.Context, owner store.Owner) error {
	v.report.Owners++
	v.progress(ctx)
	keys, err := v.in.keys.Damaged(ctx, owner)
	for _, class := range keys {
		v.problem(owner, "data key", class, "damaged: nothing sealed under it opens; restore the account, with its key, from a backup")
	}
	if err == nil && len(keys) == 0 {
		err = v.records(ctx, owner)
	}
	if err == nil && isAccount(owner) {
		v.report.Accounts++
		if len(keys) == 0 {
			err = v.rooms(ctx, owner)
		}
	}
	if errors.Is(err, store.ErrCorrupt) {
		v.problem(owner, "record", "", err.Error())
		err = nil
	}
	return err
}

// records opens the seal of every record, and tells of those that no room of
// its own looks at.
func (v *verifying) records(ctx context.Context, owner store.Owner) error {
	var damaged [][]byte
	err := v.in.db.View(ctx, owner, func(tx store.Tx) error {
		damaged = nil
		return store.ScanAround(tx, nil, nil, func(_, _ []byte) error { return nil }, func(d *store.Damage) error {
			damaged = append(damaged, append([]byte(nil), d.Key...))
			return nil
		})
	})
	for _, key := range damaged {
		object, id, text := describe(key)
		if strings.HasPrefix(string(owner), namesOwner) {
			object, text = "name", "damaged: an address or a sign-in leads nowhere; «pli verify --repair» binds it again"
		}
		if object != "" {
			v.problem(owner, object, id, text)
		}
	}
	return err
}

// described says what the records are that no room verifies, by how their keys
// begin; "" for the rooms that do.
var described = []struct{ prefix, object, text string }{
	{"mail/", "", ""},
	{"dossier/", "", ""},
	{"audit/", "", ""},
	{"space", "identity", "damaged: the space takes nothing in and lets nobody in; restore the account from a backup"},
	{"signin/ring", "account keys", "damaged: nobody can sign in; restore the account from a backup"},
	{"signin/profile", "sign-in", "damaged: nobody can sign in; restore the account from a backup"},
	{"signin/recipient", "account keys", "the copy that deliveries use is damaged; they use the keys themselves"},
	{"directory/mailboxes", "mailbox entry", "damaged: the member's address leads nowhere; restore the account from a backup"},
	{"exchange/", "exchange", "damaged: the holder may write again once the professional has"},
	{"reply/", "exchange", "the note of a message that may be answered is damaged"},
	{"dup/", "repeat", "the note of a message that came is damaged: sent again, it would come twice"},
	{"notify/", "notice", "damaged: it will not be sent"},
}

// namesOwner begins the owners of names, see store/names.
const namesOwner = "sys/names"

// describe says what a damaged record is. Of its key it tells what comes after
// the last slash, as a digest: keys of sign-in hold hashes of names.
func describe(key []byte) (object, id, text string) {
	sum := sha256.Sum256(key)
	id = fmt.Sprintf("%x", sum[:8])
	for _, d := range described {
		if strings.HasPrefix(string(key), d.prefix) {
			return d.object, id, d.text
		}
	}
	return "record", id, "damaged"
}

// rooms asks the rooms about an account.
func (v *verifying) rooms(ctx context.Context, owner store.Owner) error {
	in, r := v.in, &v.report
	mail, err := in.mail.Verify(ctx, owner)
	if err != nil {
		return err
	}
	for _, p := range mail {
		v.problem(owner, p.About, p.ID, p.Text)
	}
	messages, err := in.mail.Count(ctx, owner)
	if r.Messages += messages; err != nil && !errors.Is(err, store.ErrCorrupt) {
		return err
	}
	if !space.IsSpace(owner) {
		return nil
	}
	documents, err := in.dossier.Verify(ctx, owner)
	if err != nil {
		return err
	}
	for _, p := range documents {
		object := "document"
		if p.Document == "" {
			object = "dossier"
		}
		v.problem(owner, object, p.Document, p.What)
	}
	n, err := in.dossier.Count(ctx, owner)
	if r.Documents += n; err != nil {
		return err
	}
	return v.trace(ctx, owner)
}

func (v *verifying) trace(ctx context.Context, owner store.Owner) error {
	var lines uint64
	var faults []error
	err := v.in.db.View(ctx, owner, func(tx store.Tx) (err error) {
		lines, faults, err = audit.Faults(tx)
		return err
	})
	for _, f := range faults {
		v.problem(owner, "trace", "", f.Error())
	}
	v.report.TraceLines += lines
	return err
}

func (v *verifying) countBlobs(ctx context.Context) error {
	for after := blob.ID(""); ; {
		list, err := v.in.blobs.List(ctx, after, 1000)
		if err != nil || len(list) == 0 {
			return err
		}
		v.report.Blobs += len(list)
		after = list[len(list)-1].ID
	}
}
