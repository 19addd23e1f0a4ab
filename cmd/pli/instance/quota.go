package instance

import (
	"context"
	"strconv"

	"pli/identity"
	"pli/internal/errs"
	"pli/mailbox"
)

// QuotaArgs asks for an account's quota, and may give it another.
type QuotaArgs struct {
	Address string `required:"" json:"address" help:"Address of the account."`
	Limit   string `json:"limit" help:"New limit: bytes, «none», or «default» for the configuration's."`
}

// QuotaInfo is how much an account's mail holds and may hold.
type QuotaInfo struct {
	Address string `json:"address"`
	Used    int64  `json:"used"`  // bytes
	Limit   int64  `json:"limit"` // bytes; 0: none
	Own     bool   `json:"own"`   // Limit is the account's own
}

// The limits that have names.
const (
	limitNone    = "none"
	limitDefault = "default"
)

// Quota returns an account's quota, after it was given a new limit if one is
// asked for.
func (in *Instance) Quota(ctx context.Context, a QuotaArgs) (QuotaInfo, error) {
	address, err := identity.ParseAddress(a.Address)
	if err != nil {
		return QuotaInfo{}, err
	}
	owner, err := in.accountOf(ctx, address)
	if err != nil {
		return QuotaInfo{}, err
	}
	var q mailbox.Quota
	if a.Limit == "" {
		q, err = in.mail.Quota(ctx, owner)
	} else {
		var limit int64
		if limit, err = parseLimit(a.Limit); err == nil {
			q, err = in.mail.SetQuota(ctx, owner, limit)
		}
	}
	return QuotaInfo{Address: a.Address, Used: q.Used, Limit: q.Limit, Own: q.Own}, err
}

// parseLimit reads a limit as an operator writes it.
func parseLimit(s string) (int64, error) {
	switch s {
	case limitNone:
		return mailbox.NoQuota, nil
	case limitDefault:
		return mailbox.DefaultQuota, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 1 {
		return 0, errs.New(errs.Invalid, "--limit is %q; a number of bytes above 0, «none» or «default»", s)
	}
	return n, nil
}
