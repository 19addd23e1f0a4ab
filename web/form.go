package web

import (
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"

	"pli/internal/errs"
)

// form reads a form without files and checks its token.
func (v *visit) form() (url.Values, error) {
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, v.MaxForm)
	if err := v.r.ParseForm(); err != nil {
		if statusOf(err) == http.StatusRequestEntityTooLarge {
			return nil, err
		}
		return nil, errs.Wrap(err, errs.Invalid, "a form that cannot be read")
	}
	return v.r.PostForm, v.checkToken(v.r.PostForm.Get(csrfField))
}

// upload is a form with files, read as it arrives: nothing of it ever lies on
// the disk in clear. All fields come before the first file.
type upload struct {
	url.Values
	reader  *multipart.Reader
	pending *multipart.Part // the first file, met while reading the fields
	ended   bool            // the form has no further part
	files   int
	max     int
	room    int64 // bytes of files still to come
}

// Limits of a form's shape.
const maxFields = 64

// upload begins to read a form with files: its fields are read and its token
// checked before the first byte of a file is.
func (v *visit) upload() (*upload, error) {
	// The fields, the files, and what multipart puts around each of them.
	limit := v.MaxFileBytes + int64(v.MaxText) + v.MaxForm + int64(v.MaxFiles)*1024
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, limit)
	media, params, err := mime.ParseMediaType(v.r.Header.Get("Content-Type"))
	if err != nil || media != "multipart/form-data" || params["boundary"] == "" {
		return nil, errs.New(errs.Invalid, "a form that cannot be read")
	}
	u := &upload{Values: url.Values{}, reader: multipart.NewReader(v.r.Body, params["boundary"]), max: v.MaxFiles, room: v.MaxFileBytes}
	if err := u.fields(v.MaxText); err != nil {
		return nil, err
	}
	return u, v.checkToken(u.Get(csrfField))
}

// fields reads up to the first file.
func (u *upload) fields(maxText int) error {
	budget := int64(maxText) + 16<<10
	for range maxFields {
		part, err := u.reader.NextPart()
		if err == io.EOF {
			u.ended = true
			return nil
		}
		if err != nil {
			return unreadable(err)
		}
		if part.FileName() != "" {
			u.pending = part
			return nil
		}
		if part.FormName() == "file" {
			continue // no file was chosen
		}
		b, err := io.ReadAll(io.LimitReader(part, budget+1))
		if err != nil {
			return unreadable(err)
		}
		if budget -= int64(len(b)); budget < 0 {
			return sorry(errs.New(errs.TooLarge, "the text is too long"), "err.send.longtext")
		}
		u.Add(part.FormName(), string(b))
	}
	return errs.New(errs.Invalid, "a form with too many fields")
}

// unreadable keeps the kind of an error of the body, which may be a limit.
func unreadable(err error) error {
	if statusOf(err) == http.StatusRequestEntityTooLarge {
		return sorry(errs.Wrap(err, errs.TooLarge, "the form is too large"), "err.send.toolarge")
	}
	return errs.Wrap(err, errs.Invalid, "a form that cannot be read")
}

// file returns the next file that was chosen, io.EOF after the last. Its
// reader gives errs.TooLarge beyond what all files may weigh.
func (u *upload) file() (name string, r io.Reader, err error) {
	for {
		if u.ended {
			return "", nil, io.EOF
		}
		part := u.pending
		if u.pending = nil; part == nil {
			if part, err = u.reader.NextPart(); err == io.EOF {
				u.ended = true
				return "", nil, io.EOF
			} else if err != nil {
				return "", nil, unreadable(err)
			}
		}
		if part.FileName() == "" {
			continue // a file field left empty, or a stray field
		}
		if u.files++; u.files > u.max {
			return "", nil, sorry(errs.New(errs.TooLarge, "too many files"), "err.send.manyfiles")
		}
		return part.FileName(), &fileReader{u, part}, nil
	}
}

// fileReader counts one file against the room for all.
type fileReader struct {
	u *upload
	r io.Reader
}

func (f *fileReader) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if f.u.room -= int64(n); f.u.room < 0 {
		return 0, sorry(errs.New(errs.TooLarge, "the files are too large"), "err.send.toolarge")
	}
	if err != nil && err != io.EOF {
		err = unreadable(err)
	}
	return n, err
}

// drain takes what is left of the form, within its limit: a browser that is
// still sending would not read the answer.
func (v *visit) drain() { io.Copy(io.Discard, v.r.Body) }
