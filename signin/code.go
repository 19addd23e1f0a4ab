package signin

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"pli/certs/keyring"
	"pli/internal/errs"
	"pli/notify"
	"pli/store"
)

// Challenge waits for a one-time code.
type Challenge struct {
	ID   string // 43 characters, secret
	Hint string // where the code went, masked, such as "p…@courriel.test"
}

// What whoever signs in is told. The first is the same for an unknown login
// and a wrong password; a face tells the last two apart by errors.Is: after
// ErrCode the same challenge may be answered again, after ErrOver it is gone.
var (
	errWrong = errs.New(errs.Unauthenticated, "the login or the password is not right")
	ErrCode  = errs.New(errs.Unauthenticated, "this is not the code that was sent: check it and try again")
	ErrOver  = errs.New(errs.Unauthenticated, "this code is no longer good: sign in again to get another")

	errNoContact = errs.New(errs.Conflict, "there is no e-mail address to send a code to: ask the operator")
)

// waiting is a challenge as it is kept.
type waiting struct {
	owner   store.Owner
	profile profile
	keys    *keyring.Bundle // wiped if the challenge ends without a session
	code    [32]byte        // keyed hash
	tries   int
	until   time.Time
	limits  []limit // under which a wrong code counts

	recovery bool // of Recover: a new password comes with the code
}

// Begin checks a login and its password, and sends a one-time code to the
// account's contact.
//
// An unknown login and a wrong password are one error of kind Unauthenticated,
// with the same words and the same work. Unavailable: too many failed, too
// many sign in just now, or the code could not be sent. Conflict, after the
// right password alone: there is nowhere to send the code to.
func (s *Service) Begin(ctx context.Context, login, password string) (Challenge, error) {
	return s.enter(ctx, login, false, func(a *account) (*keyring.Bundle, error) { return s.openPassword(ctx, a, password) })
}

// enter passes the first door: open opens the keys of the account that a login
// leads to.
func (s *Service) enter(ctx context.Context, login string, recovery bool, open func(a *account) (*keyring.Bundle, error)) (Challenge, error) {
	s.sweepAtTimes()
	name, badLogin := normalLogin(login)
	if badLogin != nil {
		name = nobody // all unfit logins count as one
	}
	limits := s.throttle.login(ctx, name)
	turn, err := s.throttle.take(s.cfg.Now(), limits...)
	if err != nil {
		return Challenge{}, err
	}
	a, err := s.find(ctx, kindLogin, name)
	if err != nil {
		turn.giveBack()
		return Challenge{}, err
	}
	keys, err := open(a)
	if err != nil {
		if !errs.Is(err, errs.Unauthenticated) {
			turn.giveBack()
		}
		return Challenge{}, err
	}
	turn.giveBack()
	return s.challenge(ctx, a, keys, limits, recovery)
}

// challenge keeps opened keys until the code comes, and sends the code.
func (s *Service) challenge(ctx context.Context, a *account, keys *keyring.Bundle, limits []limit, recovery bool) (Challenge, error) {
	if a.profile.Contact == "" {
		keys.Wipe()
		return Challenge{}, errNoContact
	}
	now := s.cfg.Now()
	// Each code sent counts until one of them has been answered, so that
	// nobody floods the contact, nor tries codes without end.
	sent := limit{keyOf("code", string(a.owner), ""), s.cfg.Throttle.LoginFree, s.cfg.Throttle.LoginMax}
	if _, err := s.throttle.take(now, sent); err != nil {
		keys.Wipe()
		return Challenge{}, err
	}
	id, code := newToken(), newCode()
	w := &waiting{owner: a.owner, profile: a.profile, keys: keys, code: s.codeHash(id, code), until: now.Add(s.cfg.CodeLife), limits: limits, recovery: recovery}
	s.open.add(a.owner, keys)
	if !s.doors.addChallenge(hashToken(id), w, s.cfg.MaxCodes, s.cfg.MaxWaiting) {
		keys.Wipe()
		return Challenge{}, errCrowd
	}
	notice := s.codeNotice(a.profile.Contact, code)
	if recovery {
		notice = s.recoveryNotice(a.profile.Contact, code)
	}
	if err := s.cfg.Sender.Send(ctx, notice); err != nil {
		s.doors.dropChallenge(hashToken(id))
		return Challenge{}, errs.Wrap(err, errs.Unavailable, "the code could not be sent: try again in a moment")
	}
	return Challenge{ID: id, Hint: mask(a.profile.Contact)}, nil
}

// codeNotice is the message that carries a code.
func (s *Service) codeNotice(to, code string) notify.Notice {
	minutes := int(s.cfg.CodeLife / time.Minute)
	return notify.Notice{Kind: "code", To: to,
		Subject: "Votre code de connexion / Your sign-in code",
		Body: fmt.Sprintf("Votre code de connexion : %s\nIl est valable %d minutes. Ne le donnez à personne.\n"+
			"Si vous n'avez rien demandé, quelqu'un connaît votre mot de passe : changez-le.\n\n"+
			"Your sign-in code: %s\nIt is good for %d minutes. Give it to nobody.\n"+
			"If you did not ask for it, somebody knows your password: change it.\n", code, minutes, code, minutes)}
}

// Finish checks the code of a challenge, and begins a session. A code is good
// once, for CodeLife and CodeTries tries.
//
// Errors: ErrCode, ErrOver (both of kind Unauthenticated); Unavailable where
// there is no room for a session.
func (s *Service) Finish(ctx context.Context, challengeID, code string) (*Session, error) {
	w, err := s.answer(ctx, challengeID, code, false)
	if err != nil {
		return nil, err
	}
	s.complete(ctx, w.owner, w.keys)
	s.cfg.Log.Info("signed in", "account", w.owner)
	return s.begin(w, s.cfg.Now(), remoteOf(ctx))
}

// answer passes the second door.
func (s *Service) answer(ctx context.Context, challengeID, code string, recovery bool) (*waiting, error) {
	s.sweepAtTimes()
	now := s.cfg.Now()
	sum := s.codeHash(challengeID, strings.TrimSpace(code))
	w, err := s.doors.answer(hashToken(challengeID), sum, now, s.cfg.CodeTries, recovery)
	if err != nil {
		if w != nil { // a wrong code counts as a wrong password
			s.throttle.take(now, w.limits...)
		}
		return nil, err
	}
	s.throttle.welcome(now, w.profile.Login, remoteOf(ctx))
	s.throttle.clear(keyOf("code", string(w.owner), ""))
	return w, nil
}

// codeHash returns what is kept of a code: a hash that only this process and
// this challenge have.
func (s *Service) codeHash(id, code string) (sum [32]byte) {
	h := hmac.New(sha256.New, s.secret[:])
	h.Write([]byte("code\x00" + id + "\x00" + code))
	h.Sum(sum[:0])
	return sum
}

// sameHash compares in constant time.
func sameHash(a, b [32]byte) bool { return subtle.ConstantTimeCompare(a[:], b[:]) == 1 }

// newCode returns six random digits, each code as likely as any other.
func newCode() string {
	const codes = 1_000_000
	const fair = 1<<32 - 1<<32%codes // from here on, the remainder would favour some
	for {
		var b [4]byte
		rand.Read(b[:]) // never fails
		if n := binary.BigEndian.Uint32(b[:]); uint64(n) < fair {
			return fmt.Sprintf("%06d", n%codes)
		}
	}
}

// newToken returns 256 random bits as 43 characters fit for a cookie or a path.
func newToken() string {
	var b [32]byte
	rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// hashToken returns what is kept of a token.
func hashToken(token string) [32]byte { return sha256.Sum256([]byte(token)) }

// mask shows the first letter and the domain of an e-mail address.
func mask(contact string) string {
	local, domain, _ := strings.Cut(contact, "@")
	_, n := utf8.DecodeRuneInString(local)
	return local[:n] + "…@" + domain
}
