package web

import (
	"context"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"io"
	"strconv"
	"time"

	"pli/audit"
	"pli/internal/errs"
)

// traceRecord is one line of the trace in the downloads: what was written
// down, with the hashes that chain the lines.
type traceRecord struct {
	Seq        uint64            `json:"seq"`
	At         time.Time         `json:"at"` // UTC
	Who        string            `json:"who"`
	Kind       string            `json:"kind"`
	ID         string            `json:"id,omitempty"`
	Profession string            `json:"profession,omitempty"`
	Structure  string            `json:"structure,omitempty"`
	Address    string            `json:"address,omitempty"`
	Act        string            `json:"act"`
	Outcome    string            `json:"outcome"`
	Rule       string            `json:"rule,omitempty"`
	Reason     string            `json:"reason,omitempty"`
	Object     string            `json:"object,omitempty"`
	Title      string            `json:"title,omitempty"`
	Detail     map[string]string `json:"detail,omitempty"`
	Sentence   string            `json:"sentence"`
	Prev       string            `json:"prev"` // hash of the line before
	Hash       string            `json:"hash"`
}

func (v *visit) record(e audit.Entry) traceRecord {
	return traceRecord{
		Seq: e.Seq, At: e.At.UTC(), Who: e.Actor.Name, Kind: e.Actor.Kind.String(), ID: e.Actor.ID,
		Profession: e.Actor.Profession, Structure: e.Actor.Structure, Address: e.Actor.Address,
		Act: e.Act, Outcome: string(e.Outcome), Rule: e.Rule, Reason: e.Reason, Object: e.Object, Title: e.Title,
		Detail: e.Detail, Sentence: v.traceLine(e, nil).Text,
		Prev: hex.EncodeToString(e.Prev[:]), Hash: hex.EncodeToString(e.Hash[:]),
	}
}

// tracePages is how many lines a download reads at a time.
const tracePages = 500

// traceFile answers with the whole trace as a file.
func (v *visit) traceFile() error {
	h := v.w.Header()
	var write func(io.Writer, []audit.Entry, bool) error
	switch v.r.PathValue("file") {
	case "trace.json":
		h.Set("Content-Type", "application/json")
		write = v.traceJSON
	case "trace.csv":
		h.Set("Content-Type", "text/csv; charset=utf-8")
		write = v.traceCSV
	default:
		return errs.New(errs.NotFound, "no such file")
	}
	first, err := v.entries(v.r.Context(), 0, tracePages)
	if err != nil {
		return err
	}
	h.Set("Content-Disposition", `attachment; filename="`+v.r.PathValue("file")+`"`)
	return v.wholeTrace(v.r.Context(), first, write)
}

// wholeTrace writes page after page, newest first; write is told which page is
// the first one. The download is one reading of the trace: its later pages
// pass the gate like the first.
func (v *visit) wholeTrace(ctx context.Context, list []audit.Entry, write func(io.Writer, []audit.Entry, bool) error) error {
	first := true
	for len(list) > 0 || first {
		if err := write(v.w, list, first); err != nil {
			return nil // the browser has gone
		}
		first = false
		if len(list) < tracePages {
			break
		}
		var err error
		if list, err = v.entries(ctx, list[len(list)-1].Seq, tracePages); err != nil {
			v.Log.Error("trace download broke off", "err", err)
			return nil
		}
	}
	return nil
}

// traceJSON writes one JSON object a line.
func (v *visit) traceJSON(w io.Writer, list []audit.Entry, _ bool) error {
	enc := json.NewEncoder(w)
	for _, e := range list {
		if err := enc.Encode(v.record(e)); err != nil {
			return err
		}
	}
	return nil
}

// traceCSV writes a table that spreadsheets open (RFC 4180).
func (v *visit) traceCSV(w io.Writer, list []audit.Entry, first bool) error {
	out := csv.NewWriter(w)
	out.UseCRLF = true
	if first {
		out.Write([]string{"seq", "at", "who", "kind", "id", "profession", "structure", "address", "act", "outcome", "rule", "reason", "object", "title", "sentence", "prev", "hash"})
	}
	for _, e := range list {
		r := v.record(e)
		row := []string{strconv.FormatUint(r.Seq, 10), r.At.Format(time.RFC3339Nano), r.Who, r.Kind, r.ID, r.Profession, r.Structure,
			r.Address, r.Act, r.Outcome, r.Rule, r.Reason, r.Object, r.Title, r.Sentence, r.Prev, r.Hash}
		for i := range row {
			row[i] = cell(row[i])
		}
		out.Write(row)
	}
	out.Flush()
	return out.Error()
}

// cell keeps a spreadsheet from taking a text for a formula.
func cell(s string) string {
	if s != "" {
		switch s[0] {
		case '=', '+', '-', '@', '\t', '\r':
			return "'" + s
		}
	}
	return s
}
