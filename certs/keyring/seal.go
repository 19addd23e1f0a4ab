package keyring

import (
	"crypto/rand"
	"encoding/binary"
)

// Seal returns plaintext as one SEIPD packet, in one pass and one piece of
// memory; it may not be over MaxSeal.
func (k SessionKey) Seal(plaintext []byte) ([]byte, error) {
	if len(plaintext) > MaxSeal {
		return nil, ErrTooLarge
	}
	literal := 6 + len(literalHead) + len(plaintext)
	n := int(chunkCount(int64(literal)))
	body := seipdHead + literal + n*tagSize + tagSize
	out := make([]byte, 6+seipdHead, 6+body)
	putHead(out, tagSEIPD, body)
	putParameters(out[6:])
	c, err := k.newChunks(out[10:10+saltSize], chunkOctet)
	if err != nil {
		return nil, err
	}
	head := make([]byte, 6, 6+len(literalHead))
	putHead(head, tagLiteral, len(literalHead)+len(plaintext))
	head = append(head, literalHead...)
	for i := range n {
		start := len(out)
		plain := append(out[start:start], head...) // in place, then sealed where it lies
		take := min(chunkSize-len(head), len(plaintext))
		plain = append(plain, plaintext[:take]...)
		plaintext, head = plaintext[take:], nil
		out = c.seal(out, plain, uint64(i))
	}
	return c.sealFinal(out, uint64(n), uint64(literal)), nil
}

// putHead writes a packet's first octet and five-octet length.
func putHead(dst []byte, first byte, size int) {
	dst[0], dst[1] = first, fiveOctets
	binary.BigEndian.PutUint32(dst[2:], uint32(size))
}

// putParameters writes the parameters of a SEIPD packet and a fresh salt.
func putParameters(dst []byte) {
	copy(dst, []byte{seipdVersion, cipherAES256, aeadGCM, chunkOctet})
	rand.Read(dst[4:seipdHead]) // never fails: it ends the program instead
}

// Open returns the content of one SEIPD packet, sealed by Seal or Writer here,
// or by another program: with any lengths and chunk size, AES-256-GCM, around
// one literal packet and perhaps padding. Nothing comes back unless all of it
// is what was sealed. The result never shares memory with packet.
func (k SessionKey) Open(packet []byte) ([]byte, error) {
	first, body, rest, err := cutPacket(packet)
	if err != nil {
		return nil, err
	}
	if first != tagSEIPD || len(rest) != 0 {
		return nil, ErrDamaged
	}
	plain, err := k.openBody(body)
	if err != nil {
		return nil, err
	}
	return literal(plain)
}

// openBody decrypts a SEIPD packet's body.
func (k SessionKey) openBody(body []byte) ([]byte, error) {
	if len(body) < seipdHead+2*tagSize+1 {
		return nil, ErrDamaged
	}
	if body[0] != seipdVersion || body[1] != cipherAES256 || body[2] != aeadGCM || body[3] > maxChunk {
		return nil, ErrUnsupported
	}
	c, err := k.newChunks(body[4:seipdHead], body[3])
	if err != nil {
		return nil, err
	}
	size := 1<<(body[3]+6) + tagSize
	sealed, tag := body[seipdHead:len(body)-tagSize], body[len(body)-tagSize:]
	n := (len(sealed) + size - 1) / size
	if len(sealed) <= (n-1)*size+tagSize { // a last chunk without an octet
		return nil, ErrDamaged
	}
	total := len(sealed) - n*tagSize
	if err := c.openFinal(tag, uint64(n), uint64(total)); err != nil {
		return nil, err
	}
	plain := make([]byte, 0, total)
	for i := 0; len(sealed) > 0; i++ {
		take := min(size, len(sealed))
		if plain, err = c.open(plain, sealed[:take], uint64(i)); err != nil {
			return nil, err
		}
		sealed = sealed[take:]
	}
	return plain, nil
}

// literal returns the content of the literal data packet that is all of plain
// but for padding. RFC 9580 5.9, 5.14, 10.3.
func literal(plain []byte) ([]byte, error) {
	first, body, rest, err := cutPacket(plain)
	if err != nil {
		return nil, err
	}
	if first != tagLiteral {
		return nil, ErrUnsupported // compressed, signed
	}
	for len(rest) > 0 {
		if first, _, rest, err = cutPacket(rest); err != nil {
			return nil, err
		}
		if first != tagPadding {
			return nil, ErrUnsupported
		}
	}
	if len(body) < 2 || len(body) < 2+int(body[1])+4 {
		return nil, ErrDamaged
	}
	return body[2+int(body[1])+4:], nil
}
