package objects

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
)

// bucket speaks to the server about one bucket. Keys are those below the prefix of the store.
type bucket struct {
	client   *s3.Client
	name     string
	patient  s3.HTTPClient // waits longer for an answer
	prefix   string        // ends with a slash, or is empty
	endpoint string        // as people name it
	longest  time.Duration // wait before something is tried again
}

// Figures of speaking to a server.
const (
	attempts      = 5                // of a request; the SDK waits longer before each
	longestWait   = 5 * time.Second  // between two of them
	longestReply  = time.Minute      // until an answer begins
	longestJoin   = 10 * time.Minute // likewise, to the completion of an upload: a server may copy GiBs
	longestStall  = time.Minute      // between two bytes of a body
	connections   = 256              // that are kept open
	defaultRegion = "us-east-1"      // when nobody names one
)

func openBucket(ctx context.Context, o Options) (*bucket, error) {
	load := []func(*config.LoadOptions) error{config.WithHTTPClient(awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.ResponseHeaderTimeout = longestReply
		t.MaxIdleConns, t.MaxIdleConnsPerHost = connections, connections
	}))}
	if o.Region != "" {
		load = append(load, config.WithRegion(o.Region))
	}
	if o.Credentials != nil {
		load = append(load, config.WithCredentialsProvider(o.Credentials))
	}
	c, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, fmt.Errorf("the AWS configuration: %w", err)
	}
	if c.Region == "" {
		c.Region = defaultRegion
	}
	longest := cmp.Or(o.longestWait, longestWait)
	client := s3.NewFromConfig(c, func(s *s3.Options) {
		if o.Endpoint != "" {
			s.BaseEndpoint = aws.String(o.Endpoint)
		}
		s.UsePathStyle = o.PathStyle
		s.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired // other people's servers do not know the checksums of AWS
		s.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		s.DisableLogOutputChecksumValidationSkipped = true
		s.APIOptions = append(s.APIOptions, signPayloads)
		s.Retryer = retry.NewStandard(func(r *retry.StandardOptions) {
			r.MaxAttempts, r.MaxBackoff = attempts, longest
		})
	})
	patient := client.Options().HTTPClient
	if c, ok := patient.(*awshttp.BuildableClient); ok {
		patient = c.WithTransportOptions(func(t *http.Transport) { t.ResponseHeaderTimeout = longestJoin })
	}
	b := &bucket{client: client, patient: patient, name: o.Bucket, prefix: strings.Trim(o.Prefix, "/"), endpoint: cmp.Or(o.Endpoint, "AWS, region "+c.Region), longest: longest}
	if b.prefix != "" {
		b.prefix += "/"
	}
	return b, b.check(ctx, c.Credentials)
}

// signPayloads has the SHA-256 of every body signed, which all servers hold against what arrives. The SDK does so for HTTP only.
func signPayloads(stack *middleware.Stack) error {
	const step = "ComputePayloadHash"
	if _, ok := stack.Finalize.Get(step); !ok {
		return nil
	}
	_, err := stack.Finalize.Swap(step, &v4.ComputePayloadSHA256{})
	return err
}

// check makes sure that there is a bucket that can be used. It asks for a list: unlike the answer to HEAD, that one says what is wrong, and who may see no more
// than the prefix may have it.
func (b *bucket) check(ctx context.Context, credentials aws.CredentialsProvider) error {
	if _, err := credentials.Retrieve(ctx); err != nil {
		return fmt.Errorf("there are no credentials for %s: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE for those in a file of the AWS tools: %w", b, err)
	}
	_, err := b.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: &b.prefix, MaxKeys: aws.Int32(1)})
	switch status := statusOf(err); {
	case err == nil:
		return nil
	case codeOf(err) == "NoSuchBucket" || status == http.StatusNotFound:
		return fmt.Errorf("there is no %s: make it, or name another one: %w", b, err)
	case slices.Contains(wrongKeys, codeOf(err)):
		return fmt.Errorf("the access key for %s is not right: look at AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE: %w", b, err)
	case status == http.StatusForbidden:
		return fmt.Errorf("the access key may not use %s: it needs s3:ListBucket, s3:ListBucketMultipartUploads, s3:GetObject, s3:PutObject, s3:DeleteObject and s3:AbortMultipartUpload, below %s: %w",
			b, *b.key("*"), err)
	case status == http.StatusMovedPermanently || codeOf(err) == "AuthorizationHeaderMalformed":
		return fmt.Errorf("%s is in another region: name it with region=: %w", b, err)
	case status == 0:
		return fmt.Errorf("%s cannot be reached: look at endpoint=, and whether the server runs: %w", b, err)
	default:
		return fmt.Errorf("ask for %s: %w", b, err)
	}
}

// wrongKeys are the codes of answers to a request whose signature is not that of a key that the server knows.
var wrongKeys = []string{"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken"} // read only

// String names the bucket, and where in it the store is, for people.
func (b *bucket) String() string {
	if b.prefix == "" {
		return fmt.Sprintf("bucket %q at %s", b.name, b.endpoint)
	}
	return fmt.Sprintf("bucket %q (prefix %q) at %s", b.name, b.prefix, b.endpoint)
}

func (b *bucket) key(key string) *string  { return aws.String(b.prefix + key) }
func (b *bucket) below(key string) string { return strings.TrimPrefix(key, b.prefix) }

// put writes an object with one request. Repeated, it does the same: no two objects have one name.
func (b *bucket) put(ctx context.Context, key string, body []byte, class string) error {
	_, err := b.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &b.name, Key: b.key(key), Body: bytes.NewReader(body), ContentLength: aws.Int64(int64(len(body))), StorageClass: types.StorageClass(class),
	})
	return b.failed("write", key, err)
}

// create writes an object unless there is one of its name: then the error is fs.ErrExist, wrapped.
func (b *bucket) create(ctx context.Context, key string, body []byte) error {
	_, err := b.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &b.name, Key: b.key(key), Body: bytes.NewReader(body), ContentLength: aws.Int64(int64(len(body))), IfNoneMatch: aws.String("*"),
	})
	if statusOf(err) == http.StatusPreconditionFailed || codeOf(err) == "ConditionalRequestConflict" { // that of a node which is doing the same
		err = fmt.Errorf("%w: %w", fs.ErrExist, err)
	}
	return b.failed("create", key, err)
}

// delete deletes an object. That there is none is no error.
func (b *bucket) delete(ctx context.Context, key string) error {
	_, err := b.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.name, Key: b.key(key)})
	if isMissing(err) {
		return nil
	}
	return b.failed("delete", key, err)
}

// head is what is known of an object without its bytes.
type head struct {
	size     int64
	class    string
	restore  string // x-amz-restore
	archived bool   // the server has moved it, by itself, to where it cannot be read at once
}

// head asks for an object. The error is fs.ErrNotExist, wrapped, if there is none.
func (b *bucket) head(ctx context.Context, key string) (head, error) {
	out, err := b.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.name, Key: b.key(key)})
	if isMissing(err) {
		return head{}, b.missing(ctx, key, err)
	}
	if err != nil {
		return head{}, b.failed("ask for", key, err)
	}
	return head{aws.ToInt64(out.ContentLength), string(out.StorageClass), aws.ToString(out.Restore), out.ArchiveStatus != ""}, nil
}

// missing makes sure that it is the object that is missing, and not the bucket: the answer to HEAD has no body that could say so. A bucket that is
// not there, for a while, must never look like one from which everything was removed.
func (b *bucket) missing(ctx context.Context, key string, err error) error {
	out, again := b.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.name, Key: b.key(key), Range: aws.String("bytes=0-0")})
	switch {
	case again == nil:
		out.Body.Close()
		return fmt.Errorf("ask for object %s in %s: it is there and it is not: %w", key, b, err)
	case isMissing(again):
		return fmt.Errorf("there is no object %s in %s: %w", key, b, fs.ErrNotExist)
	}
	return b.failed("ask for", key, again)
}

// exists reports whether there is an object.
func (b *bucket) exists(ctx context.Context, key string) (bool, error) {
	_, err := b.head(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// read reads a whole object of up to limit bytes.
func (b *bucket) read(ctx context.Context, key string, limit int64) ([]byte, error) {
	r, err := b.stream(ctx, key, 0, -1)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if r.end > limit {
		return nil, fmt.Errorf("object %s in %s has %d bytes, more than %d", key, b, r.end, limit)
	}
	all := make([]byte, r.end)
	return all, r.fill(all)
}

// failed says what could not be done with which object.
func (b *bucket) failed(what, key string, err error) error {
	if err == nil {
		return nil
	}
	if isMissing(err) {
		err = fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return fmt.Errorf("%s object %s in %s: %w", what, key, b, err)
}

// isMissing reports whether a server said that there is no such object.
func isMissing(err error) bool {
	switch codeOf(err) {
	case "NoSuchKey", "NotFound":
		return true
	case "":
		return statusOf(err) == http.StatusNotFound
	}
	return false
}

// codeOf returns the code of an answer that is an error, "" if there is none.
func codeOf(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// statusOf returns the status of an answer that is an error, 0 if there is none.
func statusOf(err error) int {
	var response *awshttp.ResponseError
	if errors.As(err, &response) {
		return response.HTTPStatusCode()
	}
	return 0
}

// listed is an object in a list.
type listed struct {
	key      string // below the prefix
	size     int64
	modified time.Time
}

// lister lists objects, in the order of their keys.
type lister struct {
	ctx    context.Context
	b      *bucket
	pages  *s3.ListObjectsV2Paginator
	page   []types.Object
	last   string
	peeked *listed
}

// list lists the objects whose keys begin so.
func (b *bucket) list(ctx context.Context, prefix string) *lister {
	return &lister{ctx: ctx, b: b, pages: s3.NewListObjectsV2Paginator(b.client, &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: b.key(prefix)})}
}

// peek returns the object that next will return, nil at the end.
func (l *lister) peek() (*listed, error) {
	if l.peeked != nil {
		return l.peeked, nil
	}
	for len(l.page) == 0 {
		if !l.pages.HasMorePages() {
			return nil, nil
		}
		out, err := l.pages.NextPage(l.ctx)
		if err != nil {
			return nil, fmt.Errorf("list the objects in %s: %w", l.b, err)
		}
		l.page = out.Contents
	}
	o := l.page[0]
	l.page = l.page[1:]
	key := aws.ToString(o.Key)
	if key <= l.last {
		return nil, fmt.Errorf("the server lists the objects in %s out of order: %q behind %q", l.b, key, l.last)
	}
	l.last = key
	l.peeked = &listed{l.b.below(key), aws.ToInt64(o.Size), aws.ToTime(o.LastModified)}
	return l.peeked, nil
}

// next returns the next object, nil at the end.
func (l *lister) next() (*listed, error) {
	o, err := l.peek()
	l.peeked = nil
	return o, err
}
