package imapd_test

import (
	"context"
	"time"

	"pli/certs/keyring"
	"pli/internal/errs"
	"pli/signin"
	"pli/store"
)

type tmpDoor struct {
	by map[string]*tmpAcc
}
type tmpAcc struct {
	p     signin.Profile
	owner store.Owner
	ring  *keyring.Ring
	b     *keyring.Bundle
}

func (d *tmpDoor) Provision(ctx context.Context, owner store.Owner, p signin.Profile) error {
	r, b, err := keyring.New(p.Address.String(), time.Now())
	d.by[p.Address.String()] = &tmpAcc{p, owner, r, b}
	return err
}
func (d *tmpDoor) find(o store.Owner) *tmpAcc {
	for _, a := range d.by {
		if a.owner == o {
			return a
		}
	}
	return nil
}
func (d *tmpDoor) AddMailPassword(ctx context.Context, owner store.Owner, _ *keyring.Bundle, label string) (string, error) {
	a := d.find(owner)
	_, s, err := a.ring.AddGenerated(a.b, keyring.MailPassword, label, time.Now())
	return s, err
}
func (d *tmpDoor) Mail(ctx context.Context, address, password string) (*signin.Opened, error) {
	a := d.by[address]
	if a == nil {
		return nil, errs.New(errs.Unauthenticated, "wrong")
	}
	b, slot, err := a.ring.OpenGenerated(password, keyring.MailPassword)
	if err != nil {
		return nil, err
	}
	return &signin.Opened{Actor: a.p.Actor, Account: a.owner, Address: a.p.Address, Keys: b, Slot: slot}, nil
}
func (d *tmpDoor) Recipient(ctx context.Context, owner store.Owner) (keyring.Recipient, error) {
	return d.find(owner).ring.Recipient(), nil
}
