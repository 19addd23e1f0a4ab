// Package words says in French and in English what the portal has to say.
//
// Every sentence stands in words.txt, both languages side by side, so that
// none can be missing in one of them unseen.
package words

import (
	"embed"
	"fmt"
	"sort"
	"strings"
)

//go:embed words.txt
var files embed.FS

// Lang is a language of the portal: "fr" or "en".
type Lang string

// The languages, the first one by default.
const (
	French  Lang = "fr"
	English Lang = "en"
)

// Langs lists the languages of the portal, the default first.
func Langs() []Lang { return []Lang{French, English} }

// Parse returns the language named s, and whether there is one.
func Parse(s string) (Lang, bool) {
	for _, l := range Langs() {
		if string(l) == s {
			return l, true
		}
	}
	return French, false
}

// Book holds every sentence in every language. It never changes after Load,
// and may be read by many at once.
type Book struct {
	sentences map[string]map[Lang]string
}

// Load reads the sentences that come with the program. An entry without one
// of the languages is an error.
func Load() (*Book, error) {
	b, err := files.ReadFile("words.txt")
	if err != nil {
		return nil, err
	}
	return Read(string(b))
}

// Read reads a book from its text: blank-line separated entries of a key alone
// on its line, then one line "fr: …" and one "en: …". A line that begins with
// "#" is a remark. A sentence with two forms has them separated by " | ", the
// singular first.
func Read(text string) (*Book, error) {
	b := &Book{sentences: map[string]map[Lang]string{}}
	key := ""
	for n, line := range strings.Split(text, "\n") {
		line = strings.TrimRight(line, " \r")
		switch {
		case line == "":
			key = ""
		case strings.HasPrefix(line, "#"):
		case key == "":
			key = line
			if b.sentences[key] != nil {
				return nil, fmt.Errorf("words: line %d: %q stands twice", n+1, key)
			}
			b.sentences[key] = map[Lang]string{}
		default:
			tag, sentence, ok := strings.Cut(line, ": ")
			l, known := Parse(tag)
			if !ok || !known {
				return nil, fmt.Errorf("words: line %d: expected \"fr: …\" or \"en: …\"", n+1)
			}
			b.sentences[key][l] = sentence
		}
	}
	return b, b.complete()
}

// complete reports the first entry that lacks a language.
func (b *Book) complete() error {
	for _, key := range b.Keys() {
		for _, l := range Langs() {
			if b.sentences[key][l] == "" {
				return fmt.Errorf("words: %q has no sentence in %q", key, l)
			}
		}
	}
	return nil
}

// Keys returns every key in order.
func (b *Book) Keys() []string {
	keys := make([]string, 0, len(b.sentences))
	for k := range b.sentences {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// Has reports whether there is a sentence for key.
func (b *Book) Has(key string) bool { return b.sentences[key] != nil }

// Say returns the sentence for key in language l, with args put in its places
// as fmt does. An unknown key comes back between marks that tests look for.
func (b *Book) Say(l Lang, key string, args ...any) string {
	s, ok := b.sentences[key][l]
	if !ok {
		return "⟦" + key + "⟧"
	}
	if len(args) == 0 {
		return s
	}
	return fmt.Sprintf(s, args...)
}

// Count returns the form of the sentence that suits n, with n and then args
// put in its places. French counts none and one as singular, English one.
func (b *Book) Count(l Lang, key string, n int, args ...any) string {
	s, ok := b.sentences[key][l]
	if !ok {
		return "⟦" + key + "⟧"
	}
	one, many, two := strings.Cut(s, " | ")
	if two {
		s = many
		if n == 1 || n == 0 && l == French {
			s = one
		}
	}
	if !strings.Contains(s, "%") {
		return s
	}
	return fmt.Sprintf(s, append([]any{n}, args...)...)
}
