//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package transfer

import "os"

// lockFile does nothing: callers must not download to one path twice at a time.
func lockFile(*os.File) error { return nil }

// syncDir does nothing: directories cannot be synced.
func syncDir(*os.File) error { return nil }

// beforeRename closes a file: one that is open cannot get another name.
func beforeRename(f *os.File) error { return f.Close() }
