package web

import (
	"encoding/base64"
	"encoding/json"
	"strings"
)

// packCode writes what the browser keeps between the password and the code.
func packCode(id, next, hint string) string {
	if len(next) > 1000 {
		next = ""
	}
	b, err := json.Marshal([3]string{id, next, hint})
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// unpackCode reads what packCode wrote; what comes back from a browser is
// checked like any input.
func unpackCode(s string) (id, next, hint string) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	var v [3]string
	if err != nil || json.Unmarshal(b, &v) != nil {
		return "", "", ""
	}
	return v[0], localPath(v[1]), v[2]
}

// digits takes what people put between the digits of a code out of it.
func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' || r == '.' || r == '\u00a0' || r == '\u202f' {
			return -1
		}
		return r
	}, s)
}
