package dirlock

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/windows"
)

// try returns the open file that stands for the lock of dir. No one else can open it,
// and it is gone once it is closed, also by the end of the process. (One in dir
// itself would be open while dir is moved, which Windows refuses.)
func try(dir string) (*os.File, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, errors.Unwrap(err) // the caller names the directory
	}
	real, err := filepath.EvalSymlinks(dir)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	if err != nil {
		return nil, err
	}
	// One directory has names in capitals and in small letters.
	name := filepath.Join(os.TempDir(), fmt.Sprintf("victorgen-%x.lock", sha256.Sum256([]byte(strings.ToLower(real)))))
	path, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return nil, err
	}
	const nothing = 0 // may share it
	h, err := windows.CreateFile(path, windows.GENERIC_WRITE|windows.DELETE, nothing, nil, windows.OPEN_ALWAYS,
		windows.FILE_ATTRIBUTE_TEMPORARY|windows.FILE_FLAG_DELETE_ON_CLOSE, 0)
	switch {
	case err == nil:
		return os.NewFile(uintptr(h), name), nil
	case err == windows.ERROR_SHARING_VIOLATION, err == windows.ERROR_DELETE_PENDING:
		return nil, errHeld
	case err == windows.ERROR_ACCESS_DENIED:
		// So says Windows of a file that is just going, too.
		if _, there := os.Stat(name); there == nil {
			return nil, errHeld
		}
	}
	return nil, err
}
