package instance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"pli/certs/keyring"
	"pli/consent"
	"pli/identity"
	"pli/internal/errs"
	"pli/notify"
	"pli/signin"
	"pli/space"
	"pli/store"
)

// recoveryKeys reads the public halves of the operators' offline keys; nil if
// the configuration names none.
func (c *Config) recoveryKeys() (*[2]keyring.OperatorPublic, error) {
	if len(c.RecoveryOperators) == 0 {
		return nil, nil
	}
	var keys [2]keyring.OperatorPublic
	for i, path := range c.RecoveryOperators {
		text, err := os.ReadFile(path)
		if err == nil {
			keys[i], err = keyring.ParseOperatorPublic(string(text))
		}
		if err != nil {
			return nil, fmt.Errorf("recovery.operators: %s: %w", path, err)
		}
	}
	if keys[0] == keys[1] {
		return nil, fmt.Errorf("recovery.operators: %w", keyring.ErrSameKey)
	}
	return &keys, nil
}

// noneOrTwo checks recovery.operators.
func noneOrTwo(list *[]string) func() error {
	return func() error {
		if n := len(*list); n != 0 && n != 2 {
			return fmt.Errorf("names %d files; two, or none", n)
		}
		return nil
	}
}

// keyActs are the acts of the gate that changes of keys are.
var keyActs = map[signin.What]consent.Act{
	signin.CodeRenewed: consent.ActKeyChange, signin.MemberAdded: consent.ActKeyChange, signin.MemberLeft: consent.ActKeyChange,
	signin.Recovered: consent.ActKeyRecover, signin.CodeIssued: consent.ActKeyRecover, signin.Rotated: consent.ActKeyRotate,
	signin.KeyTaken: consent.ActKeyTake,
}

// witness runs what changes an account's keys together with what it leaves: a
// line in a space's trace, by way of the gate, and a notice to the holder.
func (in *Instance) witness(ctx context.Context, c signin.KeyChange, fn func(tx store.Tx) error) error {
	write := func(tx store.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return in.tellKeys(tx, c)
	}
	if !space.IsSpace(c.Account) {
		in.deps.Log.Info("an account's keys change", "account", string(c.Account), "what", string(c.What))
		return in.db.Update(ctx, c.Account, write)
	}
	actor := c.Actor
	if actor.Kind == identity.Unknown {
		actor = in.operator()
	}
	return in.gate.Do(ctx, actor, consent.Request{Space: c.Account, Act: keyActs[c.What]}, write)
}

// tellKeys puts the notice of a change of keys into its transaction. Keys that
// are renewed change nothing that the holder does: no notice.
func (in *Instance) tellKeys(tx store.Tx, c signin.KeyChange) error {
	subject, body := keyWords(c.What)
	if c.Contact == "" || subject == "" {
		return nil
	}
	n := notify.Notice{Kind: "key", To: c.Contact, Subject: subject, Body: body}
	return in.outbox.Enqueue(tx, "holder/key-"+string(c.What), n, in.deps.Now())
}

// keyWords are the notices of changes of keys. No name, no health content.
func keyWords(what signin.What) (subject, body string) {
	switch what {
	case signin.CodeRenewed:
		return "Un nouveau code de secours / A new recovery code",
			"Un nouveau code de secours a été fait pour votre espace ; l'ancien ne sert plus.\n" +
				"Si ce n'est pas vous, changez votre mot de passe et faites-en un autre.\n\n" +
				"A new recovery code was made for your space; the old one is of no more use.\n" +
				"If it was not you, change your password and make another.\n"
	case signin.Recovered:
		return "Votre mot de passe a été changé / Your password was changed",
			"Votre mot de passe a été remplacé à l'aide de votre code de secours.\n" +
				"Si ce n'est pas vous, prévenez l'opérateur aussitôt.\n\n" +
				"Your password was replaced by means of your recovery code.\n" +
				"If it was not you, tell the operator at once.\n"
	case signin.CodeIssued:
		return "Un code de secours fait par l'opérateur / A recovery code made by the operator",
			"Deux responsables de l'opérateur ont fait un nouveau code de secours pour votre espace ; ils n'ont lu aucun message.\n" +
				"Si vous ne l'avez pas demandé, prévenez l'opérateur aussitôt et faites un autre code.\n\n" +
				"Two officers of the operator have made a new recovery code for your space; they have read no message.\n" +
				"If you did not ask for it, tell the operator at once and make another code.\n"
	case signin.KeyTaken:
		return "Votre clé a été téléchargée / Your key was downloaded",
			"La clé qui ouvre vos messages a été téléchargée depuis le portail.\n" +
				"Si ce n'est pas vous, changez votre mot de passe et prévenez l'opérateur : la clé doit être remplacée.\n\n" +
				"The key that opens your messages was downloaded from the portal.\n" +
				"If it was not you, change your password and tell the operator: the key must be replaced.\n"
	case signin.MemberAdded, signin.MemberLeft:
		return "Qui peut ouvrir vos messages / Who can open your messages",
			"La liste de ceux qui peuvent ouvrir vos messages a changé. Connectez-vous pour la voir.\n\n" +
				"The list of those who can open your messages has changed. Sign in to see it.\n"
	}
	return "", ""
}

// completeKeys gives the operators' slot to accounts that the server's own
// slot opens. Others get theirs when they next sign in.
func (in *Instance) completeKeys(ctx context.Context) error {
	if len(in.cfg.RecoveryOperators) == 0 {
		return nil
	}
	return in.eachAccount(ctx, func(owner store.Owner) error {
		if err := in.signin.Complete(ctx, owner); err != nil && !errs.Is(err, errs.NotFound) {
			in.deps.Log.Warn("an account has no slot of the operators yet", "account", string(owner), "err", err)
		}
		return ctx.Err()
	})
}

// KeyStatus is how the keys of all accounts stand.
type KeyStatus struct {
	Accounts    int  `json:"accounts"`
	Operators   bool `json:"operators"`    // the configuration names two operators' keys
	NoOperators int  `json:"no_operators"` // of activated accounts, those that the two could not recover yet
	NoCode      int  `json:"no_code"`      // of activated accounts, those without a recovery code
	Server      int  `json:"server"`       // accounts that the server itself can open
	Waiting     int  `json:"waiting"`      // accounts with mail under older keys, or whose older keys are not retired yet
	Messages    int  `json:"messages"`     // messages of theirs under older keys
}

// Print writes the status for people.
func (s KeyStatus) Print(w io.Writer) {
	fmt.Fprintf(w, "%d accounts; the server can open %d of them\n", s.Accounts, s.Server)
	if s.Operators {
		fmt.Fprintf(w, "%d activated accounts have no slot of the two operators yet: they get it at their next sign-in\n", s.NoOperators)
	} else {
		fmt.Fprintln(w, "recovery.operators names no keys: who loses password and recovery code has lost the mail")
	}
	fmt.Fprintf(w, "%d activated accounts have no recovery code\n", s.NoCode)
	fmt.Fprintf(w, "%d accounts wait for their mail to be sealed to their new keys: %d messages\n", s.Waiting, s.Messages)
}

// KeyStatus counts how the keys of all accounts stand.
func (in *Instance) KeyStatus(ctx context.Context, _ struct{}) (KeyStatus, error) {
	out := KeyStatus{Operators: len(in.cfg.RecoveryOperators) > 0}
	err := in.eachAccount(ctx, func(owner store.Owner) error {
		k, err := in.signin.Keys(ctx, owner)
		if errs.Is(err, errs.NotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", owner, err)
		}
		out.Accounts++
		count(&out.NoOperators, k.Activated && out.Operators && !k.Operators)
		count(&out.NoCode, k.Activated && !k.Code)
		count(&out.Server, k.Server)
		count(&out.Waiting, k.Waiting)
		if !k.Waiting {
			return nil
		}
		left, err := in.mail.Stale(ctx, owner, k.Recipient)
		out.Messages += left
		return err
	})
	return out, err
}

func count(n *int, yes bool) {
	if yes {
		*n++
	}
}

// KeyRotate says whose keys are renewed.
type KeyRotate struct {
	Address string `json:"address" help:"Address of the account."`
	All     bool   `json:"all" help:"Every account."`
}

// KeyRotated is what was done.
type KeyRotated struct {
	Accounts int       `json:"accounts"`
	Problems []Problem `json:"problems"`
}

// RotateKeys gives one account, or all, new keys for what comes from now on.
// Nobody need be signed in; what lies there is sealed anew in the background
// of the holders' sessions.
func (in *Instance) RotateKeys(ctx context.Context, a KeyRotate) (KeyRotated, error) {
	out := KeyRotated{Problems: []Problem{}}
	if (a.Address == "") == !a.All {
		return out, errs.New(errs.Invalid, "give --address or --all, not both")
	}
	if !a.All {
		owner, err := in.keyAccount(ctx, a.Address)
		if err == nil {
			err = in.signin.Rotate(ctx, owner)
		}
		count(&out.Accounts, err == nil)
		return out, err
	}
	err := in.eachAccount(ctx, func(owner store.Owner) error {
		err := in.signin.Rotate(ctx, owner)
		switch {
		case err == nil:
			out.Accounts++
			tell(ctx, fmt.Sprintf("%d accounts", out.Accounts))
		case errs.Is(err, errs.NotFound): // made halfway, or no account at all
		case errs.Is(err, errs.Denied), errs.Is(err, errs.TooLarge), errors.Is(err, store.ErrCorrupt), errors.Is(err, keyring.ErrDamaged):
			out.Problems = append(out.Problems, Problem{Account: string(owner), Object: "keys", Text: err.Error()})
		default:
			return err
		}
		return nil
	})
	return out, err
}

func (in *Instance) keyAccount(ctx context.Context, address string) (store.Owner, error) {
	a, err := identity.ParseAddress(address)
	if err != nil {
		return "", err
	}
	return in.accountOf(ctx, a)
}

// KeyEscrowArgs says whose slot the operators are to open.
type KeyEscrowArgs struct {
	Address string `json:"address"`
}

// KeyEscrow returns what two operators make their shares for.
func (in *Instance) KeyEscrow(ctx context.Context, a KeyEscrowArgs) (keyring.Escrow, error) {
	owner, err := in.keyAccount(ctx, a.Address)
	if err != nil {
		return keyring.Escrow{}, err
	}
	e, err := in.signin.Escrow(ctx, owner)
	return e.Escrow, err
}

// KeyRecoverArgs is an account and the shares of both operators. The private
// keys stay where they were read.
type KeyRecoverArgs struct {
	Address string           `json:"address"`
	Shares  [2]keyring.Share `json:"shares"`
}

// KeyRecovered is what the holder is handed.
type KeyRecovered struct {
	Login string `json:"login"`
	Code  string `json:"recovery_code"` // once
}

// RecoverKeys makes a recovery code for a holder who has lost everything, by
// the shares of both operators. The space's trace gets a line and the holder
// a notice. Nobody sees mail.
func (in *Instance) RecoverKeys(ctx context.Context, a KeyRecoverArgs) (KeyRecovered, error) {
	owner, err := in.keyAccount(ctx, a.Address)
	if err != nil {
		return KeyRecovered{}, err
	}
	e, err := in.signin.Escrow(ctx, owner)
	if err != nil {
		return KeyRecovered{}, err
	}
	code, err := in.signin.RecoverByOperators(ctx, owner, a.Shares[0], a.Shares[1])
	if errors.Is(err, keyring.ErrNoSlot) {
		err = errs.New(errs.Unauthenticated, "these are not the keys of the two operators that this account knows")
	}
	return KeyRecovered{e.Login, code}, err
}

// Recover opens an account's slot with two operators' keys: it fetches what
// the shares are made for, makes them here, and hands them in.
func Recover(ctx context.Context, config, address string, keys [2]*keyring.OperatorKey) (KeyRecovered, error) {
	var e keyring.Escrow
	out, args := KeyRecovered{}, KeyRecoverArgs{Address: address}
	if err := Call(ctx, config, "key.escrow", KeyEscrowArgs{address}, &e); err != nil {
		return out, err
	}
	for i, k := range keys {
		var err error
		if args.Shares[i], err = k.Share(e); err != nil {
			return out, errs.New(errs.Unauthenticated, "key %d is not one of the two that this account knows", i+1)
		}
	}
	err := Call(ctx, config, "key.recover", args, &out)
	return out, err
}
