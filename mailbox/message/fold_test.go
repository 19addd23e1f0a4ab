package message_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pli/mailbox/message"
)

// Fold finds what a person who types without accents looks for.
func TestFold(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"Échographie ABDOMINALE":  "echographie abdominale",
		"e\u0301te\u0301":         "ete", // combining accents
		"Cœur, ŒDÈME, Straße":     "coeur, oedeme, strasse",
		"l’ordonnance « bis »":    "l'ordonnance \" bis \"",
		"a \t\r\n\u00a0\u202f b":  "a b",
		"co\u00ADopé\u200Bration": "cooperation",
		"ﬁn … 2ᵉ":                 "fin ... 2e",
		"ΣΊΣΥΦΟΣ":                 "σισυφοσ",
		"Łódź Đorđe":              "lodz dorde",
		"日本語":                     "日本語",
		"\xff\xfe":                "",
		" x ":                     " x ",
	} {
		if got := message.Fold(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// Fold leaves alone what it returned, for every character there is, and does
// not tell the two cases of a letter apart.
func TestFoldEveryRune(t *testing.T) {
	t.Parallel()
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !utf8.ValidRune(r) {
			continue
		}
		once := message.Fold(string(r))
		if twice := message.Fold(once); once != twice {
			t.Fatalf("%U: %q, then %q", r, once, twice)
		}
		if up := unicode.ToUpper(r); message.Fold(string(up)) != once {
			t.Errorf("%U: %q, its upper case %q", r, once, message.Fold(string(up)))
		}
		if r >= 0xC0 && r < 0x180 && unicode.IsLetter(r) && r != 'ĸ' && r != 'ŉ' && r != 'Ŋ' && r != 'ŋ' {
			if strings.Trim(once, "abcdefghijklmnopqrstuvwxyz") != "" && once != "l·" {
				t.Errorf("%c: %q", r, once)
			}
		}
	}
}
