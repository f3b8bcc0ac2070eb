// Package failpoint names the moments at which a crash hurts most, and lets a test end the process at one of them.
//
// Only a program built with the tag failpoints looks at them. In every other build, the shipped one included, Hit is an
// empty function that the compiler removes, and no variable of the environment has any effect.
//
// With the tag, the variable FAILPOINTS says what happens where: a list of point=N:action, separated by commas.
// At the Nth passing of the point, counted from the start of the process, the process
//
//   - kill: kills itself with SIGKILL, as a crash would;
//   - stop: stops itself with SIGSTOP and goes on at that very place after SIGCONT;
//   - hold: stands still there for Held while the rest goes on, and then kills itself: what the others did too early, like
//     answering for what is not stored, has had its effect by then;
//   - exit: ends with ExitCode, without any cleaning up.
//
// For example: FAILPOINTS=effect-after=3:kill,trim-before=1:stop. What happens is also said on standard error, in
// one line "failpoint <point>: <action>". A list that cannot be read ends the process at its start: a test that kills nothing
// would pass.
package failpoint

import "time"

// Variable is the variable of the environment that says what happens where.
const Variable = "FAILPOINTS"

// NoSyncVariable of the environment takes fsync away from the store, in a program built with the tag.
const NoSyncVariable = "FAILPOINTS_NO_SYNC"

// LeaseVariable of the environment replaces the lease time of partitions on a cluster, in a program built with the tag, so
// that a test need not wait half a minute for each take-over. It is a duration like 6s.
const LeaseVariable = "FAILPOINTS_LEASE"

// LookupVariable of the environment replaces how long an unclear activity is left alone before it is looked for, in a program
// built with the tag.
const LookupVariable = "FAILPOINTS_LOOKUP"

// UnclearVariable of the environment replaces how long a start leaves a bulk alone whose POST was cut off by the end of the process
// before it, in a program built with the tag.
const UnclearVariable = "FAILPOINTS_UNCLEAR"

// NoRoomVariable of the environment keeps the store from looking at the free space of its disk, in a program built with the
// tag: what happens when the disk is full all the same can be seen then.
const NoRoomVariable = "FAILPOINTS_NO_ROOM"

// Held is how long the action hold stands still.
const Held = 500 * time.Millisecond

// ExitCode is what the action exit ends the process with.
const ExitCode = 86

// Point is one moment in the life of an event. "Before" and "after" mean the step's effect on disk or in the account.
type Point string

// The points. A step that is followed by another has two; where nothing is stored or sent there is one.
const (
	PublishBefore Point = "publish-before" // a pack is made and not sent to the store
	PublishAfter  Point = "publish-after"  // a pack is stored and nobody has been told

	HorizonBefore Point = "horizon-before" // a further horizon is about to be committed
	HorizonAfter  Point = "horizon-after"  // it is stored, and nothing beyond the old one has been handed out
	Fold          Point = "fold"           // a user's waiting events have become one change; nothing is sent
	EffectBefore  Point = "effect-before"  // a call that changes the account is about to be made
	EffectAfter   Point = "effect-after"   // its answer is there; nothing of it is committed
	LetterBefore  Point = "letter-before"  // a dead letter is about to be stored
	LetterAfter   Point = "letter-after"   // it is stored; the settlement that counts it is not
	CommitBefore  Point = "commit-before"  // a batch of settlements is made and not sent
	CommitAfter   Point = "commit-after"   // it is stored and nobody has been told
	TrimBefore    Point = "trim-before"    // the log is about to be trimmed
	TrimAfter     Point = "trim-after"     // it is trimmed

	LetterReplaced Point = "letter-replaced" // a dead letter is stored anew; its former copy is still there

	EraseNoted   Point = "erase-noted"   // the store knows that a user is to be erased, and that the log is to be pushed on
	EraseFilled  Point = "erase-filled"  // the log is filled up for that and not trimmed
	EraseTrimmed Point = "erase-trimmed" // it is trimmed, and the store does not know yet

	ReplayTaken     Point = "replay-taken"     // a replay's letter has been read in its user's turn
	ReplayCommitted Point = "replay-committed" // the replay is committed; its letter is still there
	ReplayDropped   Point = "replay-dropped"   // its letter is gone

	LeaseBefore Point = "lease-before" // a lease is about to be taken or renewed (cluster)
	LeaseAfter  Point = "lease-after"  // it is stored, and this process does not know yet
)

// Points are all points, in the order of an event's life.
func Points() []Point {
	return []Point{
		PublishBefore, PublishAfter, HorizonBefore, HorizonAfter, Fold, EffectBefore, EffectAfter, LetterBefore, LetterReplaced, LetterAfter,
		CommitBefore, CommitAfter, TrimBefore, TrimAfter, EraseNoted, EraseFilled, EraseTrimmed, ReplayTaken, ReplayCommitted, ReplayDropped, LeaseBefore, LeaseAfter,
	}
}
