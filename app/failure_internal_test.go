package app

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"testing"

	"github.com/freshrelay/freshrelay/queue"
)

// TestStartErrorsKnowTheirMend: who reads only the last line knows what to type.
func TestStartErrorsKnowTheirMend(t *testing.T) {
	t.Parallel()
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, busy := listen(t.Context(), "the admin listener", taken.Addr().String(), "--admin-listen")
	for want, err := range map[string]error{
		"--admin-listen":      busy,
		"freshrelay status":   mendStore(fmt.Errorf("opening: %w", queue.ErrLocked)),
		"nothing was changed": mendStore(queue.ErrForeignAccount),
		"--data-dir":          mendStore(&fs.PathError{Op: "open", Path: "x", Err: fs.ErrPermission}),
	} {
		mender, ok := errors.AsType[interface {
			error
			Mend() string
		}](errors.Join(err, nil))
		if !ok || !strings.Contains(mender.Mend(), want) {
			t.Errorf("%v: want a mend with %s", err, want)
		}
	}
	if !errors.Is(mendStore(queue.ErrLocked), queue.ErrLocked) || !errors.Is(mendStore(queue.ErrMismatch), queue.ErrMismatch) {
		t.Error("the cause is lost")
	}
}
