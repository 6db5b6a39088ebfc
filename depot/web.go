package depot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
)

const (
	// maxListing bounds the page that names the files: that of all two thousand archives
	// of the main network has some hundred kilobytes.
	maxListing = 16 << 20

	// headerTimeout is how long a server may take to begin with an answer.
	headerTimeout = 20 * time.Second

	// connections is how many connections to one server are kept.
	connections = 16
)

// web is a web server. The address is that of a page which names the files, in whatever
// form: a list made by the server, or a text. They are beside it.
type web struct {
	base   *url.URL
	client *http.Client
}

func newWeb(u *url.URL) *web {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout, t.MaxIdleConnsPerHost = headerTimeout, connections
	t.DisableCompression = true // parts of files are asked for
	return &web{u, &http.Client{Transport: t}}
}

func (w *web) String() string { return w.base.Redacted() }

func (w *web) get(ctx context.Context, method, name, byteRange string) (*http.Response, error) {
	u := *w.base
	if name != "" {
		if !strings.HasSuffix(u.Path, "/") && path.Ext(path.Base(u.Path)) != "" { // …/checksums.txt
			u.Path = path.Dir(u.Path)
		}
		u.RawPath, u.Path = "", strings.TrimSuffix(u.Path, "/")+"/"+name
	}
	r, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("depot: %w", err)
	}
	if byteRange != "" {
		r.Header.Set("Range", byteRange)
	}
	answer, err := w.client.Do(r)
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // the address may hold a password
	}
	if err != nil {
		return nil, fmt.Errorf("depot: asking %s: %w", u.Redacted(), err)
	}
	switch answer.StatusCode {
	case http.StatusOK, http.StatusPartialContent:
		return answer, nil
	case http.StatusNotFound, http.StatusGone, http.StatusRequestedRangeNotSatisfiable:
		err = ErrNotThere
	case http.StatusUnauthorized, http.StatusForbidden:
		err = errRefused
	default:
		err = errors.New("depot: not served")
	}
	answer.Body.Close()
	return nil, fmt.Errorf("%w: %s says %s", err, u.Redacted(), answer.Status)
}

func (w *web) List(ctx context.Context) ([]string, error) {
	answer, err := w.get(ctx, http.MethodGet, "", "")
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	page, err := io.ReadAll(io.LimitReader(answer.Body, maxListing))
	if err != nil {
		return nil, fmt.Errorf("depot: reading the list of %s: %w", w, err)
	}
	names := archiveNames.FindAllString(string(page), -1)
	slices.Sort(names)
	return slices.Compact(names), nil // a link names a file twice
}

func (w *web) Size(ctx context.Context, name string) (int64, error) {
	answer, err := w.get(ctx, http.MethodHead, name, "")
	if err != nil {
		return 0, err
	}
	answer.Body.Close()
	if answer.ContentLength < 0 {
		return 0, fmt.Errorf("depot: %s does not say how long %s is", w, name)
	}
	return answer.ContentLength, nil
}

func (w *web) ReadAt(ctx context.Context, name string, p []byte, off int64) error {
	answer, err := w.get(ctx, http.MethodGet, name, fmt.Sprintf("bytes=%d-%d", off, off+int64(len(p))-1))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusPartialContent {
		return fmt.Errorf("depot: %s does not serve parts of files (range requests)", w)
	}
	if want := fmt.Sprintf("bytes %d-", off); !strings.HasPrefix(answer.Header.Get("Content-Range"), want) {
		return fmt.Errorf("depot: %s serves another part of %s than was asked for: %q", w, name, answer.Header.Get("Content-Range"))
	}
	if _, err := io.ReadFull(answer.Body, p); err != nil {
		return fmt.Errorf("depot: reading %s from %s: %w", name, w, err)
	}
	return nil
}
