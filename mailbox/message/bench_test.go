package message_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"testing"

	"pli/mailbox/message"
)

// report is a laboratory's message of about 10 kB: text, HTML and a PDF.
func report(pdf int) []byte {
	var b bytes.Buffer
	for i := range 4 {
		fmt.Fprintf(&b, "Received: from mx%d.labo.test (mx%[1]d.labo.test [192.0.2.%[1]d])\r\n\tby mx.patient.test with ESMTPS id 4F%[1]d2A\r\n\tfor <holder@patient.test>; Tue, 3 Mar 2026 08:1%[1]d:00 +0100\r\n", i)
	}
	b.WriteString("Date: Tue, 3 Mar 2026 08:15:00 +0100\r\n" +
		"From: =?utf-8?Q?Laboratoire_des_Tr=C3=A9filiers?= <labo@labo.mssante.test>\r\n" +
		"To: <279035121518989@patient.mssante.test>\r\n" +
		"Subject: =?utf-8?Q?XDM/1.0/DDM+R=C3=A9sultats_d=27analyses_CORSE_Dominique?=\r\n" +
		"Message-ID: <20260303081500.4711@labo.mssante.test>\r\n" +
		"X-MSS-NIL: DEV935997\r\nX-MSS-CODECDA: 11502-2\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: multipart/mixed; boundary=\"=_outer_0001\"\r\n\r\n" +
		"--=_outer_0001\r\nContent-Type: multipart/alternative; boundary=\"=_inner_0001\"\r\n\r\n" +
		"--=_inner_0001\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
	for range 8 {
		b.WriteString("Bonjour, veuillez trouver ci-joint le compte rendu de vos r=C3=A9sultats=\r\n d'analyses. Bien =C3=A0 vous, le laboratoire.\r\n")
	}
	b.WriteString("--=_inner_0001\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><body>")
	for range 8 {
		b.WriteString("<p>Bonjour, veuillez trouver ci-joint le <b>compte rendu</b> de vos r&eacute;sultats.</p>\r\n")
	}
	b.WriteString("</body></html>\r\n--=_inner_0001--\r\n--=_outer_0001\r\n" +
		"Content-Type: application/pdf; name=\"20260303_CR_CORSE.pdf\"\r\nContent-Transfer-Encoding: base64\r\n" +
		"Content-Disposition: attachment; filename*=utf-8''20260303%5FCR%5FCORSE.pdf\r\n\r\n")
	enc := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("%PDF-1.7 \x00\xff stream "), pdf/20))
	for len(enc) > 76 {
		b.WriteString(enc[:76] + "\r\n")
		enc = enc[76:]
	}
	b.WriteString(enc + "\r\n--=_outer_0001--\r\n")
	return b.Bytes()
}

func BenchmarkScan(b *testing.B) {
	for _, c := range []struct {
		name string
		pdf  int
	}{{"10kB", 4600}, {"200kB", 145_000}, {"5MB", 3_700_000}} {
		msg := report(c.pdf)
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(msg)))
			b.ReportAllocs()
			s := message.NewScanner(message.Limits{})
			for b.Loop() {
				s.Reset()
				for rest := msg; len(rest) > 0; {
					n := min(4096, len(rest))
					s.Write(rest[:n])
					rest = rest[n:]
				}
				if _, err := s.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
