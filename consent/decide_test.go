package consent_test

import (
	"slices"
	"testing"

	"pli/consent"
	"pli/identity"
	"pli/space"
)

// Nothing is permitted that the table does not say. C7
func TestWhateverIsPermittedStandsInTheMatrix(t *testing.T) {
	t.Parallel()
	rows := readMatrix(t)
	permitted := 0
	world(func(f consent.Facts, p string) {
		if !consent.Decide(f).Permit {
			return
		}
		permitted++
		if !slices.ContainsFunc(rows, func(r row) bool { return r.permit && r.covers(f, p) }) {
			t.Errorf("permitted, and on no line: %s", show(f, p))
		}
	})
	if permitted == 0 {
		t.Fatal("nothing is permitted at all")
	}
}

// What holds of every case, whatever the table says.
func TestLaw(t *testing.T) {
	t.Parallel()
	world(func(f consent.Facts, p string) {
		d := consent.Decide(f)
		bad := func(why string) { t.Errorf("%s: %s (by %q)", show(f, p), why, d.Rule) }
		if d.Rule == "" || d.Reason == "" {
			bad("an answer without its rule or reason")
		}
		if !d.Permit {
			return
		}
		keys := f.Act == consent.ActKeyChange || f.Act == consent.ActKeyRecover || f.Act == consent.ActKeyRotate
		life := keys || f.Act == consent.ActSpaceState || f.Act == consent.ActSpaceRestore || f.Act == consent.ActSpaceExport || f.Act == consent.ActSpaceRepair || f.Act == consent.ActTraceRead || f.Act == consent.ActKeyTake
		if f.State != space.Open && f.State != space.Active && !life {
			bad("permitted in a space that is not open")
		}
		if f.State == space.Deleted {
			bad("permitted in a deleted space")
		}
		if f.Actor.Kind == identity.Unknown {
			bad("permitted to a stranger")
		}
		mail := f.Act == consent.ActKeyTake || f.Act == consent.ActMailOpen || f.Act == consent.ActMailDisplay || f.Act == consent.ActMailSend
		if mail && (f.Actor.Kind != identity.Holder || f.Relation != consent.Self) {
			bad("somebody else in the holder's letters")
		}
		if f.Relation == consent.Self && f.Act == consent.ActDossierRead && f.Document.Has(consent.InvisibleToPatient) {
			bad("shown before it was announced") // B7
		}
		if f.Act == consent.ActDossierRead && f.Document == nil {
			bad("a document of which nothing is known")
		}
		if f.Act == consent.ActKeyChange && !(f.Actor.Kind == identity.Holder && f.Relation == consent.Self) {
			bad("somebody else changes who opens the mail")
		}
		staff := keys || f.Act == consent.ActSpaceState || f.Act == consent.ActSpaceRestore || f.Act == consent.ActSpaceExport || f.Act == consent.ActSpaceRepair
		if f.Actor.Kind == identity.Staff && !staff {
			bad("the operator's staff see nothing") // G1
		}
	})
}

// A flag more never opens a document that was shut.
func TestFlagsOnlyShut(t *testing.T) {
	t.Parallel()
	flags := []string{consent.MaskedFromProfessionals, consent.InvisibleToPatient, consent.InvisibleToRepresentatives}
	world(func(f consent.Facts, p string) {
		if f.Document == nil || consent.Decide(f).Permit {
			return
		}
		for _, flag := range flags {
			more := f
			more.Document = &consent.DocumentFacts{Confidentiality: append(slices.Clone(f.Document.Confidentiality), flag)}
			if consent.Decide(more).Permit {
				t.Errorf("%s: permitted with %s more", show(f, p), flag)
			}
		}
	})
}

func TestWhatIsNotKnownIsRefused(t *testing.T) {
	t.Parallel()
	holder := identity.Actor{Kind: identity.Holder, ID: "s/a"}
	for name, f := range map[string]consent.Facts{
		"nothing":          {},
		"an unknown act":   {Actor: holder, Relation: consent.Self, Act: "mail.burn", State: space.Active},
		"no state":         {Actor: holder, Relation: consent.Self, Act: consent.ActMailOpen},
		"a state too far":  {Actor: holder, Relation: consent.Self, Act: consent.ActSpaceState, State: 99},
		"a mode too far":   {Actor: holder, Relation: consent.Self, Act: consent.ActMailOpen, State: space.Active, Mode: 9},
		"a kind too far":   {Actor: identity.Actor{Kind: 77}, Relation: consent.Self, Act: consent.ActMailOpen, State: space.Active},
		"only the kind":    {Actor: holder, Relation: consent.None, Act: consent.ActMailOpen, State: space.Active},
		"only the tie":     {Relation: consent.Self, Act: consent.ActMailOpen, State: space.Active},
		"author of nought": {Actor: identity.Actor{Kind: identity.Professional}, Relation: consent.Author, Act: consent.ActDossierRead, State: space.Active},
	} {
		if d := consent.Decide(f); d.Permit {
			t.Errorf("%s: permitted by %q", name, d.Rule)
		}
	}
}

func TestRelate(t *testing.T) {
	t.Parallel()
	doctor := identity.Actor{Kind: identity.Professional, ID: "10001234567"}
	lab := identity.Actor{Kind: identity.Establishment, ID: "10001234567"}
	byDoctor := &consent.DocumentFacts{Author: doctor}
	for _, c := range []struct {
		name  string
		actor identity.Actor
		doc   *consent.DocumentFacts
		want  consent.Relation
	}{
		{"the holder", identity.Actor{Kind: identity.Holder, ID: "s/a", Account: "s/a"}, nil, consent.Self},
		{"the holder, without an account", identity.Actor{Kind: identity.Holder, ID: "s/a"}, byDoctor, consent.Self},
		{"another holder", identity.Actor{Kind: identity.Holder, ID: "s/b", Account: "s/b"}, nil, consent.None},
		{"a holder of two minds", identity.Actor{Kind: identity.Holder, ID: "s/a", Account: "s/b"}, nil, consent.None},
		{"a holder without an id", identity.Actor{Kind: identity.Holder, Account: "s/a"}, nil, consent.None},
		{"a professional with the space's id", identity.Actor{Kind: identity.Professional, ID: "s/a", Account: "s/a"}, nil, consent.None},
		{"the author", doctor, byDoctor, consent.Author},
		{"the author, without the document", doctor, nil, consent.None},
		{"another professional", identity.Actor{Kind: identity.Professional, ID: "10009999999"}, byDoctor, consent.None},
		{"the author's number in another quality", lab, byDoctor, consent.None},
		{"nobody, of a document by nobody", identity.Actor{Kind: identity.Professional}, &consent.DocumentFacts{Author: identity.Actor{Kind: identity.Professional}}, consent.None},
		{"staff", identity.Actor{Kind: identity.Staff, ID: "x"}, &consent.DocumentFacts{Author: identity.Actor{Kind: identity.Staff, ID: "x"}}, consent.None},
	} {
		if got := consent.Relate(c.actor, "s/a", c.doc); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if consent.Relate(identity.Actor{Kind: identity.Holder}, "", nil) != consent.None {
		t.Error("a holder of nothing is nobody's self")
	}
}

func TestVisible(t *testing.T) {
	t.Parallel()
	doctor := identity.Actor{Kind: identity.Professional, ID: "10001234567"}
	holder := identity.Actor{Kind: identity.Holder, ID: "s/a"}
	kept := &consent.DocumentFacts{Author: doctor, Confidentiality: []string{consent.InvisibleToPatient}}
	if consent.Visible(holder, "s/a", kept) || !consent.Visible(doctor, "s/a", kept) { // B7
		t.Error("what is kept from the patient is for its author alone")
	}
	if !consent.Visible(holder, "s/a", &consent.DocumentFacts{Author: doctor}) {
		t.Error("an ordinary document is hidden from the holder")
	}
}
