package enginetest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Bucket is an empty bucket of a server, and what is needed to use it.
type Bucket struct {
	Endpoint        string
	Region          string
	Name            string
	AccessKeyID     string
	SecretAccessKey string
}

// The servers of this process, each started when it is needed first.
var (
	versitygw = sync.OnceValues(func() (*server, error) {
		return start("versitygw", []string{"ROOT_ACCESS_KEY=" + keyID, "ROOT_SECRET_KEY=" + secret}, func(address, dir string) []string {
			return []string{"--quiet", "--keep-alive", "--region", region, "--port", address, "posix", dir}
		})
	})
	minio = sync.OnceValues(func() (*server, error) {
		return start("minio", []string{"MINIO_ROOT_USER=" + keyID, "MINIO_ROOT_PASSWORD=" + secret}, func(address, dir string) []string {
			return []string{"server", "--quiet", "--address", address, "--console-address", "127.0.0.1:0", filepath.Join(dir, "data")}
		})
	})
	moto = sync.OnceValues(func() (*server, error) {
		return start("moto_server", nil, func(address, _ string) []string {
			host, port, _ := net.SplitHostPort(address) // it is one of ours
			return []string{"-H", host, "-p", port}
		})
	})
)

// What the servers are told, and clients have to know.
const (
	region = "us-east-1"
	keyID  = "moraine-tests"
	secret = "no-secret-of-anybody"
)

// S3 returns a new bucket of a versitygw, which keeps objects as files. It ends with the process of the tests.
func S3(t testing.TB) Bucket {
	t.Helper()
	s, err := versitygw()
	need(t, "versitygw", err)
	b := newBucket(t, s)
	t.Cleanup(func() { os.RemoveAll(filepath.Join(s.dir, b.Name)) }) // best effort: all of it goes in the end
	return b
}

// MinIO returns a new bucket of a MinIO.
func MinIO(t testing.TB) Bucket {
	t.Helper()
	s, err := minio()
	need(t, "minio", err)
	return newBucket(t, s)
}

// Moto returns a new bucket of a moto server, which has the storage classes of AWS. It keeps objects in memory.
func Moto(t testing.TB) Bucket {
	t.Helper()
	s, err := moto()
	need(t, "moto_server", err)
	return newBucket(t, s)
}

func newBucket(t testing.TB, s *server) Bucket {
	t.Helper()
	var random [8]byte
	rand.Read(random[:])
	b := Bucket{Endpoint: "http://" + s.address, Region: region, Name: "b-" + hex.EncodeToString(random[:]), AccessKeyID: keyID, SecretAccessKey: secret}
	if _, err := b.Client().CreateBucket(context.Background(), &s3.CreateBucketInput{Bucket: &b.Name}); err != nil {
		t.Fatalf("make a bucket at %s: %v", b.Endpoint, err)
	}
	return b
}

// URL returns the bucket as --store has it. The credentials are not in it.
func (b Bucket) URL() string {
	return "s3://" + b.Name + "?" + url.Values{"endpoint": {b.Endpoint}, "region": {b.Region}, "path-style": {"true"}}.Encode()
}

// Environ returns the environment variables that give the credentials.
func (b Bucket) Environ() []string {
	return []string{"AWS_ACCESS_KEY_ID=" + b.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + b.SecretAccessKey}
}

// Credentials returns the credentials as the SDK has them.
func (b Bucket) Credentials() aws.CredentialsProvider {
	return credentials.NewStaticCredentialsProvider(b.AccessKeyID, b.SecretAccessKey, "")
}

// Client returns a client for what a test does behind the back of a store.
func (b Bucket) Client() *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: &b.Endpoint, Region: b.Region, UsePathStyle: true, Credentials: b.Credentials(),
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired, ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	})
}
