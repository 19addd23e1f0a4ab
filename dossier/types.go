package dossier

import (
	"embed"
	"fmt"
	"slices"
	"strings"
)

//go:embed data/*.tsv
var data embed.FS

// Type is one kind of document.
type Type struct {
	Code    string // of JDV_J07 (XDS typeCode), "11502-2"
	System  string // OID of the code's system
	Label   string // French, "CR d'examens biologiques"
	LabelEN string // English, "" where the house has none
	Class   string // code of TRE_A03 (XDS classCode), "10"; "" where no table gives one
}

// Class is a category of documents.
type Class struct {
	Code    string // of TRE_A03, "10"
	Label   string // French, "Compte rendu"
	LabelEN string // English, "" where the house has none
}

// Types returns the kinds of documents, in the order of their table. The
// slice is the caller's.
func (s *Service) Types() []Type { return slices.Clone(s.types) }

// Classes returns the categories, in the order of their table. The slice is
// the caller's.
func (s *Service) Classes() []Class { return slices.Clone(s.classes) }

// typeOf returns the kind with a code.
func (s *Service) typeOf(code string) (Type, bool) {
	i, ok := s.byCode[code]
	if !ok {
		return Type{}, false
	}
	return s.types[i], true
}

// loadTypes reads the tables; an error means that the program was built wrong.
func (s *Service) loadTypes() error {
	english, err := pairs("labels-en.tsv")
	if err != nil {
		return err
	}
	classOf, err := pairs("typeCode-classCode.tsv")
	if err != nil {
		return err
	}
	rows, err := table("TRE_A03-ClasseDocument.tsv", 2)
	if err != nil {
		return err
	}
	for _, r := range rows {
		s.classes = append(s.classes, Class{Code: r[0], Label: r[1], LabelEN: english[r[0]]})
	}
	if rows, err = table("JDV_J07_XdsTypeCode_CISIS.tsv", 3); err != nil {
		return err
	}
	s.byCode = make(map[string]int, len(rows))
	for i, r := range rows {
		s.types = append(s.types, Type{Code: r[0], System: r[1], Label: r[2], LabelEN: english[r[0]], Class: classOf[r[0]]})
		s.byCode[r[0]] = i
	}
	return nil
}

// pairs reads the first two columns of a table.
func pairs(name string) (map[string]string, error) {
	rows, err := table(name, 2)
	m := make(map[string]string, len(rows))
	for _, r := range rows {
		m[r[0]] = r[1]
	}
	return m, err
}

// table reads the rows of an embedded table of at least n columns, without
// its comments and its heading.
func table(name string, n int) ([][]string, error) {
	b, err := data.ReadFile("data/" + name)
	if err != nil {
		return nil, err
	}
	var rows [][]string
	heading := true
	for line := range strings.Lines(string(b)) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" || line[0] == '#' {
			continue
		}
		if heading {
			heading = false
			continue
		}
		cells := strings.Split(line, "\t")
		if len(cells) < n || cells[0] == "" {
			return nil, fmt.Errorf("dossier: %s: a row of %d cells: %q", name, len(cells), line)
		}
		rows = append(rows, cells)
	}
	return rows, nil
}
