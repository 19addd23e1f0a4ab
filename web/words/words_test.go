package words_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pli/web/words"
)

func book(t *testing.T) *words.Book {
	t.Helper()
	b, err := words.Load()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// G3: every sentence is there in both languages, and takes the same things in
// the same order.
func TestEverySentenceStandsInBothLanguages(t *testing.T) {
	t.Parallel()
	b := book(t)
	if len(b.Keys()) < 300 {
		t.Fatalf("%d sentences: the book was not read", len(b.Keys()))
	}
	verbs := func(s string) string {
		var out []string
		for i := 0; i+1 < len(s); i++ {
			if s[i] == '%' {
				j := i + 1
				for j < len(s) && strings.ContainsRune(".0123456789", rune(s[j])) {
					j++
				}
				out = append(out, s[i:j+1])
				i = j
			}
		}
		return strings.Join(out, " ")
	}
	for _, key := range b.Keys() {
		fr, en := b.Say(words.French, key), b.Say(words.English, key)
		frOne, frMany, frTwo := strings.Cut(fr, " | ")
		enOne, enMany, enTwo := strings.Cut(en, " | ")
		if frTwo != enTwo {
			t.Errorf("%s counts in one language only", key)
		}
		if !frTwo && verbs(frOne) != verbs(enOne) || frTwo && verbs(frMany) != verbs(enMany) {
			t.Errorf("%s: %q and %q take different things", key, fr, en)
		}
		if fr == en && len(fr) > 12 && !strings.HasPrefix(key, "lang.") && !strings.Contains(fr, "%") {
			t.Errorf("%s is not translated: %q", key, fr)
		}
	}
}

func TestAnEntryThatLacksALanguageIsRefused(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"one language":  "a\nfr: oui\n",
		"twice":         "a\nfr: oui\nen: yes\n\na\nfr: oui\nen: yes\n",
		"other tag":     "a\nfr: oui\nen: yes\nde: ja\n",
		"no tag at all": "a\nfr: oui\nyes\n",
	} {
		if _, err := words.Read(text); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if _, err := words.Read("# remark\n\na\nfr: oui\nen: yes\n\nb\nen: two\nfr: deux\n"); err != nil {
		t.Error(err)
	}
}

func TestCountingSuitsTheLanguage(t *testing.T) {
	t.Parallel()
	b, err := words.Read("n\nfr: %d lettre | %d lettres\nen: %d letter | %d letters\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		l    words.Lang
		n    int
		want string
	}{
		{words.French, 0, "0 lettre"}, {words.French, 1, "1 lettre"}, {words.French, 2, "2 lettres"},
		{words.English, 0, "0 letters"}, {words.English, 1, "1 letter"}, {words.English, 2, "2 letters"},
	} {
		if got := b.Count(c.l, "n", c.n); got != c.want {
			t.Errorf("%s %d: %q, want %q", c.l, c.n, got, c.want)
		}
	}
	if got := b.Say(words.French, "none"); got != "⟦none⟧" {
		t.Errorf("an unknown key says %q", got)
	}
}

func TestTimesReadAsPeopleSayThem(t *testing.T) {
	t.Parallel()
	paris, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 3, 13, 2, 0, 0, time.UTC).In(paris)
	first := time.Date(2026, 5, 1, 0, 0, 0, 0, paris)
	now := time.Date(2026, 3, 3, 20, 0, 0, 0, paris)
	for _, c := range []struct{ got, want string }{
		{words.Moment(words.French, at), "3 mars 2026 à 14\u00a0h\u00a002"},
		{words.Moment(words.English, at), "3 March 2026 at 14:02"},
		{words.WeekDay(words.French, first), "vendredi 1er mai 2026"},
		{words.Short(words.French, at, now), "14\u00a0h\u00a002"},
		{words.Short(words.French, at, now.AddDate(0, 0, 1)), "3 mars"},
		{words.Short(words.French, at, now.AddDate(1, 0, 0)), "03/03/2026"},
		{words.Day(words.French, time.Time{}), ""},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

func TestSizesReadAsPeopleSayThem(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{
		0: "0 octets", 999: "999 octets", 1000: "1 Ko", 48_499: "48 Ko", 1_000_000: "1 Mo", 1_240_000: "1,2 Mo",
		18_000_000: "18 Mo", 9_960_000: "10 Mo", 999_449_999: "999 Mo", 999_450_000: "1 Go", 5_000_000_000: "5 Go", 1_240_000_000: "1,2 Go",
	} {
		if got := strings.ReplaceAll(words.Size(words.French, n), "\u00a0", " "); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
	if got := words.Size(words.English, 1_240_000); fmt.Sprint(got) != "1.2\u00a0MB" {
		t.Errorf("%q", got)
	}
}
