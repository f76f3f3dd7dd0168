// Package kill is the kill switch as it lies on disk: a file. While something
// of the name "kill" stands in the state directory, no call may pass; when it is
// gone, calls may. What the switch means for calls is the gate's (gate.Kill).
//
//	touch DIR/kill                          pulls it
//	echo "exfiltration seen" > DIR/kill     pulls it and says why
//	rm DIR/kill                             lets calls pass again
//
// So it works with nothing but a shell, without a running outvet, on a full disk
// (a name without content suffices) and over restarts. A symbolic link that
// leads nowhere and a folder of the name pull it, too.
//
// # The file
//
// The first line is the reason, for agents and the record. Lines after it of the
// form "by: NAME", "how: WAY" and "at: TIME" (RFC 3339) say who pulled it; outvet
// writes them. Without them it was the file's owner, by the file. All of it is
// cut to Max bytes and made printable: it is quoted to agents.
//
// # When in doubt
//
// What cannot be looked at counts as pulled: Read returns an error when the
// folder is gone or may not be searched, and the gate lets nothing pass until it
// can be read again. Content that cannot be read is no error: its name says
// enough.
//
// Watch looks when the system reports a change and every Poll besides, so that a
// folder that cannot be watched costs a fifth of a second and no more.
package kill
