package mss

import (
	"strings"

	"pli/mailbox/message"
)

// docType is one type of document (JDV_J07) with the words that give it away,
// as message.Fold leaves them.
type docType struct {
	code, label string
	words       []string
}

// docTypes is in order of precedence: the narrower before the wider.
var docTypes = []docType{
	{"PRESC-BIO", "Prescription d'actes de biologie médicale", []string{"prescription de biologie", "ordonnance de biologie", "prescription d'analyses", "ordonnance pour analyses"}},
	{"PRESC-KINE", "Prescription d'actes de kinésithérapie", []string{"prescription de kine", "ordonnance de kine", "ordonnance kine", "prescription kine"}},
	{"PRESC-INF", "Prescription d'actes infirmiers", []string{"ordonnance infirm", "prescription infirm", "soins infirmiers"}},
	{"57833-6", "Prescription de produits de santé", []string{"ordonnance", "prescription", "renouvellement", "presc"}},
	{"60568-3", "CR d'anatomie et de cytologie pathologiques", []string{"anapath", "anatomo", "cytolog", "histolog", "anatomie et cytologie"}},
	{"18748-4", "CR d'imagerie médicale", []string{"imagerie", "radiograph", "radiolog", "scanner", "echograph", "mammograph", "tomodensito", "cr-img", "crimg", "irm", "radio"}},
	{"11502-2", "CR d'examens biologiques", []string{"examens biolog", "biolog", "laboratoire", "analyses", "prise de sang", "bilan sanguin", "resultats de labo", "cr-bio", "crbio", "cr bio"}},
	{"11490-0", "Lettre de liaison à la sortie d'un établissement de soins", []string{"lettre de sortie", "lettre de liaison", "liaison a la sortie", "sortie d'hospitalisation", "sortie", "ldl-ses"}},
	{"34874-8", "CR opératoire", []string{"operatoire", "cro"}},
	{"15507-7", "CR de passage aux urgences", []string{"urgences"}},
	{"34112-3", "CR hospitalier (séjour)", []string{"hospitalisation", "crh", "cr hospit"}},
	{"96349-6", "Lettre d'adressage", []string{"adressage", "lettre d'adresse"}},
	{"87273-9", "Note de vaccination", []string{"vaccin"}},
	{"56446-8", "Notification de rendez-vous", []string{"convocation", "rendez-vous", "rdv"}},
	{"60591-5", "Synthèse médicale", []string{"synthese medicale", "vsm"}},
	{"CERT_DECL", "Certificat, déclaration", []string{"certificat", "declaration"}},
	{"11488-4", "CR ou fiche de consultation ou de visite", []string{"consultation"}},
}

// minPrefix is how long a word of the table must be to match the beginning of
// a longer one: "biolog" does, "irm" only alone.
const minPrefix = 5

// typeOfWords returns the type that a text's words, or a code in it, give
// away; "" if none do.
func typeOfWords(text string) string {
	if text == "" {
		return ""
	}
	folded := " " + strings.Map(spaceOut, message.Fold(text)) + " "
	for _, t := range docTypes {
		if strings.Contains(folded, " "+strings.ToLower(t.code)+" ") {
			return t.code
		}
	}
	for _, t := range docTypes {
		for _, w := range t.words {
			if len(w) < minPrefix {
				w += " "
			}
			if strings.Contains(folded, " "+w) {
				return t.code
			}
		}
	}
	return ""
}

// spaceOut divides words where punctuation does.
func spaceOut(r rune) rune {
	if strings.ContainsRune("_.,;:()[]/\"«»\t\r\n", r) {
		return ' '
	}
	if r == '’' {
		return '\''
	}
	return r
}

// typeLabel returns a code's name, "" for one that is not in the table.
func typeLabel(code string) string {
	for _, t := range docTypes {
		if t.code == code {
			return t.label
		}
	}
	return ""
}
