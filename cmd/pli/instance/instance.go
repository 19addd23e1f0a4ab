// Package instance wires one Pli from its configuration: the only place where
// engines, rooms and faces meet.
package instance

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"pli/certs"
	"pli/consent"
	"pli/dossier"
	"pli/mailbox"
	"pli/mss"
	"pli/mss/directory"
	"pli/notify"
	"pli/notify/folder"
	"pli/signin"
	"pli/space"
	"pli/store"
	"pli/store/blob"
	"pli/store/names"
	"pli/store/sealed"
)

// Deps is what an instance takes from whoever runs it.
type Deps struct {
	Now func() time.Time
	Log *slog.Logger

	Standby bool // Open waits for as long as another instance serves the store
}

// Instance is one opened Pli: its stores and rooms and, once started, its
// doors.
type Instance struct {
	cfg  *Config
	deps Deps

	raw, rawKeys store.DB // bare: as the engine keeps them
	db           store.DB // sealed
	keys         *sealed.Keys
	blobs        blob.Store
	hold         *holding   // the same, where deletions can wait
	backing      sync.Mutex // held by the backup under way
	lease        *lease     // nil where the engine has a lock of its own

	spaces    *space.Service
	signin    *signin.Service
	directory *directory.Directory
	mail      *mailbox.Service
	dossier   *dossier.Service
	mss       *mss.Service
	gate      *consent.Gate
	hub       *notify.Hub
	outbox    *notify.Outbox
	metrics   *metrics
	keeping   keeping
	resealing resealing

	addrs  Addrs
	faces  []face
	stop   context.CancelFunc // of workers
	wg     sync.WaitGroup
	closed sync.Once
}

// Open opens the stores of an instance and makes its rooms; it listens
// nowhere. Nobody else may have them open.
func Open(ctx context.Context, cfg *Config, deps Deps) (*Instance, error) {
	in := &Instance{cfg: cfg, deps: deps, hub: notify.NewHub(), metrics: newMetrics()}
	master, err := in.openStores(ctx)
	if err == nil {
		_, err = openFormat(ctx, in.db, Format)
	}
	if err == nil {
		err = in.openRooms(ctx, master)
	}
	if err != nil {
		return nil, errors.Join(err, in.closeStores())
	}
	return in, nil
}

// openRooms makes the rooms, each on those below it.
func (in *Instance) openRooms(ctx context.Context, master *sealed.Master) (err error) {
	cfg, now, log := in.cfg, in.deps.Now, in.deps.Log
	sender, err := folder.New(cfg.Notices, "ne-pas-repondre@"+cfg.Name, now)
	if err != nil {
		return err
	}
	n := names.New(in.db, master.Derive("names"))
	in.outbox = notify.NewOutbox(notify.OutboxConfig{DB: in.db, Sender: sender, Now: now, Log: log, Sent: in.metrics.notice})
	in.spaces = space.NewService(space.Config{DB: in.db, Names: n, Now: now, Log: log})
	in.gate = consent.NewGate(consent.Config{DB: in.db, Outbox: in.outbox, Now: now, Log: log})
	in.resealing.in = in
	operators, err := cfg.recoveryKeys()
	if err != nil {
		return err
	}
	in.signin, err = signin.New(signin.Config{DB: in.db, Names: n, Server: master.Derive("server slots"), Sender: sender,
		Now: now, Log: log, CodeLife: cfg.CodeLife, CodeTries: cfg.CodeTries,
		SessionIdle: cfg.SessionIdle, SessionMax: cfg.SessionLife, Argon: cfg.Argon, Operators: operators, Witness: in.witness, Waiting: in.resealing.begin})
	if err != nil {
		return err
	}
	in.mail = mailbox.New(mailbox.Config{DB: in.db, Blobs: in.blobs, Gate: in.gate, Hub: in.hub, Now: now, Log: log,
		MaxMessage: cfg.MessageBytes + headroom, InlineMax: cfg.InlineBytes, HolderQuota: cfg.HolderQuota, MemberQuota: cfg.MemberQuota})
	if in.dossier, err = dossier.New(dossier.Config{DB: in.db, Blobs: in.blobs, Gate: in.gate, Keys: in.keys,
		Now: now, Log: log, MaxSize: cfg.MessageBytes}); err != nil {
		return err
	}
	if err := in.openDirectory(ctx, n); err != nil {
		return err
	}
	trust, err := certs.LoadTrust(cfg.Trust...)
	if err != nil {
		return fmt.Errorf("tls.trust: %w", err)
	}
	in.mss = mss.New(mss.Config{DB: in.db, Spaces: in.spaces, Directory: in.directory, Mail: in.mail, Gate: in.gate, Signin: in.signin,
		Trust: trust, Secret: master.Derive("digests"), Hostname: cfg.Name, Product: product,
		Now: now, Log: log, Limits: cfg.limits(), RepliesOnly: cfg.RepliesOnly})
	in.metrics.watch(in.mss.Stats)
	return nil
}

const (
	headroom = 1 << 20 // bytes that our own trace headers may add to the largest message
	product  = "Pli"   // X-MSS-NIL of what members send
)

// openDirectory makes the directory, and sees that it knows this instance's
// own domains.
func (in *Instance) openDirectory(ctx context.Context, n *names.Names) (err error) {
	if in.directory, err = directory.New(ctx, directory.Config{DB: in.db, Names: n, Now: in.deps.Now}); err != nil {
		return err
	}
	domains := []directory.Domain{{Name: in.cfg.PatientDomain, Kind: directory.Patient}}
	for _, d := range in.cfg.LocalDomains {
		domains = append(domains, directory.Domain{Name: d, Kind: directory.Local})
	}
	for _, d := range domains {
		if err := in.directory.AddDomain(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// serverTLS reads the server's certificate.
func (in *Instance) serverTLS() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(in.cfg.Certificate, in.cfg.Key)
	if err != nil {
		return nil, fmt.Errorf("the server's certificate (tls.certificate, tls.key): %w", err)
	}
	return certs.ServerTLS(pair), nil
}

// Close ends doors, sessions and workers, then closes the stores. A second
// call does nothing.
func (in *Instance) Close() error {
	var err error
	in.closed.Do(func() {
		err = errors.Join(in.stopFaces(), in.closeStores())
	})
	return err
}
