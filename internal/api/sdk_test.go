package api_test

import (
	"bytes"
	"context"
	"io"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/glacier"
	"github.com/aws/aws-sdk-go-v2/service/glacier/types"

	"github.com/moraine-archive/moraine/internal/moraintest"
)

// TestSDK walks through every operation with the AWS SDK's own client.
func TestSDK(t *testing.T) {
	s := moraintest.Start(t)
	c, ctx := s.Client(s.Key), context.Background()
	account, vault := aws.String("-"), aws.String("photos")

	created, err := c.CreateVault(ctx, &glacier.CreateVaultInput{AccountId: account, VaultName: vault})
	must(t, err)
	if got := aws.ToString(created.Location); got != "/123456789012/vaults/photos" {
		t.Errorf("Location %q", got)
	}
	body := moraintest.Pattern(5 << 20)
	up, err := c.UploadArchive(ctx, &glacier.UploadArchiveInput{
		AccountId: account, VaultName: vault, Body: bytes.NewReader(body), ArchiveDescription: aws.String("five MiB"),
	})
	must(t, err)
	if got := aws.ToString(up.Checksum); got != moraintest.TreeHash(body) {
		t.Errorf("Checksum %s", got)
	}
	whole := uploadInParts(t, c, body)

	job := initiate(t, c, &types.JobParameters{Type: aws.String("archive-retrieval"), ArchiveId: whole, RetrievalByteRange: aws.String("2097152-4194303")})
	s.WaitForJob(t, "photos", job)
	out, err := c.GetJobOutput(ctx, &glacier.GetJobOutputInput{AccountId: account, VaultName: vault, JobId: &job, Range: aws.String("bytes=0-1048575")})
	must(t, err)
	got, err := io.ReadAll(out.Body)
	must(t, err)
	if !bytes.Equal(got, body[2<<20:3<<20]) || out.Status != 206 || aws.ToString(out.Checksum) != moraintest.TreeHash(got) {
		t.Errorf("output: %d bytes, status %d, checksum %v", len(got), out.Status, out.Checksum)
	}

	listed, err := c.ListJobs(ctx, &glacier.ListJobsInput{AccountId: account, VaultName: vault, Statuscode: aws.String("Succeeded")})
	must(t, err)
	if len(listed.JobList) != 1 || aws.ToString(listed.JobList[0].JobId) != job {
		t.Errorf("ListJobs: %+v", listed.JobList)
	}
	described, err := c.DescribeJob(ctx, &glacier.DescribeJobInput{AccountId: account, VaultName: vault, JobId: &job})
	must(t, err)
	if described.StatusCode != types.StatusCodeSucceeded {
		t.Errorf("DescribeJob: %+v", described)
	}

	topic := &types.VaultNotificationConfig{
		SNSTopic: aws.String("arn:aws:sns:us-east-1:123456789012:t"), Events: []string{"ArchiveRetrievalCompleted"},
	}
	_, err = c.SetVaultNotifications(ctx, &glacier.SetVaultNotificationsInput{AccountId: account, VaultName: vault, VaultNotificationConfig: topic})
	must(t, err)
	n, err := c.GetVaultNotifications(ctx, &glacier.GetVaultNotificationsInput{AccountId: account, VaultName: vault})
	must(t, err)
	if len(n.VaultNotificationConfig.Events) != 1 {
		t.Errorf("GetVaultNotifications: %+v", n.VaultNotificationConfig)
	}
	_, err = c.DeleteVaultNotifications(ctx, &glacier.DeleteVaultNotificationsInput{AccountId: account, VaultName: vault})
	must(t, err)

	for _, id := range []*string{up.ArchiveId, whole} {
		_, err = c.DeleteArchive(ctx, &glacier.DeleteArchiveInput{AccountId: account, VaultName: vault, ArchiveId: id})
		must(t, err)
	}
	d, err := c.DescribeVault(ctx, &glacier.DescribeVaultInput{AccountId: account, VaultName: vault})
	must(t, err)
	if d.NumberOfArchives != 0 {
		t.Errorf("DescribeVault: %+v", d)
	}
	_, err = c.DeleteVault(ctx, &glacier.DeleteVaultInput{AccountId: account, VaultName: vault})
	must(t, err)
	vaults, err := c.ListVaults(ctx, &glacier.ListVaultsInput{AccountId: account})
	must(t, err)
	if len(vaults.VaultList) != 0 {
		t.Errorf("ListVaults: %+v", vaults.VaultList)
	}
}

// uploadInParts uploads b in parts of 1 MiB, after an upload that is aborted, and returns the archive's id.
func uploadInParts(t *testing.T, c *glacier.Client, b []byte) *string {
	t.Helper()
	ctx, account, vault := context.Background(), aws.String("-"), aws.String("photos")
	input := &glacier.InitiateMultipartUploadInput{AccountId: account, VaultName: vault, PartSize: aws.String("1048576")}
	abandoned, err := c.InitiateMultipartUpload(ctx, input)
	must(t, err)
	_, err = c.AbortMultipartUpload(ctx, &glacier.AbortMultipartUploadInput{AccountId: account, VaultName: vault, UploadId: abandoned.UploadId})
	must(t, err)
	upload, err := c.InitiateMultipartUpload(ctx, input)
	must(t, err)
	for off := 0; off < len(b); off += 1 << 20 {
		_, err := c.UploadMultipartPart(ctx, &glacier.UploadMultipartPartInput{
			AccountId: account, VaultName: vault, UploadId: upload.UploadId, Body: bytes.NewReader(b[off : off+1<<20]),
			Range: aws.String(contentRange(off, off+1<<20-1)),
		})
		must(t, err)
	}
	uploads, err := c.ListMultipartUploads(ctx, &glacier.ListMultipartUploadsInput{AccountId: account, VaultName: vault})
	must(t, err)
	parts, err := c.ListParts(ctx, &glacier.ListPartsInput{AccountId: account, VaultName: vault, UploadId: upload.UploadId})
	must(t, err)
	if len(uploads.UploadsList) != 1 || len(parts.Parts) != len(b)>>20 {
		t.Errorf("%d uploads, %d parts", len(uploads.UploadsList), len(parts.Parts))
	}
	done, err := c.CompleteMultipartUpload(ctx, &glacier.CompleteMultipartUploadInput{
		AccountId: account, VaultName: vault, UploadId: upload.UploadId, ArchiveSize: aws.String("5242880"), Checksum: aws.String(moraintest.TreeHash(b)),
	})
	must(t, err)
	return done.ArchiveId
}

func initiate(t *testing.T, c *glacier.Client, p *types.JobParameters) string {
	t.Helper()
	out, err := c.InitiateJob(context.Background(), &glacier.InitiateJobInput{AccountId: aws.String("-"), VaultName: aws.String("photos"), JobParameters: p})
	must(t, err)
	return aws.ToString(out.JobId)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
