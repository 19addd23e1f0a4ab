package testenv

import (
	"crypto/rand"
	"encoding/hex"
	"strconv"
)

func itoa(n int) string { return strconv.Itoa(n) }

// unique returns a text that no other test uses.
func unique() string {
	var b [12]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// Word returns a random word that stands nowhere else.
func Word() string { return "canari" + unique() }
