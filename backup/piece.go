package backup

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
)

// Piece is one object of the repository that holds items in their order:
// records of a run, or lines of an index.
type Piece struct {
	Sum   string `json:"sum"`   // SHA-256 of its bytes, hexadecimal: its name
	Size  int64  `json:"size"`  // bytes
	Items int64  `json:"items"` // records or lines
	First string `json:"first"` // owner or blob of the first item
	Last  string `json:"last"`  // and of the last
}

// holds reports whether a piece may hold items of an owner or blob.
func (p Piece) holds(name string) bool { return p.First <= name && name <= p.Last }

// bounds say how long pieces are, in bytes.
type bounds struct{ least, mean, most int64 }

// Pieces of records are long enough that a large instance makes no crowd of
// objects, and short enough that one new message sends little else.
var (
	recordBounds = bounds{least: 128 << 10, mean: 512 << 10, most: 4 << 20}
	indexBounds  = bounds{least: 32 << 10, mean: 256 << 10, most: 1 << 20}
)

// cutter gathers items and cuts them into pieces at places that depend on the
// items alone: what was put in or taken out elsewhere moves no other cut.
type cutter struct {
	bounds
	spool *spool
	open  Piece // without its sum
	done  []Piece
}

func newCutter(b bounds, folder string) *cutter {
	return &cutter{bounds: b, spool: &spool{folder: folder}}
}

// add appends an item's bytes; first and last are the owners or blobs that it
// tells of, and key decides, with the item's length, whether a piece ends
// behind it.
func (c *cutter) add(first, last string, key, item []byte) error {
	if err := c.spool.write(item); err != nil {
		return err
	}
	if c.open.Items == 0 {
		c.open.First = first
	}
	c.open.Last = last
	c.open.Items++
	c.open.Size += int64(len(item))
	if c.open.Size >= c.most || c.open.Size >= c.least && c.chosen(key, len(item)) {
		c.cut()
	}
	return nil
}

// chosen is true for one in mean/n keys.
func (c *cutter) chosen(key []byte, n int) bool {
	sum := sha256.Sum256(key)
	return float64(binary.BigEndian.Uint64(sum[:])) < float64(n)/float64(c.mean)*math.MaxUint64
}

// cut ends the open piece.
func (c *cutter) cut() {
	if c.open.Items > 0 {
		c.done = append(c.done, c.open)
		c.open = Piece{}
	}
}

// mark is a place to come back to.
type mark struct {
	size int64
	open Piece
	done int
}

func (c *cutter) mark() mark { return mark{c.spool.size, c.open, len(c.done)} }

// back forgets what was added since.
func (c *cutter) back(m mark) error {
	c.open, c.done = m.open, c.done[:m.done]
	return c.spool.truncate(m.size)
}

// take hands out the pieces that are done, with their bytes, and keeps the
// open one.
func (c *cutter) take(fn func(p Piece, data []byte) error) error {
	var at int64
	for _, p := range c.done {
		data, err := c.spool.read(at, p.Size)
		if err != nil {
			return err
		}
		at += p.Size
		sum := sha256.Sum256(data)
		p.Sum = hex.EncodeToString(sum[:])
		if err := fn(p, data); err != nil {
			return err
		}
	}
	c.done = c.done[:0]
	return c.spool.drop(at)
}

// close frees the spool.
func (c *cutter) close() error { return c.spool.truncate(0) }
