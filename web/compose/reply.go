package compose

import "strings"

// ReplySubject returns the subject of an answer: one "Re: " before it.
func ReplySubject(subject string) string {
	subject = strings.TrimSpace(subject)
	if len(subject) >= 3 && strings.EqualFold(subject[:3], "re:") {
		return subject
	}
	return "Re: " + subject
}

// Quote returns the lines of text each behind "> " (RFC 3676 4.5), at most
// max bytes of them.
func Quote(text string, max int) string {
	text = strings.Trim(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	if len(text) > max {
		text = strings.ToValidUTF8(text[:max], "") + "…"
	}
	var out strings.Builder
	for line := range strings.SplitSeq(text, "\n") {
		if strings.HasPrefix(line, ">") {
			out.WriteString(">" + line + "\n")
			continue
		}
		out.WriteString(strings.TrimRight("> "+line, " ") + "\n")
	}
	return out.String()
}

// Thread returns the References of an answer to a message with that
// Message-ID and References (RFC 5322 3.6.4), at most the first and the last
// nineteen.
func Thread(messageID string, references []string) []string {
	refs := append([]string(nil), references...)
	if messageID != "" {
		refs = append(refs, messageID)
	}
	if len(refs) > 20 {
		refs = append(refs[:1:1], refs[len(refs)-19:]...)
	}
	return refs
}
