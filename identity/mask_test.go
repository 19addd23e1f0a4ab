package identity_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"pli/identity"
)

// hidden is a struct whose fields no fmt verb calls methods on.
type hidden struct {
	ins identity.INS
	nir identity.NIR
}

// Style: identifiers mask themselves, however they are printed.
func TestPatientsNumbersNeverShow(t *testing.T) {
	t.Parallel()
	r := sample(t)
	h := hidden{r.INS, r.NIR}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T"} {
		for _, v := range []any{r.INS, r.NIR, &r.INS, h, &h, []identity.INS{r.INS}, map[identity.INS]identity.NIR{r.INS: r.NIR}} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
	}
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		log := slog.New(handler)
		log.Info("x", "ins", r.INS, "nir", r.NIR, "in", h, "address", r.Address, "list", []identity.INS{r.INS}, "exported", struct{ I identity.INS }{r.INS})
	}
	b, err := json.Marshal(struct {
		I identity.INS
		N identity.NIR
	}{r.INS, r.NIR})
	must(t, err)
	out.Write(b)
	_, err = identity.ParseNIR("279035121518988")
	fmt.Fprint(&out, err)
	_, err = identity.ParseINS("279035121518988", identity.OIDNIR, identity.INSOptions{})
	fmt.Fprint(&out, err, errors.Unwrap(err))
	text := strings.ToLower(out.String())
	for _, secret := range []string{"27903512", "184122a0", fmt.Sprintf("%x", "27903512"), "279035121518988"} {
		if strings.Contains(text, secret) {
			t.Errorf("%s shows in:\n%s", secret, text)
		}
	}
	if !strings.Contains(text, "ins 2…") || !strings.Contains(text, "nir 1…") {
		t.Error("the masked forms do not show")
	}
	// A professional's number is public; logs show its end alone.
	if r.RPPS.LogValue().String() != "RPPS …979" || r.RPPS.String() != "10002422979" {
		t.Error("the RPPS number shows as", r.RPPS.LogValue(), r.RPPS)
	}
}

func TestActor(t *testing.T) {
	t.Parallel()
	a := identity.Actor{Kind: identity.Professional, ID: "10002422979", Name: "Dr Durand", Address: "x@y.test", Account: "m/abc"}
	var out bytes.Buffer
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "actor", a)
	text := out.String() + fmt.Sprintf("%v %s", a, a)
	for _, secret := range []string{"Durand", "10002422979", "x@y"} {
		if strings.Contains(text, secret) {
			t.Errorf("%s shows in %s", secret, text)
		}
	}
	if !strings.Contains(text, "actor.kind=professional") || !strings.Contains(text, "m/abc") {
		t.Error("shows as", text)
	}
	for k, word := range []string{"unknown", "holder", "representative", "professional", "establishment", "application", "operator", "staff", "system"} {
		if kind := identity.ActorKind(k); kind.String() != word || identity.ParseActorKind(word) != kind {
			t.Errorf("kind %d has the word %q", k, kind)
		}
	}
	if identity.ActorKind(200).String() != "unknown" || identity.ParseActorKind("x") != identity.Unknown {
		t.Error("an unknown kind has a word")
	}
}

// A1: the strict traits.
func TestTraits(t *testing.T) {
	t.Parallel()
	good := identity.Traits{Family: "D'ARTAGNAN-LE GOFF", Given: "JEAN PIERRE", Sex: "M", Birth: time.Date(1979, 3, 9, 0, 0, 0, 0, time.UTC), BirthPlace: "2A004"}
	must(t, good.Validate())
	for what, change := range map[string]func(x *identity.Traits){
		"no family": func(x *identity.Traits) { x.Family = " " }, "no given": func(x *identity.Traits) { x.Given = "" },
		"long": func(x *identity.Traits) { x.Family = strings.Repeat("A", 201) }, "control": func(x *identity.Traits) { x.Given = "A\nB" },
		"bytes": func(x *identity.Traits) { x.Given = "\xff" }, "sex": func(x *identity.Traits) { x.Sex = "m" },
		"no birth": func(x *identity.Traits) { x.Birth = time.Time{} }, "hour": func(x *identity.Traits) { x.Birth = x.Birth.Add(time.Hour) },
		"old": func(x *identity.Traits) { x.Birth = time.Date(1849, 1, 1, 0, 0, 0, 0, time.UTC) }, "place": func(x *identity.Traits) { x.BirthPlace = "2C004" },
		"short place": func(x *identity.Traits) { x.BirthPlace = "7511" },
	} {
		bad := good
		if change(&bad); bad.Validate() == nil {
			t.Errorf("%s: valid", what)
		}
	}
	for _, fine := range []func(x *identity.Traits){
		func(x *identity.Traits) { x.BirthPlace = "" }, func(x *identity.Traits) { x.BirthPlace = "99100" },
		func(x *identity.Traits) { x.Family = strings.Repeat("A", 200) }, func(x *identity.Traits) { x.Sex = "U" },
	} {
		ok := good
		fine(&ok)
		must(t, ok.Validate())
	}
	if text := fmt.Sprintf("%v %+v %s", good, good, good.LogValue()); strings.Contains(text, "JEAN") || strings.Contains(text, "1979") {
		t.Error("traits show as", text)
	}
}
