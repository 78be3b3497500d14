package api

import (
	"fmt"

	"github.com/moraine-archive/moraine/internal/protocol"
)

// handler decodes a request, calls the service once, and says what to reply.
type handler func(*call) (reply, error)

// handlers returns the handler of every operation. A test holds it against the table of operations.
func handlers() map[string]handler {
	return map[string]handler{
		protocol.CreateVault:                 createVault,
		protocol.DescribeVault:               describeVault,
		protocol.ListVaults:                  listVaults,
		protocol.DeleteVault:                 deleteVault,
		protocol.SetVaultAccessPolicy:        setVaultAccessPolicy,
		protocol.GetVaultAccessPolicy:        getVaultAccessPolicy,
		protocol.DeleteVaultAccessPolicy:     deleteVaultAccessPolicy,
		protocol.InitiateVaultLock:           initiateVaultLock,
		protocol.GetVaultLock:                getVaultLock,
		protocol.CompleteVaultLock:           completeVaultLock,
		protocol.AbortVaultLock:              abortVaultLock,
		protocol.AddTagsToVault:              addTagsToVault,
		protocol.ListTagsForVault:            listTagsForVault,
		protocol.RemoveTagsFromVault:         removeTagsFromVault,
		protocol.SetVaultNotifications:       setVaultNotifications,
		protocol.GetVaultNotifications:       getVaultNotifications,
		protocol.DeleteVaultNotifications:    deleteVaultNotifications,
		protocol.UploadArchive:               uploadArchive,
		protocol.DeleteArchive:               deleteArchive,
		protocol.InitiateMultipartUpload:     initiateMultipartUpload,
		protocol.UploadMultipartPart:         uploadMultipartPart,
		protocol.CompleteMultipartUpload:     completeMultipartUpload,
		protocol.AbortMultipartUpload:        abortMultipartUpload,
		protocol.ListParts:                   listParts,
		protocol.ListMultipartUploads:        listMultipartUploads,
		protocol.InitiateJob:                 initiateJob,
		protocol.DescribeJob:                 describeJob,
		protocol.ListJobs:                    listJobs,
		protocol.GetJobOutput:                getJobOutput,
		protocol.SetDataRetrievalPolicy:      setDataRetrievalPolicy,
		protocol.GetDataRetrievalPolicy:      getDataRetrievalPolicy,
		protocol.PurchaseProvisionedCapacity: purchaseProvisionedCapacity,
		protocol.ListProvisionedCapacity:     listProvisionedCapacity,
	}
}

// location is the path of a new resource below its vault, with the account's 12 digits. It has no scheme and no host.
func (c *call) location(below string) string {
	return fmt.Sprintf("/%s/vaults/%s%s", c.account, c.path["vaultName"], below)
}

// answer is the reply with a document, unless there is an error.
func answer(document any, err error) (reply, error) { return reply{document: document}, err }

// done is the reply without a body, unless there is an error.
func done(err error) (reply, error) { return reply{}, err }
