package layer

// An Origin says where the text of one layer comes from. It is exact for the
// layers that change single characters: percent, escape, entity, quoted and fold.
type Origin struct {
	run int
	at  []int // of each byte of the text the place in the run; nil for the other layers
}

// OriginOf returns the origin of the text that run holds, all of it as a layer of
// that name.
func OriginOf(name string, run []byte) Origin {
	f := finder{tracks: true, room: len(run)}
	o := Origin{run: len(run)}
	f.emit = func(l Layer) {
		if l.Name == name && l.Start == 0 && l.End == len(run) {
			o.at = append([]int(nil), f.at...)
		}
	}
	switch name {
	case percent.name:
		f.rewrite(percent, run)
	case backslash.name:
		f.rewrite(backslash, run)
	case entity.name:
		f.rewrite(entity, run)
	case quoted.name:
		f.rewrite(quoted, run)
	case "fold":
		f.fold(run)
	}
	return o
}

// Locate says which part of the run holds [from,to) of the text: replacing
// run[start:end] removes it, and leaves the rest of the run as it reads. Of a
// layer that does not change single characters, and of a span that is not in the
// text, it is all of the run.
func (o Origin) Locate(from, to int) (start, end int) {
	if from < 0 || from >= to || to > len(o.at) {
		return 0, o.run
	}
	start, end = o.at[from], o.run
	for _, next := range o.at[to:] {
		if next > o.at[to-1] {
			return start, next
		}
	}
	return start, end
}

// Locate is OriginOf and Origin.Locate for one span.
func Locate(name string, run []byte, from, to int) (start, end int) {
	return OriginOf(name, run).Locate(from, to)
}
