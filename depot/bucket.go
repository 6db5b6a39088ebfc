package depot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// defaultEndpoint is whose buckets are meant if nothing else is said.
const defaultEndpoint = "https://s3.amazonaws.com"

// bucket is a bucket of an S3-compatible service.
type bucket struct {
	client       *minio.Client
	name, prefix string
}

// newBucket returns the bucket of s3://BUCKET/PREFIX. The service is named by
// ?endpoint=https://HOST:PORT or the variable AWS_ENDPOINT_URL, its region by ?region= or
// AWS_REGION. Keys come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; without them, the
// bucket must be public.
func newBucket(u *url.URL) (*bucket, error) {
	endpoint := u.Query().Get("endpoint")
	if endpoint == "" {
		endpoint = os.Getenv("AWS_ENDPOINT_URL")
	}
	if endpoint == "" {
		endpoint = defaultEndpoint
	}
	region := u.Query().Get("region")
	if region == "" {
		region = os.Getenv("AWS_REGION")
	}
	at, err := url.Parse(endpoint)
	switch {
	case err != nil || at.Host == "" || at.Scheme != "http" && at.Scheme != "https":
		return nil, fmt.Errorf("depot: the endpoint %q of a bucket is no address such as https://storage.example.org", endpoint)
	case u.Host == "":
		return nil, errors.New("depot: want s3://BUCKET or s3://BUCKET/PREFIX")
	case u.User != nil:
		return nil, errors.New("depot: the keys of a bucket come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, not from its address")
	}
	keys := credentials.NewStatic("", "", "", credentials.SignatureAnonymous)
	if os.Getenv("AWS_ACCESS_KEY_ID") != "" {
		keys = credentials.NewEnvAWS()
	}
	client, err := minio.New(at.Host, &minio.Options{Creds: keys, Secure: at.Scheme == "https", Region: region})
	if err != nil {
		return nil, fmt.Errorf("depot: %w", err)
	}
	prefix := strings.TrimPrefix(u.Path, "/")
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	return &bucket{client, u.Host, prefix}, nil
}

func (b *bucket) String() string { return "s3://" + b.name + "/" + b.prefix }

func (b *bucket) List(ctx context.Context) ([]string, error) {
	var names []string
	for object := range b.client.ListObjects(ctx, b.name, minio.ListObjectsOptions{Prefix: b.prefix}) {
		if object.Err != nil {
			return nil, b.failed("listing", object.Err)
		}
		if name := path.Base(object.Key); object.Key == b.prefix+name && archiveName.MatchString(name) {
			names = append(names, name)
		}
	}
	return names, nil
}

func (b *bucket) Size(ctx context.Context, name string) (int64, error) {
	st, err := b.client.StatObject(ctx, b.name, b.prefix+name, minio.StatObjectOptions{})
	if err != nil {
		return 0, b.failed(name, err)
	}
	return st.Size, nil
}

func (b *bucket) ReadAt(ctx context.Context, name string, p []byte, off int64) error {
	var opts minio.GetObjectOptions
	if err := opts.SetRange(off, off+int64(len(p))-1); err != nil {
		return fmt.Errorf("depot: %w", err)
	}
	// The core's call is one request; that of the client would look at the object first.
	body, _, _, err := (&minio.Core{Client: b.client}).GetObject(ctx, b.name, b.prefix+name, opts)
	if err != nil {
		return b.failed(name, err)
	}
	defer body.Close()
	if _, err := io.ReadFull(body, p); err != nil {
		return b.failed(name, err)
	}
	return nil
}

func (b *bucket) failed(what string, err error) error {
	switch minio.ToErrorResponse(err).StatusCode {
	case http.StatusNotFound, http.StatusRequestedRangeNotSatisfiable:
		return fmt.Errorf("%w: %s in %s: %w", ErrNotThere, what, b, err)
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%w: %s in %s: %w", errRefused, what, b, err)
	}
	return fmt.Errorf("depot: %s in %s: %w", what, b, err)
}
