package cli

import (
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/moraine-archive/moraine/glacier"
	"github.com/moraine-archive/moraine/glacier/transfer"
)

// hashDocument is the hashes of a file for scripts.
type hashDocument struct {
	File       string `json:"file"`
	LinearHash string `json:"sha256"`
	TreeHash   string `json:"tree_hash"`
}

func hashCommand(p Process) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "hash FILE...",
		Short: "Print the hashes that the service has of files",
		Long: `Print the SHA-256 tree hash of files, which is what the service calls the checksum of an archive, and their plain SHA-256. - is standard input. No server is
asked.`,
		Example: "  moraine hash 2016.tar\n  tar c photos | moraine hash -",
		Args:    arguments("FILE..."),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		list := []hashDocument{}
		for _, name := range args {
			d, err := interruptible(cmd.Context(), func() (d hashDocument, err error) {
				d.File = name
				if name == "-" {
					d.LinearHash, d.TreeHash, err = hashesOf(cmd.Context(), p.Stdin, nil, -1)
				} else {
					d.LinearHash, d.TreeHash, err = hashesOfFile(cmd.Context(), name)
				}
				return d, err
			})
			if err != nil {
				return err
			}
			list = append(list, d)
		}
		return printList(output{p, asJSON}, list, func(d hashDocument) []string { return []string{d.TreeHash, d.LinearHash, d.File} })
	}
	return cmd
}

// hashesOfFile returns the SHA-256 and the tree hash of a file.
func hashesOfFile(ctx context.Context, name string) (linear, tree string, err error) {
	f, err := os.Open(name)
	if err != nil {
		return "", "", err
	}
	defer f.Close()
	return hashesOf(ctx, f, nil, -1)
}

// hashesOf reads bytes to their end and returns their SHA-256 and their tree hash. The view is shown how many of the total were read.
func hashesOf(ctx context.Context, r io.Reader, v *view, total int64) (linear, tree string, err error) {
	return glacier.Hashes(&counted{r, ctx, v, transfer.Event{Phase: transfer.Hashing, Total: total}})
}

// counted shows how much was read, and ends with the context.
type counted struct {
	io.Reader
	ctx   context.Context
	v     *view
	event transfer.Event
}

func (r *counted) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.Reader.Read(p)
	r.event.Done += int64(n)
	r.v.show(r.event)
	return n, err
}
