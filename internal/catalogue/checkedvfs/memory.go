package checkedvfs

import "unsafe"

// SQLite's structures lie in memory that the garbage collector does not know, and are passed as uintptr. The functions here are the only
// ones that turn such a number into a pointer. They read it out of a variable as a pointer, which says to vet and to checkptr what a
// conversion would not: that the number does not come from a Go pointer.

// at is the structure at an address.
func at[T any](address uintptr) *T { return *(**T)(unsafe.Pointer(&address)) }

// bytesAt is the memory at an address.
func bytesAt(address uintptr, n int32) []byte { return unsafe.Slice(at[byte](address), n) }

// pointer is the C function pointer to a function of this package: modernc translates such pointers to those of function values. f must be
// a function that is declared, not a closure, since SQLite keeps the pointer.
func pointer[F any](f F) uintptr { return *(*uintptr)(unsafe.Pointer(&f)) }

// function is the function that a C function pointer points to.
func function[F any](pointer uintptr) F { return *(*F)(unsafe.Pointer(&pointer)) }
