package glacier

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"
)

// Options say which server a Client calls, as whom, and how. The zero value calls the endpoint of Amazon in the region, and as the user, that the
// environment and the shared configuration files of the AWS tools name.
type Options struct {
	// Endpoint is the URL of the server, like http://127.0.0.1:2012. It may have a path, which is put before that of every request, but for a slash at its end; it is signed with the
	// rest, so no proxy on the way may take it off. Empty: AWS_ENDPOINT_URL_GLACIER or AWS_ENDPOINT_URL or that of the profile, unless AWS_IGNORE_CONFIGURED_ENDPOINT_URLS says that
	// they do not count, and https://glacier.REGION.amazonaws.com if there is none.
	Endpoint string
	// Region is what signatures and ARNs name. Empty: AWS_REGION or that of the profile, and us-east-1 if there is none. It is never taken from the endpoint.
	Region string
	// AccountID is the 12 digits of the account whose vaults are meant. Empty: that of the credentials, which the API calls "-".
	AccountID string
	// Credentials are what requests are signed with. Nil: what the AWS tools would take (environment, shared files, a credential process, single sign-on ...).
	Credentials aws.CredentialsProvider
	// Profile is the section of the shared configuration files. Empty: AWS_PROFILE or "default".
	Profile string

	// Transport sends requests. Nil: one that is made of Proxy and TLS.
	Transport http.RoundTripper
	// Proxy is the URL of a proxy, with a user and password if it wants them. Nil: HTTPS_PROXY and its kin (net/http.ProxyFromEnvironment).
	Proxy *url.URL
	// TLS is the configuration of HTTPS. Nil: Go's own.
	TLS *tls.Config

	// Attempts is how often a request is sent at most, the first time included. Zero: 5. Negative: without end.
	Attempts int
	// AllowDuplicates lets UploadArchive and InitiateJob be sent again even if the server may have carried out the request before the failure. There can be two archives or
	// jobs then. Otherwise such a failure is returned, and MayHaveSucceeded reports true for it.
	AllowDuplicates bool

	// UserAgent is put before the package's own.
	UserAgent string
	// Log gets a line for every attempt, at the level Debug. No line has a secret. Nil: no log.
	Log *slog.Logger
}

// Client calls the operations of the API, each of which is a method. It can be used from several goroutines.
type Client struct {
	options  Options
	endpoint *url.URL
	http     *http.Client
	signer   *v4.Signer
	skew     atomic.Int64 // nanoseconds by which the server's clock is ahead
	sleep    func(context.Context, time.Duration) error
}

const (
	defaultRegion   = "us-east-1"
	defaultAttempts = 5
	callersAccount  = "-"
)

// New returns a client. It reads the environment and the shared configuration files for what the options leave open, and sends nothing.
func New(ctx context.Context, o Options) (*Client, error) {
	if err := o.complete(ctx); err != nil {
		return nil, err
	}
	endpoint, err := url.Parse(o.Endpoint)
	if err != nil || endpoint.Host == "" || endpoint.Scheme != "http" && endpoint.Scheme != "https" {
		return nil, fmt.Errorf("the endpoint %q is not a URL like https://glacier.us-east-1.amazonaws.com or http://127.0.0.1:2012", o.Endpoint)
	}
	endpoint.Path, endpoint.RawPath = strings.TrimSuffix(endpoint.Path, "/"), ""
	if o.AccountID != callersAccount && !accountID.MatchString(o.AccountID) {
		return nil, fmt.Errorf("the account id %q is neither 12 digits nor -", o.AccountID)
	}
	c := &Client{options: o, endpoint: endpoint, signer: v4.NewSigner(), sleep: sleep}
	c.http = &http.Client{Transport: o.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return c, nil
}

var accountID = regexp.MustCompile(`^[0-9]{12}$`) // read only

// complete fills in what is left open.
func (o *Options) complete(ctx context.Context) error {
	if o.Credentials == nil || o.Region == "" || o.Endpoint == "" {
		if err := o.load(ctx); err != nil {
			return err
		}
	}
	if o.Region == "" {
		o.Region = defaultRegion
	}
	if o.Endpoint == "" {
		o.Endpoint = "https://glacier." + o.Region + ".amazonaws.com"
	}
	if o.AccountID == "" {
		o.AccountID = callersAccount
	}
	if o.Attempts == 0 {
		o.Attempts = defaultAttempts
	}
	if o.Transport == nil {
		o.Transport = o.transport()
	}
	return nil
}

// load takes from the environment and the shared files what is left open.
func (o *Options) load(ctx context.Context) error {
	var with []func(*config.LoadOptions) error
	if o.Profile != "" {
		with = append(with, config.WithSharedConfigProfile(o.Profile))
	}
	if o.Region != "" {
		with = append(with, config.WithRegion(o.Region))
	}
	c, err := config.LoadDefaultConfig(ctx, with...)
	if err != nil {
		return fmt.Errorf("read the configuration of the AWS tools: %w", err)
	}
	if o.Credentials == nil {
		o.Credentials = c.Credentials
	}
	if o.Region == "" {
		o.Region = c.Region
	}
	if o.Endpoint == "" {
		o.Endpoint = endpointOf(ctx, c)
	}
	return nil
}

// endpointOf returns the endpoint that the environment or else the profile names: for this service, or for all. "" if there is none, or if none is to count.
func endpointOf(ctx context.Context, c aws.Config) string {
	if ignore, _, err := config.GetIgnoreConfiguredEndpoints(ctx, c.ConfigSources); ignore && err == nil {
		return ""
	}
	for _, source := range c.ConfigSources {
		var own, all string
		switch s := source.(type) {
		case config.EnvConfig:
			own, _, _ = s.GetServiceBaseEndpoint(ctx, serviceID)
			all = s.BaseEndpoint
		case config.SharedConfig:
			own, _, _ = s.GetServiceBaseEndpoint(ctx, serviceID)
			all = s.BaseEndpoint
		}
		if endpoint := cmp.Or(own, all); endpoint != "" {
			return endpoint
		}
	}
	return ""
}

// serviceID is what the SDKs of AWS call the service.
const serviceID = "Glacier"

func (o *Options) transport() http.RoundTripper {
	t, ok := http.DefaultTransport.(*http.Transport)
	if ok {
		t = t.Clone()
	} else { // the program has put something else there
		t = &http.Transport{
			Proxy:             http.ProxyFromEnvironment,
			DialContext:       (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			ForceAttemptHTTP2: true, IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: 10 * time.Second,
		}
	}
	if t.HTTP2 == nil { // without pings, a connection that is dead would be used for every attempt
		t.HTTP2 = &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 15 * time.Second}
	}
	t.MaxIdleConnsPerHost = 32 // parts are sent side by side
	t.ExpectContinueTimeout = time.Second
	if o.Proxy != nil {
		t.Proxy = http.ProxyURL(o.Proxy)
	}
	if o.TLS != nil {
		t.TLSClientConfig = o.TLS.Clone()
	}
	return t
}

// Region returns the region that the client signs for.
func (c *Client) Region() string { return c.options.Region }

// Endpoint returns the URL that the client calls.
func (c *Client) Endpoint() string { return c.endpoint.String() }

// AccountID returns the account whose vaults are meant: 12 digits, or "-" for that of the credentials.
func (c *Client) AccountID() string { return c.options.AccountID }

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
