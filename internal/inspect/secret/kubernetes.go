package secret

// kubernetes reports the values in a manifest of kind Secret: those under data
// and stringData, whatever their names say. The manifest is text; if it came
// as JSON its fields are parts and their names decide.
func (j *judge) kubernetes(r *rule, part span, at int) {
	const reach, most = 4096, 16
	from, to := max(part.from, at-reach), min(part.to, at+reach)
	inside, reported := false, 0
	for from < to && reported < most {
		line := lineAt(j.text, from, to)
		from = line.to + 1
		if separatesDocuments(j.text[line.from:line.to]) {
			if line.from > at {
				return
			}
			inside = false
			continue
		}
		indent := line
		for indent.from < indent.to && inSet(" \t", j.text[indent.from]) {
			indent.from++
		}
		key := nameAround(j.text, indent, span{indent.from, indent.from})
		if indent.from == line.from {
			k := string(j.text[key.from:key.to])
			inside = k == "data" || k == "stringData"
			continue
		}
		if !inside || key.len() == 0 {
			continue
		}
		a, ok := assigned(j.text, line, key)
		if v := j.text[a.value.from:a.value.to]; ok && len(v) >= 8 && !stopped(v) && count(v).turns > 1 {
			j.add(candidate{span: a.value, rule: r, score: scoreNamed})
			reported++
		}
	}
}

func lineAt(text []byte, from, to int) span {
	end := from
	for end < to && text[end] != '\n' {
		end++
	}
	return span{from, end}
}

func separatesDocuments(line []byte) bool { return hasPrefix(line, "---") }
