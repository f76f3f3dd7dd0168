package policy

import (
	"context"
	"testing"
)

func TestShippedPresetsLoadAndPassTheirTests(t *testing.T) {
	for _, name := range Presets() {
		if _, err := Load(context.Background(), Options{Preset: name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
