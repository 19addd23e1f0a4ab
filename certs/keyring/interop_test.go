package keyring_test

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"pli/certs/keyring"
)

// exported returns the account's keys as another program reads them.
func exported(t *testing.T, b *keyring.Bundle, passphrase string) openpgp.EntityList {
	t.Helper()
	text, err := b.ArmoredPrivateKey(passphrase)
	must(t, err)
	keys, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(text))
	must(t, err)
	if passphrase != "" {
		for _, e := range keys {
			if !e.PrivateKey.Encrypted {
				t.Fatal("the exported key is not locked")
			}
			must(t, e.DecryptPrivateKeys([]byte(passphrase)))
		}
	}
	return keys
}

// decrypt reads an OpenPGP message with another program's reader.
func decrypt(t *testing.T, keys openpgp.EntityList, message []byte) []byte {
	t.Helper()
	md, err := openpgp.ReadMessage(bytes.NewReader(message), keys, nil, &packet.Config{Time: func() time.Time { return now.Add(48 * time.Hour) }})
	must(t, err)
	got, err := io.ReadAll(md.UnverifiedBody)
	must(t, err)
	return got
}

// I4: what is sealed here opens elsewhere with the exported key, both forms,
// every generation, with and without a passphrase.
func TestOthersOpenWhatWeSeal(t *testing.T) {
	t.Parallel()
	r, b := newRing(t)
	first := r.Recipient()
	must(t, r.Rotate(b, now.Add(time.Hour)))
	keys := exported(t, b, "")
	if len(keys) != 2 {
		t.Fatalf("%d keys exported, want 2", len(keys))
	}
	locked := exported(t, b, "une phrase")
	for i, n := range sizes {
		to := []keyring.Recipient{first, r.Recipient()}[i%2]
		k, pkesk := sealedTo(t, to)
		plain := random(t, n)
		one, err := k.Seal(plain)
		must(t, err)
		for form, sealed := range map[string][]byte{"Seal": one, "Writer": stream(t, k, plain, whole)} {
			if got := decrypt(t, keys, append(bytes.Clone(pkesk), sealed...)); !bytes.Equal(got, plain) {
				t.Fatalf("%s of %d bytes opens otherwise elsewhere", form, n)
			}
		}
		if i < 2 && !bytes.Equal(decrypt(t, locked, append(bytes.Clone(pkesk), one...)), plain) {
			t.Fatal("the locked key opens otherwise")
		}
	}
}

// D4: what another program encrypts to the public key opens here.
func TestWeOpenWhatOthersSeal(t *testing.T) {
	t.Parallel()
	for _, user := range []string{"dr.durand@medecin.pli.test", "Dr (x) <Durand>", ""} {
		r, b, err := keyring.New(user, now)
		must(t, err)
		text, err := r.ArmoredPublicKey()
		must(t, err)
		keys, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(text))
		must(t, err)
		if keys[0].PrimaryKey.Version != 6 {
			t.Fatal("not a version 6 key")
		}
		for _, chunk := range []uint64{64, 1 << 16, 1 << 22} {
			plain := random(t, 150_000)
			var message bytes.Buffer
			cfg := &packet.Config{
				DefaultCipher: packet.CipherAES256,
				AEADConfig:    &packet.AEADConfig{DefaultMode: packet.AEADModeGCM, ChunkSize: chunk},
				Time:          func() time.Time { return now.Add(time.Hour) },
			}
			w, err := openpgp.Encrypt(&message, keys, nil, nil, &openpgp.FileHints{IsUTF8: false, FileName: "a.pdf"}, cfg)
			must(t, err)
			_, err = w.Write(plain)
			must(t, err)
			must(t, w.Close())
			all := message.Bytes()
			k, err := b.Unwrap(all[:111])
			must(t, err)
			got, err := k.Open(all[111:])
			must(t, err)
			if !bytes.Equal(got, plain) {
				t.Fatal("opens to something else")
			}
		}
	}
}

// The exported certificate names its user and shows nothing private.
func TestExportedCertificate(t *testing.T) {
	t.Parallel()
	r, _ := newRing(t)
	text, err := r.ArmoredPublicKey()
	must(t, err)
	if !strings.HasPrefix(string(text), "-----BEGIN PGP PUBLIC KEY BLOCK-----") {
		t.Fatal("not a public key block")
	}
	keys, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(text))
	must(t, err)
	if keys[0].PrivateKey != nil {
		t.Fatal("the public key block has a private key")
	}
	if _, ok := keys[0].Identities["<dr.durand@medecin.pli.test>"]; !ok {
		t.Fatalf("identities %v", keys[0].Identities)
	}
	to, ok := keys[0].EncryptionKey(now, nil)
	if got := r.Recipient().Fingerprint; !ok || !bytes.Equal(to.PublicKey.Fingerprint, got[:]) {
		t.Fatal("the recipient is not the encryption subkey")
	}
}
