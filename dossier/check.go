package dossier

import (
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"pli/consent"
	"pli/identity"
	"pli/internal/errs"
)

// maxText bounds, in bytes, what is kept of names that come with a document.
const maxText = 255

// check returns the record of a new document, but for its content, or an
// error of kind Invalid that says what is wrong with it.
func (s *Service) check(actor identity.Actor, n NewDocument) (record, error) {
	now := s.cfg.Now()
	r := record{
		Type: n.Type, Date: n.Date, Author: short(n.Author), FiledBy: short(actor),
		Filed: now.UnixMilli(), Filename: baseName(n.Filename), Source: n.Source,
	}
	var err error
	if r.Title, err = s.title(n.Title); err != nil {
		return r, err
	}
	t, ok := s.typeOf(n.Type)
	if !ok {
		return r, errs.New(errs.Invalid, "there is no such type of document")
	}
	r.Class = t.Class
	if n.Date.Year() < 1900 || n.Date.After(now.Add(24*time.Hour)) {
		return r, errs.New(errs.Invalid, "a document's date lies between 1900 and today")
	}
	if len(n.Source) > 200 {
		return r, errs.New(errs.Invalid, "a source is at most 200 bytes long")
	}
	r.Confidentiality, err = confidentiality(actor, n.Confidentiality)
	return r, err
}

// title returns a title as it is kept.
func (s *Service) title(v string) (string, error) {
	v = strings.Join(strings.Fields(strings.ToValidUTF8(v, "")), " ")
	switch {
	case v == "":
		return "", errs.New(errs.Invalid, "a document needs a title")
	case utf8.RuneCountInString(v) > s.cfg.MaxTitle:
		return "", errs.New(errs.Invalid, "a title is at most %d characters long", s.cfg.MaxTitle)
	case strings.ContainsFunc(v, unicode.IsControl):
		return "", errs.New(errs.Invalid, "a title has no control characters")
	}
	return v, nil
}

// confidentiality returns a set of codes (JDV_J08) as it is kept: one code of
// HL7 first, those of ANS after it in order.
func confidentiality(actor identity.Actor, codes []string) ([]string, error) {
	level := ""
	var flags []string
	for _, c := range codes {
		switch c {
		case "N", "R", "V":
			if level != "" && level != c {
				return nil, errs.New(errs.Invalid, "a document has one of the confidentiality codes N, R and V")
			}
			level = c
		case consent.MaskedFromProfessionals, consent.InvisibleToPatient, consent.InvisibleToRepresentatives:
			flags = append(flags, c)
		default:
			return nil, errs.New(errs.Invalid, "there is no such confidentiality code")
		}
	}
	if level == "" {
		level = "N"
	}
	slices.Sort(flags)
	flags = slices.Compact(flags)
	if slices.Contains(flags, consent.InvisibleToPatient) {
		if actor.Kind == identity.Holder || actor.Kind == identity.Representative {
			return nil, errs.New(errs.Invalid, "holders cannot hide a document from themselves")
		}
		if slices.Contains(flags, consent.MaskedFromProfessionals) { // EX_2.1-1050
			return nil, errs.New(errs.Invalid, "a document cannot be hidden from its holder and from professionals alike")
		}
	}
	return append([]string{level}, flags...), nil
}

// baseName returns a file's name without its folder and control characters.
func baseName(v string) string {
	v = v[strings.LastIndexAny(v, `/\`)+1:]
	v = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return -1
		}
		return r
	}, v)
	return cut(strings.TrimSpace(v))
}

// short returns an actor whose texts are of bounded length.
func short(a identity.Actor) identity.Actor {
	for _, v := range []*string{&a.ID, &a.Name, &a.Profession, &a.Structure, &a.Address, &a.Account} {
		*v = cut(*v)
	}
	return a
}

// cut returns at most maxText bytes of v, valid UTF-8.
func cut(v string) string {
	if len(v) > maxText {
		v = v[:maxText]
	}
	return strings.ToValidUTF8(v, "")
}
