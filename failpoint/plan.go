//go:build failpoints

package failpoint

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
)

type action string

const (
	actionKill action = "kill"
	actionStop action = "stop"
	actionExit action = "exit"
	actionHold action = "hold"
)

// plan is what happens at one point.
type plan struct {
	at     int64 // the passing at which it happens, from 1
	action action
	passed atomic.Int64
}

// parse reads a list of point=N:action. One point can be planned once.
func parse(text string) (map[Point]*plan, error) {
	plans := map[Point]*plan{}
	if text == "" {
		return plans, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		name, rest, _ := strings.Cut(strings.TrimSpace(part), "=")
		count, what, _ := strings.Cut(rest, ":")
		at, err := strconv.ParseInt(count, 10, 64)
		switch {
		case !slices.Contains(Points(), Point(name)):
			return nil, fmt.Errorf("%q names no point; the points are %v", part, Points())
		case plans[Point(name)] != nil:
			return nil, fmt.Errorf("%q: this point is planned already", part)
		case err != nil || at < 1:
			return nil, fmt.Errorf("%q: say at which passing, from 1: point=N:action", part)
		case !slices.Contains([]action{actionKill, actionStop, actionExit, actionHold}, action(what)):
			return nil, fmt.Errorf("%q: the action is kill, stop, exit or hold", part)
		}
		plans[Point(name)] = &plan{at: at, action: action(what)}
	}
	return plans, nil
}
