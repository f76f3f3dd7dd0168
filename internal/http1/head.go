package http1

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// head reads a start line, fields and the empty line, max bytes at most. It
// returns io.EOF if nothing came at all.
func (r *Reader) head(max int, lenient bool) (string, error) {
	b := r.Ahead()
	line, scanned := 0, 0 // where the line begins; before it no LF is unread
	var long []byte       // of a head that outgrew the buffer
	for {
		for {
			i := bytes.IndexByte(b[scanned:], '\n')
			if i < 0 {
				scanned = len(b)
				break
			}
			i += scanned
			end := i
			switch {
			case end > line && b[end-1] == '\r':
				end--
			case !lenient:
				return "", bad("a line of the head ends in a bare line feed")
			}
			if end == line {
				if i+1 > max {
					return "", tooLong(max)
				}
				s := string(b[:i+1])
				r.r = r.w - (len(b) - i - 1)
				return s, nil
			}
			scanned, line = i+1, i+1
		}
		if len(b) > max {
			return "", tooLong(max)
		}
		if long = r.spill(long, b); len(long) > 0 {
			b = long
		}
		err := r.fill()
		if err != nil {
			if err == io.EOF && len(b) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return "", err
		}
		if len(long) > 0 {
			long = append(long, r.buf[r.r:r.w]...)
			b = long
		} else {
			b = r.buf[r.r:r.w]
		}
	}
}

// spill moves b, all that was read of a head, to long when the buffer is full or
// that has begun, and empties the buffer.
func (r *Reader) spill(long, b []byte) []byte {
	switch {
	case len(long) > 0:
	case len(b) == bufferSize:
		long = append(long, b...)
	default:
		return long
	}
	r.r, r.w = 0, 0
	return long
}

func tooLong(max int) *Error {
	return &Error{Status: http.StatusRequestHeaderFieldsTooLarge, Why: "the head is longer than " + strconv.Itoa(max) + " bytes"}
}

// cutLine cuts the first line, without its end, off a head.
func cutLine(s string) (line, rest string) {
	i := strings.IndexByte(s, '\n')
	if i > 0 && s[i-1] == '\r' {
		return s[:i-1], s[i+1:]
	}
	return s[:i], s[i+1:]
}

// A fieldSet is the fields of a head.
type fieldSet struct {
	header http.Header
	names  []string // as they stand, in order
	host   []string
	length []string
	coding []string
	where  string // "field" or "trailer field", for errors
}

// parse reads the lines of fields in s, which ends in an empty line.
func (f *fieldSet) parse(s string) *Error {
	n := strings.Count(s, "\n") - 1
	f.header = make(http.Header, n)
	if n == 0 {
		return nil
	}
	f.names = make([]string, 0, n)
	values := make([]string, 0, n)
	for {
		var line string
		if line, s = cutLine(s); line == "" {
			return nil
		}
		i := 0
		for i < len(line) && classes[line[i]]&tokenClass != 0 {
			i++
		}
		if i == 0 || i == len(line) || line[i] != ':' {
			return f.malformed(line, i)
		}
		name, value := line[:i], trim(line[i+1:])
		if !all(value, valueClass) {
			return badly("a "+f.where+" holds a control character", name)
		}
		key := canonical(name)
		f.names = append(f.names, name)
		if old, ok := f.header[key]; ok {
			f.header[key] = append(old, value)
		} else {
			values = append(values, value)
			f.header[key] = values[len(values)-1 : len(values) : len(values)]
		}
		switch key {
		case "Host":
			f.host = f.header[key]
		case "Content-Length":
			f.length = f.header[key]
		case "Transfer-Encoding":
			f.coding = f.header[key]
		}
	}
}

func (f *fieldSet) malformed(line string, i int) *Error {
	switch {
	case line[0] == ' ' || line[0] == '\t':
		return bad("a " + f.where + " is folded over two lines")
	case i == len(line):
		return badly("a line of the head has no colon", line)
	case i > 0 && (line[i] == ' ' || line[i] == '\t'):
		return badly("white space stands before the colon of a "+f.where, line[:i])
	}
	return badly("the name of a "+f.where+" holds what it may not", line)
}

// chunked reports whether the body is chunked. Of codings only that one is
// known, once, alone.
func (f *fieldSet) chunked() (bool, *Error) {
	switch {
	case len(f.coding) == 0:
		return false, nil
	case len(f.coding) > 1:
		return false, bad("the message has two fields Transfer-Encoding")
	case !lower(f.coding[0], "chunked"):
		return false, &Error{http.StatusNotImplemented, "the Transfer-Encoding is not chunked", f.coding[0]}
	case len(f.length) > 0:
		return false, bad("the message has both a Content-Length and a Transfer-Encoding")
	}
	return true, nil
}

// trailer takes the announced names of the trailer from the header.
func (f *fieldSet) trailer() (http.Header, *Error) {
	list, ok := f.header["Trailer"]
	if !ok {
		return nil, nil
	}
	delete(f.header, "Trailer")
	var t http.Header
	for _, v := range list {
		for name := range strings.SplitSeq(v, ",") {
			name = trim(name)
			if name == "" {
				continue
			}
			key := canonical(name)
			if !Token(name) || forbidden(key) {
				return nil, badly("what may not be a trailer field is announced as one", name)
			}
			if t == nil {
				t = http.Header{}
			}
			t[key] = nil
		}
	}
	return t, nil
}

// forbidden reports whether a field may not stand in a trailer, since it says
// where the message ends or where it goes (RFC 9110 §6.5.1).
func forbidden(key string) bool {
	switch key {
	case "Content-Length", "Transfer-Encoding", "Trailer", "Host", "Connection", "Te", "Upgrade":
		return true
	}
	return false
}
