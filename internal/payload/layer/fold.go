package layer

func (f *finder) fold(text []byte) {}
