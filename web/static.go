package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"

	"pli/internal/errs"
)

//go:embed static
var staticFiles embed.FS

// assets are the files that pages need: style, script, drawings. Each has an
// address made of its content, so that browsers keep it for good.
type assets struct {
	byName map[string]asset
}

type asset struct {
	href, mediaType string
	content         []byte
}

func loadAssets() (*assets, error) {
	a := &assets{byName: map[string]asset{}}
	entries, err := fs.ReadDir(staticFiles, "static")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		b, err := staticFiles.ReadFile("static/" + e.Name())
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(b)
		kind := mime.TypeByExtension(path.Ext(e.Name()))
		switch path.Ext(e.Name()) { // not as this machine's tables may say
		case ".css":
			kind = "text/css; charset=utf-8"
		case ".js":
			kind = "text/javascript; charset=utf-8"
		case ".svg":
			kind = "image/svg+xml"
		}
		a.byName[e.Name()] = asset{
			href: "/static/" + hex.EncodeToString(sum[:6]) + "/" + e.Name(), mediaType: kind, content: b,
		}
	}
	return a, nil
}

// href returns the address of an asset, "" if there is none of that name.
func (a *assets) href(name string) string { return a.byName[name].href }

// static answers with an asset.
func (v *visit) static() error {
	f, ok := v.assets.byName[v.r.PathValue("name")]
	if !ok || v.r.URL.Path != f.href {
		return errs.New(errs.NotFound, "no such file")
	}
	h := v.w.Header()
	h.Set("Content-Type", f.mediaType)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Content-Length", strconv.Itoa(len(f.content)))
	// The frame of a letter has an origin of its own, and needs its style.
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	if v.r.Method == http.MethodHead {
		return nil
	}
	v.w.Write(f.content)
	return nil
}
