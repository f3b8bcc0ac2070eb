package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/freshrelay/freshrelay/admin"
)

type dlqExportCmd struct {
	filterFlags

	File  string `arg:"" help:"File to write, readable by you alone (0600); - is standard output. A file that is there is not overwritten."`
	Force bool   `help:"Overwrite the file."`
}

type dlqImportCmd struct {
	File string `arg:"" help:"File that dlq export wrote; - is standard input."`
}

// Run writes letters page by page, so that any number of them takes little memory.
func (c *dlqExportCmd) Run(ctx context.Context, p *program, g *globals) (err error) {
	q, err := c.query()
	if err != nil {
		return err
	}
	service, err := p.connect(g)
	if err != nil {
		return err
	}
	out, closeOut, err := c.open(p)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(out)
	defer func() { err = errors.Join(err, w.Flush(), closeOut()) }()
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	n := 0
	var b bar
	for {
		var page admin.Export
		if err := service.get(ctx, "/api/letters/export", q, &page); err != nil {
			return err
		}
		if b.writer == nil && c.File != "-" {
			b = p.newBar("exporting", page.Total)
			defer b.stop()
		}
		for _, l := range page.Letters {
			if err := enc.Encode(l); err != nil {
				return fmt.Errorf("write the letters: %w", err)
			}
			n++
		}
		b.set(n, "exporting")
		if page.Next == "" {
			break
		}
		q.Set("after", page.Next)
	}
	fmt.Fprintf(p.stderr, "%s exported; the file holds personal data\n", letters(n))
	return nil
}

func (c *dlqExportCmd) open(p *program) (io.Writer, func() error, error) {
	if c.File == "-" {
		return p.stdout, func() error { return nil }, nil
	}
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if c.Force {
		flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(p.path(c.File), flags, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil, nil, &failure{exitUsage, c.File + " is there already", "name another file, or use --force"}
	}
	if err != nil {
		return nil, nil, &failure{exitUsage, err.Error(), "name a file you may write"}
	}
	if err := f.Chmod(0o600); err != nil { // one that was there may be readable by others
		return nil, nil, errors.Join(fmt.Errorf("make the file yours alone: %w", err), f.Close())
	}
	return f, f.Close, nil
}

// maxLine is more than a letter of the largest event takes (bytes); importBytes are sent to the service at a time.
const (
	maxLine     = 2 << 20
	importBytes = 1 << 20
	importLines = 200
)

// Run sends the letters of a file to the service, part by part.
func (c *dlqImportCmd) Run(ctx context.Context, p *program, g *globals) error {
	service, err := p.connect(g)
	if err != nil {
		return err
	}
	in := p.stdin
	if c.File != "-" {
		f, err := os.Open(p.path(c.File))
		if err != nil {
			return &failure{exitUsage, err.Error(), "name a file that dlq export wrote"}
		}
		defer f.Close() //nolint:errcheck // it was only read
		in = f
	}
	i := importing{ctx: ctx, service: service}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan(); n++ {
		if err := i.add(n, lines.Bytes()); err != nil {
			return i.failed(err)
		}
	}
	if err := lines.Err(); err != nil {
		return i.failed(&failure{exitUsage, "the file is not one letter a line: " + err.Error(), "give what dlq export wrote"})
	}
	if err := i.flush(); err != nil {
		return i.failed(err)
	}
	if g.Output == "json" {
		return p.printJSON(admin.Imported{Count: i.done})
	}
	fmt.Fprintf(p.stdout, "%s imported; those that never left are counted as duplicates\n", letters(i.done))
	return nil
}

// importing is an import under way.
type importing struct {
	ctx     context.Context //nolint:containedctx // of one run of one command
	service *client
	part    []admin.ExportedLetter
	bytes   int
	done    int
}

func (i *importing) add(n int, line []byte) error {
	if line = bytes.TrimSpace(line); len(line) == 0 {
		return nil
	}
	var l admin.ExportedLetter
	if err := json.Unmarshal(line, &l); err != nil {
		return &failure{exitUsage, fmt.Sprintf("line %d is no letter", n), "give what dlq export wrote"} // err may hold a value
	}
	i.part, i.bytes = append(i.part, l), i.bytes+len(line)
	if i.bytes >= importBytes || len(i.part) >= importLines {
		return i.flush()
	}
	return nil
}

func (i *importing) flush() error {
	if len(i.part) == 0 {
		return nil
	}
	var out admin.Imported
	if err := i.service.post(i.ctx, "/api/letters/import", admin.ImportRequest{Letters: i.part}, &out); err != nil {
		return err
	}
	i.done += out.Count
	i.part, i.bytes = nil, 0
	return nil
}

// failed says how far it came: importing the same file again does nothing twice.
func (i *importing) failed(err error) error {
	f, ok := errors.AsType[*failure](err)
	if !ok || i.done == 0 {
		return err
	}
	return &failure{exitPartial, fmt.Sprintf("%s; %s were imported before", f.what, letters(i.done)), f.next + "; importing the file again does nothing twice"}
}
