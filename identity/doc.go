// Package identity names people and bodies: each national identifier a type
// made only by its parser.
//
// What holds a value of one of these types holds a valid one, or the zero
// value, which IsZero reports. Values compare with == and serve as map keys.
// They lie in records as CBOR byte strings of their text (MarshalBinary) and
// are parsed again when read. The identifiers of patients (INS, NIR) mask
// themselves whenever they are printed, logged or turned into JSON: whoever
// needs the digits asks for them by name.
package identity
