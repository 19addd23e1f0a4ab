package testenv

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"pli/cmd/pli/demo"
	"pli/internal/engines"
)

// envEngines is the switch that says on which engines the stories run: unset
// or "bolt+dir" for the embedded ones, "postgres+s3" for real servers of both.
const envEngines = "PLI_TEST_ENGINES"

// Served reports whether the stories run on PostgreSQL and S3.
func Served(t testing.TB) bool {
	t.Helper()
	switch v := os.Getenv(envEngines); v {
	case "", "bolt+dir":
		return false
	case "postgres+s3":
		return true
	default:
		t.Fatalf("%s is %q; one of: bolt+dir, postgres+s3", envEngines, v)
		return false
	}
}

// stores gives a demo a fresh database and bucket, if the stories run on those.
func stores(t testing.TB, o *demo.Options) {
	if Served(t) {
		o.Store, o.Blobs = engines.Postgres(t), engines.S3(t)
	}
}

// Stores returns the flags that have «pli init» and «pli demo» make an instance
// on the engines that the stories run on.
func Stores(t testing.TB) []string {
	t.Helper()
	var o demo.Options
	if stores(t, &o); o.Store == "" {
		return nil
	}
	return []string{"--store", o.Store, "--blobs", o.Blobs}
}

// newStores is Stores for a demo's folder, which keeps those that it has.
func newStores(t testing.TB, dir string) []string {
	if _, err := os.Stat(filepath.Join(dir, "pli.toml")); err == nil {
		return nil
	}
	return Stores(t)
}

// ServerFolders returns the folders in which the servers of a story keep what
// they were given, for whoever looks into every file.
func ServerFolders(t testing.TB) []string {
	t.Helper()
	if !Served(t) {
		return nil
	}
	dirs := engines.Folders()
	if len(dirs) < 2 {
		t.Fatal(fmt.Sprintf("the servers' folders are not known: %q", dirs))
	}
	return dirs
}
