// Package app puts the rooms together: it builds everything from a configuration, starts it in order and stops it in
// reverse. It is the only package that sees all others, and a whole service runs inside a test, several at once.
//
// What it promises:
//
//   - Events are accepted only once they can be stored, and the door closes first when the service stops.
//   - What was started is stopped, also when a later start fails, each step within its time; the whole takes less
//     than 15 seconds.
//   - Nothing of a real account is touched in sandbox mode.
package app
