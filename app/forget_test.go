package app_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestAUserIsForgotten: by the command line, with a kill between the contact's end and its commit. Then nothing is left of the
// user, neither there nor in the files of the data directory.
func TestAUserIsForgotten(t *testing.T) {
	t.Parallel()
	const user = "zq-somebody-zq"
	k, ctx := newKillRig(t, map[int64]bool{2: true}) // the first effect makes the contact
	k.call(ctx, user, 1)
	k.settled(ctx)
	if len(k.box.Contacts()) != 1 || len(holding(t, k.data(), user)) == 0 {
		t.Fatal("there is nobody to forget")
	}
	var receipt struct {
		Done, Dead, Waiting int
		InLog               bool `json:"in_log"`
	}
	// The kill would cut a wait short, and even the answer, so it comes after that; asking again does no harm.
	open := k.shut()
	defer open()
	k.freshrelay("forget", "--yes", "--no-wait", user)
	open()
	k.settled(ctx)
	if err := json.Unmarshal([]byte(k.freshrelay("forget", "--yes", "-o", "json", user)), &receipt); err != nil {
		t.Fatal(err)
	}
	if receipt.Done != 1 || k.kills != 1 || len(k.box.Contacts()) != 0 {
		t.Errorf("%+v, %d kills, contacts %+v", receipt, k.kills, k.box.Contacts())
	}
	var standing struct {
		Users []struct{ Erased *time.Time }
	}
	if err := json.Unmarshal([]byte(k.freshrelay("forget", "--status", "-o", "json", user, "somebody-else")), &standing); err != nil {
		t.Fatal(err)
	}
	if len(standing.Users) != 2 || standing.Users[0].Erased == nil || standing.Users[1].Erased != nil {
		t.Errorf("who is erased: %+v", standing)
	}
	for left := holding(t, k.data(), user); len(left) > 0; left = holding(t, k.data(), user) { // until the next trim
		select {
		case <-ctx.Done():
			t.Fatal("still in", left)
		case <-time.After(100 * time.Millisecond):
		}
	}
	k.call(ctx, user, 2)
	if st := k.settled(ctx); st.Ledger.Discarded != 1 || st.Ledger.Delivered != 5 || st.Ledger.Difference != 0 || len(k.box.Contacts()) != 0 {
		t.Errorf("%+v", st.Ledger)
	}
}

// holding are the files below a directory that hold a text.
func holding(t *testing.T, dir, text string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil //nolint:nilerr // the broker removes files meanwhile
		}
		if content, err := os.ReadFile(path); err == nil && bytes.Contains(content, []byte(text)) {
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
