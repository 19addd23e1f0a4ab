package identity_test

import (
	"strings"
	"testing"

	"pli/identity"
	"pli/internal/errs"
)

// RFC 5321 4.1.2, RFC 6531 3.3; limits of RFC 5321 4.5.3.1 on each side.
func TestParseAddress(t *testing.T) {
	t.Parallel()
	label := strings.Repeat("a", 63)
	for s, want := range map[string]string{
		"Jean.Durand@Medecin.Pli.TEST":           "Jean.Durand@medecin.pli.test",
		"279035121518989@patient.pli.test":       "279035121518989@patient.pli.test",
		"184122A00400544@patient.pli.test":       "184122A00400544@patient.pli.test",
		"o'hara+a=b/c@a.fr":                      "o'hara+a=b/c@a.fr",
		`"jean"@a.fr`:                            "jean@a.fr",
		`"jean durand"@a.fr`:                     `"jean durand"@a.fr`,
		`"a\"b\\c@d"@a.fr`:                       `"a\"b\\c@d"@a.fr`,
		`"a..b"@a.fr`:                            `"a..b"@a.fr`,
		"anaïs@médecin.fr":                       "anaïs@xn--mdecin-bva.fr",
		"e\u0301@a.fr":                           "\u00e9@a.fr",
		"anaïs@xn--mdecin-bva.fr":                "anaïs@xn--mdecin-bva.fr",
		"x@localhost":                            "x@localhost",
		strings.Repeat("l", 64) + "@a.fr":        strings.Repeat("l", 64) + "@a.fr",
		"x@" + label + ".fr":                     "x@" + label + ".fr",
		"x@" + strings.Repeat("abc.", 62) + "fr": "x@" + strings.Repeat("abc.", 62) + "fr", // 252 bytes
	} {
		a, err := identity.ParseAddress(s)
		if err != nil || a.String() != want {
			t.Errorf("%q: %q, %v, want %q", s, a, err, want)
		}
	}
	for _, s := range []string{
		"", "x", "@a.fr", "x@", "x@@a.fr", "a b@a.fr", ".x@a.fr", "x.@a.fr", "x..y@a.fr", "x@a..fr", "x@.fr", "x@a.fr.", "x@-a.fr", "x@a-.fr", "x@a_b.fr",
		"x@[127.0.0.1]", "x@[IPv6:::1]", "<x@a.fr>", "x@a.fr\n", "x\r\n@a.fr", "x\x00@a.fr", `""@a.fr`, `"a@a.fr`, `a"@a.fr`, `"a"b"@a.fr`, `"a\"@a.fr`,
		"\"a\nb\"@a.fr", "\"a\\\nb\"@a.fr", "a,b@a.fr", "a:b@a.fr", "(c)x@a.fr", "\xff@a.fr", "x\u200b@a.fr", "x\u202e@a.fr", "x@\u202e.fr", "x@a\u3002",
		"\"\u0085\"@a.fr", "x@a b.fr", "x@a/b.fr",
	} {
		if a, err := identity.ParseAddress(s); !errs.Is(err, errs.Invalid) || !a.IsZero() {
			t.Errorf("%q: %q, %v", s, a, err)
		}
	}
	for _, s := range []string{strings.Repeat("l", 65) + "@a.fr", "x@" + strings.Repeat("abc.", 63) + "fr"} {
		if _, err := identity.ParseAddress(s); !errs.Is(err, errs.TooLarge) {
			t.Errorf("%d bytes: %v", len(s), err)
		}
	}
	if _, err := identity.ParseAddress("x@" + label + "a.fr"); !errs.Is(err, errs.Invalid) {
		t.Error("a label of 64 bytes:", err)
	}
}

// One mailbox has one key, however it is written.
func TestAddressKey(t *testing.T) {
	t.Parallel()
	for _, same := range [][]string{
		{"184122A00400544@patient.pli.test", "184122a00400544@PATIENT.pli.test", `"184122a00400544"@patient.pli.test`},
		{"Anaïs.STRASSE@Médecin.fr", "anaÏs.strasse@xn--mdecin-bva.fr"},
		{"groß@a.fr", "GROSS@a.fr", "GROẞ@a.fr"},
	} {
		first, err := identity.ParseAddress(same[0])
		must(t, err)
		for _, s := range same[1:] {
			a, err := identity.ParseAddress(s)
			must(t, err)
			if a.Key() != first.Key() {
				t.Errorf("%s has key %q, %s %q", s, a.Key(), first, first.Key())
			}
		}
	}
	a, err := identity.ParseAddress("Jean@a.fr")
	must(t, err)
	if a.Local() != "Jean" || a.Domain() != "a.fr" || a.LogValue().String() != "…@a.fr" {
		t.Error("read as", a.Local(), a.Domain(), a.LogValue())
	}
}

func FuzzAddress(f *testing.F) {
	for _, s := range []string{"Jean.Durand@Medecin.Pli.TEST", `"a\"b\\c@d"@a.fr`, "anaïs@médecin.fr", "groß@a.fr"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := identity.ParseAddress(s)
		if err != nil {
			return
		}
		if strings.ContainsAny(a.String(), "\r\n\x00<>") && !strings.Contains(a.String(), `"`) {
			t.Fatalf("%q is written %q", s, a)
		}
		again, err := identity.ParseAddress(a.String())
		if err != nil && errs.Is(err, errs.TooLarge) {
			return // an internationalized domain is longer in ASCII
		}
		if err != nil || again != a || again.Key() != a.Key() {
			t.Fatalf("%q is written %q, which is another: %v", s, a, err)
		}
	})
}
