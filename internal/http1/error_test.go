package http1

import (
	"strings"
	"testing"
)

func TestErrorsDoNotCarryWhatWasSeen(t *testing.T) {
	err := badly("the Host of the request is malformed", "a secret")
	if strings.Contains(err.Error(), "secret") || !strings.Contains(err.Say(), "a secret") {
		t.Errorf("%v; %s", err, err.Say())
	}
}
