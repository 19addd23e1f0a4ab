package mss

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"time"

	"pli/consent"
	"pli/identity"
	"pli/store"
)

// Records of a space's owner:
//
//	exchange/<keyed hash of the mailbox>      an exchange
//	reply/<keyed hash of mailbox, Message-ID> a message that may be answered (RepliesOnly)
//
// and of every account: dup/<period>/<digest>, see repeat.go.
const (
	prefixExchange = "exchange/"
	prefixReply    = "reply/"
)

// digest returns a keyed hash of texts for one purpose and owner, as 32
// hexadecimal digits: what stands in a record's key.
func (s *Service) digest(purpose string, owner store.Owner, texts ...string) string {
	sum := s.hash(purpose, owner, texts...)
	return hex.EncodeToString(sum[:])
}

func (s *Service) hash(purpose string, owner store.Owner, texts ...string) (sum [16]byte) {
	mac := hmac.New(sha256.New, s.cfg.Secret[:])
	mac.Write([]byte(purpose))
	mac.Write([]byte{0})
	mac.Write([]byte(owner))
	for _, t := range texts {
		mac.Write([]byte{0})
		mac.Write([]byte(t))
	}
	copy(sum[:], mac.Sum(make([]byte, 0, sha256.Size)))
	return sum
}

func (s *Service) exchangeKey(owner store.Owner, a identity.Address) []byte {
	return []byte(prefixExchange + s.digest("exchange", owner, a.Key()))
}

func (s *Service) replyKey(owner store.Owner, a identity.Address, messageID string) []byte {
	return []byte(prefixReply + s.digest("reply", owner, a.Key(), messageID))
}

// loadExchange returns the exchange of tx's space with a mailbox; one that
// never was, or is damaged, is closed.
func (s *Service) loadExchange(tx store.Tx, a identity.Address) (exchange, error) {
	x, err := store.Load[exchange](tx, s.exchangeKey(tx.Owner(), a))
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt) {
		return exchange{Mailbox: a}, nil
	}
	return x, err
}

// apply does what a message from f's sender does to the exchanges of tx's
// space, and reports whether that changed one. A message that changes nothing
// costs one read.
func (s *Service) apply(tx store.Tx, f *facts, e effect, at time.Time) (changed bool, err error) {
	if e.ends {
		return s.applyEnd(tx, f.from, at)
	}
	for _, a := range e.opens {
		x, err := s.loadExchange(tx, a)
		if err != nil {
			return false, err
		}
		if x.openedBy(f.from, f.name, at, s.cfg.Limits.MaxOpeners) {
			changed = true
			if err := store.Save(tx, s.exchangeKey(tx.Owner(), a), x); err != nil {
				return false, err
			}
		}
		if s.cfg.RepliesOnly && f.messageID != "" {
			if err := tx.Put(s.replyKey(tx.Owner(), a, f.messageID), []byte{1}); err != nil {
				return false, err
			}
		}
	}
	return changed, nil
}

// applyEnd ends what from opened. It reads every exchange of the space: ends
// are rare.
func (s *Service) applyEnd(tx store.Tx, from identity.Address, at time.Time) (changed bool, err error) {
	err = scanExchanges(tx, func(key []byte, x exchange) error {
		if !x.endedBy(from, at) {
			return nil
		}
		changed = true
		return store.Save(tx, slices.Clone(key), x)
	})
	return changed, err
}

// scanExchanges calls fn for each exchange but damaged ones.
func scanExchanges(tx store.Tx, fn func(key []byte, x exchange) error) error {
	from := []byte(prefixExchange)
	return store.ScanAround(tx, from, store.After(from), func(key, value []byte) error {
		var x exchange
		if err := store.Decode(value, &x); err != nil {
			return nil
		}
		return fn(key, x)
	}, nil)
}

// mayWrite refuses, unless the holder whose space tx is may write to a
// mailbox. Where only answers are allowed, answers must name a message from
// that mailbox; nil asks only whether the exchange is open.
func (s *Service) mayWrite(tx store.Tx, to identity.Address, answers []string) error {
	x, err := s.loadExchange(tx, to)
	if err != nil {
		return err
	}
	if !x.open() {
		return refuse(NoExchange)
	}
	if !s.cfg.RepliesOnly || answers == nil {
		return nil
	}
	for _, id := range answers {
		_, err := tx.Get(s.replyKey(tx.Owner(), to, id))
		if err == nil || !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrCorrupt) {
			return err
		}
	}
	return refuse(NoExchange, "Ici, on ne peut que donner suite au message d'un professionnel. / "+
		"Here you can only answer a message of the professional's.")
}

// Exchange is the right of a holder to write to one mailbox, or its end.
type Exchange struct {
	Mailbox identity.Address
	Name    string    // as its sender last gave it; may be empty
	Open    bool      // the holder may write
	Since   time.Time // when it was opened, or ended
}

// Exchanges lists whom a holder may write to, and who ended: the open ones
// first, the latest first (consent.ActExchangeList). Errors: errs.Denied,
// errs.NotFound.
func (s *Service) Exchanges(ctx context.Context, actor identity.Actor, owner store.Owner) ([]Exchange, error) {
	var list []Exchange
	req := consent.Request{Space: owner, Act: consent.ActExchangeList}
	err := s.cfg.Gate.Do(ctx, actor, req, func(tx store.Tx) error {
		list = nil
		return scanExchanges(tx, func(_ []byte, x exchange) error {
			list = append(list, Exchange{Mailbox: x.Mailbox, Name: x.Name, Open: x.open(), Since: time.UnixMilli(x.Since).UTC()})
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b Exchange) int {
		if a.Open != b.Open {
			if a.Open {
				return -1
			}
			return 1
		}
		return b.Since.Compare(a.Since)
	})
	return list, nil
}
