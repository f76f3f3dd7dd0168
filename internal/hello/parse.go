package hello

// Extensions that are read.
const (
	extName      = 0
	extALPN      = 16
	extPSK       = 41
	extEarly     = 42
	extVersions  = 43
	extEncrypted = 0xfe0d
)

// parse reads the body of a ClientHello.
func parse(body []byte) (h Hello, err error) {
	s := fields(body)
	var random, session, suites, compression, extensions fields
	switch {
	case !s.number(&h.Version), !s.cut(&random, 32):
		return h, malformed("it ends too soon")
	case !s.list(&session, 1), len(session) > 32:
		return h, malformed("its session is malformed")
	case !s.list(&suites, 2), len(suites) == 0, len(suites)%2 != 0:
		return h, malformed("its list of cipher suites is malformed")
	case !s.list(&compression, 1), len(compression) == 0:
		return h, malformed("its list of compressions is malformed")
	}
	h.Version = min(h.Version, TLS12) // what is newer stands in an extension
	if len(s) == 0 {
		return h, nil
	}
	if !s.list(&extensions, 2) || len(s) > 0 {
		return h, malformed("its extensions are not as long as they say")
	}
	seen := map[uint16]bool{}
	for len(extensions) > 0 {
		var kind uint16
		var data fields
		if !extensions.number(&kind) || !extensions.list(&data, 2) {
			return h, malformed("an extension is longer than its list")
		}
		if seen[kind] {
			return h, malformed("extension %d is given twice", kind)
		}
		seen[kind] = true
		if kind == extPSK && len(extensions) > 0 {
			return h, malformed("extension %d is not the last", kind)
		}
		if err := h.extension(kind, data); err != nil {
			return h, err
		}
	}
	return h, nil
}

func (h *Hello) extension(kind uint16, data fields) (err error) {
	switch kind {
	case extName:
		h.Name, err = name(data)
	case extALPN:
		h.Protocols, err = protocols(data)
	case extVersions:
		h.Version, err = version(data)
	case extEncrypted:
		h.Encrypted = true
	case extEarly:
		h.Early = true
	}
	return err
}

// name reads the one host name (RFC 6066 §3).
func name(data fields) (string, error) {
	var list, kind, host fields
	if !data.list(&list, 2) || len(data) > 0 || !list.cut(&kind, 1) || !list.list(&host, 2) || len(host) == 0 {
		return "", malformed("its server name is malformed")
	}
	if kind[0] != 0 || len(list) > 0 {
		return "", malformed("it has more than one server name, or one of another kind")
	}
	for _, c := range host {
		if c <= ' ' || c >= 0x7f {
			return "", malformed("its server name holds the byte %#02x", c)
		}
	}
	return string(host), nil
}

// protocols reads the list of ALPN (RFC 7301 §3.1).
func protocols(data fields) (all []string, err error) {
	var list fields
	if !data.list(&list, 2) || len(data) > 0 || len(list) == 0 {
		return nil, malformed("its list of protocols is malformed")
	}
	for len(list) > 0 {
		var one fields
		if !list.list(&one, 1) || len(one) == 0 {
			return nil, malformed("its list of protocols is malformed")
		}
		all = append(all, string(one))
	}
	return all, nil
}

// version returns the newest version that the list offers, 0 for none that is
// known. Made-up ones (RFC 8701) do not count.
func version(data fields) (newest uint16, err error) {
	var list fields
	if !data.list(&list, 1) || len(data) > 0 || len(list) == 0 || len(list)%2 != 0 {
		return 0, malformed("its list of versions is malformed")
	}
	for v := uint16(0); list.number(&v); {
		if v <= TLS13 {
			newest = max(newest, v)
		}
	}
	return newest, nil
}

// fields are bytes that are cut from the front. Its methods report false when
// there are too few.
type fields []byte

func (f *fields) cut(to *fields, n int) bool {
	if len(*f) < n {
		return false
	}
	*to, *f = (*f)[:n], (*f)[n:]
	return true
}

func (f *fields) number(to *uint16) bool {
	var b fields
	if !f.cut(&b, 2) {
		return false
	}
	*to = uint16(b[0])<<8 | uint16(b[1])
	return true
}

// list cuts what stands behind its length, a number of size bytes.
func (f *fields) list(to *fields, size int) bool {
	var b fields
	if !f.cut(&b, size) {
		return false
	}
	n := 0
	for _, c := range b {
		n = n<<8 | int(c)
	}
	return f.cut(to, n)
}
