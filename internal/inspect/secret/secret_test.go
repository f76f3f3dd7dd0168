package secret

import (
	"testing"

	"outvet/internal/inspect"
	"outvet/internal/inspect/inspecttest"
)

func TestConforms(t *testing.T) {
	inspecttest.Run(t, func() inspect.Inspector {
		return newInspector(t, Options{Key: []byte("k"), Known: []Known{{Name: "deploy", Value: []byte("correct-horse-battery")}}})
	},
		"a token: "+githubToken+" and another: "+anthropicKey,
		"password: SuperSecretDBPass!2026",
		"DB_URL=postgres://app:pa55w0rd@db:5432/x",
		privateKeyText,
		"ask for correct-horse-battery",
		"bearer "+jsonWebToken,
		"apiVersion: v1\nkind: Secret\ndata:\n  user: YWRtaW5pc3RyYXRvcg==\n",
	)
}
