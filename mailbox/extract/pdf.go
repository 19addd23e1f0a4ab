package extract

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/ledongthuc/pdf"
)

// Limits of one PDF.
const (
	maxPages  = 2_000
	maxNested = 4    // form XObjects within each other
	wordGap   = -180 // thousandths of the font's size in TJ that part two words (ISO 32000-1 9.4.3)
)

// pdfText returns the words of a PDF, page by page. It runs in the worker alone.
// What could be read before an error is returned with it.
func pdfText(document []byte) (text string, err error) {
	w := &pdfWords{}
	defer func() {
		text = w.out.String()
		if r := recover(); r != nil && r != errEnough {
			err = fmt.Errorf("not a PDF that can be read: %v", r)
		}
	}()
	r, err := pdf.NewReader(bytes.NewReader(document), int64(len(document)))
	if err != nil {
		return "", err
	}
	for i := 1; i <= min(r.NumPage(), maxPages); i++ {
		w.page(r.Page(i))
	}
	return "", nil
}

// errEnough ends the reading at MaxText.
var errEnough = fmt.Errorf("extract: enough text")

// pdfWords gathers words.
type pdfWords struct {
	out   strings.Builder
	enc   pdf.TextEncoding
	depth int
	line  float64 // where the last line stands
}

// page adds a page's words. One that cannot be read keeps none of the others
// back.
func (w *pdfWords) page(p pdf.Page) {
	defer func() {
		if r := recover(); r != nil && r == errEnough {
			panic(r)
		}
	}()
	if p.V.IsNull() {
		return
	}
	w.gap('\n')
	w.content(p.V.Key("Contents"), p.Resources())
}

func (w *pdfWords) content(stream, resources pdf.Value) {
	if w.depth++; w.depth > maxNested {
		return
	}
	defer func() { w.depth-- }()
	fonts := make(map[string]pdf.TextEncoding)
	pdf.Interpret(stream, func(stack *pdf.Stack, op string) {
		args := make([]pdf.Value, stack.Len())
		for i := len(args) - 1; i >= 0; i-- {
			args[i] = stack.Pop()
		}
		w.operator(op, args, resources, fonts)
	})
}

// operator obeys one operator (ISO 32000-1 9.4).
func (w *pdfWords) operator(op string, args []pdf.Value, resources pdf.Value, fonts map[string]pdf.TextEncoding) {
	arg := func(i int) pdf.Value {
		if i < len(args) {
			return args[i]
		}
		return pdf.Value{}
	}
	switch op {
	case "BT", "T*":
		w.gap('\n')
	case "Td", "TD":
		if arg(1).Float64() != 0 {
			w.gap('\n')
		} else {
			w.gap(' ')
		}
	case "Tm":
		if y := arg(5).Float64(); y != w.line {
			w.line = y
			w.gap('\n')
		} else {
			w.gap(' ')
		}
	case "Tf":
		name := arg(0).Name()
		if fonts[name] == nil {
			fonts[name] = (&pdf.Font{V: resources.Key("Font").Key(name)}).Encoder()
		}
		w.enc = fonts[name]
	case "'":
		w.gap('\n')
		w.show(arg(0))
	case `"`:
		w.gap('\n')
		w.show(arg(2))
	case "Tj":
		w.show(arg(0))
	case "TJ":
		for i := range arg(0).Len() {
			switch x := arg(0).Index(i); {
			case x.Kind() == pdf.String:
				w.show(x)
			case x.Float64() < wordGap:
				w.gap(' ')
			}
		}
	case "Do":
		if x := resources.Key("XObject").Key(arg(0).Name()); x.Key("Subtype").Name() == "Form" {
			own := x.Key("Resources")
			if own.IsNull() {
				own = resources
			}
			w.content(x, own)
		}
	}
}

// show adds a string in the font's encoding.
func (w *pdfWords) show(v pdf.Value) {
	s := v.RawString()
	if w.enc != nil {
		s = w.enc.Decode(s)
	}
	w.out.WriteString(s)
	if w.out.Len() > MaxText {
		panic(errEnough)
	}
}

// gap parts what follows from what was.
func (w *pdfWords) gap(c byte) { w.out.WriteByte(c) }
