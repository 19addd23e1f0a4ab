package instance

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"pli/certs"
	"pli/consent"
	"pli/identity"
	"pli/internal/errs"
	"pli/mss/directory"
	"pli/signin"
	"pli/space"
	"pli/store"
	"pli/store/sealed"
)

// operation is one operator's act: JSON in, a value for JSON out.
type operation func(ctx context.Context, body []byte) (any, error)

// operate carries out one operation by its name.
func (in *Instance) operate(ctx context.Context, name string, body []byte) (any, error) {
	op, ok := map[string]operation{
		"space.add":         decoded(in.AddSpace),
		"space.list":        decoded(in.ListSpaces),
		"space.state":       decoded(in.SetSpaceState),
		"space.activate":    decoded(in.ActivateSpace),
		"member.add":        decoded(in.AddMember),
		"member.list":       decoded(in.ListMembers),
		"domain.add":        decoded(in.AddDomain),
		"domain.list":       decoded(in.ListDomains),
		"quota":             decoded(in.Quota),
		"verify":            decoded(in.Verify),
		"repair":            decoded(in.Repair),
		"export":            decoded(in.Export),
		"backup":            decoded(in.Backup),
		"restore":           decoded(in.RestoreAccount),
		"key.status":        decoded(in.KeyStatus),
		"key.rotate":        decoded(in.RotateKeys),
		"key.rotate-master": decoded(in.RotateMaster),
		"key.escrow":        decoded(in.KeyEscrow),
		"key.recover":       decoded(in.RecoverKeys),
		"keep.status":       decoded(in.KeepStatus),
		"keep.sweep":        decoded(in.Sweep),
		"keep.compact":      decoded(in.Compact),
	}[name]
	if !ok {
		return nil, errs.New(errs.Invalid, "no operation %q", name)
	}
	return op(ctx, body)
}

// decoded makes an operation of a method that takes a value.
func decoded[In, Out any](fn func(context.Context, In) (Out, error)) operation {
	return func(ctx context.Context, body []byte) (any, error) {
		var v In
		if err := json.Unmarshal(body, &v); err != nil {
			return nil, errs.Wrap(err, errs.Invalid, "the operation's values cannot be read")
		}
		return fn(ctx, v)
	}
}

// SpaceAdd is what makes a space. Login and Password, given together with the
// state active, are the holder's sign-in.
type SpaceAdd struct {
	INS        string `name:"ins" required:"" json:"ins" help:"Matricule, 15 characters."`
	OID        string `name:"oid" json:"oid" help:"OID of the INS; default INS-NIR, or test INS-NIR where the instance takes test identities."`
	Family     string `json:"family" required:"" help:"Birth name."`
	Given      string `json:"given" required:"" help:"First given name."`
	Sex        string `json:"sex" default:"U" enum:"M,F,U,I" help:"M, F, U or I."`
	Birth      string `json:"birth" required:"" help:"Date of birth, YYYY-MM-DD."`
	BirthPlace string `json:"birth_place" help:"Official code (COG) of the place of birth."`
	Contact    string `json:"contact" help:"E-mail address for codes and notices."`
	State      string `json:"state" default:"announced" enum:"announced,open,active" help:"announced, open or active."`
	Login      string `json:"login" help:"Identifier of the sign-in."`
	Password   string `json:"password" help:"Password of the sign-in."`
}

// SpaceInfo is what operators see of a space: no health data, no mail.
type SpaceInfo struct {
	ID           string `json:"id"`
	Address      string `json:"address"`
	Name         string `json:"name"`
	State        string `json:"state"`
	MailPassword string `json:"mail_password,omitempty"` // once, at activation
	RecoveryCode string `json:"recovery_code,omitempty"` // the same
}

func info(s space.Space) SpaceInfo {
	return SpaceInfo{ID: string(s.ID), Address: s.Address.String(), Name: s.Traits.Given + " " + s.Traits.Family, State: s.State.String()}
}

// AddSpace makes a space with its account keys and its mailbox. Everything that
// can be refused is refused before anything is written; what a crash leaves half
// done is taken up by the same command again.
func (in *Instance) AddSpace(ctx context.Context, a SpaceAdd) (SpaceInfo, error) {
	n, err := in.newSpace(a)
	if err != nil {
		return SpaceInfo{}, err
	}
	active := n.State == space.Active
	if active {
		if err := in.checkActivation(ctx, a); err != nil {
			return SpaceInfo{}, err
		}
		n.State = space.Open // until it has its sign-in
	}
	s, err := in.addSpace(ctx, n)
	if err != nil {
		return SpaceInfo{}, err
	}
	profile := signin.Profile{Address: n.Address, Contact: a.Contact, Actor: identity.Actor{
		Kind: identity.Holder, ID: string(s.ID), Name: info(s).Name, Address: n.Address.String(), Account: string(s.ID)}}
	if err := in.provision(ctx, s.ID, profile); err != nil {
		return SpaceInfo{}, err
	}
	if !active {
		return info(s), nil
	}
	return in.activateSpace(ctx, s.ID, a.Login, a.Password)
}

// checkActivation refuses a sign-in that could not be used.
func (in *Instance) checkActivation(ctx context.Context, a SpaceAdd) error {
	if a.Login == "" || a.Password == "" || a.Contact == "" {
		return errs.New(errs.Invalid, "an active space needs --login, --password and --contact, where the sign-in's codes are sent")
	}
	return in.signin.CheckSignIn(ctx, a.Login, a.Password)
}

// addSpace adds a space. One that is there without a sign-in, because a crash
// came before, is gone on with; any other is a Conflict.
func (in *Instance) addSpace(ctx context.Context, n space.New) (space.Space, error) {
	s, err := in.spaces.Add(ctx, n)
	if !errs.Is(err, errs.Conflict) {
		return s, err
	}
	id, findErr := in.spaces.ByINS(ctx, n.INS.Matricule())
	if findErr != nil {
		return s, err
	}
	if _, accountErr := in.signin.Member(ctx, id); !errs.Is(accountErr, errs.NotFound) {
		return s, err
	}
	return in.spaces.ByID(ctx, id)
}

// SpaceActivate gives a space that has opened the sign-in of its holder.
type SpaceActivate struct {
	INS      string `name:"ins" required:"" json:"ins" help:"Matricule, 15 characters."`
	Login    string `required:"" json:"login" help:"Identifier of the sign-in."`
	Password string `json:"password" help:"Its password."`
}

// ActivateSpace gives an open space its sign-in and makes it active. The mail
// that waited is there.
func (in *Instance) ActivateSpace(ctx context.Context, a SpaceActivate) (SpaceInfo, error) {
	id, err := in.byINS(ctx, a.INS)
	if err != nil {
		return SpaceInfo{}, err
	}
	p, err := in.signin.Member(ctx, id)
	if err != nil {
		return SpaceInfo{}, err
	}
	if p.Contact == "" {
		return SpaceInfo{}, errs.New(errs.Invalid, "this space has no contact, so its holder could get no code")
	}
	return in.activateSpace(ctx, id, a.Login, a.Password)
}

func (in *Instance) activateSpace(ctx context.Context, id store.Owner, login, password string) (SpaceInfo, error) {
	mailPassword, code, err := in.activate(ctx, id, login, password)
	if err != nil {
		return SpaceInfo{}, err
	}
	s, err := in.changeState(ctx, id, space.Active)
	out := info(s)
	out.MailPassword, out.RecoveryCode = mailPassword, code
	return out, err
}

// byINS finds the space of a matricule that an operator typed.
func (in *Instance) byINS(ctx context.Context, matricule string) (store.Owner, error) {
	id, err := in.spaces.ByINS(ctx, matricule)
	if errs.Is(err, errs.NotFound) {
		return "", errs.New(errs.NotFound, "no space has this INS: «pli space list» shows those there are")
	}
	return id, err
}

// newSpace checks what an operator typed.
func (in *Instance) newSpace(a SpaceAdd) (space.New, error) {
	oid := identity.OID(a.OID)
	if oid == "" {
		oid = identity.OIDNIR
		if in.cfg.TestIdentities {
			oid = identity.OIDTestNIR
		}
	}
	ins, err := identity.ParseINS(a.INS, oid, identity.INSOptions{AllowTest: in.cfg.TestIdentities})
	if err != nil {
		return space.New{}, err
	}
	birth, err := time.Parse(time.DateOnly, a.Birth)
	if err != nil {
		return space.New{}, errs.New(errs.Invalid, "--birth is %q; a date such as 1979-03-12", a.Birth)
	}
	state, err := space.ParseState(a.State)
	if err != nil {
		return space.New{}, err
	}
	address, err := identity.ParseAddress(ins.Matricule() + "@" + in.cfg.PatientDomain)
	if err != nil {
		return space.New{}, err
	}
	return space.New{INS: ins, Address: address, Contact: a.Contact, State: state, Traits: identity.Traits{
		Family: a.Family, Given: a.Given, Sex: a.Sex, Birth: birth, BirthPlace: a.BirthPlace}}, nil
}

// provision gives an account its keys and its mailbox; done twice, it changes
// nothing.
func (in *Instance) provision(ctx context.Context, owner store.Owner, p signin.Profile) error {
	if err := in.signin.Provision(ctx, owner, p); err != nil {
		return err
	}
	return in.db.Update(ctx, owner, in.mail.Provision)
}

// firstClient is the label of the mail password that an account begins with.
const firstClient = "Client de messagerie"

// activate gives an account its sign-in, one mail password and a recovery
// code, and returns the two.
func (in *Instance) activate(ctx context.Context, owner store.Owner, login, password string) (mailPassword, code string, err error) {
	if err := in.signin.SetPassword(ctx, owner, login, password); err != nil {
		return "", "", err
	}
	keys, err := in.signin.Unlock(ctx, owner, password)
	if err != nil {
		return "", "", err
	}
	defer keys.Wipe()
	if mailPassword, err = in.signin.AddMailPassword(ctx, owner, keys, firstClient); err == nil {
		code, err = in.signin.AddRecoveryCode(ctx, owner, keys)
	}
	return mailPassword, code, err
}

// ListArgs bounds a listing.
type ListArgs struct {
	Limit int `json:"limit"`
}

// ListSpaces lists spaces in the order of their ids.
func (in *Instance) ListSpaces(ctx context.Context, a ListArgs) ([]SpaceInfo, error) {
	list, err := in.spaces.List(ctx, "", max(1, a.Limit))
	if err != nil {
		return nil, err
	}
	out := make([]SpaceInfo, len(list))
	for i, s := range list {
		out[i] = info(s)
	}
	return out, nil
}

// SpaceState moves a space to another state.
type SpaceState struct {
	INS   string `name:"ins" required:"" json:"ins" help:"Matricule, 15 characters."`
	State string `required:"" json:"state" help:"announced, opposed, open, active, closed, archived or deleted."`
}

// SetSpaceState moves one space to another state. One that no longer lets its
// holder in ends what they have open; one that is deleted is destroyed.
func (in *Instance) SetSpaceState(ctx context.Context, a SpaceState) (SpaceInfo, error) {
	to, err := space.ParseState(a.State)
	if err != nil {
		return SpaceInfo{}, err
	}
	id, err := in.byINS(ctx, a.INS)
	if err != nil {
		return SpaceInfo{}, err
	}
	if to == space.Active {
		if ok, err := in.signin.Activated(ctx, id); err != nil {
			return SpaceInfo{}, err
		} else if !ok {
			return SpaceInfo{}, errs.New(errs.Invalid, "this space has no sign-in: give it one with «pli space activate»")
		}
	}
	s, err := in.changeState(ctx, id, to)
	if to == space.Deleted && errors.Is(err, sealed.ErrDestroyed) {
		err = nil // stopped half way, and taken up again
	}
	if err != nil {
		return SpaceInfo{}, err
	}
	if !to.AcceptsMail() {
		in.signin.RevokeAll(id)
	}
	if to == space.Deleted {
		s.State = to
		err = in.destroy(ctx, a.INS, id)
	}
	return info(s), err
}

// changeState moves a space to another state through the gate, as the
// operator's act.
func (in *Instance) changeState(ctx context.Context, id store.Owner, to space.State) (s space.Space, err error) {
	now := in.deps.Now()
	req := consent.Request{Space: id, Act: consent.ActSpaceState, Title: to.String()}
	err = in.gate.Do(ctx, in.operator(), req, func(tx store.Tx) (err error) {
		s, err = space.Change(tx, to, now)
		return err
	})
	return s, err
}

// MemberAdd is what makes a member's mailbox. RPPS or FINESS says whose.
type MemberAdd struct {
	Address    string `required:"" json:"address" help:"Address of the mailbox, in one of the instance's domains."`
	Type       string `json:"type" default:"PER" enum:"PER,ORG,APP,CAB" help:"PER, ORG, APP or CAB."`
	Name       string `required:"" json:"name" help:"Name as correspondents see it."`
	RPPS       string `name:"rpps" json:"rpps" help:"Of a professional, 11 digits."`
	Profession string `json:"profession" help:"Code of TRE_G15, such as 10 for a doctor."`
	FINESS     string `name:"finess" json:"finess" help:"Of an establishment, 9 characters."`
	Contact    string `json:"contact" help:"E-mail address for codes and notices."`
	Login      string `json:"login" help:"Identifier of the portal sign-in, if there is to be one."`
	Password   string `json:"password" help:"Its password."`
}

// MemberInfo is what operators see of a mailbox.
type MemberInfo struct {
	Address      string `json:"address"`
	Type         string `json:"type"`
	Name         string `json:"name"`
	MailPassword string `json:"mail_password,omitempty"` // once, at creation
	RecoveryCode string `json:"recovery_code,omitempty"` // the same, if there is a sign-in
}

// AddMember makes a member's mailbox with its account keys.
func (in *Instance) AddMember(ctx context.Context, a MemberAdd) (MemberInfo, error) {
	address, err := identity.ParseAddress(a.Address)
	if err != nil {
		return MemberInfo{}, err
	}
	if in.directory.Kind(address.Domain()) != directory.Local {
		return MemberInfo{}, errs.New(errs.Invalid, "%s is not one of this instance's domains: %v", address.Domain(), in.cfg.LocalDomains)
	}
	owner := space.NewOwner("m/")
	actor, err := memberActor(a, address, owner)
	if err != nil {
		return MemberInfo{}, err
	}
	if err := in.provision(ctx, owner, signin.Profile{Actor: actor, Address: address, Contact: a.Contact}); err != nil {
		return MemberInfo{}, err
	}
	box := directory.Mailbox{Address: address, Type: directory.Type(a.Type), Account: owner, Actor: actor, Label: a.Name}
	if err := in.directory.Add(ctx, box); err != nil {
		return MemberInfo{}, err
	}
	out := MemberInfo{Address: address.String(), Type: a.Type, Name: a.Name}
	if a.Login != "" {
		out.MailPassword, out.RecoveryCode, err = in.activate(ctx, owner, a.Login, a.Password)
	} else {
		out.MailPassword, err = in.signin.AddMailPassword(ctx, owner, nil, firstClient)
	}
	return out, err
}

func memberActor(a MemberAdd, address identity.Address, owner store.Owner) (identity.Actor, error) {
	actor := identity.Actor{Name: a.Name, Profession: a.Profession, Address: address.String(), Account: string(owner)}
	switch {
	case a.RPPS != "" && a.FINESS != "":
		return actor, errs.New(errs.Invalid, "give --rpps or --finess, not both")
	case a.RPPS != "":
		id, err := identity.ParseRPPS(a.RPPS)
		actor.Kind, actor.ID = identity.Professional, id.String()
		return actor, err
	case a.FINESS != "":
		id, err := identity.ParseFINESS(a.FINESS)
		actor.Kind, actor.ID, actor.Structure = identity.Establishment, id.String(), id.String()
		return actor, err
	}
	return actor, errs.New(errs.Invalid, "give --rpps for a professional or --finess for an establishment")
}

// ListMembers lists every mailbox.
func (in *Instance) ListMembers(ctx context.Context, _ struct{}) ([]MemberInfo, error) {
	list, err := in.directory.List(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]MemberInfo, len(list))
	for i, m := range list {
		out[i] = MemberInfo{Address: m.Address.String(), Type: string(m.Type), Name: m.Label}
	}
	return out, nil
}

// DomainAdd allows a peer's domain for one certificate subject.
type DomainAdd struct {
	Name    string `required:"" json:"name" help:"Domain of the peer operator."`
	Subject string `required:"" json:"subject" help:"Subject (DN) of its operator's certificate."`
}

// DomainInfo is one domain of the trusted space.
type DomainInfo struct {
	Name      string   `json:"name"`
	Kind      string   `json:"kind"`
	Operators []string `json:"operators"`
}

// AddDomain allows a peer's domain; a further subject is added to those it has.
func (in *Instance) AddDomain(ctx context.Context, a DomainAdd) (DomainInfo, error) {
	name, err := certs.ParseDN(a.Subject)
	if err != nil {
		return DomainInfo{}, err
	}
	d := directory.Domain{Name: a.Name, Kind: directory.Peer, Operators: []certs.Name{name}}
	if err := in.directory.AddDomain(ctx, d); err != nil {
		return DomainInfo{}, err
	}
	list, err := in.ListDomains(ctx, struct{}{})
	for _, x := range list {
		if x.Name == a.Name {
			return x, err
		}
	}
	return DomainInfo{Name: a.Name, Kind: directory.Peer.String()}, err
}

// ListDomains lists the trusted space as this instance knows it.
func (in *Instance) ListDomains(ctx context.Context, _ struct{}) ([]DomainInfo, error) {
	var out []DomainInfo
	for _, d := range in.directory.Domains() {
		x := DomainInfo{Name: d.Name, Kind: d.Kind.String(), Operators: []string{}}
		for _, o := range d.Operators {
			x.Operators = append(x.Operators, o.String())
		}
		out = append(out, x)
	}
	return out, nil
}
