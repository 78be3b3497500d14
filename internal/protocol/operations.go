package protocol

// Body says what kind of request body an operation takes.
type Body int

// The kinds of request body.
const (
	NoBody      Body = iota // none needed; one that is sent is ignored apart from its hash
	JSONBody                // a JSON object of at most MaxJSONBody bytes
	ArchiveBody             // bytes of an archive; Content-Length and both hashes are required
)

// Scope says whose account the account in the URI may be.
type Scope int

// The scopes.
const (
	OwnAccount Scope = iota // the caller's own account only
	AnyAccount              // the account of the vault's owner, if the vault's policy lets the caller in
)

// Names of the operations, as the developer guide and the policies spell them.
const (
	AbortMultipartUpload        = "AbortMultipartUpload"
	AbortVaultLock              = "AbortVaultLock"
	AddTagsToVault              = "AddTagsToVault"
	CompleteMultipartUpload     = "CompleteMultipartUpload"
	CompleteVaultLock           = "CompleteVaultLock"
	CreateVault                 = "CreateVault"
	DeleteArchive               = "DeleteArchive"
	DeleteVault                 = "DeleteVault"
	DeleteVaultAccessPolicy     = "DeleteVaultAccessPolicy"
	DeleteVaultNotifications    = "DeleteVaultNotifications"
	DescribeJob                 = "DescribeJob"
	DescribeVault               = "DescribeVault"
	GetDataRetrievalPolicy      = "GetDataRetrievalPolicy"
	GetJobOutput                = "GetJobOutput"
	GetVaultAccessPolicy        = "GetVaultAccessPolicy"
	GetVaultLock                = "GetVaultLock"
	GetVaultNotifications       = "GetVaultNotifications"
	InitiateJob                 = "InitiateJob"
	InitiateMultipartUpload     = "InitiateMultipartUpload"
	InitiateVaultLock           = "InitiateVaultLock"
	ListJobs                    = "ListJobs"
	ListMultipartUploads        = "ListMultipartUploads"
	ListParts                   = "ListParts"
	ListProvisionedCapacity     = "ListProvisionedCapacity"
	ListTagsForVault            = "ListTagsForVault"
	ListVaults                  = "ListVaults"
	PurchaseProvisionedCapacity = "PurchaseProvisionedCapacity"
	RemoveTagsFromVault         = "RemoveTagsFromVault"
	SetDataRetrievalPolicy      = "SetDataRetrievalPolicy"
	SetVaultAccessPolicy        = "SetVaultAccessPolicy"
	SetVaultNotifications       = "SetVaultNotifications"
	UploadArchive               = "UploadArchive"
	UploadMultipartPart         = "UploadMultipartPart"
)

// Operation is one row of the API: everything about an operation that is not what it does.
type Operation struct {
	Name   string // also the action: "glacier:" + Name
	Method string
	Path   string // segments in braces are variables
	Query  string // "name=value" that selects the operation among those of its method and path; empty: any
	Scope  Scope
	Body   Body
	Status int // of a success; GetJobOutput also answers 206
	// Resource is what policies call the thing that the operation works on: the end of its ARN, "*" for all there is, "" for the vault of the path.
	Resource string
	Facts    Facts
}

// Facts says which facts about the resource conditions of policies can ask for (guide: "Amazon Glacier API Permissions"). Those about the caller and
// the connection are there for every operation.
type Facts int

// The facts, to be added up.
const (
	TagFacts Facts = 1 << iota // glacier:ResourceTag/{key}
	AgeFacts                   // glacier:ArchiveAgeInDays
)

// ForIdentities reports whether only the policies of callers can allow the operation: those of vaults have nothing to say about it.
func (o Operation) ForIdentities() bool { return o.Resource != "" || o.Name == CreateVault }

// OperationNamed returns the operation with a name.
func OperationNamed(name string) (Operation, bool) {
	for _, op := range Operations() {
		if op.Name == name {
			return op, true
		}
	}
	return Operation{}, false
}

// Paths of the API. A variable matches exactly one segment.
const (
	pathVaults        = "/{accountId}/vaults"
	pathVault         = "/{accountId}/vaults/{vaultName}"
	pathArchives      = pathVault + "/archives"
	pathArchive       = pathVault + "/archives/{archiveId}"
	pathUploads       = pathVault + "/multipart-uploads"
	pathUpload        = pathVault + "/multipart-uploads/{uploadId}"
	pathJobs          = pathVault + "/jobs"
	pathJob           = pathVault + "/jobs/{jobId}"
	pathOutput        = pathVault + "/jobs/{jobId}/output"
	pathNotifications = pathVault + "/notification-configuration"
	pathAccessPolicy  = pathVault + "/access-policy"
	pathLockPolicy    = pathVault + "/lock-policy"
	pathLock          = pathVault + "/lock-policy/{lockId}"
	pathTags          = pathVault + "/tags"
	pathRetrieval     = "/{accountId}/policies/data-retrieval"
	pathCapacity      = "/{accountId}/provisioned-capacity"
)

// Operations returns the table of operations, in the order of the guide's API reference. It is a new slice each time.
func Operations() []Operation {
	return []Operation{
		{CreateVault, "PUT", pathVault, "", OwnAccount, NoBody, 201, "", 0},
		{DeleteVault, "DELETE", pathVault, "", AnyAccount, NoBody, 204, "", TagFacts},
		{DescribeVault, "GET", pathVault, "", AnyAccount, NoBody, 200, "", 0},
		{ListVaults, "GET", pathVaults, "", OwnAccount, NoBody, 200, "vaults/", 0},
		{SetVaultAccessPolicy, "PUT", pathAccessPolicy, "", AnyAccount, JSONBody, 204, "", TagFacts},
		{GetVaultAccessPolicy, "GET", pathAccessPolicy, "", AnyAccount, NoBody, 200, "", 0},
		{DeleteVaultAccessPolicy, "DELETE", pathAccessPolicy, "", AnyAccount, NoBody, 204, "", TagFacts},
		{InitiateVaultLock, "POST", pathLockPolicy, "", OwnAccount, JSONBody, 201, "", TagFacts},
		{GetVaultLock, "GET", pathLockPolicy, "", AnyAccount, NoBody, 200, "", 0},
		{CompleteVaultLock, "POST", pathLock, "", OwnAccount, NoBody, 204, "", TagFacts},
		{AbortVaultLock, "DELETE", pathLockPolicy, "", OwnAccount, NoBody, 204, "", 0},
		{AddTagsToVault, "POST", pathTags, "operation=add", OwnAccount, JSONBody, 204, "", TagFacts},
		{ListTagsForVault, "GET", pathTags, "", OwnAccount, NoBody, 200, "", 0},
		{RemoveTagsFromVault, "POST", pathTags, "operation=remove", OwnAccount, JSONBody, 204, "", TagFacts},
		{SetVaultNotifications, "PUT", pathNotifications, "", AnyAccount, JSONBody, 204, "", TagFacts},
		{GetVaultNotifications, "GET", pathNotifications, "", AnyAccount, NoBody, 200, "", 0},
		{DeleteVaultNotifications, "DELETE", pathNotifications, "", AnyAccount, NoBody, 204, "", TagFacts},
		{UploadArchive, "POST", pathArchives, "", AnyAccount, ArchiveBody, 201, "", TagFacts},
		{DeleteArchive, "DELETE", pathArchive, "", AnyAccount, NoBody, 204, "", TagFacts | AgeFacts},
		{InitiateMultipartUpload, "POST", pathUploads, "", AnyAccount, NoBody, 201, "", TagFacts},
		{UploadMultipartPart, "PUT", pathUpload, "", AnyAccount, ArchiveBody, 204, "", TagFacts},
		{CompleteMultipartUpload, "POST", pathUpload, "", AnyAccount, NoBody, 201, "", TagFacts},
		{AbortMultipartUpload, "DELETE", pathUpload, "", AnyAccount, NoBody, 204, "", 0},
		{ListParts, "GET", pathUpload, "", AnyAccount, NoBody, 200, "", 0},
		{ListMultipartUploads, "GET", pathUploads, "", AnyAccount, NoBody, 200, "", 0},
		{InitiateJob, "POST", pathJobs, "", AnyAccount, JSONBody, 202, "", TagFacts | AgeFacts},
		{DescribeJob, "GET", pathJob, "", AnyAccount, NoBody, 200, "", 0},
		{ListJobs, "GET", pathJobs, "", AnyAccount, NoBody, 200, "", 0},
		{GetJobOutput, "GET", pathOutput, "", AnyAccount, NoBody, 200, "", 0},
		{SetDataRetrievalPolicy, "PUT", pathRetrieval, "", OwnAccount, JSONBody, 204, "policies/retrieval-limit-policy", 0},
		{GetDataRetrievalPolicy, "GET", pathRetrieval, "", OwnAccount, NoBody, 200, "policies/retrieval-limit-policy", 0},
		{PurchaseProvisionedCapacity, "POST", pathCapacity, "", OwnAccount, NoBody, 201, "*", 0},
		{ListProvisionedCapacity, "GET", pathCapacity, "", OwnAccount, NoBody, 200, "*", 0},
	}
}
