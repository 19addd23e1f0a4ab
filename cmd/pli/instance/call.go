package instance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"pli/internal/errs"
)

// socketName is the operator's door of a running instance: a Unix socket in
// its folder that only the instance's own user may open.
const socketName = "pli.sock"

// maxSocketPath is what a Unix socket's address holds (sun_path, 108 bytes with
// its end); in a longer folder the socket's place is taken by a link to it.
const maxSocketPath = 100

// maxOperation bounds the JSON of one operation, in bytes.
const maxOperation = 8 << 20

// Call carries out one operator's operation on the instance that a
// configuration file describes: through its socket when it is running, else by
// opening its stores here. in and out are the operation's JSON values.
func Call(ctx context.Context, config, name string, in, out any) error {
	cfg, err := LoadConfig(config)
	if err != nil {
		return err
	}
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	reply, err := callSocket(ctx, cfg.Dir, name, body)
	if errors.Is(err, errNotRunning) {
		reply, err = callHere(ctx, cfg, name, body)
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(reply, out)
}

var errNotRunning = errors.New("the instance is not running")

func callHere(ctx context.Context, cfg *Config, name string, body []byte) ([]byte, error) {
	in, err := Open(ctx, cfg, here())
	if err != nil {
		return nil, err
	}
	defer in.Close()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() {
		select {
		case <-in.Lost():
			stop(errLost)
		case <-ctx.Done():
		}
	}()
	v, err := in.operate(ctx, name, body)
	if lost := context.Cause(ctx); errors.Is(lost, errLost) {
		return nil, errors.Join(lost, err)
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(v)
}

// here is what an operation takes that is carried out by the verb itself.
func here() Deps {
	return Deps{Now: time.Now, Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))}
}

// answer is one JSON value of what the socket says to an operation: how far it
// is, any number of times, then what it returned or why it failed.
type answer struct {
	Progress string          `json:"progress,omitempty"`
	Reply    json.RawMessage `json:"reply,omitempty"`
	Failure  *failure        `json:"failure,omitempty"`
}

// failure is an operation's error as it crosses the socket.
type failure struct {
	Kind errs.Kind `json:"kind"`
	Text string    `json:"text"`
}

// Watch returns a context whose operations tell fn how far they are, one call
// after another.
func Watch(ctx context.Context, fn func(text string)) context.Context {
	return context.WithValue(ctx, watcher{}, fn)
}

type watcher struct{}

// tell tells whoever watches an operation how far it is.
func tell(ctx context.Context, text string) {
	if fn, ok := ctx.Value(watcher{}).(func(string)); ok {
		fn(text)
	}
}

func callSocket(ctx context.Context, dir, name string, body []byte) ([]byte, error) {
	path := filepath.Join(dir, socketName)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		if real, err := filepath.EvalSymlinks(path); err == nil {
			path = real
		}
		c, err := d.DialContext(ctx, "unix", path)
		if err != nil {
			return nil, fmt.Errorf("%w: %v", errNotRunning, err)
		}
		return c, nil
	}
	client := &http.Client{Transport: &http.Transport{DialContext: dial}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://pli/"+name, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	for d := json.NewDecoder(resp.Body); ; {
		var a answer
		if err := d.Decode(&a); err != nil {
			return nil, fmt.Errorf("the running instance ended before it answered: %w", err)
		}
		switch {
		case a.Failure != nil:
			return nil, errs.New(a.Failure.Kind, "%s", a.Failure.Text)
		case a.Reply != nil:
			return a.Reply, nil
		}
		tell(ctx, a.Progress)
	}
}

// serveOperations answers on the socket. The operator sees whole errors: the
// socket is theirs alone.
func (in *Instance) serveOperations(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	say := func(a answer) {
		json.NewEncoder(w).Encode(a)
		http.NewResponseController(w).Flush()
	}
	reply, err := in.serveOperation(Watch(r.Context(), func(text string) { say(answer{Progress: text}) }), w, r)
	if err != nil {
		say(answer{Failure: &failure{errs.KindOf(err), err.Error()}})
		return
	}
	say(answer{Reply: reply})
}

func (in *Instance) serveOperation(ctx context.Context, w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.Method != http.MethodPost {
		return nil, errs.New(errs.Invalid, "operations are POSTed")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxOperation))
	if err != nil {
		return nil, errs.New(errs.TooLarge, "an operation takes at most %d bytes", maxOperation)
	}
	v, err := in.operate(ctx, r.URL.Path[1:], body)
	if err != nil {
		return nil, err
	}
	return json.Marshal(v)
}

// listenOperations opens the socket, after removing one that a crash left: the
// store's lock, taken before, proves that nobody serves it.
func listenOperations(dir string) (net.Listener, error) {
	path := filepath.Join(dir, socketName)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	real := path
	if len(path) > maxSocketPath {
		short, err := os.MkdirTemp("", "pli-")
		if err != nil {
			return nil, err
		}
		real = filepath.Join(short, socketName)
		if err := os.Symlink(real, path); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("unix", real)
	if err != nil {
		return nil, err
	}
	return l, os.Chmod(real, 0o600)
}
