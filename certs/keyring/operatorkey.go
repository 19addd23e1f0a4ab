package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

// OperatorKey is an operator's offline recovery key, opened.
type OperatorKey struct{ private *ecdh.PrivateKey }

// NewOperatorKey makes a key.
func NewOperatorKey() (*OperatorKey, error) {
	private, err := ecdh.X25519().GenerateKey(rand.Reader)
	return &OperatorKey{private}, err
}

// Public returns the half that an instance is told.
func (k *OperatorKey) Public() OperatorPublic { return OperatorPublic(k.private.PublicKey().Bytes()) }

// Share returns this operator's half of what opens an account's slot;
// ErrNoSlot if the slot is not for this key.
func (k *OperatorKey) Share(e Escrow) (Share, error) {
	if of := k.Public(); of != e.Keys[0] && of != e.Keys[1] {
		return Share{}, ErrNoSlot
	}
	public, err := ecdh.X25519().NewPublicKey(e.Ephemeral[:])
	if err != nil {
		return Share{}, ErrDamaged
	}
	dh, err := k.private.ECDH(public)
	if err != nil {
		return Share{}, ErrDamaged
	}
	defer clear(dh)
	return share(dh, e.Ephemeral, k.Public())
}

// String shows nothing of the key.
func (k OperatorKey) String() string { return "operator key …" }

// GoString shows nothing of the key.
func (k OperatorKey) GoString() string { return k.String() }

// The files of an operator's key are lines of text that can be printed and
// typed in again. Numbers are hexadecimal, in groups of eight digits.
//
//	pli-operator-public-1          pli-operator-key-1
//	<public key>                   <public key>
//	                               <cost of argon2id: KiB, passes, threads, salt: 4, 4, 1, 16 bytes>
//	                               <private key, sealed: nonce of 12 bytes, 32, tag of 16>
const (
	publicHead = "pli-operator-public-1"
	keyHead    = "pli-operator-key-1"
	maxKeyFile = 4 << 10 // bytes
	hexGroup   = 8
	costSize   = 4 + 4 + 1 + slotSalt
)

// OperatorParams is what the passphrase of an operator's key costs unless said
// otherwise: twice the memory of a password's, for what is typed once in years.
func OperatorParams() Params { return Params{Memory: 128 << 10, Passes: 3, Threads: 1} }

// Text returns the file of a public key.
func (p OperatorPublic) Text() string { return publicHead + "\n" + showHex(p[:]) + "\n" }

// ParseOperatorPublic reads what OperatorPublic.Text wrote; ErrKeyFile.
func ParseOperatorPublic(text string) (OperatorPublic, error) {
	lines, err := keyLines(text, publicHead, 32)
	if err != nil {
		return OperatorPublic{}, err
	}
	return OperatorPublic(lines[0]), nil
}

// Seal returns the file of a key, which the passphrase opens at that cost (the
// zero Params are OperatorParams).
func (k *OperatorKey) Seal(p Params, passphrase string) (string, error) {
	if p == (Params{}) {
		p = OperatorParams()
	}
	cost := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, p.Memory), p.Passes)
	cost = append(cost, p.Threads)
	salt, nonce := make([]byte, slotSalt), make([]byte, 12)
	rand.Read(salt) // never fails
	rand.Read(nonce)
	cost = append(cost, salt...)
	public := k.Public()
	aead, err := passphraseAEAD(passphrase, cost)
	if err != nil {
		return "", err
	}
	sealed := aead.Seal(nonce, nonce, k.private.Bytes(), append([]byte(keyHead), public[:]...))
	return strings.Join([]string{keyHead, showHex(public[:]), showHex(cost), showHex(sealed), ""}, "\n"), nil
}

// OpenOperatorKey reads what Seal wrote. Errors: ErrKeyFile; ErrNoSlot for a
// wrong passphrase.
func OpenOperatorKey(text, passphrase string) (*OperatorKey, error) {
	lines, err := keyLines(text, keyHead, 32, costSize, 12+32+16)
	if err != nil {
		return nil, err
	}
	aead, err := passphraseAEAD(passphrase, lines[1])
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, lines[2][:12], lines[2][12:], append([]byte(keyHead), lines[0]...))
	if err != nil {
		return nil, ErrNoSlot
	}
	defer clear(plain)
	private, err := ecdh.X25519().NewPrivateKey(plain)
	if err != nil || [32]byte(private.PublicKey().Bytes()) != [32]byte(lines[0]) {
		return nil, ErrKeyFile
	}
	return &OperatorKey{private}, nil
}

func passphraseAEAD(passphrase string, cost []byte) (cipher.AEAD, error) {
	prepared, err := preparePassword(passphrase)
	if err != nil {
		return nil, err
	}
	p := Params{Memory: binary.BigEndian.Uint32(cost), Passes: binary.BigEndian.Uint32(cost[4:]), Threads: cost[8]}
	if !p.valid() {
		return nil, ErrKeyFile
	}
	block, err := aes.NewCipher(stretch(p, prepared, cost[9:]))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func showHex(b []byte) string {
	text := hex.EncodeToString(b)
	var groups []string
	for ; len(text) > hexGroup; text = text[hexGroup:] {
		groups = append(groups, text[:hexGroup])
	}
	return strings.Join(append(groups, text), " ")
}

// keyLines reads a file's lines below its head, of the given sizes in bytes.
func keyLines(text, head string, sizes ...int) ([][]byte, error) {
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
	if len(text) > maxKeyFile || len(lines) != 1+len(sizes) || strings.TrimSpace(lines[0]) != head {
		return nil, fmt.Errorf("%w: it begins with «%s» and has %d lines", ErrKeyFile, head, 1+len(sizes))
	}
	out := make([][]byte, len(sizes))
	for i, size := range sizes {
		b, err := hex.DecodeString(strings.Join(strings.Fields(lines[1+i]), ""))
		if err != nil || len(b) != size {
			return nil, fmt.Errorf("%w: line %d is mistyped", ErrKeyFile, 2+i)
		}
		out[i] = b
	}
	return out, nil
}
