package certs_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"pli/certs"
)

func dn(t testing.TB, s string) certs.Name {
	t.Helper()
	n, err := certs.ParseDN(s)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return n
}

// MSSanté white list: DNs are compared structurally.
func TestNamesCompareStructurally(t *testing.T) {
	t.Parallel()
	one := "CN=medimail-asip.mipih.fr,OU=318310021300028,O=GIP MIPIH,ST=Haute-Garonne (31),C=FR"
	for s, want := range map[string]bool{
		one: true,
		"C=FR, ST=Haute-Garonne (31), O=GIP MIPIH, OU=318310021300028, CN=medimail-asip.mipih.fr":    true,
		"cn=MEDIMAIL-asip.mipih.fr;ou=318310021300028;o=gip  mipih;S=haute-garonne (31);c=fr":        true,
		"CN=medimail-asip.mipih.fr+OU=318310021300028,O=GIP\\20MIPIH,ST=\"Haute-Garonne (31)\",C=FR": true,
		"2.5.4.3=medimail-asip.mipih.fr,OU=318310021300028,O=GIP MIPIH,ST=Haute-Garonne (31),C=FR":   true,
		one + ",OU=318310021300028": true, // a set
		one + ",OU=1770816478":      false,
		one + ",L=Toulouse":         false,
		"CN=medimail-asip.mipih.fr,OU=318310021300028,O=GIP MIPIH,C=FR":                             false,
		"CN=medimail-asip.mipih.fr.,OU=318310021300028,O=GIP MIPIH,ST=Haute-Garonne (31),C=FR":      false,
		"OU=medimail-asip.mipih.fr,CN=318310021300028,O=GIP MIPIH,ST=Haute-Garonne (31),C=FR":       false,
		"CN=medimail-asip.mipih.fr\\,OU=318310021300028,O=GIP MIPIH,ST=Haute-Garonne (31),C=FR":     false,
		"CN=medimail-asip.mipih.fr,2.5.4.99=318310021300028,O=GIP MIPIH,ST=Haute-Garonne (31),C=FR": false,
		"CN=medimail-asip.mipih.fr\\00,OU=318310021300028,O=GIP MIPIH,ST=Haute-Garonne (31),C=FR":   false,
	} {
		n := dn(t, s)
		if got := dn(t, one).Equal(n); got != want || (n.Key() == dn(t, one).Key()) != want {
			t.Errorf("%s: equal %v, want %v", s, got, want)
		}
		if again := dn(t, n.String()); !again.Equal(n) {
			t.Errorf("%s: written %s, which is another name", s, n)
		}
	}
	if (certs.Name{}).Equal(certs.Name{}) {
		t.Error("two empty names are equal")
	}
}

func TestParseDNReadsAndRefuses(t *testing.T) {
	t.Parallel()
	n := dn(t, ` CN = \ a\, b\"\5C \ , OU="x,y+z" ; T=Médecin+SN=D\C3\A9mo , 1.2.3=é`)
	if n.CN[0] != ` a, b"\  ` || n.OU[0] != "x,y+z" || n.Other[0] != "2.5.4.12=Médecin" || n.Other[1] != "2.5.4.4=Démo" || n.Other[2] != "1.2.3=é" {
		t.Errorf("read as %#v", n)
	}
	for _, bad := range []string{
		"", "CN", "CN=", "=x", "CN=a,", "CN=a,,O=b", "XX=a", "1=a", "1..2=a", "01.2=a", "CN=#0403", `CN="a`, `CN="a"b`, `CN=a"b`, "CN=a<b",
		`CN=a\`, `CN=a\x`, "CN=a\x00", "CN=\xff", `CN=\ff`, "CN=a,O", strings.Repeat("CN=a,", 64) + "CN=a", "CN=" + strings.Repeat("a", 8<<10),
	} {
		if got, err := certs.ParseDN(bad); err == nil {
			t.Errorf("%.40q is read as %v", bad, got)
		}
	}
	if n := dn(t, strings.Repeat("CN=a,", 63)+"CN=a"); len(n.CN) != 64 {
		t.Errorf("%d attributes", len(n.CN))
	}
}

func TestSubjectOfACertificate(t *testing.T) {
	t.Parallel()
	root := issue(t, "root", nil, nil, authority)
	leaf := issue(t, "", &root, nil, func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: "smtp-1.autre.fr", OrganizationalUnit: []string{"318310021300028"}, Organization: []string{"GIP  Autre"},
			Province: []string{"Isère (38)"}, Country: []string{"FR"}, SerialNumber: "7",
			ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 5, 4, 12}, Value: "Médecin"}}}
	})
	n, err := certs.Subject(leaf.cert)
	must(t, err)
	if !n.Equal(dn(t, "C=FR,ST=isère (38),O=GIP Autre,OU=318310021300028,CN=SMTP-1.autre.fr,T=médecin,serialNumber=7")) {
		t.Errorf("the subject is %s", n)
	}
	empty := issue(t, "", &root, nil, func(c *x509.Certificate) { c.Subject = pkix.Name{}; c.DNSNames = []string{"a.fr"} })
	if _, err := certs.Subject(empty.cert); err == nil {
		t.Error("an empty subject is a name")
	}
	rec, err := cbor.Marshal(n)
	must(t, err)
	var back certs.Name
	must(t, cbor.Unmarshal(rec, &back))
	if !back.Equal(n) {
		t.Error("the name comes back otherwise from its record")
	}
}

func FuzzParseDN(f *testing.F) {
	f.Add("CN=medimail-asip.mipih.fr,OU=318310021300028,O=GIP MIPIH,ST=Haute-Garonne (31),C=FR")
	f.Add(` CN = \ a\, b\"\5C , OU="x,y+z" ; T=M+SN=D\C3\A9mo`)
	f.Fuzz(func(t *testing.T, s string) {
		n, err := certs.ParseDN(s)
		if err != nil {
			return
		}
		again, err := certs.ParseDN(n.String())
		if len(n.String()) <= 8<<10 && (err != nil || !again.Equal(n)) {
			t.Fatalf("%q is written %q, which is another name: %v", s, n, err)
		}
	})
}
