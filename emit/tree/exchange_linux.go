package tree

import "golang.org/x/sys/unix"

// exchange makes two names change places in one step: renameat2(2).
func exchange(a, b string) error {
	return unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
}
