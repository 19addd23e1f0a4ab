package identity_test

import (
	"encoding"
	"fmt"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"pli/identity"
	"pli/internal/errs"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// check parses each text and compares with what must come of it.
func check[T any](t *testing.T, parse func(string) (T, error), texts map[string]bool) {
	t.Helper()
	for s, ok := range texts {
		_, err := parse(s)
		if (err == nil) != ok {
			t.Errorf("%q: %v, want ok %v", s, err, ok)
		}
		if err != nil && !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: an error of kind %v", s, errs.KindOf(err))
		}
	}
}

// Public numbers and computed vectors of the key; Corsica 2A → 19, 2B → 18.
var matricules = map[string]bool{
	"279035121518989": true, "255081416802538": true, "178059933010817": true, "207058575627097": true,
	"184122A00400544": true, "184122a00400544": true, "291072B03301279": true, "169059935200102": true, "180017500100597": true,
	"279035121518988": false, "279035121518998": false, "184122A00400543": false, "184122B00400544": false,
	"291072B03301278": false, "169059935200100": false, "180017500100500": false, "169059935200199": false,
	"": false, "27903512151898": false, "2790351215189890": false, "27903512151898A": false, " 79035121518989": false,
	"2 79 03 51 215 1": false, "084122A00400544": false, "984122A00400544": false, "184122C00400544": false,
	"1841A2A00400544": false, "18412A200400544": false, "２79035121518989": false, "279035121518989\n": false,
}

func TestNIR(t *testing.T) {
	t.Parallel()
	check(t, identity.ParseNIR, matricules)
}

// A1: the matricule with its authority; test numbers only where the instance
// says so, and without a look at their key.
func TestINS(t *testing.T) {
	t.Parallel()
	of := func(oid identity.OID, allow bool) func(string) (identity.INS, error) {
		return func(s string) (identity.INS, error) {
			return identity.ParseINS(s, oid, identity.INSOptions{AllowTest: allow})
		}
	}
	for _, oid := range []identity.OID{identity.OIDNIR, identity.OIDNIA} {
		check(t, of(oid, false), matricules)
		check(t, of(oid, true), matricules)
	}
	wrongKey := map[string]bool{"279035121518900": true, "279035121518989": true, "27903512151898": false, "x79035121518989": false}
	never := map[string]bool{"279035121518900": false, "279035121518989": false}
	for _, oid := range []identity.OID{identity.OIDTestNIR, identity.OIDTestNIA} {
		check(t, of(oid, true), wrongKey)
		check(t, of(oid, false), never)
	}
	for _, oid := range []identity.OID{"", "1.2.250.1.213.1.4.2", "1.2.250.1.213.1.4.80"} {
		check(t, of(oid, true), never)
	}
	i, err := identity.ParseINS("184122a00400544", identity.OIDNIR, identity.INSOptions{})
	must(t, err)
	if i.Matricule() != "184122A00400544" || i.OID() != identity.OIDNIR {
		t.Errorf("read as %s of %s", i.Matricule(), i.OID())
	}
	same, err := identity.ParseINS("184122A00400544", identity.OIDNIR, identity.INSOptions{})
	must(t, err)
	other, err := identity.ParseINS("184122A00400544", identity.OIDNIA, identity.INSOptions{})
	must(t, err)
	if i != same || i == other {
		t.Error("identities do not compare as they must")
	}
}

func TestRPPS(t *testing.T) {
	t.Parallel()
	check(t, identity.ParseRPPS, map[string]bool{
		"10002422979": true, "10101343233": true, "10100997245": true, "10000336601": true,
		"10123456789": false, "11000315107": false, "": false, "1000242297": false, "100024229790": false, "1000242297９": false, "1000242297a": false,
	})
	check(t, identity.ParseIDNPS, map[string]bool{
		"810002422979": true, "810101343233": true, "010002422979": false, "10002422979": false, "810002422978": false, "": false,
	})
	r, err := identity.ParseIDNPS("810002422979")
	must(t, err)
	if r.String() != "10002422979" || r.IDNPS() != "810002422979" {
		t.Error("read as", r)
	}
}

func TestStructures(t *testing.T) {
	t.Parallel()
	check(t, identity.ParseFINESS, map[string]bool{
		"770816478": true, "750712184": true, "2A0000014": true, "2b0001234": true,
		"770816479": false, "": false, "77081647": false, "7708164780": false, "2C0000014": false, "2A000001": false, "A20000014": false,
	})
	check(t, identity.ParseSIRET, map[string]bool{
		"18310021300028": true, "35600000000048": true, "35600000049837": true, // the latter La Poste's own rule
		"18310021300029": false, "35600000049838": false, "": false, "1831002130002": false, "183100213000280": false, "1831002130002A": false,
	})
	check(t, identity.ParseStructure, map[string]bool{
		"1770816478": true, "318310021300028": true, "12a0000014": true,
		"3770816478": false, "118310021300028": false, "2770816478": false, "770816478": false, "318310021300029": false, "": false, "1": false,
	})
	s, err := identity.ParseStructure("318310021300028")
	must(t, err)
	siret, ok := s.SIRET()
	if _, isFINESS := s.FINESS(); !ok || isFINESS || siret.String() != "18310021300028" || siret.Structure() != s {
		t.Error("read as", s)
	}
	f, err := identity.ParseFINESS("770816478")
	must(t, err)
	if got, ok := f.Structure().FINESS(); !ok || got != f || f.Structure().String() != "1770816478" {
		t.Error("a FINESS number makes", f.Structure())
	}
}

// record is one of each, as records hold them.
type record struct {
	INS       identity.INS
	NIR       identity.NIR
	RPPS      identity.RPPS
	FINESS    identity.FINESS
	SIRET     identity.SIRET
	Structure identity.Structure
	Address   identity.Address
}

func sample(t testing.TB) record {
	t.Helper()
	var r record
	for _, err := range []error{
		func() (err error) {
			r.INS, err = identity.ParseINS("279035121518900", identity.OIDTestNIR, identity.INSOptions{AllowTest: true})
			return
		}(),
		r.NIR.UnmarshalBinary([]byte("184122A00400544")),
		r.RPPS.UnmarshalText([]byte("10002422979")),
		r.FINESS.UnmarshalText([]byte("770816478")),
		r.SIRET.UnmarshalText([]byte("18310021300028")),
		r.Structure.UnmarshalText([]byte("1770816478")),
		r.Address.UnmarshalText([]byte("279035121518989@patient.pli.test")),
	} {
		must(t, err)
	}
	return r
}

// Values lie in records and are parsed again when read; zero values too.
func TestRecords(t *testing.T) {
	t.Parallel()
	for _, r := range []record{sample(t), {}} {
		b, err := cbor.Marshal(r)
		must(t, err)
		var back record
		must(t, cbor.Unmarshal(b, &back))
		if back != r {
			t.Errorf("comes back as %v", back)
		}
	}
	for name, v := range map[string]encoding.BinaryUnmarshaler{
		"279035121518988^1.2.250.1.213.1.4.8": new(identity.INS), "279035121518989": new(identity.INS), "279035121518988": new(identity.NIR),
		"10123456789": new(identity.RPPS), "770816479": new(identity.FINESS), "18310021300029": new(identity.SIRET),
		"2770816478": new(identity.Structure), "a@b@c@": new(identity.Address),
	} {
		bad, err := cbor.Marshal([]byte(name))
		must(t, err)
		if err := cbor.Unmarshal(bad, v); err == nil {
			t.Errorf("%T is read from %q", v, name)
		}
	}
}

func TestZeroValues(t *testing.T) {
	t.Parallel()
	var r record
	if !r.INS.IsZero() || !r.NIR.IsZero() || !r.RPPS.IsZero() || !r.FINESS.IsZero() || !r.SIRET.IsZero() || !r.Structure.IsZero() || !r.Address.IsZero() {
		t.Error("a zero value says that it holds something")
	}
	for i, text := range []string{
		r.INS.Matricule(), string(r.INS.OID()), r.NIR.Digits(), r.RPPS.String(), r.RPPS.IDNPS(), r.FINESS.String(), r.SIRET.String(),
		r.Structure.String(), r.FINESS.Structure().String(), r.SIRET.Structure().String(), r.Address.String(), r.Address.Key(),
	} {
		if text != "" {
			t.Errorf("zero value %d shows %q", i, text)
		}
	}
	if fmt.Sprint(r.INS) != "INS -" || fmt.Sprint(r.NIR) != "NIR -" {
		t.Error("a zero number shows as", r.INS, r.NIR)
	}
}

func FuzzINS(f *testing.F) {
	for s := range matricules {
		f.Add(s, string(identity.OIDNIR), true)
	}
	f.Fuzz(func(t *testing.T, s, oid string, test bool) {
		i, err := identity.ParseINS(s, identity.OID(oid), identity.INSOptions{AllowTest: test})
		if err != nil {
			if !i.IsZero() {
				t.Fatal("a refused number is a value")
			}
			return
		}
		if i.OID().Test() && !test {
			t.Fatal("a test number passes")
		}
		again, err := identity.ParseINS(i.Matricule(), i.OID(), identity.INSOptions{AllowTest: test})
		if err != nil || again != i || len(i.Matricule()) != 15 {
			t.Fatalf("not the same when read again: %v", err)
		}
	})
}

func FuzzNumbers(f *testing.F) {
	for _, s := range []string{"10002422979", "770816478", "18310021300028", "1770816478", "279035121518989"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		same := func(text fmt.Stringer, err error) {
			if err == nil && len(text.String()) != len(s) {
				t.Fatalf("%q is read as %q", s, text)
			}
		}
		r, err := identity.ParseRPPS(s)
		same(r, err)
		n, err := identity.ParseFINESS(s)
		same(n, err)
		i, err := identity.ParseSIRET(s)
		same(i, err)
		u, err := identity.ParseStructure(s)
		same(u, err)
		if nir, err := identity.ParseNIR(s); err == nil && len(nir.Digits()) != 15 {
			t.Fatalf("%q is read as a NIR", s)
		}
	})
}
