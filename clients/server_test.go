//go:build clients

package clients_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"testing"
	"time"
)

// runServer runs an application on a server with one of Segment's libraries for Node.
func runServer(ctx context.Context, t *testing.T, j job) sent {
	t.Helper()
	return runNode(ctx, t, "testdata/server.cjs", j)
}

// runNode starts a program of testdata with a job, and returns what it says it has sent. The program may live on until
// the end of the test, when its standard input is closed.
func runNode(ctx context.Context, t *testing.T, file string, j job) sent {
	t.Helper()
	text, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, "node", file, string(text))
	cmd.WaitDelay = 10 * time.Second // what it has started may hold its standard error
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close() // it may have ended by itself
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s with %s: %v\n%s", file, j.Client, err, stderr.String())
		}
	})
	var s sent
	if err := json.NewDecoder(stdout).Decode(&s); err != nil {
		t.Fatalf("%s with %s printed no counts: %v", file, j.Client, err)
	}
	return s
}
