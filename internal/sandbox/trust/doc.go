// Package trust makes what programs in a sandbox need to trust our certificate
// authority: files, where to show them, and variables. Nothing changes on the
// host, and nothing of the host's trust is lost inside: hosts that pass unread
// show their own certificates.
//
//	k, err := trust.Make(trust.Options{CA: authority.PEM(), Env: os.Environ(), Workspace: dir, Cache: state + "/trust"})
//	...
//	k.Install(place)   // in the sandbox's mount namespace: place is what is seen as k.Dir
//	for _, b := range k.Binds { ... bind place/b.File over b.Target ... }
//	env.For(host, env.Options{Set: k.Vars})
//
// # Files
//
//	merged.pem     the system's roots, ours, and those of the files that the user's variables name
//	ours.pem       ours and the user's
//	bundle-N.pem   a bundle of some program as it was, then ours.pem
//	anchors-N/     a folder of further roots as it was (p11-kit), with ours
//	java-N.jks     a trust store of Java as it was, with ours
//	nssdb/         a certificate database of NSS (Chromium) with ours
//	wgetrc         ca_certificate for wget, which knows no variable for it
//
// Only certificates enter: of the authority's file and of the user's files nothing
// but blocks CERTIFICATE is taken, so that a key that stands beside one stays out.
// What stands in the place of a bundle and is none (an earlier command may have
// put a link to a key there) is not shown.
//
// # Binds
//
// They are needed besides the variables, since programs clear their environment.
// Each has a target that exists, by its real name; those with Make may be missing,
// and their folder with them. The places are a list (places.go); nothing is
// searched for without bound. Files below the workspace are left alone: pip could
// not replace a bundle that is a mount, and the variables suffice there.
//
// A target that belongs to the user (Bind.Own) should, where the view of the file
// system is copy-on-write, be overwritten rather than bound over, for the same
// reason.
//
// # Variables
//
// Vars sets all of them, also for programs that are not installed: they may be
// later. doc/trust.md has the table of what each client needs, which
// TestClientsTrustUs makes with real ones.
//
// # Java
//
// A store is written in the form JKS, which every Java reads whatever the store's
// own form (keystore.type.compat, on by default). Stores that are encrypted cannot be
// read; then the system's roots take the place of theirs, and Notes says so.
//
// # NSS
//
// The database is SQLite, with the columns that its entries have; NSS adds others
// when it needs them, so the folder must be one that programs can write to: Chromium
// does not open a database that it cannot. The key database has no password entry: with one, NSS would
// demand a signature over each trust. The user's own database, which may hold keys of
// his, is hidden by it.
//
// # Cost
//
// Reading and joining, a millisecond or two. What costs more (the stores, the
// database) is kept in Options.Cache under the digest of what it was made from.
package trust
