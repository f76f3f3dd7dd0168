package stand

import (
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"outvet/test/bench/load"
)

// A Stand is an origin and what was started around it.
type Stand struct {
	Dir     string // authorities, states, policies
	Program string // outvet
	Origin  *Process
	Origins map[string]string // port of the name to address
	Files   int               // that each process may open

	started []*Process
	served  int
}

// New starts an origin. With an ip the origin listens there on its real ports.
func New(dir, program, ip string) (*Stand, error) {
	files, err := raiseFiles()
	if err != nil {
		return nil, err
	}
	for _, name := range []string{OriginCA, ReferenceCA} {
		if err := create(dir, name); err != nil {
			return nil, err
		}
	}
	s := &Stand{Dir: dir, Program: program, Files: files}
	p, err := play(part{Name: "origin", Dir: dir, IP: ip})
	if err != nil {
		return nil, err
	}
	s.started = append(s.started, p)
	s.Origin = p
	s.Origins = map[string]string{TLSPort: p.Ready["tls"], PlainPort: p.Ready["plain"], RawPort: p.Ready["raw"]}
	return s, nil
}

// Close ends all that was started.
func (s *Stand) Close() {
	for _, p := range slices.Backward(s.started) {
		p.Kill()
	}
}

// Direct is the way without a proxy.
func (s *Stand) Direct() (load.Contender, error) {
	pool, err := s.pool()
	return load.Contender{Route: load.Route{Name: "direct", Origin: s.Origins, Roots: pool}}, err
}

func (s *Stand) pool(more ...string) (*x509.CertPool, error) {
	return Pool(append(more, filepath.Join(s.Dir, OriginCA+".pem"))...)
}

// Reference starts the reference proxy of that name.
func (s *Stand) Reference(name string) (*Process, error) {
	p, err := play(part{Name: name, Dir: s.Dir, Origins: s.Origins})
	if err == nil {
		s.started = append(s.started, p)
	}
	return p, err
}

// Contender is the way through a proxy of this stand whose certificates are
// issued by the authority in the file ca.
func (s *Stand) Contender(p *Process, proxy, ca string) (load.Contender, error) {
	pool, err := s.pool(ca)
	if err != nil {
		return load.Contender{}, err
	}
	issuer, err := subject(ca)
	return load.Contender{Route: load.Route{Name: p.Name, Proxy: proxy, Origin: s.Origins, Roots: pool, Issuer: issuer}, CPU: p.CPU}, err
}

// CA is the file of the authority of the reference proxies.
func (s *Stand) CA() string { return filepath.Join(s.Dir, ReferenceCA+".pem") }

// An Outvet is a running outvet serve.
type Outvet struct {
	*Process
	State string
	Way   load.Contender
}

// Serve starts outvet with a policy and a fresh state.
func (s *Stand) Serve(name, policy string) (*Outvet, error) {
	s.served++
	base := filepath.Join(s.Dir, fmt.Sprintf("%s-%d", name, s.served))
	if err := os.WriteFile(base+".yaml", []byte(policy), 0o644); err != nil {
		return nil, err
	}
	args := []string{"serve", "--policy", base + ".yaml", "--state", base, "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0",
		"--upstream-ca", filepath.Join(s.Dir, OriginCA+".pem")}
	for _, port := range slices.Sorted(maps.Keys(s.Origins)) {
		for _, name := range []string{Host, Pinned} {
			args = append(args, "--connect-to", name+":"+port+":"+s.Origins[port])
		}
	}
	p, err := start(name, s.Program, args...)
	if err != nil {
		return nil, err
	}
	s.started = append(s.started, p)
	o := &Outvet{Process: p, State: base}
	o.Way, err = s.Contender(p, p.Ready["proxy"], filepath.Join(base, "ca.pem"))
	return o, err
}

// Run runs a command of outvet to its end and returns what it printed.
func (s *Stand) Run(args ...string) (string, error) {
	out, err := exec.Command(s.Program, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("outvet %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// output runs a command of outvet to its end and returns what it printed on
// standard output.
func (s *Stand) output(args ...string) ([]byte, error) {
	cmd := exec.Command(s.Program, args...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", filepath.Base(s.Program), err, errs.String())
	}
	return out, nil
}

// Build builds outvet into dir as it is released.
func Build(dir string) (string, error) {
	program := filepath.Join(dir, "outvet")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, "outvet/cmd/outvet")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.Join(fmt.Errorf("go build: %w", err), errors.New(strings.TrimSpace(string(out))))
	}
	return program, nil
}

// Loads reports whether this outvet takes the policy.
func (s *Stand) Loads(policy string) bool {
	file := filepath.Join(s.Dir, "tried.yaml")
	if os.WriteFile(file, []byte(policy), 0o644) != nil {
		return false
	}
	_, err := s.Run("policy", "test", file)
	return err == nil
}
