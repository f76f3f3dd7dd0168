package secret

// words cuts a name into its words: at every byte that is no letter or digit,
// and where camel case begins a new one (apiKey, APIKey).
type words struct {
	at [16]span
	n  int
}

func splitName(b []byte) (w words) {
	start := -1
	end := func(i int) {
		if start >= 0 && w.n < len(w.at) {
			w.at[w.n] = span{start, i}
			w.n++
		}
		start = -1
	}
	for i, c := range b {
		switch {
		case !isWordByte(c) || c == '_':
			end(i)
			continue
		case start < 0:
		case isUpper(c) && !isUpper(b[i-1]), isUpper(c) && i+1 < len(b) && isLower(b[i+1]):
			end(i)
		}
		if start < 0 {
			start = i
		}
	}
	end(len(b))
	return w
}

func isUpper(b byte) bool { return b >= 'A' && b <= 'Z' }
func isLower(b byte) bool { return b >= 'a' && b <= 'z' }
func isDigit(b byte) bool { return b >= '0' && b <= '9' }

// standsIn reports whether word, at its place in name, begins where a word of
// the name does; if it is short it must also end where one does, since etsy
// stands in SetSysctl and sumo in sumOfAll.
func standsIn(name []byte, word span) bool {
	const short = 6
	w := splitName(name)
	starts, ends := false, word.len() > short
	for _, s := range w.at[:w.n] {
		starts = starts || s.from == word.from
		ends = ends || s.to == word.to || !isWordByte(name[word.to-1]) || name[word.to-1] == '_'
	}
	return starts && (ends || word.to < len(name) && isDigit(name[word.to]))
}

// A meaning is what the name of a value says about it.
type meaning uint8

const (
	meansNothing  meaning = iota
	meansToken            // secret, token, key: expect something random
	meansPassword         // expect what people choose
)

// innocent are words that make a name with token, secret or key in it the name
// of something that may be seen.
var innocent = wordSet(`public pub csrf xsrf count counts length len size sizes max min limit limits total usage used num number
	type types kind name names id ids url urls uri path paths file files filename dir directory field fields column header
	headers prefix suffix format pattern regex policy expiry expires expired expiration expire ttl lifetime age version
	algorithm alg hash hashes digest checksum fingerprint thumbprint primary foreign partition sort cache index order page
	next continuation cursor pagination idempotency position placeholder label title hint help description message error
	status strength required enabled provider manager class factory ref reference arn alias location var variable endpoint
	host source scope scopes permission issuer audience parser tokenizer embedding bos eos pad unk special separator
	delimiter stop mask word words rotation method mode store keystore provider section group groups list event events
	test_id trace span request correlation schema sequence bucket site recaptcha vocab input output prompt completion
	mgr attribute cached reasoning budget tokens_per`)

var passwordWords = wordSet("password passwd passwords pwd passphrase passcode passw userpassword dbpassword pass userpass dbpass rootpassword adminpassword mypassword")

func wordSet(s string) map[string]bool {
	set := map[string]bool{}
	for from := 0; from < len(s); {
		for from < len(s) && (s[from] == ' ' || s[from] == '\n' || s[from] == '\t') {
			from++
		}
		to := from
		for to < len(s) && s[to] != ' ' && s[to] != '\n' && s[to] != '\t' {
			to++
		}
		if to > from {
			set[s[from:to]] = true
		}
		from = to
	}
	return set
}

// nameMeans judges the name of a value. It does not allocate.
func nameMeans(name []byte) meaning {
	w := splitName(name)
	m := meansToken
	for i, s := range w.at[:w.n] {
		var buf [maxName]byte
		n := copy(buf[:], name[s.from:s.to])
		for j := range n {
			buf[j] = lower(buf[j])
		}
		for n > 1 && isDigit(buf[n-1]) { // token2
			n--
		}
		word := buf[:n]
		if innocent[string(word)] {
			// The first word may say which one it is: id in id_token.
			if i > 0 || w.n == 1 || !opener[string(word)] {
				return meansNothing
			}
		}
		if passwordWords[string(word)] || hasPrefix(word, "passw") || hasSuffix(word, "password") {
			m = meansPassword
		}
	}
	return m
}

// opener are innocent words that may begin the name of a secret all the same.
var opener = wordSet("id host file test source site request bucket store group provider cache")

func hasSuffix(b []byte, s string) bool { return len(b) >= len(s) && string(b[len(b)-len(s):]) == s }
