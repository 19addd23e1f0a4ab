//go:build !race

package message_test

// slower is by how much the race detector slows the scanner down, at the most.
const slower = 1
