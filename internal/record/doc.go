// Package record keeps the tamper-evident log: a Merkle tree of entries in the
// layout of C2SP tlog-tiles, under signed checkpoints. doc/record-format.md
// has every byte of it.
//
// # Laws
//
// A record is in the log when [Log.Write] has returned nil: the end of the
// process at any moment loses none, and of a Durable one neither does the end
// of the machine (TestKillLosesNothingThatWasAcknowledged). Only the ends of
// calls wait for each other, 16 of them or 5 ms, and share a write. While the
// log cannot be written, Write is an error every time, and the call must not go
// on; it heals by itself when the disk does, or when the folder is back in its
// place. A log that is not as it was left does not open.
//
// The decided records of a session are numbered 1, 2, 3, … without gaps. A call
// is decided once and then closed at most once; Write refuses anything else.
//
// # The way of a record
//
//	Write ── canonical JSON ── write-ahead log ─▶ returns      (one call of the system)
//	                               │ run, beside: sync 50 ms, tiles 16 at a time,
//	                               ▼ checkpoint 1 s
//	                    feeder ── tiles ── checkpoint
//
// The feeder reads what it makes tiles of from the write-ahead log, so that
// what follows a crash is what happens all the time.
//
// # Several writers
//
// One process at a time has the log open. [Share] lets others of the same user
// write it too: they give their records to that one through a socket and wait for
// its word, and one of them opens the log when it ends.
//
// # Reading
//
// A [Reader] reads beside the writer, in this or another process; [Search] and
// [Reader.Lookup] keep an SQLite index that is made of the log alone. [Verify]
// proves the whole log from its entries and names what is wrong as a [*Damage];
// [Prove] proves one call to someone who has nothing but the public key.
//
//	l, err := record.Open(dir, record.Options{})
//	...
//	if err := l.Write(r); err != nil { ... } // the call must not go on
//	...
//	err = l.Close()
package record
