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
	AbortMultipartUpload     = "AbortMultipartUpload"
	CompleteMultipartUpload  = "CompleteMultipartUpload"
	CreateVault              = "CreateVault"
	DeleteArchive            = "DeleteArchive"
	DeleteVault              = "DeleteVault"
	DeleteVaultNotifications = "DeleteVaultNotifications"
	DescribeJob              = "DescribeJob"
	DescribeVault            = "DescribeVault"
	GetJobOutput             = "GetJobOutput"
	GetVaultNotifications    = "GetVaultNotifications"
	InitiateJob              = "InitiateJob"
	InitiateMultipartUpload  = "InitiateMultipartUpload"
	ListJobs                 = "ListJobs"
	ListMultipartUploads     = "ListMultipartUploads"
	ListParts                = "ListParts"
	ListVaults               = "ListVaults"
	SetVaultNotifications    = "SetVaultNotifications"
	UploadArchive            = "UploadArchive"
	UploadMultipartPart      = "UploadMultipartPart"
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
)

// Operations returns the table of operations, in the order of the guide's API reference. It is a new slice each time.
func Operations() []Operation {
	return []Operation{
		{CreateVault, "PUT", pathVault, "", OwnAccount, NoBody, 201},
		{DeleteVault, "DELETE", pathVault, "", AnyAccount, NoBody, 204},
		{DescribeVault, "GET", pathVault, "", AnyAccount, NoBody, 200},
		{ListVaults, "GET", pathVaults, "", OwnAccount, NoBody, 200},
		{SetVaultNotifications, "PUT", pathNotifications, "", AnyAccount, JSONBody, 204},
		{GetVaultNotifications, "GET", pathNotifications, "", AnyAccount, NoBody, 200},
		{DeleteVaultNotifications, "DELETE", pathNotifications, "", AnyAccount, NoBody, 204},
		{UploadArchive, "POST", pathArchives, "", AnyAccount, ArchiveBody, 201},
		{DeleteArchive, "DELETE", pathArchive, "", AnyAccount, NoBody, 204},
		{InitiateMultipartUpload, "POST", pathUploads, "", AnyAccount, NoBody, 201},
		{UploadMultipartPart, "PUT", pathUpload, "", AnyAccount, ArchiveBody, 204},
		{CompleteMultipartUpload, "POST", pathUpload, "", AnyAccount, NoBody, 201},
		{AbortMultipartUpload, "DELETE", pathUpload, "", AnyAccount, NoBody, 204},
		{ListParts, "GET", pathUpload, "", AnyAccount, NoBody, 200},
		{ListMultipartUploads, "GET", pathUploads, "", AnyAccount, NoBody, 200},
		{InitiateJob, "POST", pathJobs, "", AnyAccount, JSONBody, 202},
		{DescribeJob, "GET", pathJob, "", AnyAccount, NoBody, 200},
		{ListJobs, "GET", pathJobs, "", AnyAccount, NoBody, 200},
		{GetJobOutput, "GET", pathOutput, "", AnyAccount, NoBody, 200},
	}
}
