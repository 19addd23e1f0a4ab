// Package blobtest proves that an engine keeps the promises of package blob.
package blobtest

import (
	"testing"

	"pli/store/blob"
)

// Run runs the whole suite, each test on a store of its own.
func Run(t *testing.T, open func(t testing.TB) blob.Store) {}
