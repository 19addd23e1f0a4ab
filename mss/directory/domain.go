package directory

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"pli/certs"
	"pli/identity"
	"pli/internal/errs"
	"pli/store"
)

// Kind says whose a domain is.
type Kind uint8

// The kinds of domain. Their numbers stand in records.
const (
	Foreign Kind = iota // not of the trusted space
	Patient             // the holders' of this instance
	Local               // this instance's members'
	Peer                // another operator's
)

var kindNames = [...]string{"foreign", "patient", "local", "peer"}

// String returns the kind's word.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return kindNames[Foreign]
}

// Domain is one domain of the trusted space.
type Domain struct {
	Name string // lower-case, ASCII
	Kind Kind
	// Operators are, of a peer's domain, the certificate subjects that may
	// speak for it: several while a domain moves, or where one operator has
	// several servers (mssante.md 1.2).
	Operators []certs.Name
}

// MaxOperators is how many subjects may speak for one domain.
const MaxOperators = 64

// domainsOwner holds one record for each domain of the space.
const domainsOwner store.Owner = "sys/domains"

const domainsPrefix = "domain/"

// domainRecord is a Domain as it is stored: subjects as text, parsed again.
type domainRecord struct {
	Name      string   `cbor:"1,keyasint"`
	Kind      Kind     `cbor:"2,keyasint"`
	Operators []string `cbor:"3,keyasint,omitempty"`
}

func domainKey(name string) []byte {
	sum := sha256.Sum256([]byte(name))
	return []byte(domainsPrefix + hex.EncodeToString(sum[:16]))
}

// snapshot is the domains at one moment. It never changes.
type snapshot struct {
	byName  map[string]Domain
	byPeer  map[string][]string // certs.Name.Key to domains, sorted
	byKind  [Peer + 1][]string
	ordered []string
}

func newSnapshot(list []Domain) *snapshot {
	s := &snapshot{byName: make(map[string]Domain, len(list)), byPeer: make(map[string][]string)}
	for _, d := range list {
		s.byName[d.Name] = d
		s.ordered = append(s.ordered, d.Name)
		for _, o := range d.Operators {
			s.byPeer[o.Key()] = append(s.byPeer[o.Key()], d.Name)
		}
	}
	slices.Sort(s.ordered)
	for _, name := range s.ordered {
		kind := s.byName[name].Kind
		s.byKind[kind] = append(s.byKind[kind], name)
	}
	for _, names := range s.byPeer {
		slices.Sort(names)
	}
	return s
}

func (d *Directory) loadDomains(ctx context.Context) ([]Domain, error) {
	var list []Domain
	err := d.cfg.DB.View(ctx, domainsOwner, func(tx store.Tx) error {
		list = nil
		from := []byte(domainsPrefix)
		return store.ScanAround(tx, from, store.After(from), func(_, value []byte) error {
			var r domainRecord
			if err := store.Decode(value, &r); err != nil {
				return nil // damaged, like those that do not open: nobody is let in by it
			}
			dom := Domain{Name: r.Name, Kind: r.Kind}
			for _, text := range r.Operators {
				name, err := certs.ParseDN(text)
				if err != nil {
					return err
				}
				dom.Operators = append(dom.Operators, name)
			}
			list = append(list, dom)
			return nil
		}, nil)
	})
	return list, err
}

// AddDomain adds a domain, or further operators to a peer's that is there. A
// domain that is of another kind is a Conflict.
func (d *Directory) AddDomain(ctx context.Context, dom Domain) error {
	name, err := domainName(dom.Name)
	if err != nil {
		return err
	}
	if dom.Kind < Patient || dom.Kind > Peer || (dom.Kind == Peer) != (len(dom.Operators) > 0) {
		return errs.New(errs.Invalid, "a domain is the holders', the members', or a peer's with its operators")
	}
	d.writing.Lock()
	defer d.writing.Unlock()
	now, known := d.domains.Load().byName[name]
	if !known {
		now = Domain{Name: name, Kind: dom.Kind}
	}
	if now.Kind != dom.Kind {
		return errs.New(errs.Conflict, "the domain %s is there as %s", name, now.Kind)
	}
	next := now
	next.Operators = slices.Clone(now.Operators)
	for _, o := range dom.Operators {
		if !slices.ContainsFunc(next.Operators, o.Equal) {
			next.Operators = append(next.Operators, o)
		}
	}
	if known && len(next.Operators) == len(now.Operators) {
		return nil
	}
	if len(next.Operators) > MaxOperators {
		return errs.New(errs.TooLarge, "a domain has at most %d operators", MaxOperators)
	}
	return d.change(ctx, name, &next)
}

// RemoveDomain takes a domain out of the space; one that is not there is no
// error.
func (d *Directory) RemoveDomain(ctx context.Context, name string) error {
	name, err := domainName(name)
	if err != nil {
		return err
	}
	d.writing.Lock()
	defer d.writing.Unlock()
	return d.change(ctx, name, nil)
}

// change writes one domain, or removes it, then swaps the snapshot.
func (d *Directory) change(ctx context.Context, name string, to *Domain) error {
	err := d.cfg.DB.Update(ctx, domainsOwner, func(tx store.Tx) error {
		if to == nil {
			return tx.Delete(domainKey(name))
		}
		r := domainRecord{Name: to.Name, Kind: to.Kind}
		for _, o := range to.Operators {
			r.Operators = append(r.Operators, o.String())
		}
		return store.Save(tx, domainKey(name), r)
	})
	if err != nil {
		return err
	}
	list := []Domain{}
	for n, dom := range d.domains.Load().byName {
		if n != name {
			list = append(list, dom)
		}
	}
	if to != nil {
		list = append(list, *to)
	}
	d.domains.Store(newSnapshot(list))
	return nil
}

// domainName returns a domain's ASCII form in lower case.
func domainName(s string) (string, error) {
	a, err := identity.ParseAddress("x@" + strings.TrimSuffix(s, "."))
	if err != nil {
		return "", errs.Wrap(err, errs.Invalid, "%q is not a domain name", s)
	}
	return a.Domain(), nil
}

// Domains returns the domains, in order of their names.
func (d *Directory) Domains() []Domain {
	s := d.domains.Load()
	out := make([]Domain, len(s.ordered))
	for i, name := range s.ordered {
		out[i] = s.byName[name]
	}
	return out
}

// Kind says whose a domain is; domain is in the form that
// identity.Address.Domain returns.
func (d *Directory) Kind(domain string) Kind { return d.domains.Load().byName[domain].Kind }

// PeersOf returns the peer domains that a certificate's subject may speak for,
// in order; none if it is not on the allow-list. The slice must not be changed.
func (d *Directory) PeersOf(subject certs.Name) []string {
	return d.domains.Load().byPeer[subject.Key()]
}

// Of returns the domains of one kind, in order. The slice must not be changed.
func (d *Directory) Of(kind Kind) []string { return d.domains.Load().byKind[kind] }

// Version changes whenever the domains do: what was derived from them before
// then is to be derived again. Compare only for equality.
func (d *Directory) Version() any { return d.domains.Load() }
