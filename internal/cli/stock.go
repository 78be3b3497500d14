package cli

import (
	"cmp"
	"context"
	"errors"
	"io"
	"time"

	"github.com/moraine-archive/moraine/glacier"
	"github.com/moraine-archive/moraine/glacier/transfer"
	"github.com/moraine-archive/moraine/internal/index"
)

// stock is an inventory that is wanted.
type stock struct {
	of     *glacier.Vault
	format string // JSON, the only one that goes into the index, or CSV
	anew   bool   // of no job that is there
	begun  bool   // of any job in progress: it need not show what was changed since that began
}

// stockJob is a job for an inventory.
type stockJob struct {
	id    string
	begun time.Time // by the clock here; zero: it was there already
}

// ahead is by how much the clock of the service is ahead of that here, by what the job says. Nil: that is not known, or its inventory need not be current.
func (of stockJob) ahead(j *glacier.Job) *time.Duration {
	if of.begun.IsZero() || !current(j) {
		return nil
	}
	ahead := j.CreationDate.Sub(of.begun)
	return &ahead
}

// startStock returns a job for an inventory: one that is there, or a new one. ErrNotFound: the service has not taken one yet.
func (s *session) startStock(ctx context.Context, want stock) (stockJob, error) {
	if !want.anew {
		for j, err := range s.client.Jobs(ctx, want.of.Name, glacier.JobFilter{}) {
			if err != nil {
				return stockJob{}, err
			}
			if want.suits(&j) {
				return stockJob{id: j.ID}, nil
			}
		}
	}
	begun := time.Now()
	out, err := s.client.InitiateJob(ctx, want.of.Name, glacier.JobParameters{Type: glacier.InventoryRetrieval, Description: "moraine", Format: want.format})
	if err != nil {
		return stockJob{}, err
	}
	return stockJob{out.JobID, begun}, nil
}

// suits reports whether a job gives all of what a new one would give: no inventory was taken since.
func (want stock) suits(j *glacier.Job) bool {
	var p glacier.InventoryJob
	if j.InventoryRetrievalParameters != nil {
		p = *j.InventoryRetrievalParameters
	}
	if cmp.Or(p.Format, "JSON") != want.format || cmp.Or(p.StartDate, p.EndDate, p.Limit, p.Marker) != "" {
		return false
	}
	return j.Action == "InventoryRetrieval" && j.StatusCode != glacier.Failed && (want.begun && !j.Completed || j.CreationDate.After(want.of.LastInventoryDate))
}

// takeStock waits for a job, and takes its inventory over into the index while it comes: commands that do so at the same time have no file that they would contend for.
func (s *session) takeStock(ctx context.Context, ix *index.Index, vault string, job stockJob) error {
	down := &transfer.Downloader{Client: s.client}
	done, err := s.awaitStock(ctx, down, vault, job.id)
	if err != nil {
		return err
	}
	r, w := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, err := down.DownloadTo(ctx, vault, job.id, w)
		w.CloseWithError(err)
	}()
	if err = replace(ctx, ix, r, job.ahead(done)); errors.Is(err, index.ErrOlder) {
		err = nil
	}
	r.CloseWithError(errors.New("the inventory is not read any more"))
	<-ended
	return err
}

// awaitStock waits for a job, and says so if that is not done in a moment.
func (s *session) awaitStock(ctx context.Context, down *transfer.Downloader, vault, job string) (*glacier.Job, error) {
	moment, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	done, err := down.Wait(moment, vault, job)
	if err == nil || moment.Err() == nil || ctx.Err() != nil {
		return done, err
	}
	s.say("Waiting for the inventory of %s. It takes hours with Amazon; when interrupted, run the command again.", vault)
	return down.Wait(ctx, vault, job)
}

// current reports whether the inventory of a job shows the vault as it was when the job was begun: a service that takes them at intervals has such a job take hours, one that
// looks into the vault is soon done.
func current(j *glacier.Job) bool { return j.CompletionDate.Sub(j.CreationDate) < soon }

// soon is in what time no service that takes inventories at intervals has a job done.
const soon = 10 * time.Minute

// replace takes an inventory over into the index. ErrOlder: that has a later one, which stays.
func replace(ctx context.Context, ix *index.Index, r io.Reader, ahead *time.Duration) error {
	inventory, err := index.ReadInventory(r)
	if err != nil {
		return err
	}
	inventory.Ahead = ahead
	if err := ix.Replace(ctx, inventory); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r) // who sends it comes to the end
	return err
}
