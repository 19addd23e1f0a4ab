package instance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"pli/backup"
	"pli/internal/errs"
	"pli/store"
	"pli/store/sealed"
)

// BackupArgs says where a backup goes.
type BackupArgs struct {
	To   string `required:"" json:"to" placeholder:"PLACE" help:"Repository: a folder, or s3://ACCESS@HOST/BUCKET/PREFIX (secret key in PLI_S3_SECRET)."`
	Keys string `required:"" json:"keys" placeholder:"FILE" help:"File for the data keys, on another medium than the repository. Always the one current copy."`
}

// BackupReport is what one backup did.
type BackupReport struct {
	Backup      string   `json:"backup"` // its name in the repository
	Owners      int64    `json:"owners"`
	Records     int64    `json:"records"`
	RecordBytes int64    `json:"record_bytes"`
	Blobs       int64    `json:"blobs"`
	BlobBytes   int64    `json:"blob_bytes"`
	NewPieces   int64    `json:"new_pieces"` // pieces of records and of index that were not there before
	NewBlobs    int64    `json:"new_blobs"`
	Sent        int64    `json:"sent"` // bytes of those
	Seconds     float64  `json:"seconds"`
	Problems    []string `json:"problems"` // what could not be read, and is not in it
}

// Print writes the report for people.
func (r BackupReport) Print(w io.Writer) {
	for _, p := range r.Problems {
		fmt.Fprintln(w, p)
	}
	all := r.RecordBytes + r.BlobBytes
	fmt.Fprintf(w, "%s: %d records of %d owners and %d blobs, %.1f MB, of which %.1f MB new (%d pieces, %d blobs), in %.1f s (%.1f MB/s): %d problem(s)\n",
		r.Backup, r.Records, r.Owners, r.Blobs, float64(all)/1e6, float64(r.Sent)/1e6, r.NewPieces, r.NewBlobs,
		r.Seconds, float64(all)/1e6/max(r.Seconds, 1e-3), len(r.Problems))
}

// Backup copies everything that is stored, sealed as it lies, while the
// instance goes on. Deletions of blobs wait until it is done.
func (in *Instance) Backup(ctx context.Context, a BackupArgs) (BackupReport, error) {
	if !in.backing.TryLock() {
		return BackupReport{}, errs.New(errs.Conflict, "a backup is under way")
	}
	defer in.backing.Unlock()
	if next, err := nextMaster(in.cfg.Dir); err != nil || next != nil {
		return BackupReport{}, errors.Join(err, errs.New(errs.Conflict, "the master key is being renewed: finish it with «pli key rotate-master», then back up"))
	}
	conf, err := in.repository(ctx, a.To, true)
	if err != nil {
		return BackupReport{}, err
	}
	in.hold.Hold()
	defer in.hold.Release(ctx)
	r, err := backup.Run(ctx, conf, in.bare(), backup.Options{Name: in.cfg.Name, Keys: a.Keys, Spool: in.cfg.Dir,
		Skip: func(o store.Owner) bool { return o == leaseOwner }})
	if err != nil {
		return BackupReport{}, err
	}
	in.deps.Log.Info("backup", "name", r.Name, "records", r.Records, "blobs", r.Blobs, "sent", r.Sent, "took", r.Took, "problems", len(r.Problems))
	return BackupReport{Backup: r.Name, Owners: r.Owners, Records: r.Records, RecordBytes: r.RecordBytes,
		Blobs: r.Blobs, BlobBytes: r.BlobBytes, NewPieces: r.NewPieces, NewBlobs: r.NewBlobs, Sent: r.Sent,
		Seconds: r.Took.Seconds(), Problems: append([]string{}, r.Problems...)}, nil
}

// bare is what is stored, as it lies.
func (in *Instance) bare() backup.Instance {
	return backup.Instance{Records: in.raw, Keys: in.rawKeys, Blobs: in.hold}
}

// repository opens a repository with this instance's master key.
func (in *Instance) repository(ctx context.Context, place string, create bool) (backup.Config, error) {
	master, err := sealed.LoadMaster(masterPath(in.cfg.Dir))
	if err != nil {
		return backup.Config{}, err
	}
	return openRepository(ctx, place, create, master, in.deps)
}

func openRepository(ctx context.Context, place string, create bool, master *sealed.Master, deps Deps) (backup.Config, error) {
	repo, err := backup.OpenRepository(ctx, place, create, deps.Log)
	return backup.Config{Repo: repo, Master: master, Now: deps.Now, Log: deps.Log,
		Progress: func(p backup.Progress) { tell(ctx, p.String()) }}, err
}

func masterPath(dir string) string { return filepath.Join(dir, "keys", "master.key") }

// Places makes a repository and a file what a running instance, which has
// another working folder, finds them by.
func Places(repository, file *string) (err error) {
	if *repository, err = backup.Place(*repository); err != nil {
		return err
	}
	*file, err = filepath.Abs(*file)
	return err
}

// RepositoryArgs names a repository and the key that its backups were made
// under.
type RepositoryArgs struct {
	From   string `required:"" json:"from" placeholder:"PLACE" help:"Repository: a folder, or s3://…"`
	Config string `placeholder:"FILE" help:"Configuration of the instance, running or not." env:"PLI_CONFIG"`
	Master string `placeholder:"FILE" help:"Its master key, where there is no instance."`
}

// open opens the repository.
func (a RepositoryArgs) open(ctx context.Context) (backup.Config, error) {
	path := a.Master
	if path == "" {
		if a.Config == "" {
			return backup.Config{}, errs.New(errs.Invalid, "give --config, or --master where there is no instance")
		}
		cfg, err := LoadConfig(a.Config)
		if err != nil {
			return backup.Config{}, err
		}
		path = masterPath(cfg.Dir)
	}
	master, err := sealed.LoadMaster(path)
	if err != nil {
		return backup.Config{}, err
	}
	return openRepository(ctx, a.From, false, master, here())
}

// BackupInfo is one backup of a repository.
type BackupInfo struct {
	Backup   string    `json:"backup"`
	Instance string    `json:"instance"`
	Begin    time.Time `json:"begin"`
	End      time.Time `json:"end"`
	Owners   int64     `json:"owners"`
	Records  int64     `json:"records"`
	Blobs    int64     `json:"blobs"`
	Bytes    int64     `json:"bytes"`
	Problems int       `json:"problems"`
}

// ListBackups lists the backups of a repository, oldest first, and what is
// wrong with those that cannot be used.
func ListBackups(ctx context.Context, a RepositoryArgs) (list []BackupInfo, problems []error, err error) {
	conf, err := a.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	all, problems, err := backup.List(ctx, conf)
	list = []BackupInfo{}
	for _, m := range all {
		list = append(list, BackupInfo{m.Name, m.Instance, m.Begin, m.End, m.Owners, m.Records, m.Blobs, m.RecordBytes + m.BlobBytes, len(m.Problems)})
	}
	return list, problems, err
}

// CheckBackups compares every digest of a repository.
func CheckBackups(ctx context.Context, a RepositoryArgs, remove bool) (backup.Checked, error) {
	conf, err := a.open(ctx)
	if err != nil {
		return backup.Checked{}, err
	}
	return backup.Check(ctx, conf, remove)
}

// PruneBackups keeps the latest backups of a repository.
func PruneBackups(ctx context.Context, a RepositoryArgs, keep int) (backup.Pruned, error) {
	conf, err := a.open(ctx)
	if err != nil {
		return backup.Pruned{}, err
	}
	return backup.Prune(ctx, conf, keep)
}
