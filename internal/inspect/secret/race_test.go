//go:build race

package secret

// racing says that pools lose what they hold at random.
const racing = true
