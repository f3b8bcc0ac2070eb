// Package worker delivers: it takes the events of the log, one lane per user, turns each user's waiting events into one
// change of the contact, and makes the API calls. It decides what every answer means.
//
// What it promises:
//
//   - One user's changes are made one after another, each after the commit of the last. Users never wait for one another.
//   - All events that wait for a user become one change. If the API refuses the change as such, it is taken apart until
//     the refused event stands alone; that one is set aside as a dead letter and the others go on.
//   - An effect may happen twice (after a crash, after a timeout), never out of order: what was merged is merged again.
//   - What is the account's trouble (quota, key, outage, configuration) holds everything and costs no event anything.
//     What is one user's trouble is retried for a while and then set aside, to be tried again by itself.
//   - A dead letter is stored before the record that counts it is committed.
//   - Stopping is not failing: an interrupted delivery is simply made again.
package worker
