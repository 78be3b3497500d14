package names

import (
	"encoding/hex"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// annexKey is the form of a key of git-annex, after a prefix that may have been configured: BACKEND[-sSIZE][-mMTIME][-SCHUNKSIZE-CCHUNK]--NAME. Source:
// git-annex, doc/internals/key_format.mdwn; the prefix: doc/special_remotes/glacier.mdwn, "fileprefix".
var annexKey = regexp.MustCompile(`^(?s:(.*/)?)([A-Z][A-Z0-9_]*)(?:-s([0-9]+))?(?:-m([0-9]+))?(?:-S[0-9]+-C([0-9]+))?--([^/\n]+)$`)

// annexHashes are the backends whose names are hashes, and how many hexadecimal digits those have. With an E after it, an extension follows the hash. Source:
// git-annex, doc/backends.mdwn.
var annexHashes = map[string]int{
	"MD5": 32, "SHA1": 40, "SHA224": 56, "SHA256": 64, "SHA384": 96, "SHA512": 128,
	"SHA3_224": 56, "SHA3_256": 64, "SHA3_384": 96, "SHA3_512": 128, "SKEIN256": 64, "SKEIN512": 128,
	"BLAKE2B160": 40, "BLAKE2B224": 56, "BLAKE2B256": 64, "BLAKE2B384": 96, "BLAKE2B512": 128, "BLAKE2BP512": 128,
	"BLAKE2S160": 40, "BLAKE2S224": 56, "BLAKE2S256": 64, "BLAKE2SP224": 56, "BLAKE2SP256": 64,
	// Names of encrypted content: a keyed hash of the key itself, which says nothing about the file.
	"GPGHMACSHA1": 40, "GPGHMACSHA224": 56, "GPGHMACSHA256": 64, "GPGHMACSHA384": 96, "GPGHMACSHA512": 128,
}

// parseGitAnnex reads a key of git-annex. Keys look much like names of files, so the backend has to be known, and what it promises has to be there. The path is all
// of the description: git-annex knows the file by it.
func parseGitAnnex(description string) (Name, bool) {
	part := annexKey.FindStringSubmatch(description)
	if part == nil {
		return Name{}, false
	}
	backend, size, mtime, chunk, name := part[2], part[3], part[4], part[5], part[6]
	n := Name{Path: description, Form: FormGitAnnex}
	switch backend {
	case "WORM":
		if size == "" {
			return Name{}, false
		}
	case "URL", "VURL":
	default:
		algorithm, hash := backend, name
		if base, extended := strings.CutSuffix(backend, "E"); extended {
			algorithm = base
			hash, _, _ = strings.Cut(name, ".")
		}
		digits, known := annexHashes[algorithm]
		if n.Hash = digest(strings.ToLower(algorithm), hash); !known || len(hash) != digits || n.Hash == "" {
			return Name{}, false
		}
		if strings.HasPrefix(algorithm, "GPGHMAC") {
			n.Hash, n.Encrypted = "", true
		}
	}
	n.Size, _ = strconv.ParseInt(size, 10, 64)
	n.Chunk, _ = strconv.Atoi(chunk)
	if seconds, err := strconv.ParseInt(mtime, 10, 64); err == nil {
		n.ModTime = within(time.Unix(seconds, 0).UTC())
	}
	return n, true
}

// digest is a hash as Name has it, empty if it is not one in hexadecimal digits.
func digest(algorithm, hash string) string {
	if raw, err := hex.DecodeString(hash); err != nil || len(raw) == 0 {
		return ""
	}
	return algorithm + ":" + strings.ToLower(hash)
}
