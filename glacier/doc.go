// Package glacier is a client of the Amazon Glacier vault API (REST, version 2012-06-01): for Moraine, for Amazon's own endpoint, and for whatever else speaks it.
//
// A Client has one method for each of the 33 operations, named as in the developer guide. It signs requests, sends them again after failures that pass, and turns answers into
// values and errors. What is above single requests (uploads and downloads in parts, side by side, that survive interruptions) is in package transfer.
//
//	client, err := glacier.New(ctx, glacier.Options{Endpoint: "http://127.0.0.1:2012"})
//	...
//	archive, err := client.UploadArchive(ctx, "photos", file, glacier.UploadArchiveOptions{Description: "holidays 2016"})
//
// # How the service works
//
// Archives are kept in vaults. An archive has an id, which the service chooses, and a description; it has no name and never changes. What is in a vault is not listed by a request
// but by a job (InitiateJob with an InventoryRetrieval), and so are the bytes of an archive made available (ArchiveRetrieval). A job takes hours with Amazon, and a moment with
// Moraine; DescribeJob says whether it is done, GetJobOutput returns what it offers, for 24 hours.
//
// # Errors
//
// What the service answers is an *APIError with the code, the message and the request id; errors.Is tells the kinds apart:
//
//	if errors.Is(err, glacier.ErrNotFound) { ... }
//
// A failure without an answer is a *SendError. MayHaveSucceeded says whether the server may have carried out a request all the same: if all of it was sent and the answer was lost, or
// was a 5xx that does not say what was wrong. UploadArchive, InitiateJob, InitiateVaultLock and PurchaseProvisionedCapacity are not sent again then (but for Options.AllowDuplicates); everything else is.
//
// # Lists
//
// ListVaults, ListJobs, ListMultipartUploads and ListParts return one page. Vaults, Jobs, MultipartUploads and Parts return all of them, a page at a time:
//
//	for vault, err := range client.Vaults(ctx) { ... }
package glacier
