package web

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"

	"pli/internal/errs"
	"pli/mailbox"
)

// slugs are the addresses of the boxes that every account has.
var slugs = []struct {
	slug string
	use  mailbox.SpecialUse // "" for the inbox
	icon string
}{
	{"inbox", "", "inbox"},
	{"sent", mailbox.UseSent, "sent"},
	{"drafts", mailbox.UseDrafts, "draft"},
	{"archive", mailbox.UseArchive, "archive"},
	{"junk", mailbox.UseJunk, "junk"},
	{"trash", mailbox.UseTrash, "trash"},
}

// boxLink is a box as the navigation shows it.
type boxLink struct {
	Slug    string
	Icon    string
	Name    string // what people read
	Count   uint32 // unread messages; of drafts, all
	Current bool
}

// slugOf returns a box's part of an address.
func slugOf(b mailbox.Box) string {
	if b.Name == mailbox.Inbox {
		return "inbox"
	}
	for _, s := range slugs {
		if s.use != "" && s.use == b.Use {
			return s.slug
		}
	}
	return "f-" + base64.RawURLEncoding.EncodeToString([]byte(b.Name))
}

// boxOf returns the name, or the special use that stands for it, of the box
// that a slug names.
func boxOf(slug string) (string, error) {
	for _, s := range slugs {
		if s.slug == slug {
			if s.use == "" {
				return mailbox.Inbox, nil
			}
			return string(s.use), nil
		}
	}
	if code, ok := strings.CutPrefix(slug, "f-"); ok {
		if b, err := base64.RawURLEncoding.DecodeString(code); err == nil && len(b) > 0 && utf8.Valid(b) {
			return string(b), nil
		}
	}
	return "", sorry(errs.New(errs.NotFound, "no such box"), "err.nobox")
}

// boxName returns what people read for a box.
func (v *visit) boxName(b mailbox.Box) string {
	slug := slugOf(b)
	if strings.HasPrefix(slug, "f-") {
		return b.Name
	}
	return v.say("box." + slug)
}

// links orders boxes for the navigation: the six that every account has, then
// the person's own by name.
func (v *visit) links(boxes []mailbox.Box, current string) []boxLink {
	bySlug := map[string]mailbox.Box{}
	var own []mailbox.Box
	for _, b := range boxes {
		slug := slugOf(b)
		if strings.HasPrefix(slug, "f-") {
			own = append(own, b)
		}
		bySlug[slug] = b
	}
	var out []boxLink
	add := func(slug, icon string, b mailbox.Box) {
		count := b.Unseen
		switch slug {
		case "drafts":
			count = b.Messages
		case "sent", "trash":
			count = 0
		}
		out = append(out, boxLink{slug, icon, v.boxName(b), count, slug == current})
	}
	for _, s := range slugs {
		if b, ok := bySlug[s.slug]; ok {
			add(s.slug, s.icon, b)
		}
	}
	for _, b := range own {
		add(slugOf(b), "folder", b)
	}
	return out
}
