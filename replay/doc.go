// Package replay sends dead letters again, or gives them up: many of them, behind live traffic, once each.
//
// What it promises:
//
//   - A job is stored before it does anything. It goes on after a crash, after a stop and in another process, where it was.
//   - Each letter of a job is tried once by it, and counted once, in the batch that settles it. A job that has ended says what
//     became of all its letters, and that adds up with the ledger.
//   - A few commands are in the log at a time, so live events never queue behind a job; the lanes serve them first, too.
//   - A letter is mapped as mapping is configured now, keeps its clock and its place, and so never beats newer data.
//   - Letters older than the retention are given up by a job like any other, and that is announced before.
package replay
