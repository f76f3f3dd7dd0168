package env

import "strings"

// general is what every command gets. A name may end in one star.
var general = names("TERM COLORTERM TERM_PROGRAM NO_COLOR FORCE_COLOR LANG LC_* TZ HOME USER LOGNAME SHELL PATH PWD " +
	"EDITOR VISUAL PAGER LESS CI COLUMNS LINES GIT_AUTHOR_* GIT_COMMITTER_*")

// A ban is a set of names that never pass, and why.
type ban struct {
	names []string
	why   string
}

// never is what does not pass even if it is named. The first ban that fits
// gives the reason.
var never = []ban{
	{names("LD_* GCONV_PATH LOCPATH NLSPATH MALLOC_* GLIBC_TUNABLES GODEBUG GOTRACEBACK NODE_OPTIONS PYTHONSTARTUP BASH_ENV ENV BASH_FUNC_* SHELLOPTS BASHOPTS PS4 PROMPT_COMMAND"),
		"it changes what programs load or run when they start; set it in the command itself, as in: outvet run -- env NAME=VALUE CMD"},
	{names("SSH_AUTH_SOCK SSH_AGENT_PID SSH_ASKPASS GIT_ASKPASS SUDO_ASKPASS GPG_AGENT_INFO GNOME_KEYRING_*"),
		"it leads to an agent of the host that holds keys"},
	{names("DBUS_* XDG_RUNTIME_DIR DISPLAY XAUTHORITY WAYLAND_* MIR_SOCKET SWAYSOCK I3SOCK HYPRLAND_* PULSE_* PIPEWIRE_* SESSION_MANAGER ICEAUTHORITY XDG_ACTIVATION_TOKEN DESKTOP_STARTUP_ID"),
		"it leads to the desktop of the host, which starts programs outside of the sandbox"},
	{names("DOCKER_HOST CONTAINER_HOST PODMAN_* NOTIFY_SOCKET LISTEN_FDS LISTEN_PID LISTEN_FDNAMES JOURNAL_STREAM WATCHDOG_* CREDENTIALS_DIRECTORY"),
		"it leads to a service of the host"},
	{names("TMUX TMUX_* STY VSCODE_* KITTY_LISTEN_ON KITTY_PUBLIC_KEY WEZTERM_* ALACRITTY_SOCKET ZELLIJ* NVIM NVIM_LISTEN_ADDRESS EMACS_SOCKET_NAME TERMINATOR_* KONSOLE_DBUS_* GHOSTTY_*"),
		"it leads to the terminal or editor around the sandbox, which runs commands outside of it"},
	{names("OUTVET_*"), "it is for outvet outside, and would tell or mislead one inside"},
}

// proxies never pass either; who asks gets another reason.
const proxySuffix = "_PROXY"

// Reason says why name never passes into a sandbox, or "" if it may.
func Reason(name string) string {
	if strings.HasSuffix(strings.ToUpper(name), proxySuffix) {
		return "the sandbox has one way out already; outvet itself takes the proxies of its environment"
	}
	for _, b := range never {
		if within(b.names, name) {
			return b.why
		}
	}
	return ""
}

func names(list string) []string { return strings.Fields(list) }

// within reports whether name is one of list, in which a star at the end stands
// for anything.
func within(list []string, name string) bool {
	for _, l := range list {
		if p, star := strings.CutSuffix(l, "*"); l == name || star && p != "" && strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// valid reports whether name is what POSIX calls a name. A shell exports its
// functions under others ("BASH_FUNC_ls%%"), and runs them.
func valid(name string) bool {
	for i, c := range []byte(name) {
		if c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}
