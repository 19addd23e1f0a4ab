package mailbox

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"

	"github.com/klauspost/compress/s2"

	"pli/certs/keyring"
	"pli/mailbox/message"
	"pli/store"
)

// Pages are what sessions derive from a box's mail, so that later ones list and
// search it without opening each message: sealed under the account's symmetric
// index key, then again by the store. All of them can be made anew.
//
//	mail/p/<box>i<uid>       index page: the messages of pageUIDs UIDs from uid on
//	mail/p/<box>s            how far the box's pages are whole
//	mail/p/<box>t<uid><0>    text page: the text of textUIDs UIDs from uid on
//	mail/p/<box>t<uid><1+n>  the text of the n-th of these, where it is long
//
// Text pages change only in transactions that write their index page anew.
const prefixPage = "mail/p/"

const (
	pageUIDs = 128 // UIDs of an index page
	textUIDs = 16  // UIDs of a text page

	maxPageItem = 4 << 10   // bytes of one message in an index page; its index is read from its own record if it has more
	maxPageText = 32 << 10  // bytes of one message in a text page; more have a record of their own
	maxLongText = 960 << 10 // bytes of text of one message; of one that has more, the message itself is searched
)

func keyPages(box boxID) []byte {
	return binary.BigEndian.AppendUint32(append(make([]byte, 0, 20), prefixPage...), uint32(box))
}

func keyPaged(box boxID) []byte { return append(keyPages(box), 's') }

func keyIndexPage(box boxID, uid UID) []byte {
	return binary.BigEndian.AppendUint32(append(keyPages(box), 'i'), uint32(blockOf(uid)))
}

func keyTextPage(box boxID, uid UID) []byte {
	return append(keyTexts(box, uid), 0)
}

func keyLongText(box boxID, uid UID) []byte {
	return append(keyTexts(box, uid), 1+byte(uid%textUIDs))
}

func keyTexts(box boxID, uid UID) []byte {
	return binary.BigEndian.AppendUint32(append(keyPages(box), 't'), uint32(uid-uid%textUIDs))
}

// blockOf returns the first UID of the index page that a UID belongs to.
func blockOf(uid UID) UID { return uid - uid%pageUIDs }

// item is one message in an index page.
type item struct {
	uid   UID
	id    messageID
	key   keyring.SessionKey
	marks itemMarks
	sent  int    // day of its Date field as yyyymmdd, 0: none
	heads []byte // headNames' fields, folded, as strings with their lengths
	index []byte // encoded, without Text; nil: not here
}

type itemMarks byte

const (
	itemCut   itemMarks = 1 << iota // the index met a bound: heads may lack something
	itemTexts                       // its text lies in the text page
)

// headNames are the fields that an index page holds folded.
var headNames = [...]string{"subject", "from", "sender", "reply-to", "to", "cc", "bcc", "message-id"}

// newItem makes a message's item from its index.
func newItem(r *row, key keyring.SessionKey, ix *message.Index) (item, error) {
	it := item{uid: r.uid, id: r.id, key: key}
	if ix.Truncated != "" {
		it.marks |= itemCut
	}
	if t := ix.Envelope.Date; !t.IsZero() {
		it.sent = day(t)
	}
	cut := *ix
	cut.Text = ""
	var err error
	if it.index, err = store.Encode(&cut); err != nil {
		return it, err
	}
	for _, name := range headNames {
		it.heads = appendBytes(it.heads, message.Fold(headField(&ix.Envelope, name)))
	}
	if len(it.index)+len(it.heads) > maxPageItem {
		it.index, it.heads = nil, nil
	}
	return it, nil
}

// head returns a folded field; ok is false where the page does not hold it.
func (it *item) head(name string) (field []byte, ok bool) {
	c := cursor{b: it.heads}
	for _, n := range headNames {
		if field = c.bytes(); n == name {
			return field, !c.bad && it.heads != nil
		}
	}
	return nil, false
}

// textItem is one message in a text page.
type textItem struct {
	uid   UID
	id    messageID
	where textPlace
	words words
}

type textPlace byte

const (
	textHere    textPlace = iota
	textApart             // in its own record
	textTooLong           // nowhere: the message itself is searched
)

// words is what a search looks through: fields of the header ("name: value"),
// and texts of the body, folded, each with a zero behind it that no search
// value has.
type words struct{ header, body []byte }

// endOfWords is what stands behind each field and each text.
var endOfWords = []byte{0}

func (w words) size() int { return len(w.header) + len(w.body) }

// appendBytes appends s behind its length.
func appendBytes[B []byte | string](dst []byte, s B) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// cursor reads what appendBytes and its like wrote. At bytes that they cannot
// have written it turns bad, and gives zeroes from there.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) take(n uint64) []byte {
	if n > uint64(len(c.b)) {
		c.b, c.bad = nil, true
		return nil
	}
	out := c.b[:n:n]
	c.b = c.b[n:]
	return out
}

func (c *cursor) byte() byte {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) number() uint64 {
	v, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.b, c.bad = nil, true
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) bytes() []byte { return c.take(c.number()) }

func appendItems(dst []byte, items []item) []byte {
	for i := range items {
		it := &items[i]
		dst = append(dst, byte(it.uid%pageUIDs))
		dst = append(dst, it.id[:]...)
		dst = append(dst, it.key[:]...)
		dst = append(dst, byte(it.marks))
		dst = binary.AppendUvarint(dst, uint64(it.sent))
		dst = appendBytes(dst, it.heads)
		dst = appendBytes(dst, it.index)
	}
	return dst
}

// readItems reads an index page. The items point into b.
func readItems(b []byte, block UID) ([]item, error) {
	items := make([]item, 0, pageUIDs)
	for c := (cursor{b: b}); len(c.b) > 0; {
		it := item{uid: block + UID(c.byte())}
		copy(it.id[:], c.take(uint64(len(it.id))))
		copy(it.key[:], c.take(uint64(len(it.key))))
		it.marks, it.sent = itemMarks(c.byte()), int(c.number())
		it.heads, it.index = c.bytes(), c.bytes()
		if c.bad || blockOf(it.uid) != block {
			return nil, errPage
		}
		if len(it.index) == 0 {
			it.heads, it.index = nil, nil
		}
		items = append(items, it)
	}
	return items, nil
}

func appendTexts(dst []byte, texts []textItem) []byte {
	for i := range texts {
		t := &texts[i]
		dst = append(dst, byte(t.uid%textUIDs))
		dst = append(dst, t.id[:]...)
		dst = append(dst, byte(t.where))
		dst = appendWords(dst, t.words)
	}
	return dst
}

func appendWords(dst []byte, w words) []byte { return appendBytes(appendBytes(dst, w.header), w.body) }

// readTexts reads a text page. The items point into b.
func readTexts(b []byte, uid UID) ([]textItem, error) {
	texts := make([]textItem, 0, textUIDs)
	for c := (cursor{b: b}); len(c.b) > 0; {
		t := textItem{uid: uid - uid%textUIDs + UID(c.byte())}
		copy(t.id[:], c.take(uint64(len(t.id))))
		t.where = textPlace(c.byte())
		t.words = words{c.bytes(), c.bytes()}
		if c.bad || t.where > textTooLong {
			return nil, errPage
		}
		texts = append(texts, t)
	}
	return texts, nil
}

// errPage: a page is not what a session wrote. It is dropped, and made anew.
var errPage = errors.New("mailbox: a page that does not open")

// errNewerPage: a page is sealed under a generation of the keys that this
// session has not learned. It is left alone.
var errNewerPage = errors.New("mailbox: a page under newer keys")

// Layout of a sealed page: version, generation of the index key in four octets,
// nonce, AES-256-GCM of the content. Owner and key of the record are
// authenticated beside it.
const (
	pageVersion = 1
	pageNonce   = 12
	pageHead    = 1 + 4 + pageNonce
)

// stamp is a sealed page's nonce: two writings never have the same. The zero
// stamp is that of no page.
type stamp [pageNonce]byte

func stampOf(sealed []byte) (s stamp) {
	if len(sealed) >= pageHead {
		copy(s[:], sealed[1+4:])
	}
	return s
}

func pageAEAD(key [32]byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func (a *Account) pageAD(key []byte) []byte {
	return append(append(append(make([]byte, 0, 96), a.Owner()...), 0), key...)
}

// sealPage seals a page for the record at key, under the newest index key that
// the session knows.
func (a *Account) sealPage(key, plain []byte) ([]byte, error) {
	gen := a.keys.Generation()
	k, ok := a.keys.IndexKeyOf(gen)
	if !ok {
		return nil, keyring.ErrWiped
	}
	aead, err := pageAEAD(k)
	if err != nil {
		return nil, err
	}
	out := make([]byte, pageHead, pageHead+len(plain)+aead.Overhead())
	out[0] = pageVersion
	binary.BigEndian.PutUint32(out[1:], gen)
	rand.Read(out[1+4 : pageHead]) // never fails: it ends the program instead
	return aead.Seal(out, out[1+4:pageHead], plain, a.pageAD(key)), nil
}

// openPage appends a page's content to dst. Errors: errPage, errNewerPage.
func (a *Account) openPage(dst, key, sealed []byte) (plain []byte, gen uint32, err error) {
	if len(sealed) < pageHead || sealed[0] != pageVersion {
		return nil, 0, errPage
	}
	gen = binary.BigEndian.Uint32(sealed[1:])
	k, ok := a.keys.IndexKeyOf(gen)
	if !ok {
		if gen > a.keys.Generation() {
			return nil, gen, errNewerPage
		}
		return nil, gen, errPage
	}
	aead, err := pageAEAD(k)
	if err != nil {
		return nil, gen, err
	}
	plain, err = aead.Open(dst, sealed[1+4:pageHead], sealed[pageHead:], a.pageAD(key))
	if err != nil {
		return nil, gen, errPage
	}
	return plain, gen, nil
}

// indexPage is an opened index page; the zero one is that of no page.
type indexPage struct {
	stamp stamp
	gen   uint32
	items []item
}

// loadPage reads an index page. One that is not there is zero; one that does
// not open is errPage.
func (a *Account) loadPage(tx store.Tx, box boxID, block UID) (p indexPage, err error) {
	var plain []byte
	if plain, p.stamp, p.gen, err = a.loadSealed(tx, keyIndexPage(box, block), new([]byte)); plain == nil || err != nil {
		return p, err
	}
	p.items, err = readItems(plain, block)
	return p, err
}

// pageBuffer is the memory that a text page is opened into.
type pageBuffer struct{ packed, plain []byte }

// loadTexts reads a text page into buf. One that is not there has no items.
func (a *Account) loadTexts(tx store.Tx, box boxID, uid UID, buf *pageBuffer) ([]textItem, error) {
	plain, err := a.loadPacked(tx, keyTextPage(box, uid), buf)
	if err != nil || plain == nil {
		return nil, err
	}
	return readTexts(plain, uid)
}

// loadLong reads the long text of one message into buf.
func (a *Account) loadLong(tx store.Tx, box boxID, uid UID, buf *pageBuffer) (words, error) {
	plain, err := a.loadPacked(tx, keyLongText(box, uid), buf)
	c := cursor{b: plain}
	w := words{c.bytes(), c.bytes()}
	if err == nil && c.bad {
		err = errPage
	}
	return w, err
}

// loadPacked reads and unpacks what holds text; nil if there is none.
func (a *Account) loadPacked(tx store.Tx, key []byte, buf *pageBuffer) ([]byte, error) {
	packed, _, _, err := a.loadSealed(tx, key, &buf.packed)
	if err != nil || packed == nil {
		return nil, err
	}
	if n, err := s2.DecodedLen(packed); err != nil || n > maxUnpacked {
		return nil, errPage
	}
	plain, err := s2.Decode(buf.plain[:cap(buf.plain)], packed)
	if err != nil {
		return nil, errPage
	}
	buf.plain = plain
	return plain, nil
}

// maxUnpacked is above any text page: textUIDs of maxPageText, or maxLongText.
const maxUnpacked = 2 << 20

// pack makes text shorter, to less than a third. S2 unpacks three times as fast
// as zstd, which gains a sixth more.
func pack(plain []byte) []byte { return s2.EncodeBetter(nil, plain) }

// loadSealed reads a page into buf, which it may replace; nil if there is none.
func (a *Account) loadSealed(tx store.Tx, key []byte, buf *[]byte) (plain []byte, s stamp, gen uint32, err error) {
	sealed, err := tx.Get(key)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, s, 0, nil
	case errors.Is(err, store.ErrCorrupt):
		return nil, s, 0, errPage
	case err != nil:
		return nil, s, 0, err
	}
	if cap(*buf) < len(sealed) {
		*buf = make([]byte, 0, len(sealed))
	}
	if plain, gen, err = a.openPage((*buf)[:0], key, sealed); err == nil {
		*buf = plain
	}
	return plain, stampOf(sealed), gen, err
}

// buffer returns memory for pages, until free.
func (s *Service) buffer() *pageBuffer {
	if buf, ok := s.pages.Get().(*pageBuffer); ok {
		return buf
	}
	return new(pageBuffer)
}

// free gives memory back.
func (s *Service) free(buf *pageBuffer) {
	clear(buf.packed[:cap(buf.packed)]) // plaintext
	clear(buf.plain[:cap(buf.plain)])
	s.pages.Put(buf)
}

// scanPages reads every page, and calls bad for each record that does not open.
func scanPages(tx store.Tx, bad func()) error {
	return store.ScanAround(tx, []byte(prefixPage), store.After([]byte(prefixPage)), func(_, _ []byte) error { return nil }, func(*store.Damage) error {
		bad()
		return nil
	})
}

// dropPages removes the pages of the messages of one index page.
func dropPages(tx store.Tx, box boxID, from UID) error {
	to := from + (pageUIDs - 1)
	keys := [][]byte{keyIndexPage(box, from)}
	err := store.ScanAround(tx, keyTexts(box, from), store.After(keyTexts(box, to)), func(k, _ []byte) error {
		keys = append(keys, append([]byte(nil), k...))
		return nil
	}, func(d *store.Damage) error {
		keys = append(keys, d.Key)
		return nil
	})
	for _, k := range keys {
		err = errors.Join(err, tx.Delete(k))
	}
	return err
}
