package program

import (
	"cmp"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// group is a job, or none (0) if Windows makes none: then the program is killed alone.
type group struct{ job windows.Handle }

func newGroup(cmd *exec.Cmd) group {
	// Not of our console: what is typed there is not for it.
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP | windows.CREATE_NO_WINDOW}
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return group{}
	}
	// If this process dies, so does what it has started.
	limit := windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION{BasicLimitInformation: windows.JOBOBJECT_BASIC_LIMIT_INFORMATION{LimitFlags: windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE}}
	windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation, uintptr(unsafe.Pointer(&limit)), uint32(unsafe.Sizeof(limit)))
	return group{job}
}

func (g group) started(p *os.Process) {
	if h, err := windows.OpenProcess(windows.PROCESS_SET_QUOTA|windows.PROCESS_TERMINATE, false, uint32(p.Pid)); err == nil {
		windows.AssignProcessToJobObject(g.job, h)
		windows.CloseHandle(h)
	}
}

// kill kills the program by itself, too: it may not be in the job yet.
func (g group) kill(p *os.Process) error {
	windows.TerminateJobObject(g.job, 1)
	return p.Kill()
}

func (g group) close() { windows.CloseHandle(g.job) }

// systemPath are the directories of the system's own programs.
func systemPath() []string {
	return []string{filepath.Join(cmp.Or(os.Getenv("SystemRoot"), `C:\Windows`), "System32")}
}

// files are those that a program called name may be.
func files(name string) []string {
	all := []string{name}
	for ext := range strings.SplitSeq(cmp.Or(os.Getenv("PATHEXT"), ".COM;.EXE;.BAT;.CMD"), ";") {
		if ext != "" {
			all = append(all, name+ext)
		}
	}
	return all
}

func executable(file string) bool {
	info, err := os.Stat(file)
	return err == nil && info.Mode().IsRegular() && filepath.Ext(file) != ""
}

// anyone would say whether anyone may write a file, which no mode tells here: that
// stands in access control lists, and these are not looked at.
func anyone(fs.FileInfo) bool { return false }

func trusted(fs.FileInfo) bool { return true }
