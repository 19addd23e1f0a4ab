package web

import (
	"context"
	"errors"
	"net/http"

	"pli/internal/errs"
	"pli/mailbox"
	"pli/mss"
)

// statuses turns kinds of failure outward.
var statuses = map[errs.Kind]int{
	errs.Internal:        http.StatusInternalServerError,
	errs.Invalid:         http.StatusUnprocessableEntity,
	errs.Unauthenticated: http.StatusUnauthorized,
	errs.Denied:          http.StatusForbidden,
	errs.NotFound:        http.StatusNotFound,
	errs.Conflict:        http.StatusConflict,
	errs.TooLarge:        http.StatusRequestEntityTooLarge,
	errs.Unavailable:     http.StatusServiceUnavailable,
}

// kindWords are the sentences for each kind where nothing better is known.
var kindWords = map[errs.Kind]string{
	errs.Internal:        "err.internal",
	errs.Invalid:         "err.invalid",
	errs.Unauthenticated: "err.signin",
	errs.Denied:          "err.denied",
	errs.NotFound:        "err.notfound",
	errs.Conflict:        "err.conflict",
	errs.TooLarge:        "err.toolarge",
	errs.Unavailable:     "err.unavailable",
}

// refusalWords are the sentences for what the messaging space refuses.
var refusalWords = map[mss.Reason]string{
	mss.NoExchange:       "err.send.noexchange",
	mss.NotMember:        "err.send.notmember",
	mss.UnknownRecipient: "err.send.unknown",
	mss.SecondHolder:     "err.send.oneholder",
	mss.HoldersInHeaders: "err.send.oneholder",
	mss.TooLarge:         "err.send.toolarge",
	mss.MailboxFull:      "err.send.full",
	mss.OneMailboxFull:   "err.send.full",
}

// failure is an error with the sentence that tells people of it.
type failure struct {
	error
	key string // of the book: the sentence; key + ".title" may name it
}

func (f failure) Unwrap() error { return f.error }

// sorry gives err a sentence of the book.
func sorry(err error, key string) error {
	if err == nil {
		return nil
	}
	return failure{err, key}
}

// statusOf returns the HTTP status for a failure.
func statusOf(err error) int {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return http.StatusRequestEntityTooLarge
	}
	return statuses[errs.KindOf(err)]
}

// wordsOf returns the key of the sentence for a failure.
func wordsOf(err error) string {
	var f failure
	if errors.As(err, &f) {
		return f.key
	}
	var refusal *mss.Refusal
	if errors.As(err, &refusal) {
		if key, ok := refusalWords[refusal.Reason]; ok {
			return key
		}
	}
	if errors.Is(err, mailbox.ErrOverQuota) {
		return "err.full"
	}
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return "err.toolarge"
	}
	return kindWords[errs.KindOf(err)]
}

// fail answers with the page of a failure. What is ours goes to the log, and
// never into the page.
func (v *visit) fail(err error) {
	if v.r.Context().Err() != nil && errors.Is(err, context.Canceled) {
		return // nobody is there to be told
	}
	status := statusOf(err)
	switch {
	case status == http.StatusServiceUnavailable:
		v.Log.Warn("page put off", "route", v.r.Pattern, "err", err)
	case status >= http.StatusInternalServerError:
		v.Log.Error("page failed", "route", v.r.Pattern, "err", err)
	}
	data := struct {
		Status int
		Words  string
		Back   string
	}{status, wordsOf(err), "/"}
	if err := v.renderStatus(status, "error", "err.title", "", data); err != nil {
		v.Log.Error("error page failed", "route", v.r.Pattern, "err", err)
		http.Error(v.w, http.StatusText(status), status)
	}
}
