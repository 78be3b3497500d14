package vault

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/moraine-archive/moraine/glacier/treehash"
	"github.com/moraine-archive/moraine/internal/catalogue"
	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/protocol"
)

// Actions of jobs, as job descriptions name them.
const (
	archiveRetrieval   = "ArchiveRetrieval"
	inventoryRetrieval = "InventoryRetrieval"
)

// JobParameters is the body of InitiateJob. Nil and empty members are absent.
type JobParameters struct {
	Type, ArchiveID, Description, Format, SNSTopic, Tier, RetrievalByteRange *string

	Inventory *struct{ StartDate, EndDate, Limit, Marker *string } // nil: absent
	Select    bool                                                 // members of select jobs are present
}

// InitiateJob starts a job and returns its id.
func (s *Service) InitiateJob(ctx context.Context, ref Ref, p JobParameters) (string, error) {
	if err := p.check(); err != nil {
		return "", err
	}
	hash, err := s.rangeHash(ctx, ref, p)
	if err != nil {
		return "", err
	}
	var id string
	err = s.rows.Update(ctx, func(tx *catalogue.Tx) error {
		v, err := s.vault(tx, ref)
		if err != nil {
			return err
		}
		now := s.now()
		j := catalogue.Job{
			ID: s.newJobID(), VaultID: v.ID, Status: catalogue.InProgress, CreatedAt: now,
			Description: nonEmpty(p.Description), Topic: nonEmpty(p.SNSTopic),
		}
		if *p.Type == "inventory-retrieval" {
			err = s.prepareInventory(&j, ref, v, p)
		} else {
			err = s.prepareRetrieval(tx, &j, ref, v, p, hash)
		}
		if err != nil {
			return err
		}
		id = j.ID
		return tx.InsertJob(j)
	})
	s.Poke()
	return id, err
}

// check is for what can be said of the parameters alone.
func (p *JobParameters) check() error {
	if err := p.checkType(); err != nil {
		return err
	}
	if d := nonEmpty(p.Description); d != nil {
		if err := checkDescription("job", *d); err != nil {
			return err
		}
	}
	if t := nonEmpty(p.Tier); t != nil && *t != "Expedited" && *t != "Standard" && *t != "Bulk" {
		return fault.New(fault.Invalid, "Invalid tier: %q is none of Expedited, Standard and Bulk", *t)
	}
	if t := nonEmpty(p.SNSTopic); t != nil {
		return checkTopic(*t)
	}
	return nil
}

// checkType holds the members against the type of the job.
func (p *JobParameters) checkType() error {
	if nonEmpty(p.Type) == nil {
		return missing("type")
	}
	switch *p.Type {
	case "archive-retrieval":
		switch {
		case nonEmpty(p.ArchiveID) == nil:
			return missing("ArchiveId")
		case p.Inventory != nil:
			return fault.New(fault.Invalid, "Invalid job parameters: InventoryRetrievalParameters is not for archive-retrieval jobs")
		case p.Select:
			return fault.New(fault.Invalid, "Invalid job parameters: SelectParameters and OutputLocation are for select jobs only")
		case nonEmpty(p.RetrievalByteRange) != nil && !byteRange.MatchString(*p.RetrievalByteRange):
			return fault.New(fault.Invalid, "Invalid retrieval byte range: %q is not of the form first-last", *p.RetrievalByteRange)
		}
		return nil
	case "inventory-retrieval":
		switch {
		case nonEmpty(p.ArchiveID) != nil:
			return fault.New(fault.Invalid, "Invalid job parameters: ArchiveId is not for inventory-retrieval jobs: %s", *p.ArchiveID)
		case nonEmpty(p.RetrievalByteRange) != nil:
			return fault.New(fault.Invalid, "Invalid job parameters: RetrievalByteRange is not for inventory-retrieval jobs: %s", *p.RetrievalByteRange)
		case p.Select:
			return fault.New(fault.Invalid, "Invalid job parameters: SelectParameters and OutputLocation are for select jobs only")
		}
		return p.checkInventory()
	case "select":
		return fault.New(fault.Invalid, "Select jobs are not supported: no output location is configured")
	}
	return fault.New(fault.Invalid, "Invalid job type: %q is neither archive-retrieval nor inventory-retrieval", *p.Type)
}

// retrieved returns the archive that a job is to retrieve, and the range of it.
func (s *Service) retrieved(tx *catalogue.Tx, ref Ref, v catalogue.Vault, p JobParameters) (a catalogue.Archive, first, last int64, err error) {
	a, deleted, err := s.archive(tx, ref, v, *p.ArchiveID)
	if err == nil && deleted {
		err = archiveNotFound(*p.ArchiveID)
	}
	if err != nil {
		return a, 0, 0, err
	}
	first, last, err = parseByteRange(nonEmpty(p.RetrievalByteRange), a.Size)
	return a, first, last, err
}

// rangeHash returns the tree hash of the range of a job, nil if it has none or if no range is given. It reads the store, so it comes before
// the transaction that makes the job; an archive never changes.
func (s *Service) rangeHash(ctx context.Context, ref Ref, p JobParameters) ([]byte, error) {
	if nonEmpty(p.RetrievalByteRange) == nil {
		return nil, nil
	}
	var a catalogue.Archive
	var first, last int64
	find := func(tx *catalogue.Tx) error {
		v, err := s.vault(tx, ref)
		if err != nil {
			return err
		}
		a, first, last, err = s.retrieved(tx, ref, v, p)
		return err
	}
	err := s.rows.View(ctx, find)
	if err != nil || !treehash.Aligned(first, last, a.Size) {
		return nil, err
	}
	h, err := s.treeHash(ctx, contentOfArchive(a), first, last)
	if fault.Is(err, fault.Corrupt) { // unless the archive was deleted meanwhile
		err = cmp.Or(s.rows.View(ctx, find), err)
	}
	return h[:], err
}

// prepareRetrieval fills in an archive-retrieval job, if the limits of the account let it start. hash is that of the range, if one is given and has one.
func (s *Service) prepareRetrieval(tx *catalogue.Tx, j *catalogue.Job, ref Ref, v catalogue.Vault, p JobParameters, hash []byte) error {
	a, first, last, err := s.retrieved(tx, ref, v, p)
	if err != nil {
		return err
	}
	j.Action, j.ArchiveID, j.ArchiveSize, j.ArchiveTreeHash = archiveRetrieval, &a.ID, a.Size, a.TreeHash
	j.ArchiveDescription = textOrNil(a.Description)
	j.First, j.Last, j.TreeHash = first, last, hash
	if first == 0 && last == a.Size-1 {
		j.TreeHash = a.TreeHash
	}
	tier := "Standard"
	if t := nonEmpty(p.Tier); t != nil {
		tier = *t
	}
	j.Tier, j.DueAt = &tier, j.CreatedAt.Add(s.tierRange(tier).draw())
	return s.reserve(tx, ref.Account, *j)
}

func (s *Service) tierRange(tier string) Range {
	switch tier {
	case "Expedited":
		return s.settings.Expedited
	case "Bulk":
		return s.settings.Bulk
	}
	return s.settings.Standard
}

// byteRange is the form of a RetrievalByteRange: inclusive offsets without a unit.
var byteRange = regexp.MustCompile(`^([0-9]{1,15})-([0-9]{1,15})$`) // read only

// parseByteRange reads the range, whose form was checked before, of an archive of a size; nil is the whole.
func parseByteRange(text *string, size int64) (first, last int64, err error) {
	if text == nil {
		return 0, size - 1, nil
	}
	m := byteRange.FindStringSubmatch(*text)
	first, _ = strconv.ParseInt(m[1], 10, 64) // at most 15 digits
	last, _ = strconv.ParseInt(m[2], 10, 64)
	if !treehash.MiBAligned(first, last, size) {
		return 0, 0, fault.New(fault.Invalid, "Invalid retrieval byte range: %s. It must begin at a multiple of 1048576 and end before one "+
			"or at the end of the archive, which has %d bytes", *text, size)
	}
	return first, last, nil
}

// job returns the row of a job of a vault.
func (s *Service) job(tx *catalogue.Tx, ref Ref, id string) (catalogue.Job, error) {
	v, err := s.vault(tx, ref)
	if err != nil {
		return catalogue.Job{}, err
	}
	if !printable(id) {
		return catalogue.Job{}, jobNotFound(id)
	}
	j, err := tx.Job(v.ID, id, s.now())
	return j, absent(err, jobNotFound(id))
}

// DescribeJob returns the description of a job.
func (s *Service) DescribeJob(ctx context.Context, ref Ref, id string) (protocol.JobDescription, error) {
	var d protocol.JobDescription
	err := s.rows.View(ctx, func(tx *catalogue.Tx) error {
		j, err := s.job(tx, ref, id)
		d = s.describeJob(ref, j)
		return err
	})
	return d, err
}

func (s *Service) describeJob(ref Ref, j catalogue.Job) protocol.JobDescription {
	d := protocol.JobDescription{
		Action: j.Action, Completed: j.Status != catalogue.InProgress, CompletionDate: timestampOrNil(j.CompletedAt),
		CreationDate: timestamp(j.CreatedAt), JobDescription: j.Description, JobID: j.ID, SNSTopic: j.Topic,
		StatusCode: j.Status, StatusMessage: j.Message, VaultARN: s.ARN(ref),
	}
	if j.Action == inventoryRetrieval {
		d.InventorySizeInBytes = j.OutputSize
		d.InventoryRetrievalParameters = &protocol.InventoryParameters{
			EndDate: j.EndDate, Format: *j.Format, Limit: number(j.Limit), Marker: j.NextMarker, StartDate: j.StartDate,
		}
		return d
	}
	d.ArchiveID, d.ArchiveSizeInBytes, d.Tier = j.ArchiveID, &j.ArchiveSize, j.Tier
	d.ArchiveSHA256TreeHash, d.SHA256TreeHash = hexOrNil(j.ArchiveTreeHash), hexOrNil(j.TreeHash)
	retrieved := fmt.Sprintf("%d-%d", j.First, j.Last)
	d.RetrievalByteRange = &retrieved
	return d
}

func number(n *int64) *string {
	if n == nil {
		return nil
	}
	return textOrNil(strconv.FormatInt(*n, 10))
}

func hexOrNil(hash []byte) *string { return textOrNil(fmt.Sprintf("%x", hash)) }

// ListJobs lists the jobs of a vault, the newest first.
func (s *Service) ListJobs(ctx context.Context, ref Ref, statusCode, completed string, limit, marker *string) (protocol.JobList, error) {
	list := protocol.JobList{JobList: []protocol.JobDescription{}}
	filter := catalogue.JobFilter{Status: statusCode, Completed: completed}
	if err := checkFilter(filter); err != nil {
		return list, err
	}
	size, err := pageSize(limit, s.settings.Page)
	if err != nil {
		return list, err
	}
	err = s.list(ctx, func(tx *catalogue.Tx) error {
		v, err := s.vault(tx, ref)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("jobs of vault %d", v.ID)
		before, err := position(marker, name)
		if err != nil {
			return err
		}
		jobs, err := tx.Jobs(v.ID, filter, before, size+1, s.now())
		if err != nil {
			return err
		}
		jobs, more := page(jobs, size)
		for _, j := range jobs {
			list.JobList = append(list.JobList, s.describeJob(ref, j))
		}
		if more {
			list.Marker = encodeMarker(name, jobs[size-1].ID)
		}
		return nil
	})
	return list, err
}

func checkFilter(f catalogue.JobFilter) error {
	switch f.Status {
	case "", catalogue.InProgress, catalogue.Succeeded, catalogue.Failed:
	default:
		return fault.New(fault.Invalid, "The job status code is not valid: %s", f.Status)
	}
	switch f.Completed {
	case "", "true", "false":
		return nil
	}
	return fault.New(fault.Invalid, "Invalid completed: %s", f.Completed)
}

// ended returns a job as it is when it ends at a moment.
func (s *Service) ended(j catalogue.Job, status, message string, at time.Time) catalogue.Job {
	j.Status, j.Message, j.CompletedAt, j.ExpiresAt = status, &message, at, at.Add(s.settings.JobExpiry)
	return j
}
