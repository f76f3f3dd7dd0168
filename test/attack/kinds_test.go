package attack

import (
	"encoding/base64"
	"hash/crc32"
	"math/rand/v2"
	"strings"
)

// A kind is one made-up secret. They are put together from pieces so that
// nobody takes them for leaks of ours.
type kind struct{ name, text string }

const (
	alnum = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	b64s  = alnum + "+/"
)

// random returns n characters of set, the same in every run.
func random(seed uint64, n int, set string) string {
	r := rand.New(rand.NewPCG(seed, 7))
	b := make([]byte, n)
	for i := range b {
		b[i] = set[r.IntN(len(set))]
	}
	return string(b)
}

// summed appends the checksum that GitHub and npm put at the end of a token.
func summed(prefix, body string) string {
	sum := crc32.ChecksumIEEE([]byte(body))
	var tail [6]byte
	for i := len(tail) - 1; i >= 0; i-- {
		tail[i] = alnum[sum%62]
		sum /= 62
	}
	return prefix + body + string(tail[:])
}

func pemKey() string {
	var b strings.Builder
	b.WriteString("-----BEGIN RSA " + "PRIVATE KEY-----\n")
	body := "MIIEowIBAAKCAQEA" + random(3, 624, b64s)
	for len(body) > 0 {
		n := min(64, len(body))
		b.WriteString(body[:n] + "\n")
		body = body[n:]
	}
	b.WriteString("-----END RSA " + "PRIVATE KEY-----\n")
	return b.String()
}

func jwt() string {
	enc := base64.RawURLEncoding.EncodeToString
	return enc([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + enc([]byte(`{"sub":"8812","name":"Mia Tester","iat":1790000000}`)) + "." + random(5, 43, alnum+"-_")
}

var (
	githubPAT    = summed("gh"+"p_", random(11, 30, alnum))
	awsKey       = "AK" + "IA" + random(12, 16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
	anthropicKey = "sk-" + "ant-api03-" + random(13, 93, alnum+"-_") + "AA"
	openaiKey    = "sk-" + "proj-" + random(14, 74, alnum) + "T3Blbk" + "FJ" + random(15, 74, alnum)
	slackToken   = "xox" + "b-" + random(16, 12, "123456789") + "-" + random(17, 13, "123456789") + "-" + random(18, 24, alnum)
	npmToken     = summed("np"+"m_", random(19, 30, alnum))
	googleKey    = "AI" + "zaSy" + random(20, 33, alnum)
	stripeKey    = "sk_" + "live_" + random(21, 32, alnum)
	postgresURL  = "postgres" + "://shop:" + "Zk9pQ2vX7b" + "@db.internal:5432/shop"
	assignment   = "DB_PASS" + "WORD=" + "S3cure9pass7Qx2Lm"
	jsonWebToken = jwt()
	privateKey   = pemKey()
)

var kinds = []kind{
	{"github", githubPAT},
	{"aws", awsKey},
	{"anthropic", anthropicKey},
	{"openai", openaiKey},
	{"slack", slackToken},
	{"pem", privateKey},
	{"jwt", jsonWebToken},
	{"postgres", postgresURL},
	{"password", assignment},
	{"npm", npmToken},
	{"google", googleKey},
	{"known", known},
	{"stripe", stripeKey},
}
