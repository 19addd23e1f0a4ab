package backup

import (
	"context"
	"errors"
	"io"
	"strings"
)

// ErrNotFound is returned by a repository for an object that it has not.
var ErrNotFound = errors.New("backup: no such object")

// Repository keeps objects by name: words of [A-Za-z0-9.-] between slashes.
// All methods may run at once.
type Repository interface {
	// Put writes an object of size bytes. It is durable on return, and never
	// seen in part; one of that name is replaced. The content may be read
	// more than once.
	Put(ctx context.Context, name string, content io.ReaderAt, size int64) error
	// Get opens an object, or returns ErrNotFound. The caller closes it.
	Get(ctx context.Context, name string) (io.ReadCloser, error)
	// List calls fn for each object whose name begins with a folder ("blobs/"),
	// in byte order of their names. An error of fn ends it and is returned.
	List(ctx context.Context, folder string, fn func(Object) error) error
	// Delete removes an object; one that is not there is no error.
	Delete(ctx context.Context, name string) error
}

// Object is what List tells of one.
type Object struct {
	Name string
	Size int64 // bytes
}

// The folders of a repository.
const (
	folderManifests = "manifests/"
	folderIndex     = "index/"
	folderRecords   = "records/"
	folderBlobs     = "blobs/"
	folderLocks     = "locks/"
)

// spread puts an object two digits deep, so that no folder grows too long.
func spread(folder, name string) string { return folder + name[:2] + "/" + name }

// base is the inverse of spread.
func base(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }
