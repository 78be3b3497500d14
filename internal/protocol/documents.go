package protocol

// The JSON documents of the API. Members are in alphabetical order and always present, null when they do not apply:
// old clients fail on an absent member. Dates are text in TimestampLayout; an inventory's own dates have no fraction.

// TimestampLayout is the form of dates in the API, in UTC (time.Format).
const TimestampLayout = "2006-01-02T15:04:05.000Z"

// InventoryTimestampLayout is the form of dates in an inventory document, in UTC.
const InventoryTimestampLayout = "2006-01-02T15:04:05Z"

// VaultDescription is the answer to DescribeVault and an element of VaultList.
type VaultDescription struct {
	CreationDate      string
	LastInventoryDate *string
	NumberOfArchives  int64
	SizeInBytes       int64
	VaultARN          string
	VaultName         string
}

// VaultList is the answer to ListVaults.
type VaultList struct {
	Marker    *string
	VaultList []VaultDescription
}

// NotificationConfiguration is the body of SetVaultNotifications and the answer to GetVaultNotifications.
type NotificationConfiguration struct {
	Events   []string
	SNSTopic *string
}

// UploadDescription is an element of UploadsList.
type UploadDescription struct {
	ArchiveDescription *string
	CreationDate       string
	MultipartUploadID  string `json:"MultipartUploadId"`
	PartSizeInBytes    int64
	VaultARN           string
}

// UploadsList is the answer to ListMultipartUploads.
type UploadsList struct {
	Marker      *string
	UploadsList []UploadDescription
}

// PartDescription is an element of PartList.
type PartDescription struct {
	RangeInBytes   string // "first-last", both inclusive
	SHA256TreeHash string
}

// PartList is the answer to ListParts.
type PartList struct {
	ArchiveDescription *string
	CreationDate       string
	Marker             *string
	MultipartUploadID  string `json:"MultipartUploadId"`
	PartSizeInBytes    int64
	Parts              []PartDescription
	VaultARN           string
}

// InventoryParameters is what an inventory job was asked for; Marker is where the next one has to begin.
type InventoryParameters struct {
	EndDate   *string
	Format    string
	Limit     *string
	Marker    *string
	StartDate *string
}

// JobDescription is the answer to DescribeJob and an element of JobList.
type JobDescription struct {
	Action                       string
	ArchiveID                    *string `json:"ArchiveId"`
	ArchiveSHA256TreeHash        *string
	ArchiveSizeInBytes           *int64
	Completed                    bool
	CompletionDate               *string
	CreationDate                 string
	InventoryRetrievalParameters *InventoryParameters
	InventorySizeInBytes         *int64
	JobDescription               *string
	JobID                        string  `json:"JobId"`
	JobOutputPath                *string // select jobs only
	OutputLocation               *struct{}
	RetrievalByteRange           *string
	SHA256TreeHash               *string
	SNSTopic                     *string
	SelectParameters             *struct{}
	StatusCode                   string
	StatusMessage                *string
	Tier                         *string
	VaultARN                     string
}

// JobList is the answer to ListJobs.
type JobList struct {
	JobList []JobDescription
	Marker  *string
}

// PolicyDocument is the body of SetVaultAccessPolicy and InitiateVaultLock, and the answer to GetVaultAccessPolicy. Policy is a document as a text.
type PolicyDocument struct {
	Policy *string
}

// VaultLock is the answer to GetVaultLock.
type VaultLock struct {
	CreationDate   string
	ExpirationDate *string // nil: locked for ever
	Policy         string
	State          string
}

// The states of a vault lock.
const (
	LockInProgress = "InProgress"
	Locked         = "Locked"
)

// Tags is the body of AddTagsToVault and the answer to ListTagsForVault.
type Tags struct {
	Tags map[string]string
}

// DataRetrievalPolicy is the body of SetDataRetrievalPolicy and the answer to GetDataRetrievalPolicy.
type DataRetrievalPolicy struct {
	Policy DataRetrievalRules
}

// DataRetrievalRules are the rules of a data retrieval policy: exactly one.
type DataRetrievalRules struct {
	Rules []DataRetrievalRule
}

// DataRetrievalRule limits the retrievals of an account.
type DataRetrievalRule struct {
	BytesPerHour *int64 `json:",omitempty"` // with the strategy BytesPerHour only
	Strategy     string
}

// Strategies of a data retrieval rule.
const (
	StrategyBytesPerHour = "BytesPerHour"
	StrategyFreeTier     = "FreeTier"
	StrategyNone         = "None"
)

// ProvisionedCapacity is a unit of provisioned capacity.
type ProvisionedCapacity struct {
	CapacityID     string `json:"CapacityId"`
	ExpirationDate string
	StartDate      string
}

// ProvisionedCapacityList is the answer to ListProvisionedCapacity.
type ProvisionedCapacityList struct {
	ProvisionedCapacityList []ProvisionedCapacity
}
