package mailbox_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pli/mailbox"
)

// The mailbox against a model in a few lines: random acts of two sessions, each
// with a client that knows only what Poll tells it.

type modelMessage struct {
	uid   mailbox.UID
	id    int // which text
	flags map[mailbox.Flag]bool
}

type modelBox struct {
	next     mailbox.UID
	validity uint32
	list     []modelMessage
}

func (b *modelBox) add(m modelMessage) mailbox.UID {
	m.uid, m.flags = b.next, maps.Clone(m.flags)
	b.next++
	b.list = append(b.list, m)
	return m.uid
}

func (b *modelBox) at(uid mailbox.UID) *modelMessage {
	i := slices.IndexFunc(b.list, func(m modelMessage) bool { return m.uid == uid })
	if i < 0 {
		return nil
	}
	return &b.list[i]
}

func (b *modelBox) drop(uid mailbox.UID) {
	b.list = slices.DeleteFunc(b.list, func(m modelMessage) bool { return m.uid == uid })
}

// client is what a mail client believes of a box.
type client struct {
	v     *mailbox.View
	uids  []mailbox.UID
	flags map[mailbox.UID]string
}

func flagText(flags map[mailbox.Flag]bool) string {
	return fmt.Sprint(slices.Sorted(maps.Keys(flags)))
}

func flagList(flags []mailbox.Flag) string {
	flags = slices.Clone(flags)
	slices.Sort(flags)
	return fmt.Sprint(flags)
}

// hear applies what Poll tells, as RFC 9051 7.5 has a client do.
func (c *client) hear(t *testing.T, expunge bool) {
	ch := c.v.Poll(expunge)
	for _, seq := range ch.Expunged {
		if seq == 0 || int(seq) > len(c.uids) {
			t.Fatalf("EXPUNGE %d of %d", seq, len(c.uids))
		}
		delete(c.flags, c.uids[seq-1])
		c.uids = slices.Delete(c.uids, int(seq)-1, int(seq))
	}
	if ch.NewExists {
		if int(ch.Exists) <= len(c.uids) {
			t.Fatalf("EXISTS %d after %d", ch.Exists, len(c.uids))
		}
		for seq := len(c.uids) + 1; seq <= int(ch.Exists); seq++ {
			uid, ok := c.v.UID(uint32(seq))
			if !ok {
				t.Fatalf("no UID at %d of %d", seq, ch.Exists)
			}
			c.uids = append(c.uids, uid)
			if m, err := c.v.Message(t.Context(), uid); err == nil {
				c.flags[uid] = flagList(m.Flags)
			}
		}
	}
	for _, m := range ch.Flags {
		if m.Seq == 0 || int(m.Seq) > len(c.uids) || c.uids[m.Seq-1] != m.UID {
			t.Fatalf("FETCH %d of UID %d among %v", m.Seq, m.UID, c.uids)
		}
		c.flags[m.UID] = flagList(m.Flags)
	}
}
