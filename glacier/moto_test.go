package glacier_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/moraine-archive/moraine/glacier"
	"github.com/moraine-archive/moraine/internal/moraintest"
	"github.com/moraine-archive/moraine/internal/notify/notifytest"
)

// TestMoto calls moto's server, which is not ours: the operations that it has.
func TestMoto(t *testing.T) {
	cloud := notifytest.StartCloud(t)
	c, ctx := connectTo(t, func(o *glacier.Options) { o.Endpoint = cloud.Endpoint }), t.Context()
	must[*glacier.CreateVaultOutput](t, "create")(c.CreateVault(ctx, "v"))
	if v := must[*glacier.Vault](t, "describe")(c.DescribeVault(ctx, "v")); v.Name != "v" || v.ARN == "" || v.CreationDate.IsZero() {
		t.Errorf("the vault is %+v", v)
	}
	if l := must[*glacier.VaultList](t, "list")(c.ListVaults(ctx, glacier.Page{})); len(l.Vaults) != 1 || l.Vaults[0].Name != "v" {
		t.Errorf("the vaults are %+v", l)
	}
	body := bytes.Repeat([]byte("moraine "), 1000)
	archive := must[*glacier.UploadArchiveOutput](t, "upload")(c.UploadArchive(ctx, "v", bytes.NewReader(body), glacier.UploadArchiveOptions{Description: "d"}))
	if archive.ArchiveID == "" {
		t.Errorf("the archive is %+v", archive)
	}
	job := must[*glacier.InitiateJobOutput](t, "job")(c.InitiateJob(ctx, "v", glacier.JobParameters{Type: glacier.ArchiveRetrieval, ArchiveID: archive.ArchiveID}))
	moraintest.Eventually(t, "the job", func() bool {
		return must[*glacier.Job](t, "describe job")(c.DescribeJob(ctx, "v", job.JobID)).Completed
	})
	if l := must[*glacier.JobList](t, "jobs")(c.ListJobs(ctx, "v", glacier.JobFilter{}, glacier.Page{})); len(l.Jobs) != 1 || l.Jobs[0].ID != job.JobID {
		t.Errorf("the jobs are %+v", l)
	}
	out := must[*glacier.JobOutput](t, "output")(c.GetJobOutput(ctx, "v", job.JobID, nil))
	defer out.Body.Close()
	if got, err := io.ReadAll(out.Body); err != nil || !bytes.Equal(got, body) {
		t.Errorf("the output has %d bytes, %v", len(got), err)
	}
	must[*glacier.Response](t, "delete archive")(c.DeleteArchive(ctx, "v", archive.ArchiveID))
	must[*glacier.Response](t, "delete vault")(c.DeleteVault(ctx, "v"))
	var answer *glacier.APIError
	if _, err := c.DescribeVault(ctx, "v"); !errors.As(err, &answer) || answer.Status < 400 {
		t.Errorf("a vault that is gone: %v", err)
	}
}
