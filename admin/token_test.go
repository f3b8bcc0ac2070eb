package admin

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

func TestEnsureToken(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	path := TokenPath(dir, "")
	if _, err := LoadToken(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before the first start: %v", err)
	}
	first, err := EnsureToken(path)
	if err != nil || len(first) < minToken {
		t.Fatalf("%q %v", first, err)
	}
	again, err := EnsureToken(path)
	loaded, loadErr := LoadToken(path)
	if err != nil || loadErr != nil || again != first || loaded != first {
		t.Errorf("the token changes: %v %v", err, loadErr)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Errorf("something else is left in the directory: %v %v", files, err)
	}
	other, err := EnsureToken(filepath.Join(t.TempDir(), TokenFile))
	if err != nil || other == first {
		t.Errorf("two services share a token: %v", err)
	}
}

// TestEnsureTokenTogether: whoever starts at the same time gets the same token.
func TestEnsureTokenTogether(t *testing.T) {
	t.Parallel()
	path := TokenPath(t.TempDir(), "")
	tokens := make([]string, 8)
	var wg sync.WaitGroup
	for i := range tokens {
		wg.Go(func() {
			var err error
			if tokens[i], err = EnsureToken(path); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, got := range tokens {
		if got != tokens[0] {
			t.Errorf("different tokens: %d", len(tokens))
		}
	}
}

func TestTokenFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "own")
	if got := TokenPath("data", path); got != path {
		t.Errorf("the configured file is not used: %s", got)
	}
	for content, ok := range map[string]bool{
		"sixteen-letters-": true, "  sixteen-letters-\n": true, "": false, "short": false, "two lines of it\nand another one": false,
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		token, err := EnsureToken(path)
		if (err == nil) != ok || ok && token != "sixteen-letters-" || !ok && !errors.Is(err, ErrToken) {
			t.Errorf("%q: %q %v", content, token, err)
		}
	}
	if _, err := EnsureToken(filepath.Join(path, "below", "a", "file")); err == nil {
		t.Error("a token in an impossible place")
	}
}
