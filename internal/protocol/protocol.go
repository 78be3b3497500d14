// Package protocol holds the facts of the Amazon Glacier vault API, version 2012-06-01: its operations, header names and
// limits. It has no logic. Where a fact comes from the developer guide, the page is named.
package protocol

// Version is the only version of the API; it is the required value of HeaderVersion.
const Version = "2012-06-01"

// Service is the service name in a credential scope (guide: "Signing Requests").
const Service = "glacier"

// Names of headers, spelled as the service spells them. Names are compared without regard to case (RFC 9110, 5.1).
const (
	HeaderVersion      = "x-amz-glacier-version"
	HeaderContentHash  = "x-amz-content-sha256"
	HeaderTreeHash     = "x-amz-sha256-tree-hash"
	HeaderDescription  = "x-amz-archive-description"
	HeaderArchiveID    = "x-amz-archive-id"
	HeaderArchiveSize  = "x-amz-archive-size"
	HeaderPartSize     = "x-amz-part-size"
	HeaderUploadID     = "x-amz-multipart-upload-id"
	HeaderJobID        = "x-amz-job-id"
	HeaderLockID       = "x-amz-lock-id"
	HeaderCapacityID   = "x-amz-capacity-id"
	HeaderRequestID    = "x-amzn-RequestId"
	HeaderErrorType    = "x-amzn-ErrorType"
	HeaderContentRange = "Content-Range"
)

// Lengths of identifiers in characters.
const (
	ArchiveIDLength = 138
	UploadIDLength  = 92
	JobIDLength     = 92
	LockIDLength    = 24 // of capacity units too
	RequestIDLength = 47
)

// Limits of the service, sizes in bytes.
const (
	MiB             = 1 << 20
	MaxUpload       = 4 << 30 // one UploadArchive request
	MinPartSize     = 1 << 20 // part sizes are powers of two from here ...
	MaxPartSize     = 4 << 30 // ... to here
	MaxParts        = 10_000  // per multipart upload
	MaxDescription  = 1024    // characters of an archive or job description
	MaxVaultName    = 255     // characters
	MaxVaults       = 1000    // per account and region
	MaxJSONBody     = 1 << 20 // of any request but an upload
	MaxPolicy       = 20_480  // text of a vault access or lock policy
	MaxTags         = 50      // per vault
	MaxTagRequest   = 10      // tags or keys in a request
	MaxTagKey       = 128     // characters
	MaxTagValue     = 255     // characters
	MaxCapacity     = 2       // units of an account at a time
	ArchiveOverhead = 32_768  // what the original adds per archive to a vault's SizeInBytes
)
