//go:build race

package payload

// racing says that pools lose what they hold at random.
const racing = true
