//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package transfer

import (
	"errors"
	"os"
	"syscall"
)

// lockFile takes the lock of a file, which is lost when the file is closed or the process ends. It is ErrBusy if somebody has it.
func lockFile(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case errors.Is(err, syscall.EWOULDBLOCK):
			return ErrBusy
		case !errors.Is(err, syscall.EINTR):
			return err
		}
	}
}

// syncDir makes the names in a directory durable.
func syncDir(d *os.File) error { return d.Sync() }

// beforeRename does nothing: a file that is open can get another name, and keeps its lock meanwhile.
func beforeRename(*os.File) error { return nil }
