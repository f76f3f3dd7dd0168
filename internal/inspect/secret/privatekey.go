package secret

import "bytes"

// pem wants a body of base64 between the marks, and cuts behind the end mark.
// A block without end mark is one all the same: it may have been cut off.
func pem(v []byte) (int, bool) {
	const mark = "-----"
	head := len(mark)
	i := bytes.Index(v[min(head, len(v)):], []byte(mark))
	if i < 0 {
		return 0, false
	}
	head += i + len(mark)
	var n int
	body := v[head:]
	if end := bytes.Index(body, []byte("-----END")); end >= 0 {
		n = head + end + len("-----END")
		if i := bytes.Index(v[n:], []byte(mark)); i >= 0 && i < 60 {
			n += i + len(mark)
		}
		body = body[:end]
	} else {
		n = len(bytes.TrimRight(v, " \t\r\n\"'\\,.:()<>"))
		body = v[head:max(n, head)]
	}
	const least = 40
	return n, armour(body) >= least
}

// armour counts the bytes of b that may be base64 of a key: those in words too
// long for prose, so that a text about keys is none.
func armour(b []byte) int {
	const longWord = 24
	sum, run := 0, 0
	for i := 0; i <= len(b); i++ {
		if i < len(b) && (isWordByte(b[i]) || b[i] == '+' || b[i] == '/' || b[i] == '=') {
			run++
			continue
		}
		if run >= longWord {
			sum += run
		}
		run = 0
	}
	return sum
}

func putty(v []byte) (int, bool) {
	i := bytes.Index(v, []byte("Private-Lines:"))
	if i < 0 {
		return 0, false
	}
	n := len(v)
	if j := bytes.Index(v[i:], []byte("Private-MAC:")); j >= 0 {
		n = i + j
	}
	return n, armour(v[i:n]) >= 20
}

// der cuts a body of base64 at the end of its last long line.
func der(v []byte) (int, bool) {
	const least = 48
	n := 0
	for n < len(v) {
		end := n
		for end < len(v) && !inSet(" \t\r\n", v[end]) {
			end++
		}
		if end-n < 16 && v[end-1] != '=' {
			break
		}
		n = end
		for end < len(v) && inSet(" \t\r\n", v[end]) {
			end++
		}
		if end == len(v) {
			break
		}
		if next := v[end:]; len(next) < 16 && !bytes.ContainsAny(next, "=") {
			break
		}
		n = end
	}
	n = len(bytes.TrimRight(v[:n], " \t\r\n"))
	return n, n >= least
}
