// Package storetest proves that an engine keeps the promises of package store.
package storetest

import (
	"testing"

	"pli/store"
)

// Run runs the whole suite, each test on a store of its own.
func Run(t *testing.T, open func(t testing.TB) store.DB) {}
