package main

import (
	"os"
	"path/filepath"
	"sync"

	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/internal/buildid"
)

// cacheVariable names the directory of the cache; "off" is to have none.
const cacheVariable = "VICTORGEN_CACHE"

// plans is the cache of plans: in the user's directory of caches, unless
// [cacheVariable] says otherwise. It is nil if there is none.
func plans() *compiler.Cache {
	dir := os.Getenv(cacheVariable)
	if dir == "off" {
		return nil
	}
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return nil
		}
		dir = filepath.Join(user, "victorgen")
	}
	return compiler.NewCache(filepath.Join(dir, "plans"), build())
}

// build tells this build of victorgen from each other one.
var build = sync.OnceValue(buildid.Own)
