package web

import (
	"strconv"

	"pli/internal/errs"
	"pli/mailbox"
)

// act does to messages what a button of a list or of a message asks: move,
// mark, delete for good.
func (v *visit) act() error {
	form, err := v.form()
	if err != nil {
		return err
	}
	slug := v.r.PathValue("box")
	v.formPage = "/mail/" + slug
	uids, err := uidsOf(form["uid"])
	if err != nil {
		return err
	}
	op := form.Get("op")
	if len(uids) == 0 && op != "empty" {
		v.leave(note{Key: "note.nothing"})
		v.goTo("/mail/" + slug)
		return nil
	}
	d, err := v.open()
	if err != nil {
		return err
	}
	defer d.Close()
	view, err := d.look(v, slug, false)
	if err != nil {
		return err
	}
	n, err := v.do(view, slug, op, form.Get("to"), uids)
	if err != nil {
		return err
	}
	if n != nil {
		v.leave(*n)
	}
	v.goTo("/mail/" + slug)
	return nil
}

// do does one act, and returns what the next page tells of it.
func (v *visit) do(view *mailbox.View, slug, op, to string, uids []mailbox.UID) (*note, error) {
	ctx := v.r.Context()
	switch op {
	case "archive", "trash", "inbox", "junk":
		return v.move(view, slug, op, uids, true)
	case "undo":
		return v.move(view, slug, to, uids, false)
	case "read", "unread":
		how := mailbox.FlagsAdd
		if op == "unread" {
			how = mailbox.FlagsRemove
		}
		marked, err := view.Store(ctx, uids, how, []mailbox.Flag{mailbox.Seen}, 0)
		return counted("note."+op, len(marked)), err
	case "delete":
		return v.remove(view, uids)
	case "empty":
		return v.remove(view, all(view))
	}
	return nil, errs.New(errs.Invalid, "no such act")
}

// move puts messages into another box; the note offers the way back.
func (v *visit) move(view *mailbox.View, slug, to string, uids []mailbox.UID, offer bool) (*note, error) {
	dest, err := boxOf(to)
	if err != nil {
		return nil, err
	}
	if to == slug {
		return nil, nil
	}
	moved, err := view.Move(v.r.Context(), uids, dest)
	if err != nil {
		return nil, err
	}
	if !offer {
		return counted("note.undone", len(moved.Dest)), nil
	}
	back := make([]uint32, len(moved.Dest))
	for i, uid := range moved.Dest {
		back[i] = uint32(uid)
	}
	n := counted("note."+to, len(back))
	if len(back) > 0 {
		n.Undo = &undo{Box: to, UIDs: back, To: slug}
	}
	return n, nil
}

// counted returns the note that tells of n messages; of none, that they are
// no longer there.
func counted(key string, n int) *note {
	if n == 0 {
		return &note{Key: "note.gone"}
	}
	return &note{Key: key, Count: n}
}

// remove deletes messages for good.
func (v *visit) remove(view *mailbox.View, uids []mailbox.UID) (*note, error) {
	if len(uids) == 0 {
		return &note{Key: "note.gone"}, nil
	}
	ctx := v.r.Context()
	if _, err := view.Store(ctx, uids, mailbox.FlagsAdd, []mailbox.Flag{mailbox.Deleted}, 0); err != nil {
		return nil, err
	}
	gone, err := view.Expunge(ctx, uids)
	if err != nil {
		return nil, err
	}
	return counted("note.deleted", len(gone)), nil
}

// all returns the UIDs of a view.
func all(view *mailbox.View) []mailbox.UID {
	uids := make([]mailbox.UID, 0, view.Len())
	for seq := uint32(1); seq <= view.Len(); seq++ {
		if uid, ok := view.UID(seq); ok {
			uids = append(uids, uid)
		}
	}
	return uids
}

// maxActs is how many messages one form may name.
const maxActs = 500

func uidsOf(list []string) ([]mailbox.UID, error) {
	if len(list) > maxActs {
		return nil, errs.New(errs.TooLarge, "too many messages at once")
	}
	uids := make([]mailbox.UID, 0, len(list))
	for _, s := range list {
		uid, err := uidOf(s)
		if err != nil {
			return nil, err
		}
		uids = append(uids, uid)
	}
	return uids, nil
}

// sure is the page that asks before something is deleted for good.
type sure struct {
	Words  string
	Count  int
	Action string
	Op     string
	UID    string
	Back   string
}

// deleteForm asks before one message is deleted for good.
func (v *visit) deleteForm() error {
	o, err := v.pick(true)
	if err != nil {
		return err
	}
	defer o.Close()
	return v.render("sure", "sure.title", "mail", sure{
		Words: "sure.delete", Count: 1, Action: "/mail/" + o.slug + "/act", Op: "delete",
		UID: strconv.FormatUint(uint64(o.uid), 10), Back: o.href(""),
	})
}

// emptyForm asks before a box is emptied.
func (v *visit) emptyForm() error {
	slug := v.r.PathValue("box")
	if slug != "trash" && slug != "junk" {
		return errs.New(errs.NotFound, "no such page")
	}
	d, err := v.open()
	if err != nil {
		return err
	}
	defer d.Close()
	view, err := d.look(v, slug, true)
	if err != nil {
		return err
	}
	return v.render("sure", "sure.title", "mail", sure{
		Words: "sure.empty", Count: int(view.Len()), Action: "/mail/" + slug + "/act", Op: "empty", Back: "/mail/" + slug,
	})
}
