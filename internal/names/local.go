package names

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"unicode/utf8"
)

// maxComponent is how many bytes the name of a file may have on the file systems that are common (NAME_MAX; on Windows it is 255 characters).
const maxComponent = 255

// Local returns where a file of this path may be restored, relative to a directory, in the form of the operating system. What it returns stays within the
// directory as long as no symbolic link there leads out of it (open it through an os.Root), and is clean. What leads there from the root, a drive or a server
// becomes directories, so that files of two drives stay apart: /etc/hosts becomes etc/hosts, C:\a.txt becomes C/a.txt.
//
// There is an error, which names the path, if it can be no file here: it is empty, ends in a directory, has a .. (also between backslashes), a NUL, a name of more
// than 255 bytes, bytes that are not UTF-8, or what the operating system reserves. Elsewhere than on Windows a backslash is a character like others, except in a path that begins as
// those of Windows do. Two paths may have the same place, as a and /a do; whoever restores both has to see to it.
func Local(path string) (string, error) {
	refuse := func(why string) (string, error) {
		return "", fmt.Errorf("%q cannot be the path of a file: %s", path, why)
	}
	rest := path
	if fromWindows(rest) || runtime.GOOS == "windows" {
		rest = slashed(rest)
	}
	if len(rest) > 2 && rest[1] == ':' && rest[2] == '/' && fromWindows(rest) {
		rest = rest[:1] + rest[2:]
	}
	if strings.ContainsRune(rest, 0) {
		return refuse("it has a NUL character")
	}
	if !utf8.ValidString(rest) {
		return refuse("it is not UTF-8")
	}
	for _, name := range strings.FieldsFunc(rest, func(r rune) bool { return r == '/' || r == '\\' }) {
		if name == ".." {
			return refuse("it has a .., which could lead anywhere")
		}
	}
	var kept []string
	last := ""
	for _, name := range strings.Split(rest, "/") {
		if last = name; name == "" || name == "." {
			continue
		}
		if len(name) > maxComponent {
			return refuse(fmt.Sprintf("a name in it has %d bytes, %d are possible", len(name), maxComponent))
		}
		kept = append(kept, name)
	}
	if last == "" || last == "." {
		return refuse("it is that of a directory")
	}
	local, err := filepath.Localize(strings.Join(kept, "/"))
	if err != nil {
		return refuse("this operating system does not allow it")
	}
	return local, nil
}

// fromWindows reports whether a path begins with a drive or the name of a server.
func fromWindows(path string) bool {
	if strings.HasPrefix(path, `\\`) {
		return true
	}
	return len(path) > 2 && path[1] == ':' && (path[2] == '\\' || path[2] == '/') && (path[0]|0x20 >= 'a' && path[0]|0x20 <= 'z')
}
