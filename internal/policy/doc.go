// Package policy decides. It turns rules into decisions and does nothing else:
// it reads no payload, keeps no state between calls and records nothing.
package policy
