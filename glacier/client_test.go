package glacier_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/moraine-archive/moraine/glacier"
	"github.com/moraine-archive/moraine/internal/config"
	"github.com/moraine-archive/moraine/internal/moraintest"
)

// connect returns a client of a server with its first key. Each change is made to its options.
func connect(t testing.TB, s *moraintest.Server, changes ...func(*glacier.Options)) *glacier.Client {
	t.Helper()
	return connectTo(t, append([]func(*glacier.Options){func(o *glacier.Options) {
		o.Endpoint, o.Region, o.Credentials = s.Endpoint, s.Region, credentials.NewStaticCredentialsProvider(s.Key.ID, s.Key.Secret, "")
	}}, changes...)...)
}

func connectTo(t testing.TB, changes ...func(*glacier.Options)) *glacier.Client {
	t.Helper()
	o := glacier.Options{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("AKID", "secret", "")}
	for _, change := range changes {
		change(&o)
	}
	c, err := glacier.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func must[T any](t testing.TB, what string) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		return v
	}
}

// TestOperations calls every operation against a server, and holds the answers against what they should be.
func TestOperations(t *testing.T) {
	s := moraintest.Start(t)
	c, ctx := connect(t, s), t.Context()
	account := s.Key.Account
	check := func(what string, ok bool, got any) {
		t.Helper()
		if !ok {
			t.Errorf("%s: %+v", what, got)
		}
	}
	made := must[*glacier.CreateVaultOutput](t, "create")(c.CreateVault(ctx, "v"))
	check("create", made.Location == "/"+account+"/vaults/v" && len(made.RequestID) == 47, made)
	vault := must[*glacier.Vault](t, "describe")(c.DescribeVault(ctx, "v"))
	check("describe", vault.Name == "v" && strings.HasSuffix(vault.ARN, ":"+account+":vaults/v") && time.Since(vault.CreationDate) < time.Minute && vault.LastInventoryDate.IsZero() && vault.RequestID != "", vault)
	list := must[*glacier.VaultList](t, "list")(c.ListVaults(ctx, glacier.Page{Limit: 5}))
	check("list", len(list.Vaults) == 1 && list.Vaults[0].ARN == vault.ARN && list.Marker == "", list)

	body := bytes.Repeat([]byte("moraine "), 200_000)
	linear, tree, err := glacier.Hashes(bytes.NewReader(body))
	check("hashes", err == nil && len(linear) == 64, err)
	archive := must[*glacier.UploadArchiveOutput](t, "upload")(c.UploadArchive(ctx, "v", bytes.NewReader(body), glacier.UploadArchiveOptions{Description: "a description"}))
	check("upload", archive.TreeHash == tree && archive.Location == made.Location+"/archives/"+archive.ArchiveID, archive)

	upload := must[*glacier.InitiateMultipartUploadOutput](t, "initiate upload")(c.InitiateMultipartUpload(ctx, "v", 1<<20, "in parts"))
	for first := 0; first < len(body); first += 1 << 20 {
		part := must[*glacier.UploadMultipartPartOutput](t, "part")(c.UploadMultipartPart(ctx, "v", upload.UploadID, int64(first), bytes.NewReader(body[first:min(len(body), first+1<<20)]), glacier.UploadMultipartPartOptions{}))
		check("part", len(part.TreeHash) == 64, part)
	}
	uploads := must[*glacier.UploadList](t, "list uploads")(c.ListMultipartUploads(ctx, "v", glacier.Page{}))
	check("list uploads", len(uploads.Uploads) == 1 && uploads.Uploads[0].ID == upload.UploadID && uploads.Uploads[0].ArchiveDescription == "in parts" && uploads.Uploads[0].PartSizeInBytes == 1<<20, uploads)
	parts := must[*glacier.PartList](t, "list parts")(c.ListParts(ctx, "v", upload.UploadID, glacier.Page{}))
	check("list parts", len(parts.Parts) == 2 && parts.Parts[0].RangeInBytes == "0-1048575" && parts.UploadID == upload.UploadID && parts.ArchiveDescription == "in parts", parts)
	whole := must[*glacier.UploadArchiveOutput](t, "complete")(c.CompleteMultipartUpload(ctx, "v", upload.UploadID, int64(len(body)), tree))
	check("complete", len(whole.ArchiveID) == 138 && whole.TreeHash == tree, whole)
	other := must[*glacier.InitiateMultipartUploadOutput](t, "initiate another")(c.InitiateMultipartUpload(ctx, "v", 1<<20, ""))
	must[*glacier.Response](t, "abort")(c.AbortMultipartUpload(ctx, "v", other.UploadID))

	must[*glacier.Response](t, "set notifications")(c.SetVaultNotifications(ctx, "v", glacier.NotificationConfiguration{
		SNSTopic: "arn:aws:sns:us-east-1:123456789012:restores", Events: []string{"InventoryRetrievalCompleted"},
	}))
	told := must[*glacier.NotificationConfiguration](t, "get notifications")(c.GetVaultNotifications(ctx, "v"))
	check("notifications", told.SNSTopic == "arn:aws:sns:us-east-1:123456789012:restores" && len(told.Events) == 1, told)
	must[*glacier.Response](t, "delete notifications")(c.DeleteVaultNotifications(ctx, "v"))

	started := must[*glacier.InitiateJobOutput](t, "initiate job")(c.InitiateJob(ctx, "v", glacier.JobParameters{
		Type: glacier.ArchiveRetrieval, ArchiveID: archive.ArchiveID, RetrievalByteRange: "0-1048575", Tier: glacier.Bulk, Description: "some of it",
	}))
	job := wait(t, c, started.JobID)
	size, err := job.OutputSize()
	check("job", err == nil && size == 1<<20 && job.ID == started.JobID && job.Tier == glacier.Bulk && job.JobDescription == "some of it" && job.ArchiveSHA256TreeHash == tree && job.SHA256TreeHash != "" && job.StatusCode == glacier.Succeeded, job)
	jobs := must[*glacier.JobList](t, "list jobs")(c.ListJobs(ctx, "v", glacier.JobFilter{StatusCode: glacier.Succeeded, Completed: new(true)}, glacier.Page{Limit: 10}))
	check("list jobs", len(jobs.Jobs) == 1 && jobs.Jobs[0].ID == job.ID, jobs)
	out := must[*glacier.JobOutput](t, "output")(c.GetJobOutput(ctx, "v", job.ID, &glacier.ByteRange{First: 10, Last: 19}))
	got, err := io.ReadAll(out.Body)
	out.Body.Close()
	check("output", err == nil && bytes.Equal(got, body[10:20]) && out.Status == 206 && out.ContentRange == "bytes 10-19/1048576" && out.ContentLength == 10 && out.ArchiveDescription == "a description", out)

	inventory := wait(t, c, must[*glacier.InitiateJobOutput](t, "inventory")(c.InitiateJob(ctx, "v", glacier.JobParameters{
		Type: glacier.InventoryRetrieval, Format: "CSV", Inventory: &glacier.InventoryParameters{Limit: "1", StartDate: "2000-01-01T00:00:00Z"},
	})).JobID)
	check("inventory", inventory.InventoryRetrievalParameters.Format == "CSV" && inventory.InventoryRetrievalParameters.Marker != "" && inventory.InventorySizeInBytes > 100, inventory)

	allow := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"glacier:*","Resource":"*"}]}`
	must[*glacier.Response](t, "set policy")(c.SetVaultAccessPolicy(ctx, "v", allow))
	check("policy", must[*glacier.PolicyOutput](t, "get policy")(c.GetVaultAccessPolicy(ctx, "v")).Policy == allow, nil)
	must[*glacier.Response](t, "delete policy")(c.DeleteVaultAccessPolicy(ctx, "v"))

	lock := must[*glacier.InitiateVaultLockOutput](t, "initiate lock")(c.InitiateVaultLock(ctx, "v", allow))
	check("lock", len(lock.LockID) == 24, lock)
	must[*glacier.Response](t, "abort lock")(c.AbortVaultLock(ctx, "v"))
	lock = must[*glacier.InitiateVaultLockOutput](t, "initiate lock")(c.InitiateVaultLock(ctx, "v", allow))
	must[*glacier.Response](t, "complete lock")(c.CompleteVaultLock(ctx, "v", lock.LockID))
	state := must[*glacier.VaultLock](t, "get lock")(c.GetVaultLock(ctx, "v"))
	check("lock", state.State == "Locked" && state.Policy == allow && state.ExpirationDate.IsZero(), state)

	must[*glacier.Response](t, "add tags")(c.AddTagsToVault(ctx, "v", map[string]string{"a": "1", "b": ""}))
	must[*glacier.Response](t, "remove tags")(c.RemoveTagsFromVault(ctx, "v", "a", "c"))
	tags := must[*glacier.TagsOutput](t, "tags")(c.ListTagsForVault(ctx, "v"))
	check("tags", len(tags.Tags) == 1 && fmt.Sprint(tags.Tags) == "map[b:]", tags)

	must[*glacier.Response](t, "set retrieval policy")(c.SetDataRetrievalPolicy(ctx, glacier.RetrievalRule{Strategy: "BytesPerHour", BytesPerHour: 5}))
	limit := must[*glacier.RetrievalPolicyOutput](t, "retrieval policy")(c.GetDataRetrievalPolicy(ctx))
	check("retrieval policy", len(limit.Rules) == 1 && limit.Rules[0] == glacier.RetrievalRule{Strategy: "BytesPerHour", BytesPerHour: 5} && limit.RequestID != "", limit)
	_, err = c.InitiateJob(ctx, "v", glacier.JobParameters{Type: glacier.ArchiveRetrieval, ArchiveID: archive.ArchiveID})
	check("too much", errors.Is(err, glacier.ErrPolicyEnforced), err)
	unit := must[*glacier.PurchaseProvisionedCapacityOutput](t, "purchase")(c.PurchaseProvisionedCapacity(ctx))
	units := must[*glacier.CapacityList](t, "capacity")(c.ListProvisionedCapacity(ctx))
	check("capacity", len(units.Units) == 1 && units.Units[0].ID == unit.CapacityID && units.Units[0].ExpirationDate.After(units.Units[0].StartDate), units)

	for _, id := range []string{archive.ArchiveID, whole.ArchiveID} {
		must[*glacier.Response](t, "delete archive")(c.DeleteArchive(ctx, "v", id))
	}
	check("delete vault", must[*glacier.Response](t, "delete vault")(c.DeleteVault(ctx, "v")).RequestID != "", nil)
}

// wait returns a job when it is done.
func wait(t testing.TB, c *glacier.Client, id string) *glacier.Job {
	t.Helper()
	var job *glacier.Job
	moraintest.Eventually(t, "the job", func() bool {
		job = must[*glacier.Job](t, "describe job")(c.DescribeJob(t.Context(), "v", id))
		return job.Completed
	})
	return job
}

// TestPages goes through lists of several pages.
func TestPages(t *testing.T) {
	s := moraintest.Start(t, func(c *config.Config) { c.VaultPage, c.Page = 2, 2 })
	c, ctx := connect(t, s), t.Context()
	for i := range 5 {
		must[*glacier.CreateVaultOutput](t, "create")(c.CreateVault(ctx, fmt.Sprintf("v%d", i)))
		must[*glacier.UploadArchiveOutput](t, "upload")(c.UploadArchive(ctx, "v0", strings.NewReader("x"), glacier.UploadArchiveOptions{}))
		must[*glacier.InitiateMultipartUploadOutput](t, "upload")(c.InitiateMultipartUpload(ctx, "v0", 1<<20, fmt.Sprint(i)))
		must[*glacier.InitiateJobOutput](t, "job")(c.InitiateJob(ctx, "v0", glacier.JobParameters{Type: glacier.InventoryRetrieval}))
	}
	var vaults, uploads, jobs int
	last := ""
	for _, err := range c.Vaults(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		vaults++
	}
	for u, err := range c.MultipartUploads(ctx, "v0") {
		if err != nil {
			t.Fatal(err)
		}
		uploads++
		last = u.ID
	}
	for _, err := range c.Jobs(ctx, "v0", glacier.JobFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		jobs++
	}
	for i := range 5 {
		must[*glacier.UploadMultipartPartOutput](t, "part")(c.UploadMultipartPart(ctx, "v0", last, int64(i)<<20, bytes.NewReader(make([]byte, 1<<20)), glacier.UploadMultipartPartOptions{}))
	}
	parts := 0
	for _, err := range c.Parts(ctx, "v0", last) {
		if err != nil {
			t.Fatal(err)
		}
		parts++
	}
	if vaults != 5 || uploads != 5 || jobs != 5 || parts != 5 {
		t.Errorf("there are %d vaults, %d uploads, %d jobs and %d parts, want 5 of each", vaults, uploads, jobs, parts)
	}
	for _, err := range c.Jobs(ctx, "no such vault", glacier.JobFilter{}) {
		if !errors.Is(err, glacier.ErrNotFound) {
			t.Errorf("the jobs of no vault: %v", err)
		}
	}
}

// TestEndlessList ends a list whose server gives a marker twice.
func TestEndlessList(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(`{"VaultList":[{"VaultName":"v"}],"Marker":"again"}`))
	}))
	defer s.Close()
	n := 0
	for _, err := range connectTo(t, func(o *glacier.Options) { o.Endpoint = s.URL }).Vaults(t.Context()) {
		if n++; err != nil {
			if !strings.Contains(err.Error(), `"again" twice`) || n != 3 {
				t.Errorf("item %d: %v", n, err)
			}
			return
		}
	}
	t.Error("the list ends without an error")
}

// TestErrors makes every kind of error of answers.
func TestErrors(t *testing.T) {
	for _, c := range []struct {
		status  int
		header  string // x-amzn-ErrorType
		body    string
		kind    error
		code    string
		attempt int64 // how often it is sent
		again   bool  // MayHaveSucceeded
	}{
		{404, "", `{"code":"ResourceNotFoundException","message":"m","type":"Client"}`, glacier.ErrNotFound, "ResourceNotFoundException", 1, false},
		{403, "", `{"message":"m","code":"AccessDeniedException"}`, glacier.ErrAccessDenied, "AccessDeniedException", 1, false},
		{400, "", `{"code":"ThrottlingException","message":"Rate exceeded"}`, glacier.ErrThrottled, "ThrottlingException", 3, false},
		{400, "", `{"code":"LimitExceededException"}`, glacier.ErrLimitExceeded, "LimitExceededException", 1, false},
		{400, "com.amazon.glacier#InvalidParameterValueException:http://x/", `not JSON`, glacier.ErrInvalidParameter, "InvalidParameterValueException", 1, false},
		{408, "", `{"code":"RequestTimeoutException"}`, glacier.ErrTimedOut, "RequestTimeoutException", 3, false},
		{500, "", `{"code":"ServiceUnavailableException"}`, glacier.ErrServiceUnavailable, "ServiceUnavailableException", 3, true},
		{503, "", `{"code":"InsufficientCapacityException"}`, glacier.ErrInsufficientCapacity, "InsufficientCapacityException", 1, false},
		{502, "", `<html>bad gateway</html>`, glacier.ErrServiceUnavailable, "", 3, true},
		{503, "", `<html>no answer in time</html>`, glacier.ErrServiceUnavailable, "", 3, true},
		{408, "", `<html>slow</html>`, glacier.ErrTimedOut, "", 3, false},
		{429, "", `<html>busy</html>`, glacier.ErrThrottled, "", 3, false},
		{403, "", `{"code":"ExpiredTokenException"}`, glacier.ErrExpiredToken, "ExpiredTokenException", 1, false},
		{302, "", ``, nil, "", 1, false},
		{204, "", ``, nil, "", 1, true},
	} {
		var sent atomic.Int64
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			sent.Add(1)
			if c.header != "" {
				w.Header().Set("x-amzn-ErrorType", c.header)
			}
			w.Header().Set("x-amzn-RequestId", "the-id")
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(c.status)
			io.WriteString(w, c.body)
		}))
		client := connectTo(t, func(o *glacier.Options) { o.Endpoint, o.Attempts = s.URL, 3 })
		_, err := client.DescribeVault(t.Context(), "v")
		s.Close()
		var e *glacier.APIError
		if !errors.As(err, &e) || e.Code != c.code || e.Status != c.status || e.RequestID != "the-id" || e.Operation != "DescribeVault" || string(e.Body) != c.body {
			t.Errorf("%d %s: the error is %#v", c.status, c.body, err)
			continue
		}
		if c.kind != nil && !errors.Is(err, c.kind) || sent.Load() != c.attempt || glacier.MayHaveSucceeded(err) != c.again {
			t.Errorf("%d %s: %v, sent %d times, may have succeeded: %t", c.status, c.body, err, sent.Load(), glacier.MayHaveSucceeded(err))
		}
	}
}

// TestSkewOnTheLastAttempt ends: a clock that is put right on the last attempt does not have the next failures repeated without end.
func TestSkewOnTheLastAttempt(t *testing.T) {
	var sent atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch sent.Add(1) {
		case 1:
			w.WriteHeader(403)
			io.WriteString(w, `{"code":"InvalidSignatureException","message":"Signature expired: now it is later"}`)
		case 10:
			w.WriteHeader(200)
			io.WriteString(w, "{}")
		default:
			w.WriteHeader(503)
		}
	}))
	defer s.Close()
	client := connectTo(t, func(o *glacier.Options) { o.Endpoint, o.Attempts = s.URL, 1 })
	if _, err := client.DescribeVault(t.Context(), "v"); err == nil || sent.Load() != 2 {
		t.Errorf("sent %d times: %v", sent.Load(), err)
	}
}

// TestNoCredentials asks no server, and says what is missing.
func TestNoCredentials(t *testing.T) {
	var sent atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { sent.Add(1) }))
	defer s.Close()
	client := connectTo(t, func(o *glacier.Options) {
		o.Endpoint = s.URL
		o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{}, errors.New("no provider has any")
		})
	})
	_, err := client.DescribeVault(t.Context(), "v")
	if !errors.Is(err, glacier.ErrAuthentication) || !strings.Contains(err.Error(), "no provider has any") || sent.Load() != 0 || glacier.MayHaveSucceeded(err) {
		t.Errorf("sent %d times: %v", sent.Load(), err)
	}
}

// TestOnce holds that what would be done twice is sent again only if it cannot have been done.
func TestOnce(t *testing.T) {
	for name, c := range map[string]struct {
		fails   func(w http.ResponseWriter, r *http.Request)
		allow   bool
		attempt int64
	}{
		"lost after the body":        {func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body); hangUp(w) }, false, 1},
		"lost, duplicates allowed":   {func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body); hangUp(w) }, true, 3},
		"lost before the whole body": {func(w http.ResponseWriter, r *http.Request) { io.CopyN(io.Discard, r.Body, 100); hangUp(w) }, false, 3},
		"500":                        {func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body); w.WriteHeader(500) }, false, 1},
		"503":                        {func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body); w.WriteHeader(503) }, false, 1},
		"503 before the body":        {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(503) }, false, 3},
		"another success":            {func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body); w.WriteHeader(200) }, false, 1},
		"throttled": {func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.WriteHeader(400)
			io.WriteString(w, `{"code":"ThrottlingException"}`)
		}, false, 3},
	} {
		t.Run(name, func(t *testing.T) {
			var sent atomic.Int64
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				sent.Add(1)
				c.fails(w, r)
			}))
			defer s.Close()
			client := connectTo(t, func(o *glacier.Options) { o.Endpoint, o.Attempts, o.AllowDuplicates = s.URL, 3, c.allow })
			_, err := client.UploadArchive(t.Context(), "v", bytes.NewReader(make([]byte, 20<<20)), glacier.UploadArchiveOptions{})
			if err == nil || sent.Load() != c.attempt {
				t.Errorf("sent %d times, want %d: %v", sent.Load(), c.attempt, err)
			}
			if want := c.attempt == 1; !c.allow && glacier.MayHaveSucceeded(err) != want {
				t.Errorf("may have succeeded: %t, want %t: %v", !want, want, err)
			}
		})
	}
}

// TestNeverTwice holds what is not sent again even if duplicates are allowed: what costs money, and what fails the second time.
func TestNeverTwice(t *testing.T) {
	var sent atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent.Add(1)
		io.Copy(io.Discard, r.Body)
		hangUp(w)
	}))
	defer s.Close()
	c := connectTo(t, func(o *glacier.Options) { o.Endpoint, o.Attempts, o.AllowDuplicates = s.URL, 3, true })
	for name, call := range map[string]func() error{
		"capacity": func() error { _, err := c.PurchaseProvisionedCapacity(t.Context()); return err },
		"lock":     func() error { _, err := c.InitiateVaultLock(t.Context(), "v", "{}"); return err },
	} {
		sent.Store(0)
		if err := call(); !glacier.MayHaveSucceeded(err) || sent.Load() != 1 {
			t.Errorf("%s: sent %d times: %v", name, sent.Load(), err)
		}
	}
}

// TestRefusedByProxy sends a request again that a proxy has not let through: the service has not got it.
func TestRefusedByProxy(t *testing.T) {
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.WriteHeader(503)
	}))
	defer s.Close()
	c := connectTo(t, func(o *glacier.Options) {
		o.Endpoint, o.Proxy, o.Attempts = "https://glacier.example.test", must[*url.URL](t, "url")(url.Parse(s.URL)), 3
	})
	if _, err := c.PurchaseProvisionedCapacity(t.Context()); err == nil || glacier.MayHaveSucceeded(err) || asked.Load() != 3 {
		t.Errorf("asked %d times: %v", asked.Load(), err)
	}
}

// TestUntrusted asks a server once whose certificate is not to be trusted.
func TestUntrusted(t *testing.T) {
	s := httptest.NewUnstartedServer(nil)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	var attempts bytes.Buffer
	c := connectTo(t, func(o *glacier.Options) {
		o.Endpoint, o.Attempts, o.Log = s.URL, 3, slog.New(slog.NewTextHandler(&attempts, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	_, err := c.DescribeVault(t.Context(), "v")
	if !errors.As(err, new(*tls.CertificateVerificationError)) || strings.Contains(attempts.String(), "attempt=2") || glacier.MayHaveSucceeded(err) {
		t.Errorf("%v after\n%s", err, attempts.String())
	}
}

// TestCutAnswer asks again for an answer that does not come to its end.
func TestCutAnswer(t *testing.T) {
	var sent atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		const answer = `{"VaultName":"v","NumberOfArchives":7}`
		if sent.Add(1)%3 == 0 {
			io.WriteString(w, answer)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
		io.WriteString(w, answer[:30]) // then the connection is closed
	}))
	defer s.Close()
	c := connectTo(t, func(o *glacier.Options) { o.Endpoint, o.Attempts = s.URL, 3 })
	if v, err := c.DescribeVault(t.Context(), "v"); err != nil || v.Name != "v" || v.NumberOfArchives != 7 || sent.Load() != 3 {
		t.Errorf("after %d requests: %+v, %v", sent.Load(), v, err)
	}
	c = connectTo(t, func(o *glacier.Options) { o.Endpoint, o.Attempts = s.URL, 2 })
	if _, err := c.DescribeVault(t.Context(), "v"); !errors.Is(err, io.ErrUnexpectedEOF) || sent.Load() != 5 {
		t.Errorf("always cut, after %d requests: %v", sent.Load()-3, err)
	}
}

// hangUp breaks the connection of a request.
func hangUp(w http.ResponseWriter) {
	if c, _, err := w.(http.Hijacker).Hijack(); err == nil {
		c.Close()
	}
}

// TestRetry sends a request again, from the beginning of its body, until it works.
func TestRetry(t *testing.T) {
	s := moraintest.Start(t)
	must[*glacier.CreateVaultOutput](t, "create")(connect(t, s).CreateVault(t.Context(), "v"))
	target := must[*url.URL](t, "url")(url.Parse(s.Endpoint))
	var n atomic.Int64
	flaky := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1)%3 != 0 {
			io.CopyN(io.Discard, r.Body, 1000)
			hangUp(w)
			return
		}
		r.URL.Scheme, r.URL.Host, r.RequestURI = target.Scheme, target.Host, ""
		res, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			hangUp(w)
			return
		}
		defer res.Body.Close()
		for name, values := range res.Header {
			w.Header()[name] = values
		}
		w.WriteHeader(res.StatusCode)
		io.Copy(w, res.Body)
	}))
	defer flaky.Close()
	c := connect(t, s, func(o *glacier.Options) { o.Endpoint = flaky.URL })
	body := bytes.Repeat([]byte("x"), 20<<20) // more than the buffers of a connection hold
	out := must[*glacier.UploadArchiveOutput](t, "upload")(c.UploadArchive(t.Context(), "v", bytes.NewReader(body), glacier.UploadArchiveOptions{}))
	if _, tree, _ := glacier.Hashes(bytes.NewReader(body)); out.TreeHash != tree || n.Load() != 3 {
		t.Errorf("after %d requests the archive has the tree hash %s, want %s", n.Load(), out.TreeHash, tree)
	}
}

// TestSkew signs with the server's time once it has said that ours is wrong.
func TestSkew(t *testing.T) {
	ahead := 2 * time.Hour
	var sent atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent.Add(1)
		now := time.Now().Add(ahead)
		w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
		signed, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
		if err != nil || now.Sub(signed).Abs() > 5*time.Minute {
			w.WriteHeader(403)
			io.WriteString(w, `{"code":"InvalidSignatureException","message":"Signature expired: it is old"}`)
			return
		}
		io.WriteString(w, `{"VaultName":"v"}`)
	}))
	defer s.Close()
	c := connectTo(t, func(o *glacier.Options) { o.Endpoint = s.URL })
	for range 3 {
		must[*glacier.Vault](t, "describe")(c.DescribeVault(t.Context(), "v"))
	}
	if sent.Load() != 4 {
		t.Errorf("%d requests were sent, want 4", sent.Load())
	}
}

// TestOptions holds what Layer1's constructor had.
func TestOptions(t *testing.T) {
	var got http.Request
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = *r
		io.WriteString(w, `{"VaultName":"v"}`)
	}))
	defer s.Close()
	ask := func(changes ...func(*glacier.Options)) {
		t.Helper()
		must[*glacier.Vault](t, "describe")(connectTo(t, append(changes, func(o *glacier.Options) { o.Attempts = 1 })...).DescribeVault(t.Context(), "my vault"))
	}
	at := func(o *glacier.Options) { o.Endpoint = s.URL }
	ask(at)
	if got.URL.EscapedPath() != "/-/vaults/my%20vault" || got.Header.Get("X-Amz-Glacier-Version") != "2012-06-01" || !strings.Contains(got.Header.Get("Authorization"), "/us-east-1/glacier/aws4_request") {
		t.Errorf("the request is %s %v", got.URL, got.Header)
	}
	ask(func(o *glacier.Options) { o.Endpoint, o.AccountID = s.URL+"/prefix/", "123456789012" })
	if got.URL.EscapedPath() != "/prefix/123456789012/vaults/my%20vault" {
		t.Errorf("with a prefix and an account the path is %s", got.URL.EscapedPath())
	}
	ask(at, func(o *glacier.Options) {
		o.Region, o.Credentials = "eu-west-1", credentials.NewStaticCredentialsProvider("AKID", "secret", "token/+=")
	})
	if got.Header.Get("X-Amz-Security-Token") != "token/+=" || !strings.Contains(got.Header.Get("Authorization"), "/eu-west-1/glacier/") || !strings.Contains(got.Header.Get("Authorization"), "x-amz-security-token") {
		t.Errorf("with a token the headers are %v", got.Header)
	}
	proxy := must[*url.URL](t, "url")(url.Parse(s.URL))
	proxy.User = url.UserPassword("me", "pass")
	ask(func(o *glacier.Options) { o.Endpoint, o.Proxy = "http://glacier.example.test:8080", proxy })
	if got.RequestURI != "http://glacier.example.test:8080/-/vaults/my%20vault" || got.Header.Get("Proxy-Authorization") != "Basic bWU6cGFzcw==" || got.Host != "glacier.example.test:8080" {
		t.Errorf("by a proxy the request is %s to %s, %v", got.RequestURI, got.Host, got.Header)
	}
	var log bytes.Buffer
	ask(at, func(o *glacier.Options) {
		o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	if !strings.Contains(log.String(), "operation=DescribeVault") || !strings.Contains(log.String(), "status=200") || strings.Contains(log.String(), "secret") {
		t.Errorf("the log is %s", log.String())
	}
	ask(at, func(o *glacier.Options) { o.UserAgent = "backup/1" })
	if !strings.HasPrefix(got.UserAgent(), "backup/1 moraine-glacier/") {
		t.Errorf("the user agent is %q", got.UserAgent())
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "FROMENV")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_REGION", "ap-southeast-2")
	t.Setenv("AWS_ENDPOINT_URL_GLACIER", s.URL)
	c := must[*glacier.Client](t, "new")(glacier.New(t.Context(), glacier.Options{}))
	must[*glacier.Vault](t, "describe")(c.DescribeVault(t.Context(), "v"))
	if !strings.Contains(got.Header.Get("Authorization"), "Credential=FROMENV/") || c.Region() != "ap-southeast-2" || c.Endpoint() != s.URL || c.AccountID() != "-" {
		t.Errorf("from the environment: %s, region %s, endpoint %s", got.Header.Get("Authorization"), c.Region(), c.Endpoint())
	}
}

// TestEndpoint holds which of several endpoints counts.
func TestEndpoint(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config")
	const profiles = `
[profile one]
endpoint_url = http://profile.test
services = of-one
[services of-one]
glacier =
  endpoint_url = http://profile-glacier.test
[profile two]
endpoint_url = http://two.test
[profile three]
endpoint_url = http://three.test
ignore_configured_endpoint_urls = true
`
	if err := os.WriteFile(file, []byte(profiles), 0o600); err != nil {
		t.Fatal(err)
	}
	const amazon = "https://glacier.us-east-1.amazonaws.com"
	for _, c := range []struct{ profile, all, own, ignore, want string }{
		{"two", "http://env.test", "http://env-glacier.test", "", "http://env-glacier.test"},
		{"one", "http://env.test", "", "", "http://env.test"}, // the environment comes first, also for all services
		{"one", "", "", "", "http://profile-glacier.test"},
		{"two", "", "", "", "http://two.test"},
		{"three", "", "", "", amazon},
		{"three", "", "", "false", "http://three.test"},
		{"one", "http://env.test", "http://env-glacier.test", "true", amazon},
	} {
		t.Setenv("AWS_CONFIG_FILE", file)
		t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
		t.Setenv("AWS_ENDPOINT_URL", c.all)
		t.Setenv("AWS_ENDPOINT_URL_GLACIER", c.own)
		t.Setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", c.ignore)
		if got := connectTo(t, func(o *glacier.Options) { o.Profile = c.profile }).Endpoint(); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

// TestTransport has connections of HTTP/2 pinged, and makes a transport also where a program has replaced the default one.
func TestTransport(t *testing.T) {
	defer func(r http.RoundTripper) { http.DefaultTransport = r }(http.DefaultTransport)
	for range 2 {
		if tr := glacier.Transport(&glacier.Options{}); tr.HTTP2 == nil || tr.HTTP2.SendPingTimeout <= 0 || tr.HTTP2.PingTimeout <= 0 || tr.Proxy == nil || !tr.ForceAttemptHTTP2 {
			t.Errorf("%+v", tr)
		}
		http.DefaultTransport = struct{ http.RoundTripper }{http.DefaultTransport}
	}
}

// TestRefused holds what is refused before anything is sent.
func TestRefused(t *testing.T) {
	for name, o := range map[string]glacier.Options{
		"not a URL":        {Endpoint: "127.0.0.1:2012"},
		"another protocol": {Endpoint: "ftp://example.test"},
		"no account":       {Endpoint: "http://example.test", AccountID: "12345"},
	} {
		o.Region, o.Credentials = "us-east-1", credentials.NewStaticCredentialsProvider("a", "b", "")
		if _, err := glacier.New(t.Context(), o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	c := connectTo(t, func(o *glacier.Options) { o.Endpoint, o.Attempts = "http://127.0.0.1:1", 1 })
	_, err := c.UploadArchive(t.Context(), "v", bytes.NewReader(nil), glacier.UploadArchiveOptions{})
	if !errors.Is(err, glacier.ErrEmpty) {
		t.Errorf("an empty archive: %v", err)
	}
	if _, err := c.UploadArchive(t.Context(), "v", strings.NewReader("x"), glacier.UploadArchiveOptions{Description: "é"}); err == nil || !strings.Contains(err.Error(), "printable") {
		t.Errorf("a description: %v", err)
	}
	if _, err := c.DeleteArchive(t.Context(), "v", ""); err == nil || !strings.Contains(err.Error(), "empty") {
		t.Errorf("an empty id: %v", err)
	}
	for _, step := range []string{".", ".."} { // the archive .. of a vault would be the vault
		if _, err := c.DeleteArchive(t.Context(), "v", step); err == nil || !strings.Contains(err.Error(), "no id") {
			t.Errorf("the archive %s: %v", step, err)
		}
		if _, err := c.DeleteVault(t.Context(), step); err == nil || !strings.Contains(err.Error(), "no name of a vault") {
			t.Errorf("the vault %s: %v", step, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.DescribeVault(ctx, "v"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// lateReader is a transport that fails at once, and reads on from the body of the request, as net/http may.
type lateReader struct {
	ended chan int64 // of an attempt: how many bytes were read
	sent  atomic.Int64
}

func (l *lateReader) RoundTrip(r *http.Request) (*http.Response, error) {
	if l.sent.Add(1) < 3 {
		go func() {
			n, _ := io.Copy(io.Discard, r.Body)
			r.Body.Close()
			l.ended <- n
		}()
		return nil, errors.New("cut")
	}
	return http.DefaultTransport.RoundTrip(r)
}

// TestLateReader sends a body again although the attempt before still reads from it.
func TestLateReader(t *testing.T) {
	s := moraintest.Start(t)
	must[*glacier.CreateVaultOutput](t, "create")(connect(t, s).CreateVault(t.Context(), "v"))
	late := &lateReader{ended: make(chan int64, 2)}
	c := connect(t, s, func(o *glacier.Options) { o.Transport = late })
	body := bytes.Repeat([]byte("moraine "), 1<<20)
	up := must[*glacier.InitiateMultipartUploadOutput](t, "initiate")(connect(t, s).InitiateMultipartUpload(t.Context(), "v", 8<<20, ""))
	must[*glacier.UploadMultipartPartOutput](t, "part")(c.UploadMultipartPart(t.Context(), "v", up.UploadID, 0, bytes.NewReader(body), glacier.UploadMultipartPartOptions{}))
	for range 2 {
		<-late.ended
	}
}
