package glacier_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/moraine-archive/moraine/glacier"
)

// An archive is uploaded, and a job makes it available again.
func Example() {
	ctx := context.Background()
	client, err := glacier.New(ctx, glacier.Options{Endpoint: "http://127.0.0.1:2012", Profile: "moraine"})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := client.CreateVault(ctx, "photos"); err != nil {
		log.Fatal(err)
	}
	file, err := os.Open("2016.tar")
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	archive, err := client.UploadArchive(ctx, "photos", file, glacier.UploadArchiveOptions{Description: "holidays 2016"})
	if err != nil {
		log.Fatal(err)
	}
	job, err := client.InitiateJob(ctx, "photos", glacier.JobParameters{Type: glacier.ArchiveRetrieval, ArchiveID: archive.ArchiveID})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(job.JobID)
}

// The kinds of errors are told apart by errors.Is; what the service said is in an APIError.
func ExampleAPIError() {
	ctx := context.Background()
	client, err := glacier.New(ctx, glacier.Options{Endpoint: "http://127.0.0.1:2012"})
	if err != nil {
		log.Fatal(err)
	}
	_, err = client.DescribeVault(ctx, "no such vault")
	var answer *glacier.APIError
	switch {
	case errors.Is(err, glacier.ErrNotFound):
		fmt.Println("make it first")
	case errors.As(err, &answer):
		fmt.Println(answer.Code, answer.Message, answer.RequestID)
	}
}

// Lists come a page at a time; the iterators go through all pages.
func ExampleClient_Vaults() {
	ctx := context.Background()
	client, err := glacier.New(ctx, glacier.Options{})
	if err != nil {
		log.Fatal(err)
	}
	for vault, err := range client.Vaults(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(vault.Name, vault.NumberOfArchives)
	}
}

// The hashes that an upload needs can be computed once and given, when the bytes are read for another reason anyway.
func ExampleHashes() {
	linear, tree, err := glacier.Hashes(strings.NewReader("hello, vault"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(linear == tree, tree)
	// Output: true 177b28f633674aea287ee01e23b3ad13906e628355785738187894f5bc2c2f1d
}
