package importer

import (
	"github.com/victor-ai/victorgen/compiler/plan"
)

func (d *Draft) sourcesText() string { return "" }

func (d *Draft) proveRemote(p *plan.Plan, s *Secret, k *Key) (string, string) { return Differs, "" }
