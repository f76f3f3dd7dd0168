// Package sandbox starts a command that has no way out but outvet: in a network
// that leads nowhere else, with a view of the file system in which no socket of
// the machine answers. It needs no root and no helper. It neither decides nor
// records: it hands out the sockets by which the command's calls come in, and
// holds the command until its caller says Go.
//
// # Two stages
//
//	parent   the program itself. Run looks at the workspace, clones stage 1 and
//	         sends it its orders; Go lets the command start; Wait tells how it ended
//	stage 1  the same program again, entered by Hook; user 0 and process 1 of new
//	         namespaces (user, network, mount, process, IPC, host name, cgroup). It
//	         seals the network (package loopback), builds the view, and waits for
//	         the command
//	stage 2  a clone of a thread of stage 1 that was made ready: no new privileges,
//	         Landlock scopes, the filter of system calls. It enters a nested user
//	         namespace with the caller's user ID, and becomes the command, which
//	         thereby has no capability over any namespace that holds it
//
// What a step of stage 1 cannot do, it reports, and the command never starts. So
// Probe is Run without Go: nothing can be ready in a probe and fail in earnest.
// Stage 1 ends when the control socket does, and by the signal for the death of its
// parent; with process 1 of their namespace all others die.
//
// # Who the command is
//
// The user ID that the kernel sees, U, is the caller's own. When root calls it is
// that of Config.User, or of who called sudo, or 65534; never 0, since the kernel
// lets user 0 open /proc/sys and more for writing without any capability. A
// workspace and a home that belong to root are then mounted with root mapped to U:
// the command reads and writes, and new files are root's.
//
// Supplementary groups of root are given up. Those of an ordinary user cannot be,
// without privilege, and still count for reading files.
//
// # The view
//
//	overlay  each directory of the machine, copied on write; what is written is gone
//	         with the sandbox. The workspace is the real one
//	review   the same, with the workspace copied on write too, and its changes shown
//	         and applied by the caller at the end
//	strict   /usr, /etc and /opt read-only; the rest of the machine, the home with
//	         it, is empty
//	open     the machine as it is: its sockets of family unix can be reached. The
//	         grade says so
//
// In all but open the view is a fresh root, with devices, /proc, /sys and /run of
// its own. A unix socket or fifo of the machine, seen through an overlay, is
// another inode, on which nobody listens. Those in the workspace are covered; one
// that the machine makes there later is not (see doc/threat-model.md). A directory
// that has other file systems mounted below it cannot be a layer: it is built
// anew, one level, with copies of its small files. Where a directory cannot be a
// layer at all, it is bound read-only with its sockets covered.
//
// File systems that a program or another machine serves (NFS, sshfs, autofs) are left
// out, and refused as or in a workspace: to look for a name in them is to tell it to
// somebody.
//
// Config.State, where keys and the record are, and Config.Hide are covered by
// something empty in every mode, also under other names that the machine's mounts
// give them.
//
// Files of the workspace that something outside runs or obeys later (AutoRun) are
// read-only, and the folder they stand in cannot be renamed away. So are the
// configuration and hooks of repositories of any name, and files named .git.
// Changes tells at the end which of them are new or changed.
//
// Config.Live are further directories that are the real ones, with the same care.
// The folder of git of a workspace that git worktree made is one of them: what is
// committed would be lost else.
//
// What a command of root's writes to root's workspace is root's on the disk. The
// filter lets it give no file the rights of its owner or capabilities there, and
// answers openat2 and attributes of files as a kernel that has none.
//
// # Standard files and terminals
//
// A socket becomes a pipe, since it would be a way to whoever holds its other end; a
// folder is refused, since it leads out of the view. A terminal is best made inside
// (Config.Terminal): programs find it by its name, and the user's own is reached
// only through whoever joins the two. Signals of the user's terminal do not reach
// the command but by Sandbox.Signal, once.
//
// # System calls
//
// The wall is made of namespaces; the filter closes what they do not contain:
// other socket families and protocols, io_uring, keyrings, other tables of system
// calls, writing into a terminal's input. A request to change the limit of core
// files is answered as if it was done: the limit is 1, by which the kernel starts
// no handler of the host, as it would for 0.
package sandbox
