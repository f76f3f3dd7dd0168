package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// A Mode says what the command sees of the file system; see the package
// documentation.
type Mode string

const (
	Overlay Mode = "overlay"
	Review  Mode = "review"
	Strict  Mode = "strict"
	Open    Mode = "open"
)

// Grade returns the grade of records of a command that runs in mode m.
func (m Mode) Grade() string {
	if m == Open {
		return "sealed-nofs"
	}
	return "sealed"
}

// AgentSocket is where the command finds the socket by which it may ask outvet.
const AgentSocket = "/run/outvet/agent.sock"

// A Bind puts a file in the place of another one in the view. To that do not exist
// there are left out, except below /run, where they are made.
type Bind struct {
	To      string
	Content []byte
	From    string // a file of the machine, if Content is nil

	// Write puts a file with Content there that the command may write to, and its
	// folders. In mode open, where it would be there for good, it is left out.
	Write bool
}

// Config says what to run and in which view.
type Config struct {
	Command []string
	Env     []string // all of it
	Dir     string   // where the command starts; "" is Workspace

	Workspace string   // the directory in which it may write
	Live      []string // others, such as caches, that are the real ones
	Files     Mode     // "" is Overlay

	State string   // directory of keys and record; never seen by the command
	Home  string   // the home directory as the command sees it
	Hide  []string // further paths that it never sees; see Secrets
	Binds []Bind

	// AutoRun are paths of the workspace that others run or obey later, such as
	// ".git/hooks"; see AutoRun the function. nil is those.
	AutoRun []string

	// User is whom the command is for the kernel when root calls: a name or a
	// number. "" is who called sudo, or nobody.
	User string

	// Stdin, Stdout and Stderr are the standard files. One that is a socket becomes a
	// pipe; a directory is an error. nil is /dev/null, or the terminal.
	Stdin, Stdout, Stderr *os.File
	// Terminal gives the command a terminal of its own, which controls it. It is made
	// inside, and takes the place of the standard files that are nil; its other end
	// is Sandbox.Terminal. If none is nil, Stdin is a terminal that was made for this
	// command.
	Terminal bool

	// Prepare, if there is one, is called when stage 1 has been started and before
	// anything of Env and Binds is used: what they are can be found out meanwhile.
	Prepare func(*Config) error `json:"-"`

	fault string // name of a step that fails; for tests
}

// settled returns c with its paths made real and its defaults set.
func (c Config) settled() (Config, error) {
	if len(c.Command) == 0 {
		return c, errors.New("sandbox: no command")
	}
	if c.Files == "" {
		c.Files = Overlay
	}
	if !slices.Contains([]Mode{Overlay, Review, Strict, Open}, c.Files) {
		return c, fmt.Errorf("sandbox: unknown mode %q of the file system: use overlay, review, strict or open", c.Files)
	}
	if c.State == "" {
		return c, errors.New("sandbox: no state directory to hide")
	}
	for _, p := range []*string{&c.State, &c.Workspace} {
		real, err := filepath.Abs(*p)
		if err == nil {
			real, err = filepath.EvalSymlinks(real)
		}
		if err != nil {
			return c, fmt.Errorf("sandbox: %w", err)
		}
		*p = real
	}
	c.Live = slices.Clone(c.Live)
	for i, p := range c.Live {
		real, err := filepath.EvalSymlinks(p)
		if err != nil {
			return c, fmt.Errorf("sandbox: live directory: %w", err)
		}
		c.Live[i] = real
	}
	if c.Home != "" {
		if real, err := filepath.EvalSymlinks(c.Home); err == nil {
			c.Home = real
		}
	}
	if c.Dir == "" {
		c.Dir = c.Workspace
	}
	if c.AutoRun == nil {
		c.AutoRun = AutoRun()
	}
	return c, nil
}

// Secrets returns what keeps keys and tokens in a home directory, to be hidden.
func Secrets(home string) []string {
	var all []string
	for _, p := range []string{
		".ssh", ".aws", ".gnupg", ".kube", ".docker", ".netrc", ".git-credentials", ".pgpass", ".my.cnf",
		".config/gcloud", ".config/gh", ".config/op", ".azure", ".password-store", ".vault-token",
		".mozilla", ".config/google-chrome", ".config/chromium", ".config/BraveSoftware", ".config/microsoft-edge", ".thunderbird",
		".local/share/keyrings", ".local/share/kwalletd", ".config/Bitwarden", ".electrum", ".bitcoin",
	} {
		all = append(all, filepath.Join(home, p))
	}
	return all
}

// AutoRun returns the paths of a workspace that editors, shells, agents and git
// run or obey without being asked. The last element of each may stand at any
// depth.
func AutoRun() []string {
	return []string{
		".git/hooks", ".git/config", ".git/config.worktree", ".git/info/attributes", ".vscode", ".idea", ".zed", ".devcontainer", ".husky",
		".envrc", ".mcp.json", ".claude", ".cursor", ".github/workflows",
	}
}
