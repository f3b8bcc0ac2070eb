//go:build failpoints

package failpoint

import (
	"fmt"
	"os"
	"syscall"
	"time"
)

// On says whether this program looks at failpoints.
const On = true

var plans = mustParse(os.Getenv(Variable))

func mustParse(text string) map[Point]*plan {
	parsed, err := parse(text)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", Variable, err)
		os.Exit(ExitCode)
	}
	return parsed
}

// Hit notes that a point is passed, and does what the environment says is to be done there.
func Hit(p Point) {
	pl := plans[p]
	if pl == nil || pl.passed.Add(1) != pl.at {
		return
	}
	fmt.Fprintf(os.Stderr, "failpoint %s: %s\n", p, pl.action)
	switch pl.action {
	case actionExit:
		os.Exit(ExitCode)
	case actionStop:
		signalSelf(syscall.SIGSTOP)
	case actionHold:
		time.Sleep(Held) //nolint:forbidigo // it stands still, that is the point
		signalSelf(syscall.SIGKILL)
		select {}
	case actionKill:
		signalSelf(syscall.SIGKILL)
		select {} // nothing after this point may happen, however late the signal is
	}
}

// signalSelf ends or stops the process.
func signalSelf(s syscall.Signal) {
	if err := signalThread(s); err != nil {
		fmt.Fprintf(os.Stderr, "failpoint: %v\n", err)
		os.Exit(ExitCode)
	}
}

// Lease is the lease time to use, 0 for the program's own.
func Lease() time.Duration { return duration(LeaseVariable) }

// Lookup is how long an unclear activity is left alone, 0 for the program's own time.
func Lookup() time.Duration { return duration(LookupVariable) }

// Unclear is how long a bulk that was cut off is left alone, 0 for the program's own time.
func Unclear() time.Duration { return duration(UnclearVariable) }

func duration(variable string) time.Duration {
	text := os.Getenv(variable)
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", variable, err)
		os.Exit(ExitCode)
	}
	return d
}

// NoSync says whether the store is to go without fsync: what a power cut then costs, and what fsync costs, can be measured.
func NoSync() bool { return os.Getenv(NoSyncVariable) != "" }

// NoRoom says whether the free space of the disk is not to be looked at.
func NoRoom() bool { return os.Getenv(NoRoomVariable) != "" }
