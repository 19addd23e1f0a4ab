package keyring_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"pli/certs/keyring"
)

var update = flag.Bool("update", false, "write testdata/*.opens, *.damaged and *.unsupported anew")

// vector is a file of testdata: what it shows, the session key, the packet.
// Its extension names the end that it expects.
type vector struct {
	why    string
	key    keyring.SessionKey
	packet []byte
}

func (v vector) write(t *testing.T, name string) {
	t.Helper()
	var out strings.Builder
	fmt.Fprintf(&out, "why: %s\nkey: %s\n\n", v.why, hex.EncodeToString(v.key[:]))
	for text := base64.StdEncoding.EncodeToString(v.packet); text != ""; {
		n := min(76, len(text))
		out.WriteString(text[:n] + "\n")
		text = text[n:]
	}
	must(t, os.WriteFile(filepath.Join("testdata", name), []byte(out.String()), 0o644))
}

func readVector(t testing.TB, file string) vector {
	t.Helper()
	b, err := os.ReadFile(file)
	must(t, err)
	head, body, ok := strings.Cut(string(b), "\n\n")
	why, key, ok2 := strings.Cut(head, "\nkey: ")
	if !ok || !ok2 {
		t.Fatalf("%s: not a vector", file)
	}
	v := vector{why: strings.TrimPrefix(why, "why: ")}
	_, err = hex.Decode(v.key[:], []byte(key))
	must(t, err)
	v.packet, err = base64.StdEncoding.DecodeString(strings.ReplaceAll(body, "\n", ""))
	must(t, err)
	return v
}

// Every vector ends as its name says.
func TestVectors(t *testing.T) {
	if *update {
		writeVectors(t)
	}
	files, err := filepath.Glob("testdata/*.*")
	must(t, err)
	if len(files) < 15 {
		t.Fatalf("%d vectors", len(files))
	}
	for _, file := range files {
		v := readVector(t, file)
		got, err := v.key.Open(v.packet)
		switch filepath.Ext(file) {
		case ".opens":
			if err != nil || !bytes.HasPrefix(got, []byte("Pli scellé")) {
				t.Errorf("%s (%s): %v", file, v.why, err)
			}
			continue
		case ".damaged":
			if err != keyring.ErrDamaged {
				t.Errorf("%s (%s): %v", file, v.why, err)
			}
		case ".unsupported":
			if err != keyring.ErrUnsupported {
				t.Errorf("%s (%s): %v", file, v.why, err)
			}
		default:
			t.Errorf("%s: names no end", file)
		}
		if _, err := readAll(t, v.key, v.packet); err == nil {
			t.Errorf("%s (%s): reads", file, v.why)
		}
	}
}

// foreign seals packets with another program's writer, in chunks of 64 octets.
func foreign(t *testing.T, k keyring.SessionKey, suite packet.CipherSuite, inside []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	cfg := &packet.Config{AEADConfig: &packet.AEADConfig{DefaultMode: suite.Mode, ChunkSize: 64}}
	w, err := packet.SerializeSymmetricallyEncrypted(&out, suite.Cipher, true, suite, k[:suite.Cipher.KeySize()], cfg)
	must(t, err)
	_, err = w.Write(inside)
	must(t, err)
	must(t, w.Close())
	return out.Bytes()
}

// plainPacket frames a packet of any sort with a one-octet length.
func plainPacket(tag byte, body string) []byte {
	return append([]byte{0xC0 | tag, byte(len(body))}, body...)
}

func writeVectors(t *testing.T) {
	k := session(t)
	gcm := packet.CipherSuite{Cipher: packet.CipherAES256, Mode: packet.AEADModeGCM}
	text := "Pli scellé, " + strings.Repeat("ne s'ouvre que chez son titulaire. ", 4)
	lit := plainPacket(11, "b\x00\x00\x00\x00\x00"+text)
	one, err := k.Seal([]byte(text))
	must(t, err)
	long := stream(t, k, []byte(text+strings.Repeat("x", 9000)), whole)
	chunked := foreign(t, k, gcm, lit)
	body := func(mutate func(b []byte) []byte) []byte { // chunks of 64+16 octets begin at 38
		b := mutate(bytes.Clone(chunked[2+36:]))
		all := append(bytes.Clone(chunked[2:2+36]), b...)
		return append([]byte{0xD2, 0xFF, 0, 0, byte(len(all) >> 8), byte(len(all))}, all...)
	}
	if chunked[1] >= 224 || chunked[1] < 192 {
		t.Fatalf("the foreign writer framed otherwise: %#x", chunked[1])
	}
	chunked = append([]byte{0xD2, 0}, chunked[3:]...) // a two-octet length is one octet longer than the slot left for it
	set := func(b []byte, i int, v byte) []byte { b = bytes.Clone(b); b[i] = v; return b }
	for name, v := range map[string]vector{
		"sealed.opens":               {"one piece", k, one},
		"streamed.opens":             {"partial lengths inside", k, long},
		"foreign-chunks.opens":       {"another program's writer, chunks of 64 octets", k, foreign(t, k, gcm, lit)},
		"padding.opens":              {"a padding packet after the literal", k, foreign(t, k, gcm, append(bytes.Clone(lit), plainPacket(21, "0000")...))},
		"file-name.opens":            {"a literal with a file name", k, foreign(t, k, gcm, plainPacket(11, "b\x05a.pdf\x00\x00\x00\x00"+text))},
		"reframed.opens":             {"the foreign chunks behind a five-octet length", k, body(func(b []byte) []byte { return b })},
		"flipped.damaged":            {"one bit of the content", k, set(one, 60, one[60]^4)},
		"salt.damaged":               {"one bit of the salt", k, set(one, 20, one[20]^4)},
		"chunk-size.damaged":         {"the chunk size octet changed", k, set(one, 9, 11)},
		"truncated.damaged":          {"the last octet is missing", k, one[:len(one)-1]},
		"extended.damaged":           {"an octet after the packet", k, append(bytes.Clone(one), 0)},
		"other-key.damaged":          {"another session key", session(t), one},
		"chunks-exchanged.damaged":   {"two chunks exchanged", k, body(func(b []byte) []byte { return append(append(bytes.Clone(b[80:160]), b[:80]...), b[160:]...) })},
		"chunk-left-out.damaged":     {"the first chunk is missing", k, body(func(b []byte) []byte { return b[80:] })},
		"final-tag-missing.damaged":  {"cut after the last chunk", k, body(func(b []byte) []byte { return b[:len(b)-16] })},
		"empty-last-chunk.damaged":   {"a last chunk without an octet", k, body(func(b []byte) []byte { return append(b[:80:80], b[len(b)-32:]...) })},
		"nothing-inside.damaged":     {"no packet inside", k, foreign(t, k, gcm, nil)},
		"literal-cut.damaged":        {"a literal shorter than its head", k, foreign(t, k, gcm, plainPacket(11, "b\x05a.pd"))},
		"version-1.unsupported":      {"SEIPD version 1", k, set(one, 6, 1)},
		"aes-128.unsupported":        {"AES-128", k, foreign(t, k, packet.CipherSuite{Cipher: packet.CipherAES128, Mode: packet.AEADModeGCM}, lit)},
		"ocb.unsupported":            {"OCB", k, foreign(t, k, packet.CipherSuite{Cipher: packet.CipherAES256, Mode: packet.AEADModeOCB}, lit)},
		"legacy-header.unsupported":  {"a packet header of the old form", k, set(one, 0, 0x9A)},
		"compressed.unsupported":     {"a compressed packet inside", k, foreign(t, k, gcm, plainPacket(8, "\x00"+string(lit)))},
		"second-literal.unsupported": {"a second literal after the first", k, foreign(t, k, gcm, append(bytes.Clone(lit), lit...))},
	} {
		v.write(t, name)
	}
}
