package mss

import "pli/identity"

// Examine runs a peer's header through the rules alone, for fuzzing.
func (s *Service) Examine(p *Peer, head []byte) (kept []byte, from identity.Address, err error) {
	if c := (&content{}); len(head) > 0 && !c.clean(head) {
		return nil, identity.Address{}, refuse(BareNewline)
	}
	t := &Transaction{s: s, peer: p, params: Params{Helo: "a.example", Remote: "192.0.2.1"}}
	f, err := t.examine(head, "id")
	if err != nil {
		return nil, identity.Address{}, err
	}
	return f.header, f.from, nil
}
