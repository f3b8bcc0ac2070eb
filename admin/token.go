package admin

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// TokenFile is the name of the token's file in the data directory.
const TokenFile = "admin.token"

// minToken is the shortest token that is taken; ours has 26 characters with 130 bits.
const minToken = 16

// ErrToken says that a file does not hold a token we would trust.
var ErrToken = errors.New("not a usable admin token")

// TokenPath is where the token is: the configured file, or the one in the data directory.
func TokenPath(dataDir, configured string) string {
	if configured != "" {
		return configured
	}
	return filepath.Join(dataDir, TokenFile)
}

// LoadToken reads the token. Errors: those of reading the file (fs.ErrNotExist if the service was never started), and
// ErrToken.
func LoadToken(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read the admin token: %w", err)
	}
	token := strings.TrimSpace(string(b))
	if len(token) < minToken || strings.ContainsAny(token, " \t\r\n") {
		return "", fmt.Errorf("%w: %s needs one line of at least %d characters", ErrToken, path, minToken)
	}
	return token, nil
}

// EnsureToken reads the token and makes it first if there is none, in a file that only its owner can read.
func EnsureToken(path string) (string, error) {
	token, err := LoadToken(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return token, err
	}
	if err := makeToken(path); err != nil {
		return "", fmt.Errorf("make the admin token: %w", err)
	}
	return LoadToken(path)
}

// makeToken lets the file appear with its content: somebody may be waiting for it. Two that start at the same time
// agree on the first one's.
func makeToken(path string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, TokenFile+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // gone already if it was renamed
	_, err = f.WriteString(rand.Text() + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	err = os.Link(f.Name(), path)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return nil
	}
	return os.Rename(f.Name(), path) // a file system without links
}
