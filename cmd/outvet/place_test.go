package main

import (
	"testing"

	"outvet/call"
)

func TestWhitherIsSaidAsPeopleWriteIt(t *testing.T) {
	for want, r := range map[string]call.Record{
		"api.example.com/v1":      {Scheme: "https", Host: "api.example.com", Port: 443, Target: "/v1"},
		"api.example.com:8443/v1": {Scheme: "https", Host: "api.example.com", Port: 8443, Target: "/v1"},
		"[2001:db8::1]/":          {Scheme: "http", Host: "2001:db8::1", Port: 80, Target: "/"},
		"git.example.com:22":      {Scheme: "tcp", Host: "git.example.com", Port: 22, Target: "git.example.com:22"},
		"www.example.com":         {Scheme: "dns", Host: "www.example.com", Port: 53, Target: "www.example.com"},
		"create_issue":            {Protocol: "mcp", Target: "create_issue"},
	} {
		if got := whither(&r); got != want {
			t.Errorf("%+v: %q, want %q", r, got, want)
		}
	}
}
