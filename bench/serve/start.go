package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// Process is a running process of servers, seen from outside.
type Process struct {
	// Addrs are the addresses of the roles, in order.
	Addrs []string

	cmd *exec.Cmd
	in  io.WriteCloser
	enc *json.Encoder
	dec *json.Decoder
}

// Start starts a process: the program that is running, with [Argument]. It ends
// when Stop is called or the context is cancelled.
func Start(ctx context.Context, cfg Config) (*Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, Argument)
	cmd.Stderr = os.Stderr
	cmd.WaitDelay = stopTimeout
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("serve: %w", err)
	}
	p := &Process{cmd: cmd, in: in, enc: json.NewEncoder(in), dec: json.NewDecoder(out)}
	if err := errors.Join(p.enc.Encode(&cfg), p.dec.Decode(&p.Addrs)); err != nil {
		p.Stop()
		return nil, fmt.Errorf("serve: the servers did not start: %w", err)
	}
	return p, nil
}

// Argument makes the lab's binary a process of servers.
const Argument = "serve"

// stopTimeout is how long a process may take to end before it is killed.
const stopTimeout = 5 * time.Second

// Begin starts the clock of the faults and of the statistics.
func (p *Process) Begin() error {
	var ok bool
	return p.ask("begin", &ok)
}

// Stats returns what has happened since Begin.
func (p *Process) Stats() (st Stats, err error) {
	err = p.ask("stats", &st)
	return st, err
}

func (p *Process) ask(command string, answer any) error {
	if err := errors.Join(p.enc.Encode(command), p.dec.Decode(answer)); err != nil {
		return fmt.Errorf("serve: %s: %w", command, err)
	}
	return nil
}

// Stop ends the process and waits for it.
func (p *Process) Stop() error {
	p.in.Close()
	kill := time.AfterFunc(stopTimeout, func() { p.cmd.Process.Kill() })
	defer kill.Stop()
	return p.cmd.Wait()
}
