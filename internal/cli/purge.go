package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moraine-archive/moraine/glacier"
	"github.com/moraine-archive/moraine/internal/index"
)

// purgeDocument is what a purge has done, for scripts.
type purgeDocument struct {
	Vault    string `json:"vault"`
	DryRun   bool   `json:"dry_run,omitempty"`
	Deleted  int64  `json:"deleted"` // with dry_run: what would be
	Bytes    int64  `json:"bytes"`
	Uploads  int64  `json:"uploads_aborted"`
	Denied   int64  `json:"denied"`
	DeniedBy string `json:"denied_by,omitempty"`
	Gone     bool   `json:"vault_deleted"`
}

func vaultPurgeCommand(p Process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "purge NAME",
		Short: "Delete all archives of a vault, and the vault",
		Long: `Delete all archives of a vault, and the vault: those that are known here, and those that an inventory lists, which is waited for. Uploads that are open are
aborted. When interrupted, run it again. Archives that a lock or a policy keeps are counted and left; if it keeps the first ` + fmt.Sprint(manyDenied) + `, nothing more is tried.

With Amazon a vault can be deleted only after the next inventory, which is taken about once a day.`,
		Example: "  moraine vault purge photos --dry-run\n  moraine vault purge photos --yes",
		Args:    arguments("NAME"),
	}
	confirmed := confirmFlag(cmd)
	dryRun := cmd.Flags().Bool("dry-run", false, "only say what is there")
	var parallel int
	atOnce(cmd, &parallel, "parallel", 16, mostParallel, "how many deletions at once")
	return onVaults(p, cmd, func(ctx context.Context, s *session, args []string) error {
		v, ix, err := s.open(ctx, args[0])
		if err != nil {
			return err
		}
		j := &purge{deletions: deletions{session: s, ix: ix, vault: args[0], parallel: parallel, meter: newMeter(p.Stderr)}, v: v}
		if *dryRun {
			return j.preview(ctx)
		}
		if err := confirmed(fmt.Sprintf("all archives of the vault %s would be deleted, and the vault", args[0])); err != nil {
			return err
		}
		return j.report(j.empty(ctx))
	})
}

// purge empties a vault.
type purge struct {
	deletions
	v         *glacier.Vault
	aborted   int64
	vaultGone bool
	unlisted  bool // the service has no inventory that shows what else there is
}

func (j *purge) again() string { return j.repeat(nil, nil) }

func (j *purge) preview(ctx context.Context) error {
	known, err := j.ix.State(ctx)
	if err != nil {
		return err
	}
	d := purgeDocument{Vault: j.vault, DryRun: true, Deleted: max(known.Archives, j.v.NumberOfArchives), Bytes: max(known.Bytes, j.v.SizeInBytes)}
	for _, err := range j.client.MultipartUploads(ctx, j.vault) {
		if err != nil {
			return err
		}
		d.Uploads++
	}
	if j.asJSON {
		return printJSON(j.Stdout, d)
	}
	_, err = fmt.Fprintf(j.Stdout, "It would delete %d archives (%s), abort %d uploads, and delete the vault %s.\n", d.Deleted, size(d.Bytes), d.Uploads, j.vault)
	if err == nil && known.Archives < d.Deleted {
		_, err = fmt.Fprintf(j.Stdout, "Of %d archives it knows here; the others it would learn from an inventory.\n", known.Archives)
	}
	return err
}

// empty does all there is to do, as far as it can.
func (j *purge) empty(ctx context.Context) error {
	known, err := j.ix.State(ctx)
	if err != nil {
		return err
	}
	job, err := j.startStock(ctx, stock{of: j.v, format: "JSON"}) // now, so that it is ready sooner
	if j.unlisted = errors.Is(err, glacier.ErrNotFound); err != nil && !j.unlisted {
		return err
	}
	if err := j.abortUploads(ctx); err != nil {
		return err
	}
	if err := j.all(ctx, known); err != nil {
		return err
	}
	if !j.unlisted {
		if err := j.listed(ctx, job); err != nil {
			return err
		}
	}
	if j.denied > 0 {
		return nil
	}
	return j.deleteVault(ctx)
}

// all deletes what the index knows.
func (j *purge) all(ctx context.Context, known index.State) error {
	j.total = j.deleted + j.denied + known.Archives
	return j.run(ctx, j.ix.Archives(ctx, ""))
}

// listed deletes what an inventory lists and is still there.
func (j *purge) listed(ctx context.Context, job stockJob) error {
	if err := j.takeStock(ctx, j.ix, j.vault, job); err != nil {
		return err
	}
	known, err := j.ix.State(ctx)
	if err != nil {
		return err
	}
	j.denied = 0 // they come again
	return j.all(ctx, known)
}

func (j *purge) abortUploads(ctx context.Context) error {
	var ids []string // first all of them: the list would change under the marker
	for u, err := range j.client.MultipartUploads(ctx, j.vault) {
		if err != nil {
			return err
		}
		ids = append(ids, u.ID)
	}
	for _, id := range ids {
		if _, err := j.client.AbortMultipartUpload(ctx, j.vault, id); err != nil && !errors.Is(err, glacier.ErrNotFound) {
			return err
		}
		if err := j.ix.ForgetUpload(ctx, id); err != nil {
			return err
		}
		j.aborted++
	}
	return nil
}

// deleteVault deletes the vault, if the service does that already.
func (j *purge) deleteVault(ctx context.Context) error {
	_, err := j.client.DeleteVault(ctx, j.vault)
	if err == nil {
		j.vaultGone = true
		return nil
	}
	if !errors.Is(err, glacier.ErrInvalidParameter) {
		return err
	}
	later := fmt.Sprintf("moraine vault delete %s", quoted(j.vault))
	if j.unlisted {
		later = j.again() // there may be archives that no inventory shows yet
	}
	return &exitError{exitPartly, "The service deletes a vault only after an inventory that shows it empty, which is taken about once a day. Tomorrow, run:\n  " + later,
		fmt.Errorf("the archives of the vault %s are deleted, but not yet the vault: %s", j.vault, saidBy(err))}
}

// report prints what was done, and returns the error of what was not.
func (j *purge) report(failed error) error {
	d := purgeDocument{Vault: j.vault, Deleted: j.deleted, Bytes: j.bytes, Uploads: j.aborted, Denied: j.denied, DeniedBy: j.deniedBy, Gone: j.vaultGone}
	if j.asJSON {
		if err := printJSON(j.Stdout, d); err != nil {
			return err
		}
	} else {
		line := []string{fmt.Sprintf("%d archives (%s) deleted", d.Deleted, size(d.Bytes)), fmt.Sprintf("%d uploads aborted", d.Uploads)}
		if d.Denied > 0 {
			line = append(line, fmt.Sprintf("%d deletions denied", d.Denied))
		}
		if d.Gone {
			line = append(line, "the vault is gone")
		}
		if _, err := fmt.Fprintln(j.Stdout, strings.Join(line, ", ")+"."); err != nil {
			return err
		}
	}
	if failed == nil || errors.Is(failed, errAllDenied) {
		return j.outcome(j.again())
	}
	return j.partly(failed, j.deleted+j.aborted > 0, j.again())
}
