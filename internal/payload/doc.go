// Package payload turns wire bytes into decoded text and edits back into wire
// bytes. It is the only package that knows encodings: inspectors see plain
// text with a path, policy names spans of it, and what changes on the wire is
// decided here.
package payload
