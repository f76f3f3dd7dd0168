package secret

import "math"

// steps are what k*log2(k) grows by with k, for k from 0.
var steps = func() (t [128]float64) {
	for k := 1; k < len(t); k++ {
		t[k] = step(float64(k))
	}
	return t
}()

func step(k float64) float64 { return (k+1)*math.Log2(k+1) - k*math.Log2(k) }

// rounding is more than the sum of the steps of any value is off by: an entropy
// must not fall short of a bound that it reaches.
const rounding = 1e-9

// entropy returns the Shannon entropy of b in bits per byte. It takes one pass:
// the entropy is log2(n) - sum(k*log2(k))/n over the counts k of the bytes.
func entropy(b []byte) float64 {
	if len(b) == 0 {
		return 0
	}
	var count [256]int32
	sum := 0.0
	for _, c := range b {
		k := count[c]
		count[c] = k + 1
		if int(k) < len(steps) {
			sum += steps[k]
		} else {
			sum += step(float64(k))
		}
	}
	n := float64(len(b))
	return max(0, math.Log2(n)-sum/n+rounding)
}

// A census counts the kinds of bytes in a value and how often they change.
type census struct {
	lower, upper, digit, other int
	turns                      int // changes between letter and digit, and from lower to upper case
}

func count(b []byte) (c census) {
	prev := byte(0)
	for _, x := range b {
		k := byte('o')
		switch {
		case isLower(x):
			c.lower++
			k = 'l'
		case isUpper(x):
			c.upper++
			k = 'u'
		case isDigit(x):
			c.digit++
			k = 'd'
		default:
			c.other++
		}
		if prev != 0 && prev != 'o' && k != 'o' && prev != k && (prev != 'u' || k != 'l') {
			c.turns++
		}
		prev = k
	}
	return c
}

// wordy reports whether b is made of words and small numbers as people write
// them: prod-db-credentials-v2, user.password.label, XSalsa20.key.
func wordy(b []byte) bool {
	from := 0
	for i := 0; i <= len(b); i++ {
		if i < len(b) && (isWordByte(b[i]) && b[i] != '_') {
			continue
		}
		if i > from && !isOneWord(b[from:i]) {
			return false
		}
		from = i + 1
	}
	return true
}

func isOneWord(b []byte) bool {
	c := count(b)
	switch {
	case c.digit == len(b):
		return len(b) <= 10
	case c.digit == 0:
		return c.turns <= 3 || !randomCase(b)
	}
	return c.turns <= 3 && len(b) <= 20
}

// randomCase reports whether letters change their case as chance would have
// it, which camel case does not: words are longer.
func randomCase(b []byte) bool {
	c := count(b)
	letters := c.lower + c.upper
	if c.lower == 0 || c.upper == 0 {
		return c.digit >= 2 && c.turns >= 4
	}
	humps := 0
	for i := 1; i < len(b); i++ {
		if isUpper(b[i]) != isUpper(b[i-1]) {
			humps++
		}
	}
	return humps*3 >= letters || c.digit*8 >= len(b)
}

// identifier reports whether b is what programs call a thing, with words in
// camel case: testP256PrivateKey, keys.Ed25519Signer. Chance makes no words: of
// random values less than one in 500 looks so.
func identifier(b []byte) bool {
	from := 0
	for i := 0; i <= len(b); i++ {
		if i < len(b) && isWordByte(b[i]) && b[i] != '_' {
			continue
		}
		if i < len(b) && b[i] != '_' && b[i] != '.' {
			return false
		}
		if i > from && !isOneWord(b[from:i]) && !camelCase(b[from:i]) {
			return false
		}
		from = i + 1
	}
	return true
}

// camelCase reports whether b is of words and at most two numbers. Four of five
// letters stand in words that can be spoken, and these are not all short.
func camelCase(b []byte) bool {
	const short, long, numbers = 3, 5, 2
	c := count(b)
	if c.lower == 0 || c.upper == 0 || isDigit(b[0]) {
		return false
	}
	inWords, longest, runs := 0, 0, 0
	for i := 0; i < len(b); {
		from := i
		for i < len(b) && isDigit(b[i]) {
			i++
		}
		if i > from {
			runs++
			continue
		}
		i++ // a word begins with a letter of any case and goes on in lower case
		for i < len(b) && isLower(b[i]) {
			i++
		}
		if i-from >= short && spoken(b[from:i]) {
			inWords += i - from
			longest = max(longest, i-from)
		}
	}
	return runs <= numbers && longest >= long && inWords*5 >= (c.lower+c.upper)*4
}

// spoken reports whether the letters of b are a word by their sounds: it has a
// vowel, and no four consonants in a row.
func spoken(b []byte) bool {
	vowels, run := 0, 0
	for _, x := range b {
		if inSet("aeiouy", lower(x)) {
			vowels++
			run = 0
		} else if run++; run > 3 {
			return false
		}
	}
	return vowels > 0
}

// stuffed reports whether b holds a run that only somebody who hides or leaves
// out a value writes: xxxxxx, ******, ......
func stuffed(b []byte) bool {
	const long = 6
	run := 1
	for i := 1; i < len(b); i++ {
		if lower(b[i]) == lower(b[i-1]) && inSet("x*.#", lower(b[i])) {
			if run++; run >= long {
				return true
			}
		} else {
			run = 1
		}
	}
	return false
}

// stops are what stands in the place of a secret in templates and examples.
var stops = [...]string{
	"example", "changeme", "change_me", "change-me", "placeholder", "redacted", "your_", "your-", "yourapi", "yoursecret",
	"yourtoken", "yourpassword", "_here", "-here", "dummy", "insert", "replace", "todo", "xxxx", "****", "....", "${", "$(", "{{",
	"}}", "%(", "<", ">", "process.env", "environ", "getenv", "os.get", "config.", "settings.", "op://", "arn:aws",
	"vault:", "ref+", "urn:uuid", "env:", "file:", "data:", "null", "undefined", "abcdefgh", "12345678910", "[redacted", "hunter1",
	"notreal", "not-real", "fake-", "fake_", "mock", "sample",
	"aladdin:open", "qwxhzgrpbjpvcgvu", "qwxhzgrpbjppcgvu", // the example of RFC 7617, and how it is sent
}

// stopped reports whether a value of a generic rule stands for another one.
func stopped(b []byte) bool {
	if len(b) == 0 || b[0] == '$' || b[0] == '{' || b[0] == '%' || b[0] == '@' && len(b) > 1 && b[1] == '{' {
		return true
	}
	var buf [512]byte
	n := copy(buf[:], b)
	same := true
	for i := range n {
		buf[i] = lower(buf[i])
		same = same && buf[i] == buf[0]
	}
	if same {
		return true
	}
	for _, s := range stops {
		if contains(buf[:n], s) {
			return true
		}
	}
	return false
}

func contains(b []byte, s string) bool {
	for i := 0; i+len(s) <= len(b); i++ {
		if b[i] == s[0] && string(b[i:i+len(s)]) == s {
			return true
		}
	}
	return false
}

// looksRandom judges the value of a name that says token, secret or key.
func looksRandom(b []byte) bool {
	const shortest, longest, enough = 10, 2048, 3.0
	if len(b) < shortest || len(b) > longest || b[0] == '/' {
		return false
	}
	for _, c := range b {
		if !isWordByte(c) && !inSet("+/=.~:@%-!#$^*?|", c) {
			return false
		}
	}
	c := count(b)
	if c.lower+c.upper == 0 || c.digit == 0 && (!randomCase(b) || len(b) < 20) {
		return false
	}
	return entropy(b) >= enough && !wordy(b) && !isDigest(b) && !stopped(b)
}

// isDigest reports whether b says of itself that it is the digest of something.
func isDigest(b []byte) bool {
	for _, s := range [...]string{"sha1-", "sha256-", "sha384-", "sha512-", "sha1:", "sha256:", "sha512:", "sha256=", "md5:", "md5=", "h1:"} {
		if hasFoldPrefix(b, s) {
			return true
		}
	}
	return false
}

// looksPassword judges the value of a name that says password.
func looksPassword(b []byte, literal bool) bool {
	const shortest, longest = 6, 160
	if len(b) < shortest || len(b) > longest || b[0] == '/' || b[0] == '+' || isDigest(b) {
		return false
	}
	for _, c := range b {
		if c <= ' ' || c == 0x7f || c == '"' {
			return false
		}
		if !literal && inSet("()[]{}", c) {
			return false
		}
	}
	return passwordShaped(b, literal) && !contains(b, "://") && !stopped(b)
}

// passwordShaped judges what kinds of bytes b is made of.
func passwordShaped(b []byte, literal bool) bool {
	c := count(b)
	switch {
	case c.digit == 0 && c.other == 0: // letters alone: a word, a type, a variable
		return literal && len(b) >= 10 && c.upper > 0 && c.lower > 0 && randomCase(b)
	case c.digit == 0 && onlyMarks(b): // words with hyphens, dots, underscores
		return false
	case c.lower+c.upper == 0:
		return literal && c.other > 0 && c.digit > 0 && !isNumber(b)
	}
	return !named(b, literal) && (!separated(b) || !wordy(b))
}

// onlyMarks reports whether what is no letter joins words.
func onlyMarks(b []byte) bool {
	for _, c := range b {
		if !isNameByte(c) && !inSet("/:,|+=?", c) && c < 0x80 {
			return false
		}
	}
	return true
}

// separated reports whether b has a mark between words and none that words do
// not have.
func separated(b []byte) bool {
	any := false
	for _, c := range b {
		switch {
		case inSet("-_.:/|,", c):
			any = true
		case !isWordByte(c):
			return false
		}
	}
	return any
}

func isNumber(b []byte) bool {
	for _, c := range b {
		if !isDigit(c) && !inSet(".,:-+/ %", c) {
			return false
		}
	}
	return true
}

// named reports whether b is itself the name of a password: oldPassword2. In
// quotes people do write password123 and mean it.
func named(b []byte, literal bool) bool {
	c := count(b)
	if c.other > 0 {
		return false
	}
	var buf [160]byte
	n := copy(buf[:], b)
	for i := range n {
		buf[i] = lower(buf[i])
	}
	return contains(buf[:n], "passw") && c.turns <= 2 && (c.digit <= 1 || !literal)
}
