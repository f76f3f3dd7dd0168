package record

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"outvet/call"
)

// The facts of an entry are what verifying and recovering need of it.
type facts struct {
	kind    call.Kind
	id      call.ID
	session call.SessionID // of a decided record, that of its caller
	seq     uint64
	time    time.Time
}

// A factReader reads facts without building whole records. The zero
// factReader is ready; it is for one goroutine.
type factReader struct {
	scan scanner // what most entries need
	dec  *jsontext.Decoder
	src  bytes.Buffer
}

var errNotRecord = errors.New("it is not a record")

// read returns the facts of an entry. It takes only well-formed JSON without
// doubled keys.
func (r *factReader) read(entry []byte) (facts, error) {
	if f, ok := r.scan.read(entry); ok {
		return f, nil
	}
	return r.decode(entry)
}

// decode reads entries that are not as this package writes them, too.
func (r *factReader) decode(entry []byte) (f facts, err error) {
	r.src.Reset()
	r.src.Write(entry)
	if r.dec == nil {
		r.dec = jsontext.NewDecoder(&r.src)
	} else {
		r.dec.Reset(&r.src)
	}
	err = r.object(func(key string) error {
		switch key {
		case `"caller"`:
			return r.object(func(key string) (err error) {
				if key == `"session"` {
					var s string
					s, err = r.text()
					f.session = call.SessionID(s)
					return err
				}
				return r.dec.SkipValue()
			})
		case `"id"`:
			s, err := r.text()
			f.id = call.ID(s)
			return err
		case `"kind"`:
			s, err := r.text()
			f.kind = call.Kind(s)
			return err
		case `"seq"`:
			v, err := r.dec.ReadValue()
			if err != nil {
				return err
			}
			f.seq, err = strconv.ParseUint(string(v), 10, 64)
			return err
		case `"time"`:
			s, err := r.text()
			if err != nil {
				return err
			}
			f.time, err = time.Parse(time.RFC3339, s)
			return err
		}
		return r.dec.SkipValue()
	})
	if err != nil {
		return f, fmt.Errorf("%w: %w", errNotRecord, err)
	}
	if f.kind == "" {
		return f, fmt.Errorf("%w: it has no kind", errNotRecord)
	}
	if _, err := r.dec.ReadToken(); err == nil {
		return f, fmt.Errorf("%w: something follows it", errNotRecord)
	}
	return f, nil
}

// object reads an object and calls member for each key, still quoted; member
// reads the value.
func (r *factReader) object(member func(key string) error) error {
	if k := r.dec.PeekKind(); k != '{' {
		return errors.New("an object is missing")
	}
	if _, err := r.dec.ReadToken(); err != nil {
		return err
	}
	for r.dec.PeekKind() != '}' {
		key, err := r.dec.ReadValue()
		if err != nil {
			return err
		}
		if err := member(known(key)); err != nil {
			return err
		}
	}
	_, err := r.dec.ReadToken()
	return err
}

// known returns key as a string if it is one that matters; the compiler makes
// no copies of constants.
func known(key []byte) string {
	for _, k := range [...]string{`"caller"`, `"id"`, `"kind"`, `"seq"`, `"session"`, `"time"`} {
		if string(key) == k {
			return k
		}
	}
	return ""
}

func (r *factReader) text() (string, error) {
	t, err := r.dec.ReadToken()
	if err != nil {
		return "", err
	}
	if t.Kind() != '"' {
		return "", errors.New("a text is missing")
	}
	return t.String(), nil
}
