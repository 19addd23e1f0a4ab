package audit

import "bytes"

// IsLine reports whether a record key is that of a line. Lines never change: a
// copy of one may stand in the place of one that is damaged, which is not true
// of a chain's head.
func IsLine(key []byte) bool { return bytes.HasPrefix(key, []byte(prefix+"line/")) }
