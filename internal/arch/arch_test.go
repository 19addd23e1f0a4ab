// Package arch_test keeps the house in order: who may import whom.
package arch_test

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// listed is what `go list` says of one package of the project.
type listed struct {
	ImportPath string
	Imports    []string
	Doc        string
	GoFiles    []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Doc,GoFiles", "pli/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p listed
		if err := dec.Decode(&p); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		if len(p.GoFiles) > 0 {
			all = append(all, p)
		}
	}
}

// allowed reads imports.txt: room, what it imports of the project, and after #
// the reason.
func allowed(t *testing.T) map[string][]string {
	t.Helper()
	f, err := os.Open("imports.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rules := make(map[string][]string)
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		line, _, _ := strings.Cut(sc.Text(), "#")
		room, imports, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		rules[strings.TrimSpace(room)] = strings.Fields(imports)
	}
	return rules
}

func TestImportsGoDownwardsOnly(t *testing.T) {
	rules := allowed(t)
	seen := make(map[string]bool)
	for _, p := range packages(t) {
		room := strings.TrimPrefix(p.ImportPath, "pli/")
		may, ok := rules[room]
		if !ok {
			t.Errorf("%s has no line in imports.txt: say what it may import, and why", room)
			continue
		}
		seen[room] = true
		for _, imp := range p.Imports {
			dep, ours := strings.CutPrefix(imp, "pli/")
			if ours && !slices.Contains(may, dep) {
				t.Errorf("%s imports %s, which imports.txt does not allow", room, dep)
			}
		}
		for _, dep := range may {
			if !slices.Contains(p.Imports, "pli/"+dep) {
				t.Errorf("imports.txt allows %s to import %s, which it does not: take it out", room, dep)
			}
		}
	}
	for room := range rules {
		if !seen[room] {
			t.Errorf("imports.txt names %s, which does not exist", room)
		}
	}
}

// outer are the libraries that only named rooms may touch, so that engines and
// protocols stay behind their seams.
var outer = map[string][]string{
	"go.etcd.io/bbolt":                    {"store/bolt"},
	"github.com/minio/minio-go":           {"store/blob/s3"},
	"github.com/emersion/go-imap":         {"mailbox/imapd"},
	"github.com/emersion/go-smtp":         {"mss/smtpd", "cmd/pli/demo"},
	"github.com/ProtonMail/go-crypto":     {"certs/keyring"},
	"net/http":                            {"web", "cmd/pli", "cmd/pli/instance"},
	"html/template":                       {"web"},
	"github.com/microcosm-cc/bluemonday":  {"web/safehtml"},
	"github.com/BurntSushi/toml":          {"cmd/pli/instance"},
	"github.com/prometheus/client_golang": {"cmd/pli/instance"},
	"github.com/alecthomas/kong":          {"cmd/pli"},
}

func TestEnginesAndProtocolsStayBehindTheirSeams(t *testing.T) {
	for _, p := range packages(t) {
		room := strings.TrimPrefix(p.ImportPath, "pli/")
		for _, imp := range p.Imports {
			for lib, rooms := range outer {
				if (imp == lib || strings.HasPrefix(imp, lib+"/")) && !slices.Contains(rooms, room) && !strings.HasPrefix(room, "internal/testenv") {
					t.Errorf("%s imports %s, which is for %v alone", room, imp, rooms)
				}
			}
		}
	}
}

func TestEveryRoomOpensWithOneSentence(t *testing.T) {
	for _, p := range packages(t) {
		name := p.ImportPath[strings.LastIndex(p.ImportPath, "/")+1:]
		if !strings.HasPrefix(p.Doc, "Package "+name+" ") && !strings.HasPrefix(p.Doc, "Command ") && !strings.HasPrefix(p.Doc, "Pli ") {
			t.Errorf("%s: the package comment does not begin with «Package %s …»", p.ImportPath, name)
		}
	}
}
