package testenv_test

import (
	"slices"
	"time"

	"github.com/emersion/go-smtp"
)

func mailSize(n int64) *smtp.MailOptions { return &smtp.MailOptions{Size: n} }

func median(list []time.Duration) time.Duration {
	slices.Sort(list)
	return list[len(list)/2]
}
