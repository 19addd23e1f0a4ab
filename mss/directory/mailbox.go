package directory

import (
	"context"
	"crypto/x509"
	"errors"
	"slices"
	"strconv"
	"strings"

	"pli/certs"
	"pli/identity"
	"pli/internal/errs"
	"pli/store"
)

// kindMailbox and kindBearer are the kinds of secret name that the directory
// keeps: an address; a professional or structure with a running number.
const (
	kindMailbox = "mailbox"
	kindBearer  = "bearer"
)

var keyMailboxes = []byte("directory/mailboxes")

// Add makes a mailbox. Its domain must be one of the instance's (Local). An
// address that is taken is a Conflict; the same mailbox added twice is none.
func (d *Directory) Add(ctx context.Context, m Mailbox) error {
	if err := d.check(m); err != nil {
		return err
	}
	owner, err := d.cfg.Names.Find(ctx, kindMailbox, m.Address.Key())
	if err == nil && owner != m.Account {
		return errs.New(errs.Conflict, "the address %s is another account's", m.Address)
	}
	if err != nil && !errs.Is(err, errs.NotFound) {
		return err
	}
	// The record is written before the name that leads to it; whatever a crash
	// leaves undone, the same call again completes.
	if err := d.cfg.DB.Update(ctx, m.Account, func(tx store.Tx) error { return addRecord(tx, m) }); err != nil {
		return err
	}
	if err := d.cfg.Names.Bind(ctx, kindMailbox, m.Address.Key(), m.Account); err != nil {
		return errors.Join(err, d.cfg.DB.Update(ctx, m.Account, func(tx store.Tx) error { return dropRecord(tx, m.Address) }))
	}
	for _, b := range bearers(m) {
		if err := d.bindBearer(ctx, b, m.Account, d.cfg.Names.Bind); err != nil {
			return err
		}
	}
	return nil
}

func (d *Directory) check(m Mailbox) error {
	switch {
	case m.Address.IsZero():
		return errs.New(errs.Invalid, "a mailbox needs an address")
	case d.Kind(m.Address.Domain()) != Local:
		return errs.New(errs.Invalid, "%s is not one of this instance's domains", m.Address.Domain())
	case !m.Type.Valid():
		return errs.New(errs.Invalid, "a mailbox is of type PER, ORG, APP or CAB")
	case !m.Account.Valid() || !strings.HasPrefix(string(m.Account), "m/"):
		return errs.New(errs.Invalid, "a mailbox needs a member's account")
	case len(m.Label) > MaxLabel:
		return errs.New(errs.TooLarge, "a label has at most %d bytes", MaxLabel)
	}
	return nil
}

func addRecord(tx store.Tx, m Mailbox) error {
	list, err := loadMailboxes(tx)
	if err != nil {
		return err
	}
	for i, old := range list {
		if old.Address.Key() != m.Address.Key() {
			continue
		}
		if old.Type != m.Type || old.Address != m.Address {
			return errs.New(errs.Conflict, "a mailbox's address and type never change")
		}
		list[i] = m
		return store.Save(tx, keyMailboxes, list)
	}
	if len(list) >= MaxPerAccount {
		return errs.New(errs.TooLarge, "an account has at most %d mailboxes", MaxPerAccount)
	}
	return store.Save(tx, keyMailboxes, append(list, m))
}

func dropRecord(tx store.Tx, a identity.Address) error {
	list, err := loadMailboxes(tx)
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(m Mailbox) bool { return m.Address.Key() == a.Key() })
	if len(list) == 0 {
		return tx.Delete(keyMailboxes)
	}
	return store.Save(tx, keyMailboxes, list)
}

// loadMailboxes returns the mailboxes of tx's owner, none if it has none.
func loadMailboxes(tx store.Tx) ([]Mailbox, error) {
	list, err := store.Load[[]Mailbox](tx, keyMailboxes)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return list, err
}

// Lookup returns the mailbox of an address, in whatever case its local part is
// written, or errs.NotFound.
func (d *Directory) Lookup(ctx context.Context, a identity.Address) (Mailbox, error) {
	owner, err := d.cfg.Names.Find(ctx, kindMailbox, a.Key())
	if err != nil {
		if errs.Is(err, errs.NotFound) {
			return Mailbox{}, errUnknown
		}
		return Mailbox{}, err
	}
	list, err := d.of(ctx, owner)
	if err != nil {
		return Mailbox{}, err
	}
	for _, m := range list {
		if m.Address.Key() == a.Key() {
			return m, nil
		}
	}
	return Mailbox{}, errUnknown
}

// Account returns the account that an address leads to, whether or not what it
// keeps is still there, or an error of kind NotFound.
func (d *Directory) Account(ctx context.Context, a identity.Address) (store.Owner, error) {
	return d.cfg.Names.Find(ctx, kindMailbox, a.Key())
}

// Rebind makes the addresses of an account's mailboxes, and the certificates
// that open them, lead to it again, after damage to names.
func (d *Directory) Rebind(ctx context.Context, account store.Owner) error {
	list, err := d.of(ctx, account)
	for _, m := range list {
		err = errors.Join(err, d.cfg.Names.Rebind(ctx, kindMailbox, m.Address.Key(), account))
		for _, b := range bearers(m) {
			err = errors.Join(err, d.bindBearer(ctx, b, account, d.cfg.Names.Rebind))
		}
	}
	return err
}

// of returns the mailboxes of one account.
func (d *Directory) of(ctx context.Context, owner store.Owner) (list []Mailbox, err error) {
	err = d.cfg.DB.View(ctx, owner, func(tx store.Tx) (err error) {
		list, err = loadMailboxes(tx)
		return err
	})
	return list, err
}

// List returns every mailbox, in order of their accounts.
func (d *Directory) List(ctx context.Context) ([]Mailbox, error) {
	var all []Mailbox
	for after := store.Owner("m/"); ; {
		page, err := d.cfg.DB.Owners(ctx, after, 256)
		if err != nil {
			return nil, err
		}
		for _, owner := range page {
			if !strings.HasPrefix(string(owner), "m/") {
				return all, nil
			}
			list, err := d.of(ctx, owner)
			if err != nil && !errors.Is(err, store.ErrCorrupt) { // one that is damaged hides no other
				return nil, err
			}
			all = append(all, list...)
			after = owner
		}
		if len(page) == 0 {
			return all, nil
		}
	}
}

// bearers names whose certificate opens a mailbox: a person's their RPPS
// number, a body's its national identifier. A hospital's certificate does not
// open the personal mailboxes of those who work there.
func bearers(m Mailbox) []string {
	var out []string
	if r, err := identity.ParseRPPS(m.Actor.ID); err == nil {
		out = append(out, "rpps "+r.String())
	}
	body := m.Actor.Kind == identity.Establishment || m.Actor.Kind == identity.Application
	if s, ok := structure(m.Actor.Structure); ok && (body || m.Type != PER) {
		out = append(out, "structure "+s)
	}
	return out
}

// structure reads a body's number with or without its leading 1 or 3.
func structure(s string) (string, bool) {
	if id, err := identity.ParseStructure(s); err == nil {
		return id.String(), true
	}
	if id, err := identity.ParseFINESS(s); err == nil {
		return id.Structure().String(), true
	}
	if id, err := identity.ParseSIRET(s); err == nil {
		return id.Structure().String(), true
	}
	return "", false
}

// binder makes a name lead to an account: Names.Bind, or Names.Rebind.
type binder func(ctx context.Context, kind, name string, owner store.Owner) error

// bindBearer adds an account to those that a certificate opens.
func (d *Directory) bindBearer(ctx context.Context, bearer string, account store.Owner, bind binder) error {
	for i := range MaxPerBearer {
		err := bind(ctx, kindBearer, bearer+" "+strconv.Itoa(i), account)
		if err == nil || !errs.Is(err, errs.Conflict) {
			return err
		}
	}
	return errs.New(errs.TooLarge, "one bearer has at most %d accounts", MaxPerBearer)
}

// ByCertificate returns the mailboxes of the professional (RPPS) or body
// (FINESS, SIRET) that a certificate names; errs.NotFound if there are none.
// The certificate must have been verified.
func (d *Directory) ByCertificate(ctx context.Context, cert *x509.Certificate) ([]Mailbox, error) {
	bearer, err := bearerOf(cert)
	if err != nil {
		return nil, err
	}
	var out []Mailbox
	for i := range MaxPerBearer {
		owner, err := d.cfg.Names.Find(ctx, kindBearer, bearer+" "+strconv.Itoa(i))
		if errs.Is(err, errs.NotFound) {
			break
		}
		if err != nil {
			return nil, err
		}
		list, err := d.of(ctx, owner)
		if err != nil {
			return nil, err
		}
		for _, m := range list {
			if slices.Contains(bearers(m), bearer) {
				out = append(out, m)
			}
		}
	}
	if len(out) == 0 {
		return nil, errs.New(errs.NotFound, "no mailbox is this certificate's")
	}
	return out, nil
}

func bearerOf(cert *x509.Certificate) (string, error) {
	r, err := certs.RPPSOf(cert)
	if err == nil {
		return "rpps " + r.String(), nil
	}
	s, err := certs.StructureOf(cert)
	if err != nil {
		return "", errs.Wrap(err, errs.NotFound, "the certificate names no professional and no structure")
	}
	return "structure " + s.String(), nil
}
