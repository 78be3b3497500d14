package cli

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/moraine-archive/moraine/glacier"
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
		Args:    atLeast("FILE"),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		list := []hashDocument{}
		for _, name := range args {
			d, err := hashesOf(p, name)
			if err != nil {
				return err
			}
			list = append(list, d)
		}
		return printList(output{p, asJSON}, list, func(d hashDocument) []string { return []string{d.TreeHash, d.LinearHash, d.File} })
	}
	return cmd
}

func hashesOf(p Process, name string) (hashDocument, error) {
	var r io.Reader = p.Stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return hashDocument{}, err
		}
		defer f.Close()
		r = f
	}
	linear, tree, err := glacier.Hashes(r)
	if err != nil {
		err = fmt.Errorf("read %s: %w", name, err)
	}
	return hashDocument{name, linear, tree}, err
}
