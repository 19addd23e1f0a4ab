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
	in, err := Open(ctx, cfg, Deps{Now: time.Now, Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	if err != nil {
		return nil, err
	}
	defer in.Close()
	v, err := in.operate(ctx, name, body)
	if err != nil {
		return nil, err
	}
	return json.Marshal(v)
}

// failure is an operation's error as it crosses the socket.
type failure struct {
	Kind errs.Kind `json:"kind"`
	Text string    `json:"text"`
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
	reply, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		var f failure
		if json.Unmarshal(reply, &f) != nil || f.Text == "" {
			return nil, fmt.Errorf("the running instance answered %s", resp.Status)
		}
		return nil, errs.New(f.Kind, "%s", f.Text)
	}
	return reply, nil
}

// serveOperations answers on the socket. The operator sees whole errors: the
// socket is theirs alone.
func (in *Instance) serveOperations(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	fail := func(status int, err error) {
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(failure{errs.KindOf(err), err.Error()})
	}
	if r.Method != http.MethodPost {
		fail(http.StatusMethodNotAllowed, errs.New(errs.Invalid, "operations are POSTed"))
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxOperation))
	if err != nil {
		fail(http.StatusRequestEntityTooLarge, errs.New(errs.TooLarge, "an operation takes at most %d bytes", maxOperation))
		return
	}
	v, err := in.operate(r.Context(), r.URL.Path[1:], body)
	if err != nil {
		fail(http.StatusUnprocessableEntity, err)
		return
	}
	json.NewEncoder(w).Encode(v)
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
