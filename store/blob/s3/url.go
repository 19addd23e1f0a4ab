package s3

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// EnvSecret is the environment variable that holds the secret key where the
// URL has none.
const EnvSecret = "PLI_S3_SECRET"

// place is what a URL says.
type place struct {
	access, secret string
	host           string // with its port, if any
	bucket, prefix string // the prefix ends with a slash, or is empty
	region         string
	plain          bool   // without TLS
	ca             string // file of certificates to trust in place of the system's
}

// errURL does not repeat the URL: where it is wrong, no part of it is certain
// not to be the secret.
var errURL = errors.New("s3: the URL is not of the form s3://ACCESS:SECRET@HOST/BUCKET/PREFIX?region=R&ca=FILE: write each of / + @ % in the secret as %2F %2B %40 %25, or leave «:SECRET» out and set " + EnvSecret)

func parseURL(raw string) (place, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "s3" || u.Host == "" || u.User == nil || u.User.Username() == "" || u.Fragment != "" {
		return place{}, errURL
	}
	p := place{access: u.User.Username(), host: u.Host}
	var inURL bool
	if p.secret, inURL = u.User.Password(); !inURL {
		if p.secret = os.Getenv(EnvSecret); p.secret == "" {
			return place{}, fmt.Errorf("s3: the URL of %s has no secret key, and %s is not set: set it", u.Host, EnvSecret)
		}
	}
	p.bucket, p.prefix, _ = strings.Cut(strings.Trim(u.Path, "/"), "/")
	if p.bucket == "" {
		return place{}, fmt.Errorf("s3: the URL of %s names no bucket: write it after the host", u.Host)
	}
	if p.prefix != "" {
		p.prefix += "/"
	}
	return p, p.readQuery(u.RawQuery)
}

func (p *place) readQuery(raw string) error {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return errURL
	}
	p.region = "us-east-1"
	for name := range query {
		switch value := query.Get(name); name {
		case "region":
			p.region = value
		case "ca":
			p.ca = value
		case "tls":
			if value != "on" && value != "off" {
				return fmt.Errorf("s3: tls=%s in the URL of %s: write on or off", value, p.host)
			}
			p.plain = value == "off"
		default:
			return fmt.Errorf("s3: the URL of %s has %q: only region, tls and ca are known", p.host, name)
		}
	}
	return nil
}

// String names the place without the credentials.
func (p place) String() string { return p.host + "/" + p.bucket + "/" + p.prefix }

// client makes a client that tries each request once: what is tried again, and
// how often, is decided in retry.
func (p place) client(limits Limits) (*minio.Core, error) {
	transport, err := minio.DefaultTransport(!p.plain)
	if err != nil {
		return nil, fmt.Errorf("s3: %w", err)
	}
	transport.DialContext = dialer(limits.Stall)
	transport.ResponseHeaderTimeout = 0 // the connection's own limit does it
	transport.MaxIdleConnsPerHost = idleConns
	if p.ca != "" {
		pem, err := os.ReadFile(p.ca)
		if err != nil {
			return nil, fmt.Errorf("s3: certificates to trust: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("s3: %s holds no certificate in PEM form", p.ca)
		}
		if transport.TLSClientConfig == nil {
			transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		transport.TLSClientConfig.RootCAs = pool
	}
	core, err := minio.NewCore(p.host, &minio.Options{
		Creds:      credentials.NewStaticV4(p.access, p.secret, ""),
		Secure:     !p.plain,
		Region:     p.region,
		Transport:  transport,
		MaxRetries: 1,
	})
	if err != nil {
		return nil, fmt.Errorf("s3: %s: %w", p.host, err)
	}
	return core, nil
}
