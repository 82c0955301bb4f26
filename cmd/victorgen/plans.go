package main

import (
	"os"
	"path/filepath"
	"sync"

	"github.com/victor-ai/victorgen/compiler"
	"github.com/victor-ai/victorgen/compiler/plan"
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

// planOf is the plan of the environment in dir, for those who say nothing of what is
// wrong with it; nil if it does not compile.
func planOf(dir string) *plan.Plan {
	p, _ := compiler.Compile(dir, compiler.Options{Cache: plans()})
	return p
}

// build tells this build of victorgen from each other one.
var build = sync.OnceValue(buildid.Own)
