package policy

import _ "embed"

//go:embed data/starter.yaml
var starter []byte

// Init returns a commented policy to begin with. It loads as it is.
func Init() []byte { return append([]byte(nil), starter...) }
