package api

import (
	"fmt"
	"regexp"
	"strconv"

	"github.com/moraine-archive/moraine/internal/fault"
	"github.com/moraine-archive/moraine/internal/protocol"
	"github.com/moraine-archive/moraine/internal/vault"
)

func initiateJob(c *call) (reply, error) {
	parameters, err := parseJobParameters(c.json)
	if err != nil {
		return reply{}, err
	}
	id, err := c.s.Service.InitiateJob(c.ctx, c.vault(), parameters)
	if err != nil {
		return reply{}, err
	}
	return created(c.location("/jobs/"+id), header{protocol.HeaderJobID, id}), nil
}

// parseJobParameters reads the body of InitiateJob: the bare object, or, as in the guide's syntax block, one wrapped in jobParameters.
func parseJobParameters(body []byte) (p vault.JobParameters, err error) {
	if len(body) == 0 {
		return p, fault.New(fault.Missing, "Required parameter missing: Job Parameters")
	}
	o, err := parseObject(body)
	if err != nil {
		return p, err
	}
	if o.only("jobParameters") {
		if o, err = o.object("jobParameters"); err != nil {
			return p, err
		}
	}
	err = o.members(map[string]**string{
		"Type": &p.Type, "ArchiveId": &p.ArchiveID, "Description": &p.Description, "Format": &p.Format,
		"SNSTopic": &p.SNSTopic, "Tier": &p.Tier, "RetrievalByteRange": &p.RetrievalByteRange,
	})
	if err != nil {
		return p, err
	}
	p.Select = o.has("SelectParameters") || o.has("OutputLocation")
	return p, parseInventoryParameters(o, &p)
}

func parseInventoryParameters(o object, p *vault.JobParameters) error {
	child, err := o.object("InventoryRetrievalParameters")
	if err != nil || child == nil {
		return err
	}
	p.Inventory = new(struct{ StartDate, EndDate, Limit, Marker *string })
	if p.Inventory.Limit, err = child.number("Limit"); err != nil {
		return err
	}
	return child.members(map[string]**string{
		"StartDate": &p.Inventory.StartDate, "EndDate": &p.Inventory.EndDate, "Marker": &p.Inventory.Marker,
	})
}

func describeJob(c *call) (reply, error) {
	return answer(c.s.Service.DescribeJob(c.ctx, c.vault(), c.path["jobId"]))
}

func listJobs(c *call) (reply, error) {
	query := c.r.URL.Query()
	return answer(c.s.Service.ListJobs(c.ctx, c.vault(), query.Get("statuscode"), query.Get("completed"), c.query("limit"), c.query("marker")))
}

func getJobOutput(c *call) (reply, error) {
	o, err := c.s.Service.GetJobOutput(c.ctx, c.vault(), c.path["jobId"])
	if err != nil {
		return reply{}, err
	}
	r, err := parseRange(c.r.Header.Get("Range"), o.Size)
	if err != nil {
		return reply{}, err
	}
	headers := []header{{"Content-Type", o.MediaType}, {"Accept-Ranges", "bytes"}}
	if o.Description != "" {
		headers = append(headers, header{protocol.HeaderDescription, o.Description})
	}
	hash, ok, err := o.TreeHash(c.ctx, r.first, r.last)
	if err != nil {
		return reply{}, err
	}
	if ok {
		headers = append(headers, header{protocol.HeaderTreeHash, hash.String()})
	}
	status := 200
	if r.partial {
		status = 206
		headers = append(headers, header{"Content-Range", fmt.Sprintf("bytes %d-%d/%d", r.first, r.last, o.Size)})
	}
	body, err := o.Open(c.ctx, r.first, r.last)
	if err != nil {
		return reply{}, err
	}
	return reply{status: status, headers: headers, output: &output{body, r.last - r.first + 1}}, nil
}

// byteRange is a part of an output, both ends inclusive.
type byteRange struct {
	first, last int64
	partial     bool // asked for, even if it is the whole
}

// rangeForm is the only form of Range that counts: a single range of bytes (RFC 9110, 14.1.2).
var rangeForm = regexp.MustCompile(`^bytes=([0-9]*)-([0-9]*)$`) // read only

// parseRange reads the Range header of a download of size bytes. A form that is not understood is ignored, as the original does and HTTP
// allows; a range that begins beyond the end is an error, 400 and not 416.
func parseRange(text string, size int64) (byteRange, error) {
	whole := byteRange{0, size - 1, false}
	m := rangeForm.FindStringSubmatch(text)
	if m == nil || m[1] == "" && m[2] == "" {
		return whole, nil
	}
	first, _ := strconv.ParseInt(m[1], 10, 64) // the greatest there is, if it is greater
	last, _ := strconv.ParseInt(m[2], 10, 64)
	switch {
	case m[1] == "" && last == 0:
		return whole, nil
	case m[1] == "":
		return byteRange{max(0, size-last), size - 1, true}, nil
	case m[2] != "" && last < first:
		return whole, nil
	case first >= size:
		return whole, fault.New(fault.Invalid, "The start of the range is larger than size of retrieved data: %s", text)
	case m[2] == "":
		last = size - 1
	}
	return byteRange{first, min(last, size-1), true}, nil
}
