// Package terminal stands between a sandboxed command and the terminal of who
// started it. The command gets a pseudo-terminal of its own; what it writes passes
// a filter on its way to the user's; what the user types passes as it is.
//
//	user := [3]*os.File{os.Stdin, os.Stdout, os.Stderr}
//	screen := terminal.Screen(user)                  // nil: the command needs no terminal
//	p, err := terminal.Open("")                      // or a ptmx of the sandbox's own devpts
//	s, err := terminal.Stand(user, p.Slave)          // its standard files
//	j, err := terminal.Join(os.Stdin, screen, p.Master)
//	defer j.Close()                                  // restores the user's terminal
//	... start the command with s.Files and p.Slave as its controlling terminal,
//	    close p.Slave, s.CloseFiles(), wait for the command, s.Close()
//
// A pseudo-terminal of the host's devpts has no name inside, and tmux, gpg and
// tty refuse it: make it with the ptmx of the sandbox's devpts, where that is mounted.
//
// # The filter
//
// A terminal does more than show text: sequences of control characters make it
// set the clipboard, open links, print, rename windows, start programs of its own
// kind, and answer questions by typing the answer. Filter lets pass what is known
// and draws; it holds back the rest. Byte for byte the same comes out for text,
// colours, cursor movement and the modes that programs use; nothing is delayed but
// a sequence that is not complete.
//
//	passes    text in UTF-8, C0 but ENQ; SGR, movement, erasing, scrolling, margins, tabs,
//	          character sets; modes of a list (alternate screen, mouse, bracketed
//	          paste, focus, synchronised output, keys); cursor shapes; titles (OSC 0, 1, 2),
//	          colours (OSC 4, 5, 10-19, 104, 105, 110-119), progress (OSC 9;4)
//	          questions whose answer the asker cannot choose: DA, DSR 5 and 6, DECRQM, versions,
//	          sizes, colours, keyboard flags
//	held      clipboard (OSC 52, 5522), links (8), folder (7), notifications (9, 99, 777), files and
//	back      all else of iTerm, VS Code, kitty, rxvt (1337, 633, 5113, …): every other OSC;
//	          all of DCS (macros, keys, XTGETTCAP, DECRQSS, passing through tmux), APC (kitty graphics),
//	          PM, SOS, ESC k; the title as an answer (CSI 20 t, 21 t), moving and sizing windows;
//	          checksums of the screen (DECRQCRA), which read what stood there before;
//	          printing (CSI i); answerback (ENQ); other character encodings (ESC %), 8-bit controls
//	          (ESC SP), VT52 and Tektronix modes, keyboard lock, logging; C1 controls, as such and in
//	          UTF-8
//	replaced  bytes that are not UTF-8, by U+FFFD, as the terminal would show them: no C1 control
//	          can be made of them
//
// Links are held back since their text can say one address and they lead to
// another, outside of the sandbox; their text stays.
//
// # Laws
//
// FuzzFilter holds them: what comes out does not depend on how the input is split
// into writes; it is valid UTF-8 without C1; the filter changes nothing of what it let
// pass before; an independent reader finds no sequence in it that is to be held
// back. Reset returns what undoes modes that the command left, so that the user's
// shell does not get mouse reports.
//
// # The user's terminal
//
// It is raw while joined, and as before after Close, also after a panic in the
// goroutine that deferred it, and while outvet is stopped (TSTP, CONT). SIGKILL
// leaves it raw: "stty sane". Answers that the terminal still types when the command is
// gone are thrown away, not read by the user's shell: Close waits for them for a
// tenth of a second if a question passed just before.
//
// # Stopping
//
// ^Z is for the command's own terminal. A shell in it stops its jobs as ever. A
// command without a shell is the leader of its session, which the kernel does not
// stop by ^Z; it goes on.
package terminal
