package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
)

// stateLog is the state file: one JSON line for each state a contact was in, the last one counts. It is not synced: a
// sandbox has to survive the end of its process, not of the machine. The file holds the contacts' data and is readable
// by its owner only.
type stateLog struct {
	mu   sync.Mutex
	file *os.File
}

// readStates returns the last state of each contact, by id. A missing file is an empty one. A torn last line, left by a
// process that was killed, is skipped; damage anywhere else is an error.
func readStates(path string) ([]*contact, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the state file: %w", err)
	}
	last := map[int64]*contact{}
	for number := 1; len(data) > 0; number++ {
		line, rest, whole := bytes.Cut(data, []byte("\n"))
		var c contact
		if err := unmarshal(line, &c); err != nil || c.ID == 0 {
			if !whole {
				break
			}
			return nil, fmt.Errorf("state file %s, line %d is damaged; remove that line or the file", path, number)
		}
		last[c.ID] = &c
		data = rest
	}
	states := make([]*contact, 0, len(last))
	for _, c := range last {
		states = append(states, c)
	}
	slices.SortFunc(states, func(a, b *contact) int { return int(a.ID - b.ID) })
	return states, nil
}

// openStateLog writes the file anew with just these states, so that it neither grows for ever nor keeps a torn line that
// the next one would be glued to, and opens it for appending.
func openStateLog(path string, states []*contact) (*stateLog, error) {
	var b bytes.Buffer
	for _, c := range states {
		line, err := json.Marshal(c)
		if err != nil {
			return nil, fmt.Errorf("writing the state file: %w", err)
		}
		b.Write(append(line, '\n'))
	}
	fresh := path + ".new"
	if err := os.WriteFile(fresh, b.Bytes(), 0o600); err != nil {
		return nil, fmt.Errorf("writing the state file: %w", err)
	}
	if err := os.Rename(fresh, path); err != nil {
		return nil, fmt.Errorf("writing the state file: %w", err)
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the state file: %w", err)
	}
	return &stateLog{file: file}, nil
}

// append adds a state; without a file it does nothing.
func (l *stateLog) append(c *contact) error {
	if l == nil {
		return nil
	}
	line, err := json.Marshal(c)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err = l.file.Write(append(line, '\n'))
	return err
}

func (l *stateLog) close() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Close()
}
