// Package inspecttest is the suite that every inspector passes.
//
//	func TestConforms(t *testing.T) {
//		inspecttest.Run(t, func() inspect.Inspector { … })
//	}
//
// It holds an inspector to the contract of package inspect: it is safe for
// concurrent use, it neither keeps nor changes what it is shown, its findings
// lie inside the text, carry its name and no text, and are the same each time.
// Empty, huge and broken subjects and hits at impossible positions must not
// make it panic or block.
//
// The suite knows nothing of what the inspector looks for. Texts given
// to Run are ones in which it must find something, so that the laws are tried
// on findings too.
package inspecttest
