package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// explain turns what went wrong at a step into a refusal that says what to do. What
// it does not know it returns as it is.
func explain(err error, c Config, u user) error {
	var f *fault
	if r := (*Refusal)(nil); errors.As(err, &r) || !errors.As(err, &f) || c.fault != "" && f.Errno == unix.EIO {
		return err
	}
	r := refusal(f, c, sysctl)
	if r == nil {
		return err
	}
	r.Err = err
	return r
}

const modules = "load the kernel modules nf_tables and nft_tproxy"

// refusal knows what the steps need of the machine. setting returns one of the
// kernel's, "" if it has none of that name.
func refusal(f *fault, c Config, setting func(string) string) *Refusal {
	denied := f.Errno == unix.EPERM || f.Errno == unix.EACCES
	switch {
	case f.Step == "clone" && f.Errno == unix.ENOSPC:
		return &Refusal{What: "user.max_user_namespaces is " + setting("user/max_user_namespaces"), Cause: f.Text,
			Cure: "once, as root: sysctl -w user.max_user_namespaces=10000"}
	case f.Step == "clone" && denied, f.Step == "network" && denied, f.Step == "private mounts" && denied:
		return userNamespaces(f, setting)
	case f.Step == "clone" && (f.Errno == unix.EINVAL || f.Errno == unix.ENOSYS):
		return &Refusal{What: "this kernel has no user namespaces", Cause: f.Text}
	case f.Step == "network" && f.Errno == unix.EAFNOSUPPORT && os.Getenv("OUTVET_SESSION") != "":
		return &Refusal{What: fmt.Sprintf("already inside an outvet sandbox (%s)", os.Getenv("OUTVET_SESSION")), Cause: f.Text,
			Cure: "run the command itself: the outer sandbox holds it"}
	case f.Step == "network":
		return &Refusal{What: "this kernel has no nf_tables tproxy", Cause: f.Text, Cure: "once, as root: " + modules}
	case f.Step == "proc" && denied:
		return &Refusal{What: "the container engine denies a new /proc", Cause: f.Text,
			Cure: "use outvet attach on the host, or outvet serve as a gateway"}
	case f.Step == "seccomp" && (f.Errno == unix.EINVAL || f.Errno == unix.ENOSYS):
		return &Refusal{What: "this kernel has no seccomp filter", Cause: f.Text}
	case f.Step == "layers" || f.Step == "home":
		cure := "use --fs strict, or --fs open (grade sealed-nofs)"
		if c.Files == Strict {
			cure = "use --fs open (grade sealed-nofs)"
		}
		return &Refusal{What: f.Path + " cannot be overlaid", Cause: f.Text, Cure: cure}
	case (f.Step == "workspace" || f.Step == "place workspace") && denied:
		return &Refusal{What: fmt.Sprintf("the working directory %s cannot be reached by the command's user", c.Workspace), Cause: f.Text,
			Cure: "run as the user it belongs to: --user NAME; or name another one: --workspace DIR"}
	}
	return nil
}

// userNamespaces says why a user namespace was denied, or one without its rights
// given.
func userNamespaces(f *fault, setting func(string) string) *Refusal {
	self, _ := os.Readlink("/proc/self/exe")
	switch {
	case setting("kernel/apparmor_restrict_unprivileged_userns") == "1":
		return &Refusal{What: "AppArmor denies user namespaces to outvet",
			Cause: "kernel.apparmor_restrict_unprivileged_userns=1, no profile for " + self,
			Cure:  "once, as root: apparmor_parser -r /etc/apparmor.d/outvet   (comes with the package)"}
	case setting("kernel/unprivileged_userns_clone") == "0":
		return &Refusal{What: "this kernel allows user namespaces to root only", Cause: "kernel.unprivileged_userns_clone=0",
			Cure: "once, as root: sysctl -w kernel.unprivileged_userns_clone=1"}
	case setting("user/max_user_namespaces") == "0":
		return &Refusal{What: "user.max_user_namespaces is 0", Cause: f.Text, Cure: "once, as root: sysctl -w user.max_user_namespaces=10000"}
	case os.Getenv("OUTVET_SESSION") != "":
		return &Refusal{What: fmt.Sprintf("already inside an outvet sandbox (%s)", os.Getenv("OUTVET_SESSION")), Cause: f.Text,
			Cure: "run the command itself: the outer sandbox holds it"}
	}
	return &Refusal{What: "the container engine denies user namespaces", Cause: f.Text,
		Cure: "use outvet attach on the host, or outvet serve as a gateway"}
}

func sysctl(name string) string {
	b, err := os.ReadFile(filepath.Join("/proc/sys", name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// checkWorkspace refuses a workspace with which there would be no seal: whatever
// the command may write there is real.
func checkWorkspace(c Config) error {
	refuse := func(p, what string) error {
		return &Refusal{What: fmt.Sprintf("the working directory %s is %s", p, what), Cause: "what a command writes there is real, and read by others",
			Cure: "run in the directory of a project, or name one: --workspace DIR"}
	}
	table, err := mountTable()
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	for _, p := range append([]string{c.Workspace}, c.Live...) {
		if st, err := os.Stat(p); err != nil || !st.IsDir() {
			return fmt.Errorf("sandbox: %q is not a directory", p)
		}
		for _, d := range []string{"/usr", "/etc", "/bin", "/sbin", "/lib", "/boot", "/proc", "/sys", "/dev"} {
			if within(p, d) {
				return refuse(p, "the system's")
			}
		}
		for _, name := range table.names(p) {
			switch {
			case name == "/":
				return refuse(p, "the root of the machine")
			case c.Home != "" && within(c.Home, name):
				return refuse(p, "the home directory, or above it")
			}
			for _, s := range table.names(c.State) {
				if within(s, name) || within(name, s) {
					return refuse(p, "where outvet keeps its keys, or above it")
				}
			}
		}
		for _, m := range table {
			if served(m.kind) && (m == table.holding(p) || within(m.at, p)) {
				return refuse(p, "on a file system that others serve, or holds one ("+m.kind+" at "+m.at+")")
			}
		}
	}
	for _, p := range c.Live {
		if within(c.Workspace, p) || within(p, c.Workspace) {
			return fmt.Errorf("sandbox: the live directory %q and the workspace %q hold each other", p, c.Workspace)
		}
	}
	return nil
}
