package template

import "strings"

const blanks, white = " \t", " \t\n\r\f\v"

// trim takes the white space out of the texts that the tags beside them do not
// want: all of it beside "~", the rest of the line beside a tag that has a line
// for itself. What is a line of its own is asked of the texts as they were. It
// returns, for each tag, the blanks that it was indented by.
func trim(pieces []piece) []string {
	indents := make([]string, len(pieces))
	texts := make([]string, len(pieces))
	for i, p := range pieces {
		texts[i] = p.text
	}
	for i, p := range pieces {
		if !p.tag {
			continue
		}
		alone := p.standsAlone() && endsLine(pieces, i) && startsLine(pieces, i)
		if i > 0 && !pieces[i-1].tag {
			switch {
			case p.left:
				texts[i-1] = strings.TrimRight(texts[i-1], white)
			case alone:
				was := texts[i-1]
				texts[i-1] = strings.TrimRight(was, blanks)
				indents[i] = was[len(texts[i-1]):]
			}
		}
		if i+1 < len(pieces) && !pieces[i+1].tag {
			switch {
			case p.right:
				texts[i+1] = strings.TrimLeft(texts[i+1], white)
			case alone:
				texts[i+1] = afterLine(texts[i+1])
			}
		}
	}
	for i := range pieces {
		if !pieces[i].tag {
			pieces[i].text = texts[i]
		}
	}
	return indents
}

// standsAlone reports whether a tag of this kind may have a line for itself.
func (p *piece) standsAlone() bool {
	return p.sigil != "" && p.sigil != "{" && p.sigil != "&"
}

// startsLine reports whether only blanks stand before tag i on its line.
func startsLine(pieces []piece, i int) bool {
	if i == 0 {
		return true
	}
	if pieces[i-1].tag {
		return false
	}
	text := strings.TrimRight(pieces[i-1].text, blanks)
	return strings.HasSuffix(text, "\n") || text == "" && i == 1
}

// endsLine reports whether only blanks stand after tag i on its line.
func endsLine(pieces []piece, i int) bool {
	if i == len(pieces)-1 {
		return true
	}
	if pieces[i+1].tag {
		return false
	}
	text := strings.TrimLeft(pieces[i+1].text, blanks)
	return strings.HasPrefix(text, "\n") || strings.HasPrefix(text, "\r\n") || text == "" && i == len(pieces)-2
}

// afterLine returns text without its first line, which is blank.
func afterLine(text string) string {
	text = strings.TrimLeft(text, blanks)
	text = strings.TrimPrefix(text, "\r")
	return strings.TrimPrefix(text, "\n")
}
