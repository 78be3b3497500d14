package objects

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/moraine-archive/moraine/internal/enginetest"
)

func TestParseURL(t *testing.T) {
	o, err := ParseURL("s3://bucket/some/where/?endpoint=https://s3.example.com:9000&region=eu-central-1&path-style=false&class=DEEP_ARCHIVE" +
		"&restore-days=7&restore-tiers=Expedited:Standard,Bulk:Slow&needs-restore=true")
	if err != nil {
		t.Fatal(err)
	}
	if o.Bucket != "bucket" || o.Prefix != "some/where" || o.Endpoint != "https://s3.example.com:9000" || o.Region != "eu-central-1" || o.PathStyle || o.Class != "DEEP_ARCHIVE" ||
		o.RestoreDays != 7 || !maps.Equal(o.RestoreTiers, map[string]string{"Expedited": "Standard", "Bulk": "Slow"}) || o.NeedsRestore == nil || !*o.NeedsRestore {
		t.Errorf("options %+v", o)
	}
	o, err = ParseURL("s3://bucket")
	if err != nil || o.Bucket != "bucket" || o.Prefix != "" || o.PathStyle || o.ShareLimit != MaxShareLimit || o.RestoreDays != 2 || o.NeedsRestore != nil {
		t.Errorf("options %+v, %v", o, err)
	}
	if o, err = ParseURL("s3://bucket?endpoint=http://127.0.0.1:9000"); err != nil || !o.PathStyle {
		t.Errorf("options %+v, %v: with an endpoint the bucket is in the path", o, err)
	}
}

func TestParseURLRefuses(t *testing.T) {
	for text, says := range map[string]string{
		"":                        "s3://BUCKET",
		"s3:///prefix":            "s3://BUCKET",
		"http://bucket":           "s3://BUCKET",
		"s3://bucket#x":           "s3://BUCKET",
		"s3://key:hunter2@bucket": "AWS_SECRET_ACCESS_KEY",
		"s3://bucket?endpoint=https://key:hunter2@host": "AWS_SECRET_ACCESS_KEY",
		"s3://bucket?clas=GLACIER":                      `"clas"`,
		"s3://bucket?class=":                            "class",
		"s3://bucket?class=A&class=B":                   "class",
		"s3://bucket?endpoint=example.com":              `"example.com"`,
		"s3://bucket?path-style=yes":                    `"yes"`,
		"s3://bucket?restore-days=0":                    `"0"`,
		"s3://bucket?restore-days=x":                    `"x"`,
		"s3://bucket?restore-tiers=Fast:Standard":       `"Fast:Standard"`,
		"s3://bucket?restore-tiers=Bulk":                `"Bulk"`,
		"s3://bucket?restore-tiers=Bulk:A,Bulk:B":       `"Bulk:B"`,
		"s3://bucket?needs-restore=maybe":               `"maybe"`,
		"s3://bucket?class=%zz":                         "parameters",
	} {
		_, err := ParseURL(text)
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: error %v, want one that says %s", text, err, says)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	b := newBucket(t)
	for says, change := range map[string]func(*Options){
		`there is no bucket "nowhere-to-be-found" (prefix "some/where/") at ` + b.Endpoint + ": make it": func(o *Options) { o.Bucket = "nowhere-to-be-found" },
		`the access key for bucket "` + b.Name + `" (prefix "some/where/") at ` + b.Endpoint + " is not right: look at AWS_ACCESS_KEY_ID": func(o *Options) {
			o.Credentials = enginetest.Bucket{AccessKeyID: b.AccessKeyID, SecretAccessKey: "wrong"}.Credentials()
		},
		"at http://127.0.0.1:1 cannot be reached: look at endpoint=": func(o *Options) { o.Endpoint = "http://127.0.0.1:1" },
		"there are no credentials for bucket": func(o *Options) {
			o.Credentials = aws.NewCredentialsCache(aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return aws.Credentials{}, errors.New("none") }))
		},
		"no bucket is named": func(o *Options) { o.Bucket = "" },
		"1048577":            func(o *Options) { o.ShareLimit = MaxShareLimit + 1 },
		"1000":               func(o *Options) { o.PartSize = 1000 },
		"0 days":             func(o *Options) { o.RestoreDays = 0 },
	} {
		o := optionsFor(b)
		o.longestWait = 1
		change(&o)
		if _, err := Open(t.Context(), o, startClock); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("error %v, want one that says %q", err, says)
		}
	}
}

func TestURLOfATest(t *testing.T) {
	b := newBucket(t)
	for _, v := range b.Environ() {
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(name, value)
	}
	o, err := ParseURL(b.URL())
	if err != nil {
		t.Fatal(err)
	}
	s := openWith(t, o, startClock) // with the credentials of the environment
	if got := read(t, s, put(t, s, "label", data(10))); len(got) != 10 {
		t.Errorf("%d bytes", len(got))
	}
}
