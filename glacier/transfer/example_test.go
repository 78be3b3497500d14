package transfer_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/moraine-archive/moraine/glacier"
	"github.com/moraine-archive/moraine/glacier/transfer"
)

// A file is uploaded. If the upload is interrupted, for example by a signal that ends the context, the error says how to go on.
func ExampleUploader_Upload() {
	ctx := context.Background()
	client, err := glacier.New(ctx, glacier.Options{Endpoint: "http://127.0.0.1:2012"})
	if err != nil {
		log.Fatal(err)
	}
	file, err := os.Open("holidays.tar")
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		log.Fatal(err)
	}
	up := transfer.Uploader{Client: client}
	archive, err := up.Upload(ctx, "photos", file, info.Size(), "holidays 2016")
	if i, ok := errors.AsType[*transfer.InterruptedError](err); ok {
		log.Fatalf("%v\ngo on with Resume and the id %s", err, i.UploadID)
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(archive.ID)
}

// What a pipe brings is uploaded. Its length is not known, so the size of parts says how long it can be: 10,000 of them.
func ExampleUploader_UploadStream() {
	ctx := context.Background()
	client, err := glacier.New(ctx, glacier.Options{})
	if err != nil {
		log.Fatal(err)
	}
	up := transfer.Uploader{Client: client, PartSize: 256 << 20, Concurrency: 2} // 2.4 TiB at most, in 512 MiB of memory
	archive, err := up.UploadStream(ctx, "backups", os.Stdin, "the database, as of today")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(archive.ID, archive.Size)
}

// An archive is fetched to a file. Calling this again after an interruption goes on with what is there.
func ExampleDownloader_Download() {
	ctx := context.Background()
	client, err := glacier.New(ctx, glacier.Options{})
	if err != nil {
		log.Fatal(err)
	}
	down := transfer.Downloader{
		Client: client,
		Tier:   glacier.Bulk,
		Progress: func(e transfer.Event) {
			if e.Phase == transfer.Receiving {
				log.Printf("%d of %d bytes", e.Done, e.Total)
			}
		},
	}
	done, err := down.Download(ctx, "photos", os.Args[1], "holidays.tar")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(done.Size, done.TreeHash)
}

// An inventory is written as it is. It has no tree hash, so it is not Verified.
func ExampleDownloader_DownloadTo() {
	ctx := context.Background()
	client, err := glacier.New(ctx, glacier.Options{})
	if err != nil {
		log.Fatal(err)
	}
	job, err := client.InitiateJob(ctx, "photos", glacier.JobParameters{Type: glacier.InventoryRetrieval, Format: "CSV"})
	if err != nil {
		log.Fatal(err)
	}
	down := transfer.Downloader{Client: client}
	if _, err := down.DownloadTo(ctx, "photos", job.JobID, os.Stdout); err != nil {
		log.Fatal(err)
	}
}
