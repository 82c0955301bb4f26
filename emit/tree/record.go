package tree

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/victor-ai/victorgen/compiler/plan"
	"github.com/victor-ai/victorgen/internal/safefile"
)

// Record is what a tree tells to everyone: what its lock says, and which files
// there are. It takes no value to read it, and none is in it.
type Record struct {
	Environment  string
	Secrets      []RecordedSecret      // sealed ones, in the order of the lock
	Inputs       map[string]bool       // whether those that the lock keeps book of were there
	Accepted     []string              // certificates, by SHA-256, that the next build may seal for
	Certificates map[string]string     // whose those are that something is sealed for, by SHA-256, as far as the lock notes it
	Files        map[string]FileRecord // by slash-separated path in the tree, but for the lock
	Restarts     map[string]string     // by "Kind name", what the component sets so that a workload restarts: another text does
	Unstamped    bool                  // the times of the lock are authenticated by nothing: an earlier version wrote it
}

// FileRecord is a file of a tree.
type FileRecord struct {
	SHA256 string // empty if it is not a regular file, or too large to be one of ours
	Listed bool   // by the lock
}

// RecordedSecret is a sealed secret of a [Record].
type RecordedSecret struct {
	Namespace   string
	Name        string
	Scope       string
	Certificate string
	File        string // in the tree; none if all keys are left out
	Keys        map[string]RecordedKey
	Strange     []string // keys that its file has and the lock has not, sorted
}

// ID names the secret: NAMESPACE/NAME.
func (s RecordedSecret) ID() string { return SecretID{s.Namespace, s.Name}.String() }

// RecordedKey is a key of a [RecordedSecret].
type RecordedKey struct {
	Definition string
	LeftOut    bool   // and what follows is empty
	Ciphertext string // digest
	Edited     bool   // the file has another content
	Changed    time.Time
}

// maxTreeFiles is how many files of a directory are looked at. A tree of ten
// thousand secrets is less.
const maxTreeFiles = 50_000

// ReadRecord reads what the tree in dir tells; nil if it has no lock. It writes
// nothing and follows no link. The diagnostics have the codes [plan.CodeMerge],
// [plan.CodeLockRead] and [plan.CodeTreeRead].
func ReadRecord(dir string) (*Record, plan.Diagnostics) {
	var ds plan.Diagnostics
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		ds.Errorf(plan.CodeTreeRead, nil, "make it readable", "cannot read the tree in %s: %v", dir, safefile.Reason(err))
		return nil, ds
	}
	defer root.Close()
	if data, err := ReadRegular(root, LockFile); err == nil && Unmerged(data) {
		return nil, unmerged(filepath.Join(dir, LockFile))
	}
	l, ds := ReadLock(root)
	if l == nil {
		return nil, ds
	}
	r := &Record{Environment: l.Environment, Inputs: map[string]bool{}, Accepted: l.Accepted, Certificates: map[string]string{}, Files: map[string]FileRecord{}, Restarts: map[string]string{}}
	for name, in := range l.Inputs {
		r.Inputs[name] = in.Present
	}
	for sha, c := range l.Certificates {
		r.Certificates[sha] = c.String()
	}
	contents := map[string][]byte{} // of the files of secrets
	for _, s := range l.Secrets {
		contents[s.File] = nil
	}
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || name == LockFile {
			return err
		}
		if len(r.Files) == maxTreeFiles {
			return errors.New("it has too many files")
		}
		f := FileRecord{Listed: slices.Contains(l.Files, name)}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() && info.Size() <= maxLockFile {
			data, err := ReadRegular(root, name)
			if err != nil {
				return err
			}
			if Unmerged(data) && f.Listed {
				ds = append(ds, unmerged(filepath.Join(dir, name))...)
			}
			sum := sha256.Sum256(data)
			f.SHA256 = hex.EncodeToString(sum[:])
			if _, ok := contents[name]; ok {
				contents[name] = data
			}
			if name == RestartFile && f.Listed {
				r.Restarts = restartsOf(data)
			}
		}
		r.Files[name] = f
		return nil
	})
	if err != nil {
		ds.Errorf(plan.CodeTreeRead, nil, "make it readable", "cannot read the tree in %s: %v", dir, safefile.Reason(err))
	}
	if ds.HasErrors() {
		return nil, ds
	}
	for _, s := range l.Secrets {
		r.Secrets = append(r.Secrets, s.record(Ciphertexts(contents[s.File])))
		for _, k := range s.Keys {
			r.Unstamped = r.Unstamped || !k.Omitted && k.Stamp == ""
		}
	}
	return r, ds
}

// record is what there is to tell of s, of which the file has those ciphertexts.
func (s LockedSecret) record(inFile map[string]string) RecordedSecret {
	r := RecordedSecret{Namespace: s.Namespace, Name: s.Name, Scope: s.Scope, Certificate: s.Certificate, File: s.File, Keys: map[string]RecordedKey{}}
	for name, k := range s.Keys {
		r.Keys[name] = RecordedKey{
			Definition: k.Definition, LeftOut: k.Omitted, Ciphertext: k.Ciphertext, Changed: k.Changed.UTC(),
			Edited: !k.Omitted && CiphertextDigest(inFile[name]) != k.Ciphertext,
		}
	}
	for _, name := range slices.Sorted(maps.Keys(inFile)) {
		if k, ok := s.Keys[name]; !ok || k.Omitted {
			r.Strange = append(r.Strange, name)
		}
	}
	return r
}

// Unmerged reports whether data has conflict markers that no one has finished.
func Unmerged(data []byte) bool {
	begins := bytes.HasPrefix(data, []byte("<<<<<<< ")) || bytes.Contains(data, []byte("\n<<<<<<< "))
	return begins && (bytes.Contains(data, []byte("\n=======\n")) || bytes.Contains(data, []byte("\n=======\r\n"))) && bytes.Contains(data, []byte("\n>>>>>>> "))
}

func unmerged(file string) (ds plan.Diagnostics) {
	ds.Errorf(plan.CodeMerge, []plan.Pos{{File: file, Line: 1, Column: 1}},
		"take either side of all files of the tree, as with `git checkout --ours -- TREE` (or --theirs), and `victorgen build ENV`",
		"%s has conflict markers of an unfinished merge", filepath.Base(file))
	return ds
}
