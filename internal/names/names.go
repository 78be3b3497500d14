// Package names knows what descriptions of archives say about files. An archive of the Glacier API has no name, only a description of at most 1,024 printable
// ASCII characters, and every tool has put the path of the file into it in a form of its own. Parse reads the forms of others, Format and Plain write ours,
// and Local makes of a path one under which a file may be restored.
//
// The package decides by the text alone: it looks at no file.
package names

import (
	"strings"
	"time"
	"unicode/utf8"
)

// The forms of descriptions.
const (
	FormPlain       = "plain"       // the description is the path: boto, the aws CLI by habit, glacier-cli, amazon-glacier-cmd-interface and others
	FormMT2         = "mt2"         // mt-aws-glacier since 0.84, glacier-interface, and ours
	FormMT1         = "mt1"         // mt-aws-glacier 0.80 to 0.84
	FormFastGlacier = "fastglacier" // FastGlacier, CrushFTP, QNAP Hybrid Backup Sync, Survtur Glacier
	FormCloudBerry  = "cloudberry"  // CloudBerry Explorer and Backup (now MSP360)
	FormJSON        = "json"        // an object with the member path: QNAP Glacier, and scripts
	FormGitAnnex    = "git-annex"   // a key of git-annex, whose glacier remote stores by way of glacier-cli
)

// Name is what a description says about a file. All but Path and Form may be unknown.
type Name struct {
	Path    string    // as the tool wrote it, but with / between directories if it came from a tool of Windows; not safe to open: see Local
	ModTime time.Time // when the file was changed last, in UTC; zero: unknown
	Form    string

	Size int64  // of the file, which may be compressed or encrypted in the archive; 0: unknown
	Hash string // of the file, "md5:" or "sha256:" or such and hexadecimal digits; empty: unknown

	Directory  bool // the archive stands for a directory
	Compressed bool // the archive has the file in a compressed form of the tool
	Encrypted  bool // the archive has the file in an encrypted form of the tool
	Chunk      int  // git-annex: the archive is this chunk of the file, counted from 1; 0: the file is whole
}

// Parse says what a description tells about a file. It never fails: what has none of the known forms, also because it is damaged, is plain, and all of it is the
// path. The path of another form is valid UTF-8 and not empty.
func Parse(description string) Name {
	if parse := parser(description); parse != nil {
		if n, ok := parse(description); ok {
			return n
		}
	}
	return Name{Path: description, Form: FormPlain}
}

// parser returns the function that may understand a description, nil if it can only be plain. Most descriptions are plain, so this is quick.
func parser(description string) func(string) (Name, bool) {
	switch {
	case !utf8.ValidString(description): // no form has that
	case strings.HasPrefix(description, prefixMT2), strings.HasPrefix(description, prefixMT1):
		return parseMT
	case strings.HasPrefix(description, "<m>"):
		return parseFastGlacier
	case strings.HasPrefix(description, "{"):
		return parseJSON
	case strings.Contains(description, "--"):
		return parseGitAnnex
	}
	return nil
}

// slashed is a path of Windows with / between directories. There \ can be in no name.
func slashed(path string) string { return strings.ReplaceAll(path, `\`, "/") }
