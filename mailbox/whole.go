package mailbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"pli/certs/keyring"
	"pli/internal/errs"
	"pli/store"
	"pli/store/blob"
)

// The blob of a message stands for itself: its stored record can be made again
// from it, and the account's key is named in it. It is one OpenPGP message:
//
//	PKESK     to the account's key, keyring.WrapSize bytes
//	SEIPD     the body, keyring.StreamSize bytes
//	trailer   a packet of a private type, which programs that do not know it
//	          pass over (RFC 9580 4.3): the SEIPD of the index, and the footer
//
// The footer is footerSize bytes, numbers big-endian:
//
//	 0  4  "PLIM"
//	 4  4  version, 1
//	 8 16  id of the message
//	24  8  bytes of the message
//	32  8  where the SEIPD of the body begins
//	40  8  where the SEIPD of the index begins
//	48  4  CRC-32C of all that lies before, which the stored record has too
const (
	footerMagic   = "PLIM"
	footerVersion = 1
	footerSize    = 52
	trailerHead   = 6         // first octet and five-octet length, RFC 9580 4.2.1
	tagTrailer    = 0xC0 | 60 // private or experimental, not critical; RFC 9580 5
)

// castagnoli is the polynomial that processors count with by themselves.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// outgoing is one recipient's blob while it is written. It counts what passes.
type outgoing struct {
	blob.Writer
	id    messageID
	pkesk []byte
	size  int64
	sum   uint32
}

// begin writes what stands before the body.
func (o *outgoing) begin(to keyring.Recipient, key keyring.SessionKey) (err error) {
	if o.pkesk, err = to.Wrap(key); err != nil {
		return err
	}
	_, err = o.Write(o.pkesk)
	return err
}

func (o *outgoing) Write(b []byte) (int, error) {
	n, err := o.Writer.Write(b)
	o.size, o.sum = o.size+int64(n), crc32.Update(o.sum, castagnoli, b[:n])
	return n, err
}

// finish writes what stands behind the body, and makes the blob durable. It
// completes the record.
func (o *outgoing) finish(m *stored) (err error) {
	f := footer{id: o.id, size: m.Size, body: int64(len(o.pkesk)), index: o.size + trailerHead}
	b := make([]byte, 0, trailerHead+len(m.Index)+footerSize)
	b = append(b, tagTrailer, 0xFF)
	b = binary.BigEndian.AppendUint32(b, uint32(len(m.Index)+footerSize))
	b = f.append(append(b, m.Index...))
	m.Sum = crc32.Update(o.sum, castagnoli, b)
	if _, err := o.Write(binary.BigEndian.AppendUint32(b, m.Sum)); err != nil {
		return err
	}
	m.PKESK, m.BlobSize = o.pkesk, o.size
	m.Blob, err = o.Commit()
	return err
}

// footer is what ends a message's blob.
type footer struct {
	id    messageID
	size  int64 // bytes of the message
	body  int64 // where the SEIPD of the body begins
	index int64 // where the SEIPD of the index begins
	sum   uint32
}

// append appends the footer's bytes but for the sum.
func (f *footer) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(append(b, footerMagic...), footerVersion)
	b = append(b, f.id[:]...)
	for _, n := range []int64{f.size, f.body, f.index} {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	return b
}

var (
	errNoMessageBlob = errs.New(errs.Invalid, "this blob is not a message's")
	errBlobSum       = fmt.Errorf("%w: a blob that is not what was written", store.ErrCorrupt)
)

// readFooter reads how a blob says that it lies; what cannot be so is
// errNoMessageBlob.
func readFooter(r blob.Reader) (f footer, err error) {
	var b [footerSize]byte
	if r.Size() < footerSize {
		return f, errNoMessageBlob
	}
	if err := readAll(r, b[:], r.Size()-footerSize); err != nil {
		return f, err
	}
	number := func(at int) int64 { return int64(binary.BigEndian.Uint64(b[at:])) }
	if string(b[:4]) != footerMagic || binary.BigEndian.Uint32(b[4:]) != footerVersion {
		return f, errNoMessageBlob
	}
	copy(f.id[:], b[8:])
	f.size, f.body, f.index, f.sum = number(24), number(32), number(40), binary.BigEndian.Uint32(b[48:])
	index := r.Size() - footerSize - f.index // bytes of the sealed index
	if f.size < 0 || f.size > r.Size() || f.body != keyring.WrapSize || f.index != f.bodyEnd()+trailerHead || index <= 0 || index > store.MaxValue {
		return f, errNoMessageBlob
	}
	return f, nil
}

func (f *footer) bodyEnd() int64 { return f.body + keyring.StreamSize(f.size) }

// readStored makes a message's record again from its blob, and says which
// message it is. A blob that is damaged anywhere is store.ErrCorrupt; one that
// is no message's, errNoMessageBlob.
func readStored(r blob.Reader, id blob.ID) (messageID, stored, error) {
	f, err := readFooter(r)
	if err != nil {
		return f.id, stored{}, err
	}
	m := stored{Size: f.size, Blob: id, BlobSize: r.Size(), Sum: f.sum,
		PKESK: make([]byte, f.body), Index: make([]byte, r.Size()-footerSize-f.index)}
	if err := readAll(r, m.PKESK, 0); err != nil {
		return f.id, stored{}, err
	}
	if err := readAll(r, m.Index, f.index); err != nil {
		return f.id, stored{}, err
	}
	return f.id, m, checkSum(r, f.sum)
}

// checkSum reads a whole blob; errBlobSum if it is not what was written.
func checkSum(r blob.Reader, want uint32) error {
	h, tail := crc32.New(castagnoli), [4]byte{}
	if _, err := io.CopyBuffer(onlyWriter{h}, io.NewSectionReader(r, 0, max(0, r.Size()-4)), make([]byte, 256<<10)); err != nil {
		return err
	}
	if err := readAll(r, tail[:], r.Size()-4); err != nil {
		return err
	}
	if h.Sum32() != want || binary.BigEndian.Uint32(tail[:]) != want {
		return errBlobSum
	}
	return nil
}

// onlyWriter hides what else a writer can do, so that the given buffer is used.
type onlyWriter struct{ io.Writer }

// readAll fills b; a blob that ends before is damaged.
func readAll(r io.ReaderAt, b []byte, at int64) error {
	n, err := r.ReadAt(b, max(0, at))
	switch {
	case n == len(b) && at >= 0:
		return nil
	case at < 0 || err == nil || errors.Is(err, io.EOF):
		return errBlobSum
	}
	return err
}
