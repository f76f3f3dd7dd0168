package policy

import "encoding/json"

// Schema returns the JSON Schema (2020-12) of a policy file, for editors. It is
// made from the tables that the loader reads by.
func Schema() []byte {
	s := documentShape().schema
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "outvet policy"
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic(err) // the tables hold nothing that JSON cannot say
	}
	return append(text, '\n')
}
