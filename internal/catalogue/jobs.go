package catalogue

import (
	"errors"
	"time"
)

// The states of a job, as the API names them.
const (
	InProgress = "InProgress"
	Succeeded  = "Succeeded"
	Failed     = "Failed"
)

// Job is a job in any state.
type Job struct {
	ID          string
	VaultID     int64
	Action      string
	Status      string
	Message     *string
	Description *string
	Topic       *string
	CreatedAt   time.Time
	DueAt       time.Time
	CompletedAt time.Time
	ExpiresAt   time.Time

	ArchiveID          *string
	ArchiveSize        int64
	ArchiveTreeHash    []byte
	ArchiveDescription *string
	Tier               *string
	First, Last        int64
	TreeHash           []byte // of the range, nil: not aligned

	Format      *string
	StartDate   *string // as given
	EndDate     *string
	Limit       *int64
	Marker      *string // as given
	Snapshot    int64   // the change up to which the inventory goes
	SnapshotAt  time.Time
	NextMarker  *string
	OutputPlace *string
	OutputSize  *int64
}

func (j *Job) fields() []any {
	return []any{
		&j.ID, &j.VaultID, &j.Action, &j.Status, &j.Message, &j.Description, &j.Topic,
		moment{&j.CreatedAt}, moment{&j.DueAt}, moment{&j.CompletedAt}, moment{&j.ExpiresAt},
		&j.ArchiveID, &j.ArchiveSize, &j.ArchiveTreeHash, &j.ArchiveDescription, &j.Tier, &j.First, &j.Last, &j.TreeHash,
		&j.Format, &j.StartDate, &j.EndDate, &j.Limit, &j.Marker, &j.Snapshot, moment{&j.SnapshotAt},
		&j.NextMarker, &j.OutputPlace, &j.OutputSize,
	}
}

const jobColumns = `job_id, vault_id, action, status, message, description, topic, created_at, due_at, completed_at, expires_at,
	archive_id, archive_size, archive_tree_hash, archive_description, tier, first, last, tree_hash,
	format, start_date, end_date, item_limit, marker, snapshot, snapshot_at, next_marker, output_place, output_size`

// InsertJob adds a job.
func (tx *Tx) InsertJob(j Job) error {
	return tx.exec(`INSERT INTO jobs (`+jobColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,
		$16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29)`,
		j.ID, j.VaultID, j.Action, j.Status, j.Message, j.Description, j.Topic,
		millis(j.CreatedAt), millis(j.DueAt), millis(j.CompletedAt), millis(j.ExpiresAt),
		j.ArchiveID, j.ArchiveSize, j.ArchiveTreeHash, j.ArchiveDescription, j.Tier, j.First, j.Last, j.TreeHash,
		j.Format, j.StartDate, j.EndDate, j.Limit, j.Marker, j.Snapshot, millis(j.SnapshotAt),
		j.NextMarker, j.OutputPlace, j.OutputSize)
}

// Job returns a job of a vault that has not expired at a moment.
func (tx *Tx) Job(vault int64, id string, at time.Time) (Job, error) {
	return one[Job](tx, `SELECT `+jobColumns+` FROM jobs WHERE job_id = $1 AND vault_id = $2
		AND (expires_at IS NULL OR expires_at > $3)`, id, vault, millis(at))
}

// JobFilter selects jobs; empty strings select all.
type JobFilter struct {
	Status    string
	Completed string // "true" or "false"
}

// Jobs returns up to limit jobs of a vault that have not expired at a moment, newest first, beginning after a job id; "" begins with
// the newest.
func (tx *Tx) Jobs(vault int64, f JobFilter, before string, limit int, at time.Time) ([]Job, error) {
	return all[Job](tx, `SELECT `+jobColumns+` FROM jobs WHERE vault_id = $1 AND ($2 = '' OR job_id < $2)
		AND (expires_at IS NULL OR expires_at > $3) AND ($4 = '' OR status = $4)
		AND ($5 = '' OR ($5 = 'false' AND status = 'InProgress') OR ($5 = 'true' AND status <> 'InProgress'))
		ORDER BY job_id DESC LIMIT $6`, vault, before, millis(at), f.Status, f.Completed, limit)
}

// DueJobs returns up to limit jobs of an action, "" for all, that may be finished at a moment, the longest due first, beginning after a job; the zero
// Job begins with the first.
func (tx *Tx) DueJobs(at time.Time, action string, after Job, limit int) ([]Job, error) {
	return all[Job](tx, `SELECT `+jobColumns+` FROM jobs WHERE status = 'InProgress' AND due_at <= $1 AND (due_at, job_id) > ($2, $3)
		AND ($4 = '' OR action = $4) ORDER BY due_at, job_id LIMIT $5`, millis(at), after.DueAt.UnixMilli(), after.ID, action, limit)
}

// NextDue returns when the next job of an action, "" for all, is due, the zero time if none is in progress.
func (tx *Tx) NextDue(action string) (due time.Time, err error) {
	err = tx.scan([]any{moment{&due}}, `SELECT MIN(due_at) FROM jobs WHERE status = 'InProgress' AND ($1 = '' OR action = $1)`, action)
	return due, err
}

// FinishJob stores the end of a job in progress: status, message, dates and output. ErrNotFound: it has ended already.
func (tx *Tx) FinishJob(j Job) error {
	return tx.execOne(`UPDATE jobs SET status = $2, message = $3, completed_at = $4, expires_at = $5, next_marker = $6,
		output_place = $7, output_size = $8 WHERE job_id = $1 AND status = 'InProgress'`,
		j.ID, j.Status, j.Message, millis(j.CompletedAt), millis(j.ExpiresAt), j.NextMarker, j.OutputPlace, j.OutputSize)
}

// PostponeJob makes a job in progress due at another moment. It reports whether that was done: not if another node has postponed or ended it meanwhile.
func (tx *Tx) PostponeJob(j Job, due time.Time) (bool, error) {
	err := tx.execOne(`UPDATE jobs SET due_at = $2 WHERE job_id = $1 AND status = 'InProgress' AND due_at = $3`, j.ID, millis(due), millis(j.DueAt))
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// JobsOfArchive returns the jobs on an archive that are running or offer its bytes. Expired ones count until PurgeJobs, so that a
// download that began before may end.
func (tx *Tx) JobsOfArchive(archive string) ([]Job, error) {
	return all[Job](tx, `SELECT `+jobColumns+` FROM jobs WHERE archive_id = $1 AND status <> 'Failed' ORDER BY job_id`, archive)
}

// PurgeJobs removes up to limit jobs that expired at or before a moment, and releases what only they needed.
func (tx *Tx) PurgeJobs(expired time.Time, limit int) error {
	jobs, err := all[Job](tx, `SELECT `+jobColumns+` FROM jobs WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2`, millis(expired), limit)
	if err != nil {
		return err
	}
	for _, j := range jobs {
		if err := tx.purge(j); err != nil {
			return err
		}
	}
	return nil
}

func (tx *Tx) purge(j Job) error {
	if err := tx.exec(`DELETE FROM jobs WHERE job_id = $1`, j.ID); err != nil {
		return err
	}
	if j.OutputPlace != nil {
		return tx.Release(*j.OutputPlace)
	}
	if j.ArchiveID == nil {
		return nil
	}
	if others, err := tx.JobsOfArchive(*j.ArchiveID); err != nil || len(others) > 0 {
		return err
	}
	if err := tx.ReleaseDeleted(*j.ArchiveID); !errors.Is(err, ErrNotFound) {
		return err
	}
	return nil // the archive was not deleted
}
