package consent_test

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"pli/consent"
	"pli/identity"
	"pli/space"
)

// The whole world of the decision: every case is one of each.
var (
	roles = []identity.ActorKind{identity.Unknown, identity.Holder, identity.Representative, identity.Professional,
		identity.Establishment, identity.Application, identity.Operator, identity.Staff, identity.System}
	relations = []consent.Relation{consent.None, consent.Self, consent.Author}
	acts      = []consent.Act{consent.ActMailDeliver, consent.ActMailOpen, consent.ActMailDisplay, consent.ActMailSend,
		consent.ActMailReject, consent.ActExchangeList, consent.ActExchangeClose, consent.ActDossierFile,
		consent.ActDossierList, consent.ActDossierRead, consent.ActTraceRead, consent.ActSpaceState, consent.ActSpaceRestore, consent.ActSpaceExport, consent.ActKeyTake, consent.ActSpaceRepair,
		consent.ActKeyChange, consent.ActKeyRecover, consent.ActKeyRotate}
	modes  = []consent.Mode{consent.Normal, consent.Emergency, consent.Regulation}
	states = []space.State{space.Announced, space.Opposed, space.Open, space.Active, space.Closed, space.Archived, space.Deleted}
	papers = []string{"none", "ordinary", "masked", "not the patient", "no representatives", "masked + not the patient"}
)

// paper returns the document that a word of the matrix stands for.
func paper(word string) *consent.DocumentFacts {
	if word == "none" {
		return nil
	}
	d := &consent.DocumentFacts{ID: "d1"}
	for flag := range strings.SplitSeq(word, " + ") {
		switch flag {
		case "masked":
			d.Confidentiality = append(d.Confidentiality, consent.MaskedFromProfessionals)
		case "not the patient":
			d.Confidentiality = append(d.Confidentiality, consent.InvisibleToPatient)
		case "no representatives":
			d.Confidentiality = append(d.Confidentiality, consent.InvisibleToRepresentatives)
		}
	}
	return d
}

// world calls fn with every case there is.
func world(fn func(f consent.Facts, paper string)) {
	for _, role := range roles {
		for _, rel := range relations {
			for _, act := range acts {
				for _, p := range papers {
					for _, mode := range modes {
						for _, state := range states {
							fn(consent.Facts{Actor: identity.Actor{Kind: role}, Relation: rel, Act: act,
								Document: paper(p), Mode: mode, State: state}, p)
						}
					}
				}
			}
		}
	}
}

// row is one line of the matrix.
type row struct {
	line                                    int
	role, relation, act, paper, mode, state []string
	permit                                  bool
	rule, reason                            string
}

// covers reports whether the row speaks of a case.
func (r row) covers(f consent.Facts, p string) bool {
	return has(r.role, f.Actor.Kind.String()) && has(r.relation, f.Relation.String()) && has(r.act, string(f.Act)) &&
		(has(r.paper, p) || has(r.paper, "any document") && p != "none") &&
		has(r.mode, f.Mode.String()) && has(r.state, f.State.String())
}

func has(words []string, word string) bool {
	return slices.Contains(words, word) || slices.Contains(words, "any")
}

func readMatrix(t *testing.T) (rows []row) {
	t.Helper()
	f, err := os.Open("../testdata/consent/matrix.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	for n := 1; sc.Scan(); n++ {
		if text := strings.TrimSpace(sc.Text()); text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		cells := strings.Split(sc.Text(), "|")
		if len(cells) != 9 {
			t.Fatalf("matrix.txt:%d: %d columns, want 9", n, len(cells))
		}
		var words [9][]string
		for i, cell := range cells {
			for word := range strings.SplitSeq(cell, ",") {
				words[i] = append(words[i], strings.TrimSpace(word))
			}
		}
		answer := strings.TrimSpace(cells[6])
		if answer != "permit" && answer != "deny" {
			t.Fatalf("matrix.txt:%d: the answer is %q", n, answer)
		}
		rows = append(rows, row{n, words[0], words[1], words[2], words[3], words[4], words[5],
			answer == "permit", strings.TrimSpace(cells[7]), strings.TrimSpace(cells[8])})
	}
	return rows
}

// A table that a doctor can read is the law, line by line.
func TestMatrix(t *testing.T) {
	t.Parallel()
	rows := readMatrix(t)
	if len(rows) < 60 {
		t.Fatalf("%d rows: the table has lost some", len(rows))
	}
	for _, r := range rows {
		cases := 0
		world(func(f consent.Facts, p string) {
			if !r.covers(f, p) {
				return
			}
			cases++
			if d := consent.Decide(f); d.Permit != r.permit || d.Rule != r.rule || d.Reason != r.reason {
				t.Errorf("matrix.txt:%d: %s: got permit %v by %q: %q", r.line, show(f, p), d.Permit, d.Rule, d.Reason)
			}
		})
		if cases == 0 {
			t.Errorf("matrix.txt:%d covers no case: a word is misspelt", r.line)
		}
	}
}

func show(f consent.Facts, p string) string {
	return fmt.Sprintf("%v, %v, %s, %s, %v, %v", f.Actor.Kind, f.Relation, f.Act, p, f.Mode, f.State)
}
