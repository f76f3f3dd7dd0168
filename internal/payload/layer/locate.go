package layer

// Locate says which part of a layer's run holds [from,to) of its text: replacing
// run[start:end] removes it, and leaves the rest of the run as it reads. It is
// exact for the layers that change single characters: percent, escape, entity,
// quoted and fold. For the others, and for a span that is not in the text, it is
// all of the run.
func Locate(name string, run []byte, from, to int) (start, end int) {
	f := finder{tracks: true, room: len(run)}
	var at []int
	f.emit = func(l Layer) {
		if l.Name == name && l.Start == 0 && l.End == len(run) {
			at = append([]int(nil), f.at...)
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
	if from < 0 || from >= to || to > len(at) {
		return 0, len(run)
	}
	start, end = at[from], len(run)
	for _, next := range at[to:] {
		if next > at[to-1] {
			return start, next
		}
	}
	return start, end
}
