package program

import "os/exec"

// Run runs cmd, which [exec.CommandContext] has made, to its end. When the context
// ends, and in the end, all that is left of what it has started is killed: on Unix it is
// the first of a session of its own, which has no terminal on which something might ask,
// and on Windows it is in a job.
func Run(cmd *exec.Cmd) error {
	g := newGroup(cmd)
	cmd.Cancel = func() error { return g.kill(cmd.Process) }
	if err := cmd.Start(); err != nil {
		return err
	}
	g.started(cmd.Process)
	err := cmd.Wait()
	g.kill(cmd.Process)
	g.close()
	return err
}
