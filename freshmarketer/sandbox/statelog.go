package sandbox

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
)

// stateLine is a state of a contact, or of a sales account.
type stateLine struct {
	*contact
	Account *salesAccount `json:"account,omitempty"`
}

func (l stateLine) id() int64 {
	if l.Account != nil {
		return l.Account.ID
	}
	if l.contact != nil {
		return l.ID
	}
	return 0
}

// stateLog is the state file: one JSON line for each state a contact or an account was in, the last one counts. It is not synced: a
// sandbox has to survive the end of its process, not of the machine. The file holds the contacts' data and is readable
// by its owner only.
type stateLog struct {
	mu   sync.Mutex
	file *os.File
}

// readStates returns the last state of each, by id. A missing file is an empty one. A torn last line, left by a
// process that was killed, is skipped; damage anywhere else is an error.
func readStates(path string) ([]stateLine, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the state file: %w", err)
	}
	last := map[int64]stateLine{}
	for number := 1; len(data) > 0; number++ {
		text, rest, whole := bytes.Cut(data, []byte("\n"))
		line := stateLine{contact: &contact{}} // encoding/json makes no unexported struct by itself
		if err := unmarshal(text, &line); err != nil || line.id() == 0 {
			if !whole {
				break
			}
			return nil, fmt.Errorf("state file %s, line %d is damaged; remove that line or the file", path, number)
		}
		last[line.id()] = line
		data = rest
	}
	states := slices.Collect(maps.Values(last))
	slices.SortFunc(states, func(a, b stateLine) int { return cmp.Compare(a.id(), b.id()) })
	return states, nil
}

// openStateLog writes the file anew with just these states, so that it neither grows for ever nor keeps a torn line that
// the next one would be glued to, and opens it for appending.
func openStateLog(path string, states []stateLine) (*stateLog, error) {
	var b bytes.Buffer
	for _, state := range states {
		line, err := json.Marshal(state)
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
func (l *stateLog) append(state stateLine) error {
	if l == nil {
		return nil
	}
	line, err := json.Marshal(state)
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
