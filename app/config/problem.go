package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	Key   string // as in the file, "sources[0].name"; "" if it is about the whole
	From  string // the environment variable or "command line"; "" for the file or a default
	Value string // what it is now, in quotes, [set] for a secret; "" if there is none
	What  string // what is wrong with it
	Mend  string // what to do about it
}

// String returns the problem on one line, the mend after it.
func (p Problem) String() string {
	var b strings.Builder
	if p.Key != "" {
		b.WriteString(p.Key)
		if p.Value != "" {
			b.WriteString(" = " + p.Value)
		}
		if p.From != "" {
			b.WriteString(" (from " + p.From + ")")
		}
		b.WriteString(": ")
	}
	b.WriteString(p.What + "; " + p.Mend)
	return b.String()
}

// Error says that a configuration cannot be used, with everything that is wrong with it.
type Error struct {
	File     string // the file that was read, "" if none
	Problems []Problem
}

// Error implements error: one line that sums up, then a line per problem.
func (e *Error) Error() string {
	var b strings.Builder
	where := "the configuration"
	if e.File != "" {
		where = e.File
	}
	if n := len(e.Problems); n == 1 {
		fmt.Fprintf(&b, "%s has a problem:", where)
	} else {
		fmt.Fprintf(&b, "%s has %d problems:", where, n)
	}
	for _, p := range e.Problems {
		b.WriteString("\n  " + p.String())
	}
	return b.String()
}

// problems gathers what is wrong.
type problems struct {
	list []Problem
	from map[string]string // key → where its value came from, if not from the file
}

func (p *problems) add(key, value, what, mend string) {
	p.list = append(p.list, Problem{Key: key, From: p.from[key], Value: value, What: what, Mend: mend})
}

// has reports whether the key already has a problem; one line about a key is enough.
func (p *problems) has(key string) bool {
	return slices.ContainsFunc(p.list, func(q Problem) bool { return q.Key == key })
}

// below reports whether something that begins with this key has a problem: what was misspelt there may be the very
// thing that seems to be missing.
func (p *problems) below(key string) bool {
	return slices.ContainsFunc(p.list, func(q Problem) bool { return strings.HasPrefix(q.Key, key) })
}

// err returns the problems as an error, nil if there are none.
func (p *problems) err(file string) error {
	if len(p.list) == 0 {
		return nil
	}
	slices.SortStableFunc(p.list, func(a, b Problem) int { return cmp.Compare(a.Key, b.Key) })
	return &Error{File: file, Problems: p.list}
}

// quoted shows a value of the file in a message. It keeps back what may hold a password: an address with an @.
func quoted(v any) string {
	s := fmt.Sprint(v)
	if strings.Contains(s, "@") {
		return hidden
	}
	if utf8.RuneCountInString(s) > maxShown {
		s = string([]rune(s)[:maxShown]) + "…"
	}
	return fmt.Sprintf("%q", s)
}

// maxShown runes of a value are enough to find it again in the file.
const maxShown = 60
