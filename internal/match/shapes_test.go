package match

import "testing"

const ends = "(?:[\\s'\";,)\\]}<]|$)"

// shapes are for the tests only: every shape of expression the matcher must
// cope with. They are not the patterns of the product.
var shapes = []Pattern{
	{ID: "prefix fixed", Expr: `\bghp_[0-9A-Za-z]{36}\b`},
	{ID: "prefix without edges", Expr: `glsa_[0-9A-Za-z]{32}_[0-9a-f]{8}`},
	{ID: "prefix choice", Expr: `\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b`},
	{ID: "prefix class", Expr: `\bxox[abps]-[0-9]{10,13}-[0-9A-Za-z-]{20,120}`},
	{ID: "prefix of three bytes", Expr: `\bsk-[0-9a-zA-Z]{20,60}`},
	{ID: "prefix of three bytes, any case", Expr: `(?i)\bdt0[a-z][0-9]{2}\.[0-9a-z]{24}`},
	{ID: "prefix of two bytes", Expr: `\bsk[0-9a-f]{32}\b`},
	{ID: "prefix of two bytes, mixed case", Expr: `\btK[0-9a-z]{30}\b`},
	{ID: "prefix of two bytes, any case", Expr: `(?i)\bq_[0-9]{8}z`},
	{ID: "middle of two bytes", Expr: `[0-9]{4}~~[0-9]{4}`},
	{ID: "end of two bytes", Expr: `[0-9a-f]{16}#!`},
	{ID: "end of three bytes", Expr: `[0-9]{12}\.qq`},
	{ID: "mixed case", Expr: `\beyJ[0-9A-Za-z_-]{10,200}\.eyJ[0-9A-Za-z_-]{10,200}`, Extend: `0-9A-Za-z_.\-`},
	{ID: "any case", Expr: `(?i)\bglpat-[0-9a-z_-]{20}\b`},
	{ID: "inside", Expr: `\b[0-9a-z]{3}8Q~[0-9A-Za-z_~.-]{31,34}` + ends},
	{ID: "suffix", Expr: `\b[0-9A-Za-z_-]{20,40}\.apps\.test\.example\b`},
	{ID: "suffix at the end of the text", Expr: `[a-z]{4,10}!done$`},
	{ID: "start of the text", Expr: `^#!/bin/(?:sh|bash) -x[a-z]{0,4}`},
	{ID: "start of a text, strict", Expr: `\Amagic:[0-9]{4}\z`},
	{ID: "start of a line", Expr: `(?m)^machine[ \t]{1,9}[!-~]{1,99}[ \t]{1,9}login[ \t]{1,9}[!-~]{1,20}`},
	{ID: "end of a line", Expr: `(?m)password: [a-z0-9]{8,20}$`},
	{ID: "no word boundary", Expr: `\Bxyzzy\B[0-9]{0,4}`},
	{ID: "four classes", Expr: `\b(?:r[kp]|sk)_(?:live|test)_[0-9A-Za-z]{24,99}\b`},
	{ID: "url userinfo", Expr: `(?i)\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@"']{1,100}:([^\s/@"']{3,100})@[0-9a-z.-]{3,100}`, Group: 1},
	{ID: "url, fixed host", Expr: `https://hooks\.chat\.example/services/T[0-9A-Z]{8,12}/B[0-9A-Z]{8,12}/([0-9A-Za-z]{24})`, Group: 1},
	{ID: "header", Expr: `(?i)\bauthorization['"]?\s{0,5}[:=]\s{0,5}['"]?(?:bearer|basic)\s{1,5}([0-9a-z._~+/=-]{16,200})`, Extend: `0-9A-Za-z._~+/=\-`, Group: 1},
	{ID: "assignment", Expr: `(?i)[\w.-]{0,50}?(?:access|auth|api|credential|creds|key|passwd|password|secret|token)[ \t\w.-]{0,20}[\s'"]{0,3}(?:=|>|:{1,3}=|\|\||:|=>|\?=|,)[\x60'"\s=]{0,5}([\w.=+/-]{10,150})` + ends, Group: 1},
	{ID: "vendor assignment", Expr: `(?i)[\w.-]{0,50}?(?:datadog)(?:[ \t\w.-]{0,20})[\s'"]{0,3}(?:=|:)[\x60'"\s=]{0,5}([a-z0-9]{40})` + ends, Group: 1},
	{ID: "assignment, all of it", Expr: `(?i)[\w.-]{0,12}?planetscale_(?:token|key) ?= ?([a-z0-9]{10,20})`},
	{ID: "assignment, greedy lead", Expr: `(?i)[\w.-]{0,12}heroku_(?:token|key) ?= ?([a-z0-9]{10,20})`, Group: 1},
	{ID: "lead before an assertion", Expr: `[\w ]{0,6}?\bfastly=([a-z0-9]{8})`, Group: 1},
	{ID: "block", Expr: `-----BEGIN (?:[0-9A-Z]{1,20} ){0,4}PRIVATE KEY(?: BLOCK)?-----[\s0-9A-Za-z+/=,:.-]{64}`, Extend: `\s0-9A-Za-z+/=,:. \-`},
	{ID: "prolonged over the next", Expr: `pk-[a-z]{4}!?`, Extend: `a-z\-`},
	{ID: "prolonged group", Expr: `nonce=([0-9]{4})`, Extend: `0-9`, Group: 1},
	{ID: "prolonged, group inside", Expr: `nonse=([0-9]{4});v`, Extend: `0-9`, Group: 1},
	{ID: "unicode class", Expr: `(?i)\bpass(?:phrase|word)[ :=]{1,3}\p{L}{12,40}\b`},
	{ID: "unicode literal", Expr: `schlüssel: [a-z]{8}`},
	{ID: "unicode literal, any case", Expr: `(?i)größe: [0-9]{4}`},
	{ID: "unicode class as literal", Expr: `cl[ée]f-[0-9]{6}`},
	{ID: "unicode alone", Expr: `秘密[0-9]{4}`},
	{ID: "any character between", Expr: `user=.{3,12};pw=.{3,12};`},
	{ID: "any byte but", Expr: `<secret>[^<]{8,60}</secret>`},
	{ID: "option", Expr: `[ \t](?:-u|--user)(?:=|[ \t]{0,5})("[^:"\r\n]{3,100}:[^"\r\n]{3,100}"|'[^:'\r\n]{3,100}:[^'\r\n]{3,100}')` + ends, Group: 1},
	{ID: "optional start", Expr: `(?:export )?MYSQL_PWD=([^\s]{4,40})`, Group: 1},
	{ID: "optional start, all of it", Expr: `(?:export )?PGPASSWORD=[^\s]{4,40}`},
	{ID: "optional end", Expr: `dapi[0-9a-f]{32}(?:-[0-9])?`},
	{ID: "alternatives of two lengths", Expr: `(?:SK[0-9a-f]{32}|AC[0-9a-f]{32}x)`},
	{ID: "alternatives, shorter first", Expr: `shpat(?:_[0-9a-f]{4}|_[0-9a-f]{8}q)`},
	{ID: "alternatives, unlike", Expr: `(?:tok1-[0-9]{6}|[a-f]{4}-tok2|x{3}tok3)`},
	{ID: "lazy end", Expr: `npm_[0-9A-Za-z]{4,8}?q?`},
	{ID: "repeated group", Expr: `(?:v1\.[0-9a-f]{4}-){2,4}end`},
	{ID: "repeated word", Expr: `(?:ab){3}[0-9]{2}`},
	{ID: "group that may be absent", Expr: `frame:(?:id=([0-9]{4})|none)`, Group: 1},
	{ID: "second group", Expr: `cid:([a-z]{3})/([0-9]{5})`, Group: 2},
	{ID: "group within a repeat", Expr: `list(?:,([0-9]{3})){2,3}\.`, Group: 1},
	{ID: "empty group", Expr: `void\(([a-z]{0,3})\);`, Group: 1},
	{ID: "overlapping itself", Expr: `abaaba`},
	{ID: "exact", Expr: `hunter2-correct-horse`},
	{ID: "exact, quoted", Expr: `p\$ss\.w\[rd\]\+1`},
	{ID: "exact, not ASCII", Expr: `pässwörd€geheim`},
	{ID: "exact, three bytes", Expr: `~Z!`},
	{ID: "exact, prolonged", Expr: `(magicmarker)`, Extend: `0-9`, Group: 1},
	{ID: "same as another", Expr: `hunter2-correct-(?:horse)`},
	{ID: "many ways to match", Expr: `(?:a{1,4}b?){2,6}c!x`},
	{ID: "dates", Expr: `(?i)(?:mon|tue|wed|thu|fri|sat|sun), [0-9]{2} zq`},
}

func matcher(t testing.TB, ps []Pattern) *Matcher {
	t.Helper()
	m, err := New(ps)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestShapesKeepTheLaws(t *testing.T) {
	if err := Check(shapes); err != nil {
		t.Error(err)
	}
}
