package demo

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"pli/certs"
	"pli/cmd/pli/instance"
	"pli/identity"
)

// samplePassword is every sample person's, so that a demo is easy to try.
const samplePassword = "Pli-demo-2026!"

// populate adds the sample people through the operator's own operations.
func (d *Demo) populate(ctx context.Context, o Options) error {
	authority, err := d.authority()
	if err != nil {
		return err
	}
	steps := []func(context.Context, *certs.Authority, time.Time) error{d.addProfessionals, d.addEstablishment, d.addOperator}
	for _, step := range steps {
		if err := step(ctx, authority, o.Now()); err != nil {
			return err
		}
	}
	for i, p := range holders {
		h, err := d.addHolder(ctx, p, fmt.Sprintf("%s.%s", plainLogin(p.given), plainLogin(p.family)))
		if err != nil {
			return fmt.Errorf("sample holder %d: %w", i+1, err)
		}
		d.File.Holders = append(d.File.Holders, h)
	}
	return d.addFurther(ctx, o)
}

func (d *Demo) authority() (*certs.Authority, error) {
	cert, err := os.ReadFile(d.path("ca.pem"))
	if err != nil {
		return nil, err
	}
	key, err := os.ReadFile(d.path("ca.key.pem"))
	if err != nil {
		return nil, err
	}
	return certs.LoadAuthority(cert, key)
}

func (d *Demo) addProfessionals(ctx context.Context, ca *certs.Authority, now time.Time) error {
	for _, s := range professionals {
		p := Professional{RPPS: withLuhn(s.serial), Profession: s.profession, Name: s.title + " " + s.given + " " + s.family,
			Address: s.local + "@" + proDomain, Login: s.local, Password: samplePassword}
		rpps, err := identity.ParseRPPS(p.RPPS)
		if err != nil {
			return err
		}
		m, err := d.AddMember(ctx, instance.MemberAdd{Address: p.Address, Type: "PER", Name: p.Name, RPPS: p.RPPS,
			Profession: p.Profession, Contact: s.local + "@example.org", Login: p.Login, Password: p.Password})
		if err != nil {
			return err
		}
		is, err := ca.IssueProfessional(now, certs.Person{RPPS: rpps, Family: s.family, Given: s.given, Title: s.title, Email: p.Address})
		if err != nil {
			return err
		}
		p.MailPassword = m.MailPassword
		if p.Cert, p.Key, err = d.issue(s.local, is); err != nil {
			return err
		}
		d.File.Professionals = append(d.File.Professionals, p)
	}
	return nil
}

func (d *Demo) addEstablishment(ctx context.Context, ca *certs.Authority, now time.Time) error {
	e := Establishment{FINESS: withLuhn(35000012), Name: "Laboratoire du Vieux Port", Address: "resultats@" + labDomain}
	finess, err := identity.ParseFINESS(e.FINESS)
	if err != nil {
		return err
	}
	m, err := d.AddMember(ctx, instance.MemberAdd{Address: e.Address, Type: "APP", Name: e.Name, FINESS: e.FINESS})
	if err != nil {
		return err
	}
	is, err := ca.IssueOrganisation(now, finess.Structure(), e.Name, e.Address)
	if err != nil {
		return err
	}
	e.MailPassword = m.MailPassword
	if e.Cert, e.Key, err = d.issue("laboratoire", is); err != nil {
		return err
	}
	d.File.Establishments = append(d.File.Establishments, e)
	return nil
}

func (d *Demo) addOperator(ctx context.Context, ca *certs.Authority, now time.Time) error {
	is, err := ca.IssueOperator(now, "smtp."+peerDomain, peerDomain)
	if err != nil {
		return err
	}
	op := Operator{Domain: peerDomain}
	if op.Cert, op.Key, err = d.issue("operator", is); err != nil {
		return err
	}
	subject, err := certs.Subject(is.Cert)
	if err != nil {
		return err
	}
	if _, err := d.AddDomain(ctx, instance.DomainAdd{Name: peerDomain, Subject: subject.String()}); err != nil {
		return err
	}
	d.File.Operators = append(d.File.Operators, op)
	return nil
}

func (d *Demo) addHolder(ctx context.Context, p person, login string) (Holder, error) {
	h := Holder{INS: p.matricule(), Name: p.given + " " + p.family, Login: login, Password: samplePassword}
	s, err := d.AddSpace(ctx, instance.SpaceAdd{INS: h.INS, Family: p.family, Given: p.given, Sex: p.sex,
		Birth: p.birth.Format(time.DateOnly), BirthPlace: p.place, Contact: login + "@example.org",
		State: "active", Login: h.Login, Password: h.Password})
	h.Address, h.MailPassword = s.Address, s.MailPassword
	return h, err
}

// addFurther adds the holders of --spaces, some at once: their passwords are
// what takes the time.
func (d *Demo) addFurther(ctx context.Context, o Options) error {
	more := make([]Holder, o.Spaces)
	errs := make([]error, o.Spaces)
	var wg sync.WaitGroup
	slots := make(chan struct{}, 4)
	for i := range more {
		if i > 0 && i%500 == 0 {
			o.Progress(fmt.Sprintf("%d of %d further holders", i, o.Spaces))
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			more[i], errs[i] = d.addHolder(ctx, further(i), fmt.Sprintf("holder-%05d", i))
		})
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			return fmt.Errorf("further holder %d: %w", i, err)
		}
	}
	d.File.Holders = append(d.File.Holders, more...)
	return nil
}

// plainLogin makes a sign-in identifier of a name: no accents, lower case.
func plainLogin(s string) string {
	return strings.ToLower(strings.NewReplacer("é", "e", "è", "e", "ï", "i", "ê", "e", " ", "-").Replace(s))
}
