package mailbox_test

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pli/internal/errs"
	"pli/mailbox"
)

// play is one random game.
type play struct {
	t       *testing.T
	h       *house
	r       *rand.Rand
	p       *person
	boxes   map[string]*modelBox
	used    map[uint32]bool // every UIDVALIDITY seen
	texts   int
	modseq  map[string]uint64
	account [2]*mailbox.Account
	clients [2]*client
}

var modelFlags = []mailbox.Flag{mailbox.Seen, mailbox.Answered, mailbox.Flagged, mailbox.Deleted, "$Label1", "urgent", "vu"}

func (g *play) someFlags() []mailbox.Flag {
	var out []mailbox.Flag
	for _, f := range modelFlags {
		if g.r.IntN(4) == 0 {
			out = append(out, f)
		}
	}
	return out
}

func (g *play) someBox() string {
	names := slices.Sorted(maps.Keys(g.boxes))
	return names[g.r.IntN(len(names))]
}

// text is the message of a number; every fifth is too large for a record.
func (g *play) text(id int) string {
	s := letter(fmt.Sprintf("subject-%d.", id), fmt.Sprintf("word-%d.", id))
	if id%5 == 0 {
		s += strings.Repeat("filler line\r\n", 200)
	}
	return s
}

func set(flags []mailbox.Flag) map[mailbox.Flag]bool {
	m := make(map[mailbox.Flag]bool)
	for _, f := range flags {
		m[f] = true
	}
	return m
}

// someUIDs picks from what a client knows, and sometimes a UID that is not there.
func (g *play) someUIDs(c *client) []mailbox.UID {
	var out []mailbox.UID
	for _, uid := range c.uids {
		if g.r.IntN(3) == 0 {
			out = append(out, uid)
		}
	}
	if g.r.IntN(8) == 0 {
		out = append(out, 9999)
	}
	if out == nil {
		out = []mailbox.UID{}
	}
	return out
}

func (g *play) sit(n int, box string) {
	if g.clients[n] != nil {
		g.clients[n].v.Close()
	}
	v, err := g.account[n].Select(g.t.Context(), box, false)
	g.h.must(err)
	g.clients[n] = &client{v: v, flags: make(map[mailbox.UID]string)}
	c := g.clients[n]
	for seq := uint32(1); seq <= v.Len(); seq++ {
		uid, _ := v.UID(seq)
		m, err := v.Message(g.t.Context(), uid)
		g.h.must(err)
		c.uids, c.flags[uid] = append(c.uids, uid), flagList(m.Flags)
	}
}

func (g *play) deliver() {
	g.texts++
	uid := g.h.deliver(g.text(g.texts), g.p)[0]
	if want := g.boxes["INBOX"].add(modelMessage{id: g.texts}); uid != want {
		g.t.Fatalf("delivered as %d, want %d", uid, want)
	}
}

func (g *play) append(n int) {
	g.texts++
	box, flags := g.someBox(), g.someFlags()
	got, err := g.account[n].Append(g.t.Context(), box, flags, g.h.clock(), stringReader(g.text(g.texts)))
	g.h.must(err)
	b := g.boxes[box]
	if want := b.add(modelMessage{id: g.texts, flags: set(flags)}); got.UID != want || got.UIDValidity != b.validity {
		g.t.Fatalf("appended as %+v, want %d", got, want)
	}
}

func (g *play) store(c *client) {
	op, flags, uids := mailbox.FlagOp(g.r.IntN(3)), g.someFlags(), g.someUIDs(c)
	done, err := c.v.Store(g.t.Context(), uids, op, flags, 0)
	g.h.must(err)
	b := g.boxes[c.v.Box().Name]
	n := 0
	for _, uid := range uids {
		m := b.at(uid)
		if m == nil || !slices.Contains(c.uids, uid) {
			continue
		}
		n++
		if op == mailbox.FlagsSet || m.flags == nil {
			m.flags = maps.Clone(m.flags)
			if op == mailbox.FlagsSet || m.flags == nil {
				m.flags = make(map[mailbox.Flag]bool)
			}
		}
		for _, f := range flags {
			if m.flags[f] = true; op == mailbox.FlagsRemove {
				delete(m.flags, f)
			}
		}
	}
	if len(done) != n {
		g.t.Fatalf("stored on %d of %v, want %d", len(done), uids, n)
	}
	for _, m := range done {
		c.flags[m.UID] = flagList(m.Flags)
	}
}

func (g *play) transfer(c *client, move bool) {
	uids, dest := g.someUIDs(c), g.someBox()
	from, to := g.boxes[c.v.Box().Name], g.boxes[dest]
	var want mailbox.Copied
	for _, uid := range uids {
		m := from.at(uid)
		if m == nil || !slices.Contains(c.uids, uid) {
			continue
		}
		copied := *m
		if move {
			from.drop(uid)
		}
		want.Source, want.Dest = append(want.Source, uid), append(want.Dest, to.add(copied))
	}
	act := c.v.Copy
	if move {
		act = c.v.Move
	}
	got, err := act(g.t.Context(), uids, dest)
	g.h.must(err)
	if got.UIDValidity != to.validity || !slices.Equal(got.Source, want.Source) || !slices.Equal(got.Dest, want.Dest) {
		g.t.Fatalf("moved %v: %+v, want %+v", move, got, want)
	}
}

func (g *play) expunge(c *client) {
	uids := g.someUIDs(c)
	if g.r.IntN(3) == 0 {
		uids = nil
	}
	gone, err := c.v.Expunge(g.t.Context(), uids)
	g.h.must(err)
	b := g.boxes[c.v.Box().Name]
	var want []mailbox.UID
	for _, m := range slices.Clone(b.list) {
		if m.flags[mailbox.Deleted] && slices.Contains(c.uids, m.uid) && (uids == nil || slices.Contains(uids, m.uid)) {
			want = append(want, m.uid)
			b.drop(m.uid)
		}
	}
	if !slices.Equal(gone, want) {
		g.t.Fatalf("expunged %v, want %v", gone, want)
	}
}

func (g *play) search(c *client) {
	b := g.boxes[c.v.Box().Name]
	flag, id := modelFlags[g.r.IntN(len(modelFlags))], 1+g.r.IntN(g.texts+1)
	criteria := mailbox.Criteria{Or: [][2]mailbox.Criteria{{
		{Flags: []mailbox.Flag{flag}},
		{Header: Subject(fmt.Sprintf("SUBJECT-%d.", id)), Body: []string{fmt.Sprintf("word-%d.", id)}},
	}}}
	got, err := c.v.Search(g.t.Context(), criteria)
	g.h.must(err)
	var want []mailbox.UID
	for _, m := range b.list {
		if slices.Contains(c.uids, m.uid) && (m.flags[flag] || m.id == id) {
			want = append(want, m.uid)
		}
	}
	if !slices.Equal(got, want) {
		g.t.Fatalf("search for %s or %d: %v, want %v", flag, id, got, want)
	}
}

func (g *play) folders(n int) {
	a, ctx := g.account[n], g.t.Context()
	name := fmt.Sprintf("f%d", g.r.IntN(4))
	b := g.boxes[name]
	for _, c := range g.clients {
		if c.v.Box().Name == name {
			return // removal under a view has a test of its own
		}
	}
	switch {
	case b == nil:
		h := a.Create(ctx, name, "")
		g.h.must(h)
		got, err := a.Box(ctx, name)
		g.h.must(err)
		if g.used[got.UIDValidity] {
			g.t.Fatalf("UIDVALIDITY %d again", got.UIDValidity)
		}
		g.used[got.UIDValidity] = true
		g.boxes[name] = &modelBox{next: 1, validity: got.UIDValidity}
		delete(g.modseq, name)
	case g.r.IntN(2) == 0:
		g.h.must(a.Delete(ctx, name))
		delete(g.boxes, name)
	default:
		to := fmt.Sprintf("f%d", g.r.IntN(4))
		err := a.Rename(ctx, name, to)
		if g.boxes[to] != nil {
			if !errs.Is(err, errs.Conflict) {
				g.t.Fatalf("rename onto another: %v", err)
			}
			return
		}
		g.h.must(err)
		g.boxes[to] = b
		delete(g.boxes, name)
		delete(g.modseq, to)
		delete(g.modseq, name)
	}
}

// compare holds everything against the model.
func (g *play) compare() {
	boxes, err := g.account[0].Boxes(g.t.Context())
	g.h.must(err)
	if len(boxes) != len(g.boxes) {
		g.t.Fatalf("%d boxes, want %d", len(boxes), len(g.boxes))
	}
	for _, b := range boxes {
		want := g.boxes[b.Name]
		unseen, deleted := 0, 0
		for _, m := range want.list {
			if !m.flags[mailbox.Seen] {
				unseen++
			}
			if m.flags[mailbox.Deleted] {
				deleted++
			}
		}
		if b.UIDNext != want.next || b.UIDValidity != want.validity || int(b.Messages) != len(want.list) ||
			int(b.Unseen) != unseen || int(b.Deleted) != deleted {
			g.t.Fatalf("%s: %+v, want %+v, %d unseen, %d deleted", b.Name, b, want, unseen, deleted)
		}
		if b.HighestModSeq < g.modseq[b.Name] {
			g.t.Fatalf("%s: mod-sequence fell from %d to %d", b.Name, g.modseq[b.Name], b.HighestModSeq)
		}
		g.modseq[b.Name] = b.HighestModSeq
	}
	for _, c := range g.clients {
		want := g.boxes[c.v.Box().Name]
		if !slices.EqualFunc(c.uids, want.list, func(uid mailbox.UID, m modelMessage) bool {
			return uid == m.uid && c.flags[uid] == flagText(m.flags)
		}) {
			g.t.Fatalf("the client of %s believes %v %v, the model %+v", c.v.Box().Name, c.uids, c.flags, want.list)
		}
		for _, m := range want.list {
			if g.r.IntN(20) == 0 && g.h.read(c.v, m.uid) != g.text(m.id) {
				g.t.Fatalf("UID %d is not text %d", m.uid, m.id)
			}
		}
	}
}

func (g *play) step() {
	n := g.r.IntN(2)
	c := g.clients[n]
	switch g.r.IntN(14) {
	case 0, 1:
		g.deliver()
	case 2:
		g.append(n)
	case 3, 4, 5:
		g.store(c)
	case 6:
		g.transfer(c, false)
	case 7:
		g.transfer(c, true)
	case 8:
		g.expunge(c)
	case 9:
		g.search(c)
	case 10:
		g.folders(n)
	case 11:
		g.sit(n, g.someBox())
	case 12:
		c.hear(g.t, false)
	case 13:
		for _, c := range g.clients {
			c.hear(g.t, true)
		}
		g.compare()
	}
}

func TestTheMailboxIsItsModel(t *testing.T) {
	t.Parallel()
	steps := 1000
	if testing.Short() {
		steps = 200
	}
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, func(c *mailbox.Config) { c.InlineMax, c.MaxExpungeLog, c.IndexCache = 1500, 20, 8<<10 })
			g := &play{t: t, h: h, r: rand.New(rand.NewPCG(seed, 7)), p: h.person("paule"),
				boxes: map[string]*modelBox{}, used: map[uint32]bool{}, modseq: map[string]uint64{}}
			g.account = [2]*mailbox.Account{g.p.open(), g.p.open()}
			boxes, err := g.account[0].Boxes(t.Context())
			h.must(err)
			slices.SortFunc(boxes, func(a, b mailbox.Box) int { return cmp.Compare(a.Name, b.Name) })
			for _, b := range boxes {
				g.boxes[b.Name] = &modelBox{next: 1, validity: b.UIDValidity}
				g.used[b.UIDValidity] = true
			}
			g.sit(0, "INBOX")
			g.sit(1, "INBOX")
			for range steps {
				g.step()
			}
			for _, c := range g.clients {
				c.hear(t, true)
			}
			g.compare()
			for _, c := range g.clients {
				c.v.Close()
			}
		})
	}
}
