package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/jedib0t/go-pretty/v6/progress"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"
)

// isTerminal reports whether a person sits at the other end.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// loud colours what must not be overlooked, on a terminal.
func (p *program) loud(s string) string {
	if !isTerminal(p.stdout) || os.Getenv("NO_COLOR") != "" {
		return s
	}
	return text.Colors{text.Bold, text.FgRed}.EscapeSeq() + s + text.Reset.EscapeSeq()
}

// printJSON writes v as indented JSON.
func (p *program) printJSON(v any) error {
	enc := json.NewEncoder(p.stdout)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

// printTable writes rows without frames, so that they can be cut and grepped.
func printTable(w io.Writer, header table.Row, rows []table.Row) {
	t := table.NewWriter()
	t.SetOutputMirror(w)
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	t.SetStyle(style)
	t.SuppressTrailingSpaces()
	t.AppendHeader(header)
	t.AppendRows(rows)
	t.Render()
}

// clean makes text that others have written safe to show: a trait's name or an API's answer must not move the cursor
// or colour the screen. It cuts it to limit runes; 0 does not cut.
func clean(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case !unicode.IsPrint(r):
			return '\uFFFD'
		}
		return r
	}, s)
	if r := []rune(s); limit > 0 && len(r) > limit {
		return string(r[:limit-1]) + "…"
	}
	return s
}

// bar shows how far something has come, on a terminal. The zero value shows nothing.
type bar struct {
	writer  progress.Writer
	tracker *progress.Tracker
	done    chan struct{}
}

// newBar starts a bar on stderr, so that what is piped stays clean.
func (p *program) newBar(what string, total int) bar {
	if !isTerminal(p.stderr) || !isTerminal(p.stdout) {
		return bar{}
	}
	b := bar{writer: progress.NewWriter(), tracker: &progress.Tracker{Message: what, Total: int64(total)}, done: make(chan struct{})}
	b.writer.SetOutputWriter(p.stderr)
	b.writer.SetUpdateFrequency(100 * time.Millisecond)
	b.writer.Style().Visibility.ETA = true
	b.writer.Style().Visibility.Speed = true
	b.writer.Style().Visibility.Value = true
	b.writer.AppendTracker(b.tracker)
	go func() {
		defer close(b.done)
		b.writer.Render()
	}()
	return b
}

// set moves the bar; text says what has come of it.
func (b bar) set(n int, text string) {
	if b.tracker != nil {
		b.tracker.UpdateMessage(text)
		b.tracker.SetValue(int64(n))
	}
}

// stop takes the bar down and waits until it has drawn for the last time.
func (b bar) stop() {
	if b.writer == nil {
		return
	}
	b.tracker.MarkAsDone()
	b.writer.Stop()
	<-b.done
}
