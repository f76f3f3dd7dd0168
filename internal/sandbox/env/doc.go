// Package env makes the environment of a sandboxed command from that of who
// starts it, by a list of what passes. A list of what does not would let every
// secret through whose name nobody thought of.
//
// # What passes
//
//	general    TERM COLORTERM TERM_PROGRAM NO_COLOR FORCE_COLOR LANG LC_* TZ HOME USER
//	           LOGNAME SHELL PATH PWD EDITOR VISUAL PAGER LESS CI COLUMNS LINES
//	           GIT_AUTHOR_* GIT_COMMITTER_*
//	preset     the names that the preset of the agent gives (Options.Preset), and its keys
//	           (Options.Keys), which are replaced by a placeholder if there is one
//	named      what the user asked for, as NAME (the value at hand) or NAME=VALUE
//	set        TMPDIR, OUTVET_SESSION and what the caller sets (the trust kit)
//
// What is set wins over what is named, that over the preset, that over the rest.
// Each name stands once, and the result is sorted. Of a name that stands twice
// in the host's environment the first counts, as for getenv and os.Getenv.
//
// # What never passes
//
// Even if a preset or the user names it (Reason says why, for each):
//
//	what changes the code that programs load   LD_* GODEBUG GOTRACEBACK GCONV_PATH MALLOC_*
//	                                           NODE_OPTIONS PYTHONSTARTUP BASH_ENV ENV …
//	sockets and agents of the host             SSH_AUTH_SOCK GPG_AGENT_INFO DBUS_* XDG_RUNTIME_DIR
//	                                           DISPLAY WAYLAND_DISPLAY DOCKER_HOST TMUX VSCODE_* …
//	proxies                                    *_PROXY, in any case; see Environment.Proxies
//	our own                                    OUTVET_*
//
// A request for one of them is refused with its reason, and so is one for what
// is no name, is not set, or is set by us. A name of the general list that is
// not set is no fault.
//
// # Laws
//
// FuzzFor holds them: no name comes out that is not in one of the lists; no name
// comes out that never passes; values are those of the host, or placeholders.
package env
